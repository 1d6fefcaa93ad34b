//! `quarantine`: what was put aside is recorded later, or not at all, and never out of order.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use bson::oid::ObjectId;
use bson::{Document, doc};
use futures::TryStreamExt;
use serde_json::Value;
use taskwire_tests::expected::Actors;
use taskwire_tests::process::Ran;
use taskwire_tests::service::NewTask;
use taskwire_tests::{Observed, Profile, Program, Stack, eventually};
use tempfile::TempDir;

use super::{cluster_time, command, exact};
use crate::common::{SOON, event_log, log_matches, start_indexer};

/// A profile in which the status may be one more.
fn mapping(directory: &TempDir, profile: Profile, statuses: &str) -> Result<PathBuf> {
    let (text, last) = match profile {
        Profile::TasksTracker => {
            (include_str!("../../../src/mapping/profiles/tasks-tracker.toml"), r#""WaitingForApproval"]"#)
        }
        Profile::CamelCase => {
            (include_str!("../../../src/mapping/profiles/camel-case.toml"), r#""WaitingForApproval"]"#)
        }
    };
    let path = directory.path().join(format!("{}.toml", statuses.len()));
    std::fs::write(&path, text.replacen(last, &format!(r#""WaitingForApproval", {statuses}]"#), 1))?;
    Ok(path)
}

async fn retry(stack: &Stack, mapping: &Path, arguments: &[&str]) -> Result<Ran> {
    let mapping = mapping.to_str().context("no text")?;
    let launch = stack.launch(Program::Indexer).set("TASKWIRE_MAPPING", mapping);
    launch.arguments(&["quarantine", "retry"]).arguments(arguments).run().await
}

async fn list(stack: &Stack, status: &str) -> Result<Vec<Value>> {
    let ran = command(stack, &["quarantine", "list", "--json", "--status", status]).await?.expect(0)?;
    assert!(!ran.out.contains("secret"), "{ran:?}");
    Ok(ran.json()?.as_array().context("no list")?.clone())
}

/// Waits until so many are aside.
async fn aside(stack: &Stack, count: u64) -> Result<()> {
    let entries = stack.db.collection::<Document>("quarantinedChanges");
    eventually("changes are aside", SOON, async || {
        let aside = entries.count_documents(doc! { "status": "aside" }).await.map_err(|error| error.to_string())?;
        if aside == count { Ok(()) } else { Err(format!("{aside} of {count}")) }
    })
    .await
}

/// What the log tells of a task.
async fn told(stack: &Stack, task: ObjectId) -> Result<Vec<Observed>> {
    let task = task.to_hex();
    Ok(event_log(stack).await?.into_iter().filter(|event| event.task == task).collect())
}

async fn wait_for_told(stack: &Stack, task: ObjectId, count: usize) -> Result<Vec<Observed>> {
    eventually("the task's events", SOON, async || {
        let events = told(stack, task).await.map_err(|error| error.to_string())?;
        if events.len() == count { Ok(events) } else { Err(format!("{events:?}")) }
    })
    .await
}

#[tokio::test]
async fn a_retry_records_what_fits_today_unless_something_later_is_recorded_and_the_leader_goes_on() -> Result<()> {
    let stack = Stack::new(Profile::TasksTracker).await?;
    let directory = TempDir::new()?;
    let archived = mapping(&directory, Profile::TasksTracker, r#""Archived""#)?;
    let mut api = stack.launch(Program::Api).start().await?;
    stack.webhook(&stack.admin(&api.url())?).await?;
    let group = stack.service.group().id;
    let tasks = stack.service.tasks();
    let task = |id: ObjectId, status: i32| doc! { "_id": id, "GroupId": group, "Name": "secret", "Status": status };
    let [old, new, overtaken, gone, wrong] = [(); 5].map(|()| ObjectId::new());
    tasks.insert_one(task(old, 5)).await?;
    let mut indexer = start_indexer(&stack).await?;
    let start = exact(cluster_time(&stack).await?);
    tasks.insert_one(task(new, 5)).await?;
    tasks.insert_one(task(overtaken, 5)).await?;
    tasks.replace_one(doc! { "_id": overtaken }, task(overtaken, 0)).await?;
    tasks.insert_one(task(gone, 5)).await?;
    tasks.delete_one(doc! { "_id": gone }).await?;
    tasks.insert_one(task(wrong, 77)).await?;
    stack.service.create(NewTask::named("wash")).await?;
    log_matches(&stack, &stack.service.expected(), Actors::Exact).await?;
    aside(&stack, 5).await?;
    let entries = list(&stack, "aside").await?;
    assert_eq!(entries[0]["id"].as_str(), Some(format!("scan:{old}").as_str()));
    assert_eq!(entries[1]["key"].as_str(), Some(new.to_hex().as_str()));
    assert_eq!(entries[4]["reason"].as_str(), Some("Status: not one of the mapping's names"));

    // The mapping of the running indexer does not know it yet.
    let ran =
        command(&stack, &["quarantine", "retry", entries[1]["id"].as_str().context("no id")?]).await?.expect(1)?;
    assert!(ran.out.contains("0 recorded (0 events), 0 superseded, 1 still aside"), "{ran:?}");
    let ran = retry(&stack, &archived, &["--all"]).await?.expect(1)?;
    assert!(ran.out.contains("2 recorded (1 events), 2 superseded, 1 still aside"), "{ran:?}");
    let log = wait_for_told(&stack, new, 1).await?;
    assert_eq!((log[0].event.as_str(), log[0].sequence), ("task.created", 1));
    assert_eq!((told(&stack, old).await?.len(), told(&stack, overtaken).await?.len()), (0, 0));
    let entries_there = stack.db.collection::<Document>("quarantinedChanges");
    let entry = entries_there.find_one(doc! { "status": "retried", "documentKey": new }).await?.context("the entry")?;
    let events = stack.db.collection::<Document>("taskEvents");
    let event = events.find_one(doc! { "taskId": new }).await?.context("the event")?;
    assert_eq!(entry.get_timestamp("clusterTime")?, event.get_timestamp("clusterTime")?);
    assert!(!entry.contains_key("raw"));
    assert_eq!((list(&stack, "retried").await?.len(), list(&stack, "superseded").await?.len()), (2, 2));

    // The leader stood by for a moment and goes on, from what was recorded.
    tasks.replace_one(doc! { "_id": new }, task(new, 0)).await?;
    tasks.replace_one(doc! { "_id": old }, task(old, 2)).await?;
    assert_eq!(wait_for_told(&stack, new, 2).await?[1].sequence, 2);
    assert_eq!(wait_for_told(&stack, old, 1).await?[0].event, "task.completed");
    let rows = stack.db.collection::<Document>("webhookDeliveries");
    eventually("the late events are delivered too", SOON, async || {
        let delivered =
            rows.count_documents(doc! { "status": "delivered" }).await.map_err(|error| error.to_string())?;
        if delivered == 4 { Ok(()) } else { Err(format!("{delivered} of 4")) }
    })
    .await?;

    let last = entries[4]["id"].as_str().context("no id")?;
    command(&stack, &["quarantine", "drop", last]).await?.expect(0)?;
    let ran = command(&stack, &["quarantine", "drop", last]).await?.expect(1)?;
    assert!(ran.err.contains("quarantine list"), "{ran:?}");
    assert_eq!(command(&stack, &["quarantine", "retry", "--all"]).await?.expect(0)?.out, "nothing is aside\n");
    // Read again, what was settled stays settled.
    let count = event_log(&stack).await?.len();
    command(&stack, &["checkpoint", "reset", "--to", &start, "--yes"]).await?.expect(0)?;
    let task = stack.service.create(NewTask::named("dry")).await?.0.id;
    wait_for_told(&stack, task, 1).await?;
    assert_eq!((list(&stack, "aside").await?.len(), event_log(&stack).await?.len()), (0, count + 1));
    indexer.stop(SOON).await?;
    api.stop(SOON).await?;
    Ok(())
}

#[tokio::test]
async fn an_update_is_not_recorded_while_one_before_it_is_aside() -> Result<()> {
    let stack = Stack::new(Profile::CamelCase).await?;
    let directory = TempDir::new()?;
    let second_only = mapping(&directory, Profile::CamelCase, r#""Second""#)?;
    let both = mapping(&directory, Profile::CamelCase, r#""First", "Second""#)?;
    let mut indexer = start_indexer(&stack).await?;
    let task = stack.service.create(NewTask::named("wash")).await?.0.id;
    for status in ["First", "Second"] {
        stack.service.tasks().update_one(doc! { "_id": task }, doc! { "$set": { "status": status } }).await?;
    }
    aside(&stack, 2).await?;
    let found =
        stack.db.collection::<Document>("quarantinedChanges").find(doc! {}).sort(doc! { "clusterTime": 1 }).await?;
    let entries: Vec<Document> = found.try_collect().await?;
    for arguments in [vec!["--all"], vec![entries[1].get_str("_id")?]] {
        let ran = retry(&stack, &second_only, &arguments).await?.expect(1)?;
        assert!(
            ran.out.contains("an earlier change of this task is aside") && ran.out.contains("0 recorded"),
            "{ran:?}"
        );
    }
    let ran = retry(&stack, &both, &["--all"]).await?.expect(0)?;
    assert!(ran.out.contains("2 recorded (2 events)"), "{ran:?}");
    let log = wait_for_told(&stack, task, 3).await?;
    let to: Vec<&Value> = log[1..].iter().map(|event| &event.changes["status"]["to"]).collect();
    assert_eq!(to, ["First", "Second"]);
    indexer.stop(SOON).await?;
    Ok(())
}
