//! Changes that the stream can no longer tell are found, told as recovered, and reported.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use bson::oid::ObjectId;
use bson::{Document, Timestamp, doc};
use futures::TryStreamExt;
use serde_json::Value;
use taskwire::model::TaskEvent;
use taskwire_tests::mongo::{Mongo, MongoOptions};
use taskwire_tests::service::{Edit, NewTask, Status};
use taskwire_tests::stack::HOOK;
use taskwire_tests::{Process, Profile, Program, Stack, eventually};

use crate::common::{SOON, start_indexer};

/// A set whose oplog rolls over quickly, and a stack on it.
async fn rolling() -> Result<(Mongo, Stack)> {
    let mongo = Mongo::start(&MongoOptions::rolling_oplog()).await?;
    let stack = Stack::on(mongo.db().await?, Profile::TasksTracker).await?;
    Ok((mongo, stack))
}

async fn position(stack: &Stack) -> Result<Timestamp> {
    let checkpoints = stack.db.collection::<Document>("watcherCheckpoints");
    let watcher = checkpoints.find_one(doc! { "_id": "watcher" }).await?.context("no position")?;
    Ok(watcher.get_timestamp("time")?)
}

/// Waits until a history row written now is later than the position by more than clocks may differ.
async fn rows_count(stack: &Stack, since: Timestamp) -> Result<()> {
    eventually("the clock is past the margin", SOON, async || {
        let hello = stack.db.run_command(doc! { "hello": 1 }).await.map_err(|error| error.to_string())?;
        let now = hello.get_datetime("localTime").map_err(|error| error.to_string())?.timestamp_millis();
        if now > i64::from(since.time) * 1000 + 3000 { Ok(()) } else { Err("not yet".to_owned()) }
    })
    .await
}

async fn events(stack: &Stack) -> Result<Vec<TaskEvent>> {
    let events = stack.db.collection::<TaskEvent>("taskEvents").find(doc! {}).sort(doc! { "_id": 1 }).await?;
    Ok(events.try_collect().await?)
}

/// The recovered events of each task, by its own count.
async fn recovered(stack: &Stack) -> Result<BTreeMap<String, Vec<TaskEvent>>> {
    let mut by_task: BTreeMap<String, Vec<TaskEvent>> = BTreeMap::new();
    for event in events(stack).await?.into_iter().filter(|event| event.recovered) {
        by_task.entry(event.task_id.to_string()).or_default().push(event);
    }
    by_task.values_mut().for_each(|events| events.sort_by_key(|event| event.sequence));
    Ok(by_task)
}

fn names(events: Option<&Vec<TaskEvent>>) -> Vec<&'static str> {
    events.into_iter().flatten().map(|event| event.event.name()).collect()
}

/// The one gap there is, once it is recovered.
async fn recovered_gap(stack: &Stack) -> Result<Document> {
    let gaps = stack.db.collection::<Document>("gaps");
    eventually("the gap is recovered", Duration::from_secs(120), async || {
        let gap = gaps.find_one(doc! {}).await.map_err(|error| error.to_string())?;
        let gap = gap.ok_or("there is no gap")?;
        if gap.get_str("state").is_ok_and(|state| state == "recovered") { Ok(gap) } else { Err(format!("{gap}")) }
    })
    .await
}

/// Every task's events are numbered without holes or doubles, and its newest tells the status that it has.
async fn log_is_whole(stack: &Stack) -> Result<()> {
    let mut by_task: BTreeMap<String, Vec<TaskEvent>> = BTreeMap::new();
    for event in events(stack).await? {
        by_task.entry(event.task_id.to_string()).or_default().push(event);
    }
    for (task, events) in &mut by_task {
        events.sort_by_key(|event| event.sequence);
        let sequences: Vec<i64> = events.iter().map(|event| event.sequence).collect();
        let whole: Vec<i64> = (1..=i64::try_from(events.len())?).collect();
        ensure!(sequences == whole, "task {task}: sequences {sequences:?}");
        let created = events.iter().filter(|event| event.event.name() == "task.created").count();
        ensure!(created == 1, "task {task}: created {created} times");
    }
    let mut tasks = stack.service.tasks().find(doc! {}).await?;
    while let Some(task) = tasks.try_next().await? {
        let id = task.get_object_id("_id")?.to_hex();
        let last = by_task.get(&id).and_then(|events| events.last()).with_context(|| format!("task {id}: no event"))?;
        let status = Status::ALL[usize::try_from(task.get_i32("Status")?)?].name();
        ensure!(
            last.summary.status.as_deref() == Some(status),
            "task {id} is {status}, told {:?}",
            last.summary.status
        );
    }
    Ok(())
}

