//! Bulk replays and backfills, done by the real indexer.

use anyhow::{Context, Result};
use bson::{DateTime, Document, Timestamp, doc};
use mongodb::options::Hint;
use reqwest::Method;
use serde_json::{Value, json};
use taskwire::model::{
    Delivery, DeliveryStatus, DocId, EventId, EventKind, Ordering, PayloadSummary, StreamTime, TaskEvent,
};
use taskwire_tests::expected::{Actors, compare};
use taskwire_tests::mongo::{Mongo, MongoOptions};
use taskwire_tests::service::{Edit, NewTask};
use taskwire_tests::stack::HOOK;
use taskwire_tests::{AdminApi, Profile, Program, Stack, eventually};

use crate::common::{SOON, log_matches, start_indexer};

async fn replay(api: &AdminApi, path: &str, id: &Value) -> Result<Value> {
    let id = id.as_str().context("no replay id")?;
    api.call(Method::GET, &format!("{path}/replays/{id}"), None).await?.expect(200)
}

async fn wait_for(api: &AdminApi, path: &str, id: &Value, what: impl Fn(&Value) -> bool) -> Result<Value> {
    eventually("the replay has come so far", SOON, async || {
        let now = replay(api, path, id).await.map_err(|error| format!("{error:#}"))?;
        if what(&now) { Ok(now) } else { Err(now.to_string()) }
    })
    .await
}

/// So many dead letters of a webhook, with their events, as if each had been tried once.
async fn dead_letters(stack: &Stack, webhook: &Value, count: u32) -> Result<()> {
    let group: DocId = stack.service.group().id.into();
    let webhook = bson::oid::ObjectId::parse_str(webhook["id"].as_str().context("no id")?)?;
    let now = DateTime::now();
    let (mut events, mut rows) = (Vec::new(), Vec::new());
    for number in 0..count {
        let cluster_time =
            Timestamp { time: u32::try_from(now.timestamp_millis() / 1000)? - 60, increment: number + 1 };
        let task = DocId::Oid(bson::oid::ObjectId::new());
        let id = EventId::derive(StreamTime::new(cluster_time, 0), "d.tasks", &task, "task.created");
        let event = TaskEvent {
            body: json!({"id": id, "event": "task.created", "data": {"id": task.to_string()}}).to_string(),
            id,
            group_id: group.clone(),
            task_id: task,
            event: EventKind::Created,
            at: now,
            cluster_time,
            sequence: 1,
            actor_id: None,
            summary: PayloadSummary { status: None, changed: Vec::new() },
            echo: false,
            muted: false,
            recovered: false,
        };
        rows.push(Delivery {
            status: DeliveryStatus::DeadLetter,
            attempts: 1,
            due: None,
            next_attempt_at: None,
            last_attempt_at: Some(now),
            duration_ms: Some(1),
            ..Delivery::queued(&event, webhook, Ordering::None, now)
        });
        events.push(event);
    }
    stack.db.collection::<TaskEvent>("taskEvents").insert_many(events).await?;
    stack.db.collection::<Delivery>("webhookDeliveries").insert_many(rows).await?;
    Ok(())
}

