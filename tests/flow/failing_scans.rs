//! Each step of a first start and of a recovery may fail: they go on by themselves, and nothing is lost or told twice.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use bson::{Bson, Document, doc};
use taskwire_tests::service::{NewTask, Status, tracker};
use taskwire_tests::{Mongo, Profile, Program, Stack, eventually};

use crate::common::{SOON, event_log, start_indexer};

const TASKS: usize = 300;

/// The ways in which a command fails, and how often in a row.
fn faults(namespace: Option<&str>, command: &str) -> Vec<Document> {
    let closed = (2, doc! { "closeConnection": true });
    let transient = (2, doc! { "errorCode": 112, "errorLabels": ["TransientTransactionError"] });
    // The commit took effect, and its answer says that this is not known; the driver asks again by itself.
    let applied = (2, doc! { "writeConcernError": { "code": 91, "errmsg": "shutting down" } });
    let mut ways = vec![closed, transient];
    if command == "commitTransaction" {
        ways.push(applied);
    }
    let fault = |(times, how): (i32, Document)| {
        let mut data = doc! { "failCommands": [command], "appName": "taskwire-indexer" };
        data.extend(namespace.map(|namespace| ("namespace".to_owned(), namespace.into())));
        data.extend(how);
        doc! { "configureFailPoint": "failCommand", "mode": { "times": times }, "data": data }
    };
    ways.into_iter().map(fault).collect()
}

/// A stack with some tasks in it, as if they had always been.
async fn filled(mongo: &Mongo) -> Result<(Stack, Vec<Document>)> {
    let stack = Stack::on(mongo.db().await?, Profile::TasksTracker).await?;
    let tasks: Vec<Document> = (0..TASKS)
        .map(|number| stack.service.build(NewTask::named(&format!("task {number}"))))
        .map(|task| tracker::document(&task))
        .collect::<Result<_>>()?;
    stack.service.tasks().insert_many(&tasks).await?;
    Ok((stack, tasks))
}

/// Waits until every task has its snapshot and `told` events are recorded, each once.
async fn settled(stack: &Stack, told: usize) -> Result<()> {
    let snapshots = stack.db.collection::<Document>("taskSnapshots");
    eventually("all is taken in and told", Duration::from_secs(60), async || {
        let count = snapshots.count_documents(doc! {}).await.map_err(|error| error.to_string())?;
        let log = event_log(stack).await.map_err(|error| format!("{error:#}"))?;
        let tasks: BTreeSet<&str> = log.iter().map(|event| event.task.as_str()).collect();
        let once = log.len() == told && tasks.len() == told;
        if count == TASKS as u64 && once { Ok(()) } else { Err(format!("{count} snapshots, {} events", log.len())) }
    })
    .await
}

#[tokio::test]
async fn every_step_of_a_first_start_may_fail_and_the_past_is_taken_in_once() -> Result<()> {
    let mongo = Mongo::single().await?;
    let steps = [
        ("find", Some("webhookConfigs")),
        ("find", Some("tasks")),
        ("update", Some("watcherCheckpoints")),
        ("insert", Some("taskSnapshots")),
        ("commitTransaction", None),
    ];
    for (command, collection) in steps {
        let (stack, tasks) = filled(&mongo).await?;
        let namespace = collection.map(|collection| format!("{}.{collection}", stack.db.name()));
        for fault in faults(namespace.as_deref(), command) {
            for ours in ["watcherCheckpoints", "taskSnapshots", "taskEvents", "gaps"] {
                stack.db.collection::<Document>(ours).delete_many(doc! {}).await?;
            }
            mongo.fail_point(fault.clone()).await?;
            let mut indexer = start_indexer(&stack).await.with_context(|| format!("{fault}"))?;
            settled(&stack, 0).await.with_context(|| format!("{fault}"))?;
            stack.service.set_status(tasks[0].get_object_id("_id")?, Status::InProgress).await?;
            settled(&stack, 1).await.with_context(|| format!("{fault}"))?;
            stack.service.set_status(tasks[0].get_object_id("_id")?, Status::Pending).await?;
            indexer.stop(SOON).await?;
        }
    }
    Ok(())
}

#[tokio::test]
async fn every_step_of_a_recovery_may_fail_and_each_difference_is_told_once() -> Result<()> {
    let mongo = Mongo::single().await?;
    let steps = [
        ("find", Some("webhookConfigs")),
        ("find", Some("tasks")),
        ("find", Some("taskSnapshots")),
        ("find", Some("taskHistories")),
        ("insert", Some("taskEvents")),
        ("update", Some("taskSnapshots")),
        ("update", Some("gaps")),
        ("update", Some("watcherCheckpoints")),
        ("commitTransaction", None),
    ];
    let (stack, _) = filled(&mongo).await?;
    let checkpoints = stack.db.collection::<Document>("watcherCheckpoints");
    let mut indexer = start_indexer(&stack).await?;
    indexer.stop(SOON).await?;
    for (command, collection) in steps {
        let namespace = collection.map(|collection| format!("{}.{collection}", stack.db.name()));
        for fault in faults(namespace.as_deref(), command) {
            stack.db.collection::<Document>("taskEvents").delete_many(doc! {}).await?;
            let turn = doc! { "$set": { "Difficulty": { "$add": [{ "$mod": ["$Difficulty", 10] }, 1] } } };
            stack.service.tasks().update_many(doc! {}, vec![turn]).await?;
            let watcher = checkpoints.find_one(doc! { "_id": "watcher" }).await?.context("a position")?;
            let wanted = doc! { "requested": "reset", "from": watcher.get_timestamp("time")? };
            checkpoints.update_one(doc! { "_id": "watcher" }, doc! { "$set": { "gap": wanted } }).await?;
            mongo.fail_point(fault.clone()).await?;
            let mut indexer = stack.launch(Program::Indexer).start().await.with_context(|| format!("{fault}"))?;
            settled(&stack, TASKS).await.with_context(|| format!("{fault}"))?;
            eventually("the recovery is complete", SOON, async || {
                let watcher =
                    checkpoints.find_one(doc! { "_id": "watcher" }).await.map_err(|error| error.to_string())?;
                let gap = watcher.as_ref().and_then(|watcher| watcher.get("gap")).and_then(Bson::as_null);
                gap.ok_or_else(|| format!("{fault}: {watcher:?}"))
            })
            .await?;
            indexer.stop(SOON).await?;
        }
    }
    let gaps = stack.db.collection::<Document>("gaps");
    ensure!(gaps.count_documents(doc! { "state": { "$ne": "recovered" } }).await? == 0);
    Ok(())
}