#[tokio::test]
async fn what_a_rolled_over_oplog_lost_is_told_by_differences_and_history_rows_once_and_reported() -> Result<()> {
    let (mongo, stack) = rolling().await?;
    let mut api = stack.launch(Program::Api).start().await?;
    let mut indexer = start_indexer(&stack).await?;
    stack.webhook(&stack.admin(&api.url())?).await?;
    let service = &stack.service;
    let mut tasks = Vec::new();
    for name in ["completed", "approved and taken back", "deleted", "untouched", "renamed"] {
        tasks.push(service.create(NewTask::named(name)).await?.0.id);
    }
    let [completed, approved, deleted, untouched, renamed] = tasks[..] else { unreachable!() };
    service.set_status(approved, Status::WaitingForApproval).await?;
    stack.receiver.wait_for_events(HOOK, 6, SOON).await?;
    ensure!(indexer.stop(SOON).await? == Some(0));
    let stored = position(&stack).await?;
    rows_count(&stack, stored).await?;

    service.set_status(completed, Status::InProgress).await?;
    service.complete(completed).await?;
    service.approve(approved).await?;
    service.set_status(approved, Status::WaitingForApproval).await?;
    service.delete(deleted).await?;
    service.edit(renamed, &Edit { name: Some("another name".to_owned()), ..Edit::default() }).await?;
    let born = service.create(NewTask::named("born")).await?.0.id;
    service.complete(born).await?;
    let passing = service.create(NewTask::named("born and deleted")).await?.0.id;
    service.delete(passing).await?;
    mongo.roll_oplog_past(stored).await?;

    let mut indexer = start_indexer(&stack).await?;
    let gap = recovered_gap(&stack).await?;
    let told = recovered(&stack).await?;
    let of = |task: ObjectId| told.get(&task.to_hex());
    assert_eq!(names(of(completed)), ["task.updated", "task.completed"]);
    // The difference alone shows nothing of an approval that was taken back: the rows do.
    assert_eq!(names(of(approved)), ["task.completed", "task.approved", "task.updated"]);
    assert_eq!(names(of(renamed)), ["task.updated"]);
    assert_eq!(names(of(born)), ["task.created", "task.completed"]);
    assert_eq!((names(of(deleted)), names(of(untouched)), names(of(passing))), (vec![], vec![], vec![]));
    let admin = service.group().admin.to_hex();
    let approval = &of(approved).context("events")?[1];
    assert_eq!(approval.actor_id.as_deref(), Some(admin.as_str()));
    let body: Value = serde_json::from_str(&approval.body)?;
    assert_eq!(body["recovered"], true);
    assert_eq!(body["data"]["status"], "Completed");
    assert_eq!(body["data"]["changes"]["status"]["from"], "WaitingForApproval");
    assert_eq!(gap.get_str("reason")?, "oplog");
    let counts = gap.get_document("recovered")?;
    let count = |key: &str| counts.get_i64(key);
    assert_eq!((count("created")?, count("changed")?, count("deleted")?), (1, 2, 1));
    assert_eq!((gap.get_i64("vanished")?, gap.get_i64("inferred")?), (1, 5));
    assert!((indexer.metric("taskwire_gaps_recovered_total").await? - 1.0).abs() < 0.5);
    assert!(indexer.log().contains("ERROR") && indexer.log().contains("the stream has a gap"));

    // The stream goes on behind the gap, and every recovered event is delivered.
    service.complete(untouched).await?;
    stack.receiver.wait_for_events(HOOK, 6 + 8 + 1, SOON).await?;
    log_is_whole(&stack).await?;
    indexer.stop(SOON).await?;
    api.stop(SOON).await?;
    Ok(())
}

