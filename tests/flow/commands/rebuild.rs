//! `rebuild deliveries`: what is missing is made again as it was, and nothing else.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use bson::{Document, doc};
use futures::TryStreamExt;
use serde_json::json;
use taskwire_tests::admin_api::webhook_for_all_events;
use taskwire_tests::expected::Actors;
use taskwire_tests::service::{NewTask, Status};
use taskwire_tests::{Profile, Program, Stack, eventually};

use super::{cluster_time, command, exact};
use crate::common::{SOON, log_matches, start_indexer};

/// All rows by id, without their times.
async fn rows(stack: &Stack) -> Result<BTreeMap<String, Document>> {
    let found = stack.db.collection::<Document>("webhookDeliveries").find(doc! {}).await?;
    let rows: Vec<Document> = found.try_collect().await?;
    let by_id = rows.into_iter().map(|mut row| {
        for time in ["createdAt", "due", "nextAttemptAt"] {
            row.remove(time);
        }
        Ok((row.get_str("_id")?.to_owned(), row))
    });
    by_id.collect()
}

#[tokio::test]
async fn rows_that_are_missing_are_made_again_as_they_were_and_those_that_are_there_stay() -> Result<()> {
    let stack = Stack::new(Profile::TasksTracker).await?;
    let mut api = stack.launch(Program::Api).start().await?;
    let admin = stack.admin(&api.url())?;
    stack.webhook(&admin).await?;
    let mut in_order = webhook_for_all_events(stack.service.group().id, &stack.receiver.url("/in-order"));
    in_order["ordering"] = json!("perTask");
    let in_order = admin.create_webhook(&in_order).await?;
    stack.receiver.set_secret("/in-order", in_order["secret"].as_str().context("no secret")?);
    // Nothing is delivered, so that every row stays as it was made.
    let mut indexer = stack.launch(Program::Indexer).arguments(&["watch"]).start().await?;
    let since = exact(cluster_time(&stack).await?);
    let task = stack.service.create(NewTask::named("wash")).await?.0.id;
    stack.service.set_status(task, Status::InProgress).await?;
    let url = format!("/api/integrations/webhooks/{}", in_order["id"].as_str().context("no id")?);
    admin.put(&url, &json!({ "enabled": false })).await?.expect(200)?;
    stack.service.complete(task).await?;
    log_matches(&stack, &stack.service.expected(), Actors::MayBeMissing).await?;
    indexer.stop(SOON).await?;
    let before = rows(&stack).await?;
    assert_eq!(before.len(), 5, "three events, of which the disabled webhook wanted two");

    let deliveries = stack.db.collection::<Document>("webhookDeliveries");
    let kept = before.keys().nth(1).context("no second row")?;
    deliveries.delete_many(doc! { "_id": { "$ne": kept } }).await?;
    let since_then = ["rebuild", "deliveries", "--since", &since];
    let ran = command(&stack, &[&since_then[..], &["--dry-run"]].concat()).await?.expect(0)?;
    assert_eq!(ran.out, "3 events want 5 deliveries: 1 are there, 4 would be made\n");
    assert_eq!(rows(&stack).await?.len(), 1);
    let ran = command(&stack, &[&since_then[..], &["--until", &since]].concat()).await?.expect(0)?;
    assert!(ran.out.starts_with("0 events"), "{ran:?}");
    let ran = command(&stack, &since_then).await?.expect(0)?;
    assert_eq!(ran.out, "3 events want 5 deliveries: 1 are there, 4 made\n");
    assert_eq!(rows(&stack).await?, before);
    let ran = command(&stack, &since_then).await?.expect(0)?;
    assert!(ran.out.contains("5 are there, 0 made"), "{ran:?}");

    admin.put(&url, &json!({ "enabled": true })).await?.expect(200)?;
    indexer = start_indexer(&stack).await?;
    eventually("what was made is delivered", SOON, async || {
        let delivered = deliveries.count_documents(doc! { "status": "delivered" }).await;
        match delivered.map_err(|error| error.to_string())? {
            5 => Ok(()),
            count => Err(format!("{count} of 5")),
        }
    })
    .await?;
    assert_eq!(stack.receiver.complaints(), Vec::<String>::new());
    indexer.stop(SOON).await?;
    admin.delete(&url).await?.expect(204)?;
    deliveries.delete_many(doc! {}).await?;
    let ran = command(&stack, &since_then).await?.expect(0)?;
    assert!(ran.out.contains("0 are there, 3 made\n2 more were wanted by webhooks that are deleted now"), "{ran:?}");
    api.stop(SOON).await?;
    Ok(())
}