#[tokio::test]
async fn a_bulk_replay_goes_on_where_it_was_killed_and_queues_each_dead_letter_once() -> Result<()> {
    const COUNT: u32 = 4000;
    // A page that is cut leaves its transaction open, which the server ends after a minute; a test does not wait for that.
    let arguments = ["--setParameter", "transactionLifetimeLimitSeconds=2"].map(str::to_owned).to_vec();
    let mongo = Mongo::start(&MongoOptions { arguments, ..MongoOptions::default() }).await?;
    let stack = Stack::on(mongo.db().await?, Profile::TasksTracker).await?;
    // It is asked for often how far it is.
    let mut server = stack.launch(Program::Api).set("TASKWIRE_USER_RATE_PER_MINUTE", "0").start().await?;
    let api = stack.admin(&server.url())?;
    let webhook = stack.webhook(&api).await?;
    dead_letters(&stack, &webhook, COUNT).await?;
    let path = format!("/api/integrations/webhooks/{}", webhook["id"].as_str().context("no id")?);
    let begun = api.call(Method::POST, &format!("{path}/replay"), Some(&json!({}))).await?.expect(202)?;
    assert_eq!(begun["count"], COUNT);
    let launch = || stack.launch(Program::Indexer).set("TASKWIRE_LEASE_MS", "500").start();
    let mut indexer = launch().await?;
    // Likewise: a process that is killed holds the replay until its lease ends.
    let free = async || {
        let replays = stack.db.collection::<Document>("replays");
        replays.update_one(doc! {}, doc! { "$set": { "leaseUntil": DateTime::from_millis(0) } }).await.map(drop)
    };
    for enough in [1, 1500] {
        wait_for(&api, &path, &begun["replayId"], |now| now["done"].as_i64() >= Some(enough)).await?;
        indexer.kill().await?;
        free().await?;
        indexer = launch().await?;
    }
    let over = wait_for(&api, &path, &begun["replayId"], |now| now["status"] == "done").await?;
    assert_eq!((&over["done"], &over["skipped"], &over["total"]), (&json!(COUNT), &json!(0), &json!(COUNT)));
    // Each was queued once: it counts its attempts from the one it had had. What the killed ones held is sent a minute later.
    let rows = stack.db.collection::<Document>("webhookDeliveries");
    let once = doc! { "status": { "$ne": "dead-letter" }, "attemptsBase": 1 };
    // By `_id`: these rows are being sent, and a scan of an index with their status meets one twice that moves in it.
    let counted = rows.count_documents(once).hint(Hint::Keys(doc! { "_id": 1 })).await?;
    assert_eq!(counted, u64::from(COUNT));
    assert_eq!(stack.receiver.complaints(), Vec::<String>::new());
    indexer.stop(SOON).await?;
    server.stop(SOON).await?;
    Ok(())
}

#[tokio::test]
async fn a_backfill_brings_a_new_webhook_what_was_before_it_in_order_and_nothing_twice() -> Result<()> {
    let stack = Stack::new(Profile::TasksTracker).await?;
    let mut server = stack.launch(Program::Api).start().await?;
    let mut indexer = start_indexer(&stack).await?;
    let api = stack.admin(&server.url())?;
    let begin = chrono::Utc::now() - chrono::Duration::seconds(10);
    let task = stack.service.create(NewTask::named("first")).await?.0.id;
    for number in 0..10 {
        stack.service.edit(task, &Edit::name(&format!("edit {number}"))).await?;
    }
    log_matches(&stack, &stack.service.expected(), Actors::MayBeMissing).await?;
    let webhook = stack.webhook(&api).await?;
    let path = format!("/api/integrations/webhooks/{}", webhook["id"].as_str().context("no id")?);
    api.call(Method::PUT, &path, Some(&json!({"ordering": "perTask"}))).await?.expect(200)?;
    let trace = async || {
        let events = api.call(Method::GET, "/api/integrations/task-events?limit=1", None).await?.expect(200)?;
        let id = events["items"][0]["id"].as_str().context("no event")?.to_owned();
        let trace =
            api.call(Method::GET, &format!("/api/integrations/task-events/{id}/trace"), None).await?.expect(200)?;
        anyhow::Ok(trace["items"][0].clone())
    };
    let before = trace().await?;
    assert_eq!((&before["outcome"], &before["reason"]), (&json!("not-sent"), &json!("created-later")));
    let body = json!({"since": begin.to_rfc3339()});
    let begun = api.call(Method::POST, &format!("{path}/backfill"), Some(&body)).await?.expect(202)?;
    assert_eq!(begun["count"], 11);
    wait_for(&api, &path, &begun["replayId"], |now| now["status"] == "done" && now["done"] == 11).await?;
    let expected = stack.service.expected();
    let got = stack.receiver.wait_for_events(HOOK, expected.len(), SOON).await?;
    assert_eq!(compare(&expected, &got, Actors::MayBeMissing), Vec::<String>::new());
    let sequences: Vec<i64> = got.iter().map(|one| one.sequence).collect();
    assert_eq!(sequences, (1..=11).collect::<Vec<_>>());
    let again = json!({"since": begin.to_rfc3339(), "dryRun": true});
    let again = api.call(Method::POST, &format!("{path}/backfill"), Some(&again)).await?.expect(202)?;
    assert_eq!(again["count"], 0);
    assert_eq!(trace().await?["outcome"], "delivered");
    // A deleted webhook ends what is asked for it.
    api.call(Method::DELETE, &path, None).await?.expect(204)?;
    assert_eq!(api.call(Method::POST, &format!("{path}/backfill"), Some(&body)).await?.status.as_u16(), 404);
    indexer.stop(SOON).await?;
    server.stop(SOON).await?;
    Ok(())
}