#[tokio::test]
async fn a_recovery_that_is_killed_again_and_again_with_writers_at_work_tells_everything_once() -> Result<()> {
    const TASKS: usize = 12_000;
    let (mongo, stack) = rolling().await?;
    let launch = || stack.launch(Program::Indexer).set("TASKWIRE_LEASE_MS", "500").set("TASKWIRE_BATCH_MAX", "200");
    let mut indexer = launch().start().await?;
    let first = stack.service.create(NewTask::named("before")).await?.0.id;
    eventually("the first event", SOON, async || match events(&stack).await {
        Ok(events) if events.len() == 1 => Ok(()),
        other => Err(format!("{other:?}")),
    })
    .await?;
    indexer.stop(SOON).await?;
    let stored = position(&stack).await?;
    let many: Vec<Document> = (0..TASKS)
        .map(|number| stack.service.build(NewTask::named(&format!("task {number}"))))
        .map(|task| taskwire_tests::service::tracker::document(&task))
        .collect::<Result<_>>()?;
    stack.service.tasks().insert_many(&many).await?;
    mongo.roll_oplog_past(stored).await?;

    let mut indexer: Process = launch().spawn()?;
    let log = stack.db.collection::<Document>("taskEvents");
    let writing = async {
        for round in 0..40 {
            let id = many[round * 300].get_object_id("_id")?;
            stack.service.set_status(id, Status::InProgress).await?;
            stack.service.create(NewTask::named("meanwhile")).await?;
        }
        stack.service.complete(first).await.map(drop)
    };
    let killing = async {
        for kill in 1..=3 {
            let enough = kill * 3_000;
            eventually("some more events are recorded", SOON, async || {
                let count = log.count_documents(doc! {}).await.map_err(|error| error.to_string())?;
                if count >= enough { Ok(()) } else { Err(format!("{count} of {enough}")) }
            })
            .await?;
            indexer.kill().await?;
            indexer = launch().spawn()?;
        }
        anyhow::Ok(())
    };
    let (written, killed) = tokio::join!(writing, killing);
    written?;
    killed?;
    let gap = recovered_gap(&stack).await?;
    indexer.wait_until_ready(SOON).await?;
    eventually("the log is whole", SOON, async || log_is_whole(&stack).await.map_err(|error| format!("{error:#}")))
        .await?;
    ensure!(gap.get_document("recovered")?.get_i64("created")? >= i64::try_from(TASKS)?, "{gap}");
    indexer.stop(SOON).await?;
    Ok(())
}

#[tokio::test]
async fn with_on_gap_stop_nothing_is_recorded_until_the_operator_decides() -> Result<()> {
    let (mongo, stack) = rolling().await?;
    let mut indexer = start_indexer(&stack).await?;
    let task = stack.service.create(NewTask::named("wash")).await?.0.id;
    eventually("the first event", SOON, async || match events(&stack).await {
        Ok(events) if events.len() == 1 => Ok(()),
        other => Err(format!("{other:?}")),
    })
    .await?;
    indexer.stop(SOON).await?;
    let stored = position(&stack).await?;
    stack.service.complete(task).await?;
    mongo.roll_oplog_past(stored).await?;

    let mut stopped = stack.launch(Program::Indexer).set("TASKWIRE_ON_GAP", "stop").spawn()?;
    stopped.wait_for_log("TASKWIRE_ON_GAP=recover", SOON).await?;
    let answer = reqwest::get(format!("{}/readyz", stopped.url())).await?;
    assert_eq!(answer.status().as_u16(), 503);
    assert!(answer.text().await?.contains("TASKWIRE_ON_GAP"));
    let gap = stack.db.collection::<Document>("gaps").find_one(doc! {}).await?.context("a gap")?;
    assert_eq!(gap.get_str("state")?, "open");
    assert_eq!((position(&stack).await?, events(&stack).await?.len()), (stored, 1));
    stopped.stop(SOON).await?;

    let mut indexer = start_indexer(&stack).await?;
    eventually("the difference is told", SOON, async || match recovered(&stack).await {
        Ok(told) if names(told.get(&task.to_hex())) == ["task.completed"] => Ok(()),
        other => Err(format!("{other:?}")),
    })
    .await?;
    log_is_whole(&stack).await?;
    let gaps = stack.db.collection::<Document>("gaps");
    eventually("no gap is open", SOON, async || match gaps.count_documents(doc! { "state": "recovered" }).await {
        Ok(2) => Ok(()),
        other => Err(format!("{other:?}")),
    })
    .await?;
    indexer.stop(SOON).await?;
    Ok(())
}