#[tokio::test]
async fn what_may_have_been_sent_and_removed_is_made_again_only_by_force() -> Result<()> {
    let stack = Stack::new(Profile::TasksTracker).await?;
    let long_ago = ["rebuild", "deliveries", "--since", "2020-01-01T00:00:00Z"];
    let ran = command(&stack, &long_ago).await?.expect(1)?;
    assert!(ran.err.contains("30 days") && ran.err.contains("--force"), "{ran:?}");
    command(&stack, &[&long_ago[..], &["--force"]].concat()).await?.expect(0)?;
    let horizon = doc! { "_id": "retention", "eventsFrom": bson::DateTime::now() };
    stack.db.collection::<Document>("watcherCheckpoints").insert_one(horizon).await?;
    let hour_ago = bson::DateTime::now().timestamp_millis() / 1000 - 3600;
    let ran = command(&stack, &["rebuild", "deliveries", "--since", &hour_ago.to_string()]).await?.expect(1)?;
    assert!(ran.err.contains("TASKWIRE_EVENT_RETENTION"), "{ran:?}");
    let ran = command(&stack, &["rebuild", "deliveries"]).await?.expect(2)?;
    assert!(ran.err.contains("--since"), "{ran:?}");
    Ok(())
}

#[tokio::test]
async fn snapshots_that_were_damaged_or_removed_are_made_anew_and_their_tasks_go_on_counting() -> Result<()> {
    let stack = Stack::new(Profile::TasksTracker).await?;
    let mut indexer = stack.launch(Program::Indexer).set("TASKWIRE_LEASE_MS", "500").start().await?;
    let mut tasks = Vec::new();
    for name in ["removed", "damaged", "untouched"] {
        tasks.push(stack.service.create(NewTask::named(name)).await?.0.id);
    }
    log_matches(&stack, &stack.service.expected(), Actors::Exact).await?;
    let snapshots = stack.db.collection::<Document>("taskSnapshots");
    snapshots.delete_one(doc! { "_id": tasks[0] }).await?;
    snapshots.update_one(doc! { "_id": tasks[1] }, doc! { "$unset": { "fields": "" } }).await?;
    let ran = command(&stack, &["rebuild", "snapshots", "--yes"]).await?.expect(0)?;
    assert!(ran.out.contains("0 events told"), "{ran:?}");
    for task in &tasks {
        stack.service.set_status(*task, Status::InProgress).await?;
    }
    log_matches(&stack, &stack.service.expected(), Actors::MayBeMissing).await?;
    let ran = command(&stack, &["audit"]).await?.expect(0)?;
    indexer.stop(SOON).await?;
    assert!(!ran.out.is_empty());

    let started = std::time::Instant::now();
    let ran = command(&stack, &["rebuild", "snapshots", "--yes"]).await?.expect(1)?;
    assert!(ran.err.contains("no indexer has begun it"), "{ran:?} after {:?}", started.elapsed());
    indexer = start_indexer(&stack).await?;
    eventually("it is done at the next start", SOON, async || {
        let gaps = stack.db.collection::<Document>("gaps");
        let done = doc! { "reason": "rebuild", "state": "recovered" };
        match gaps.count_documents(done).await {
            Ok(2) => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await?;
    indexer.stop(SOON).await?;
    Ok(())
}