#[tokio::test]
async fn a_collection_renamed_onto_the_tasks_is_compared_with_what_was_known() -> Result<()> {
    let stack = Stack::new(Profile::TasksTracker).await?;
    let mut indexer = start_indexer(&stack).await?;
    let mut tasks = Vec::new();
    for name in ["changed", "gone", "the same"] {
        tasks.push(stack.service.create(NewTask::named(name)).await?.0.id);
    }
    stack.service.tasks().aggregate([doc! { "$out": "tasksCopy" }]).await?;
    let copy = stack.db.collection::<Document>("tasksCopy");
    copy.update_one(doc! { "_id": tasks[0] }, doc! { "$set": { "Status": 2 } }).await?;
    copy.delete_one(doc! { "_id": tasks[1] }).await?;
    let new = stack.service.build(NewTask::named("new"));
    copy.insert_one(taskwire_tests::service::tracker::document(&new)?).await?;
    let name = |collection: &str| format!("{}.{collection}", stack.db.name());
    let command = doc! { "renameCollection": name("tasksCopy"), "to": name("tasks"), "dropTarget": true };
    stack.db.client().database("admin").run_command(command).await?;

    let gap = recovered_gap(&stack).await?;
    assert_eq!(gap.get_str("reason")?, "renamed");
    let told = recovered(&stack).await?;
    let of = |task: ObjectId| names(told.get(&task.to_hex()));
    assert_eq!((of(tasks[0]), of(tasks[1]), of(tasks[2])), (vec!["task.completed"], vec![], vec![]));
    assert_eq!(of(new.id), ["task.created"]);
    stack.service.set_status(new.id, Status::InProgress).await?;
    eventually("the stream goes on", SOON, async || match events(&stack).await {
        Ok(events) if events.len() == 6 => Ok(()),
        other => Err(format!("{other:?}")),
    })
    .await?;
    assert_eq!(stack.db.collection::<Document>("gaps").count_documents(doc! {}).await?, 1);
    indexer.stop(SOON).await?;
    Ok(())
}

#[tokio::test]
async fn what_a_reset_to_now_leaves_out_is_told_as_recovered() -> Result<()> {
    let stack = Stack::new(Profile::TasksTracker).await?;
    let mut indexer = start_indexer(&stack).await?;
    let task = stack.service.create(NewTask::named("wash")).await?.0.id;
    eventually("the first event", SOON, async || match events(&stack).await {
        Ok(events) if events.len() == 1 => Ok(()),
        other => Err(format!("{other:?}")),
    })
    .await?;
    indexer.stop(SOON).await?;
    stack.service.complete(task).await?;
    let reset = stack.launch(Program::Indexer).arguments(&["checkpoint", "reset", "--to", "now", "--yes"]);
    reset.run().await?.expect(0)?;
    let mut indexer = start_indexer(&stack).await?;
    assert_eq!(recovered_gap(&stack).await?.get_str("reason")?, "reset");
    assert_eq!(names(recovered(&stack).await?.get(&task.to_hex())), ["task.completed"]);
    stack.service.set_status(task, Status::Pending).await?;
    eventually("the stream goes on", SOON, async || match events(&stack).await {
        Ok(events) if events.len() == 3 => Ok(()),
        other => Err(format!("{other:?}")),
    })
    .await?;
    log_is_whole(&stack).await?;
    indexer.stop(SOON).await?;
    Ok(())
}

#[tokio::test]
async fn what_is_written_while_a_gap_is_recovered_is_told_change_by_change() -> Result<()> {
    let mongo = Mongo::single().await?;
    let stack = Stack::on(mongo.db().await?, Profile::TasksTracker).await?;
    let mut indexer = start_indexer(&stack).await?;
    indexer.stop(SOON).await?;
    let before = stack.service.create(NewTask::named("before")).await?.0.id;
    let reset = stack.launch(Program::Indexer).arguments(&["checkpoint", "reset", "--to", "now", "--yes"]);
    reset.run().await?.expect(0)?;
    // The recovery begins, and cannot read a task until the writes are done.
    let tasks = format!("{}.tasks", stack.db.name());
    let data = doc! {
        "failCommands": ["find"], "appName": "taskwire-indexer", "namespace": tasks, "errorCode": 112,
    };
    mongo.fail_point(doc! { "configureFailPoint": "failCommand", "mode": "alwaysOn", "data": data }).await?;
    let mut indexer = stack.launch(Program::Indexer).spawn()?;
    indexer.wait_for_log("the stream has a gap", SOON).await?;
    let after = stack.service.create(NewTask::named("after")).await?.0.id;
    stack.service.set_status(after, Status::InProgress).await?;
    stack.service.complete(after).await?;
    mongo.fail_point(doc! { "configureFailPoint": "failCommand", "mode": "off" }).await?;
    indexer.wait_until_ready(SOON).await?;
    eventually("all is told", SOON, async || match events(&stack).await {
        Ok(events) if events.len() == 4 => Ok(()),
        other => Err(format!("{other:?}")),
    })
    .await?;
    let told = recovered(&stack).await?;
    assert_eq!(told.keys().collect::<Vec<_>>(), [&before.to_hex()]);
    log_is_whole(&stack).await?;
    // The first snapshot made their collection only now, and MongoDB 6.0 reads none as of a time before: it is read as it is.
    ensure!(!indexer.log().contains("SnapshotUnavailable"), "{}", indexer.log());
    indexer.stop(SOON).await?;
    Ok(())
}
