//! Collections and databases that go away under a running indexer.

use anyhow::{Context, Result};
use bson::{Document, doc};
use futures::TryStreamExt;
use taskwire_tests::expected::Actors;
use taskwire_tests::service::{NewTask, Status};
use taskwire_tests::{Db, Profile, Stack, eventually};

use crate::common::{SOON, event_log, log_matches, start_indexer};

/// Renames a collection of the stack's database; `onto`: in place of one that is there.
async fn rename(stack: &Stack, from: &str, to: &str, onto: bool) -> Result<()> {
    let name = |collection: &str| format!("{}.{collection}", stack.db.name());
    let command = doc! { "renameCollection": name(from), "to": name(to), "dropTarget": onto };
    stack.db.client().database("admin").run_command(command).await?;
    Ok(())
}

#[tokio::test]
async fn tasks_renamed_away_end_their_lives_and_a_collection_made_anew_begins_new_ones() -> Result<()> {
    let stack = Stack::new(Profile::TasksTracker).await?;
    let mut indexer = start_indexer(&stack).await?;
    let first = stack.service.create(NewTask::named("first")).await?.0;
    rename(&stack, "tasks", "tasksOld", false).await?;
    let second = stack.service.create(NewTask::named("second")).await?.0;
    stack.service.complete(second.id).await?;
    log_matches(&stack, &stack.service.expected(), Actors::MayBeMissing).await?;
    let snapshots = stack.db.collection::<Document>("taskSnapshots");
    let stone = snapshots.find_one(doc! { "_id": first.id }).await?.context("the first task's snapshot")?;
    assert!(stone.get_bool("deleted")?);
    indexer.stop(SOON).await?;
    Ok(())
}

#[tokio::test]
async fn everything_before_a_collection_was_renamed_onto_the_tasks_is_told_and_none_of_them_is_buried() -> Result<()> {
    let stack = Stack::new(Profile::TasksTracker).await?;
    let mut indexer = start_indexer(&stack).await?;
    let mut ids = Vec::new();
    for number in 0..20 {
        ids.push(stack.service.create(NewTask::named(&format!("task {number}"))).await?.0.id);
    }
    // The same tasks in another collection, which then takes the place of the first.
    stack.service.tasks().aggregate([doc! { "$out": "tasksCopy" }]).await?;
    for id in &ids {
        stack.service.set_status(*id, Status::InProgress).await?;
        stack.service.set_status(*id, Status::Pending).await?;
    }
    rename(&stack, "tasksCopy", "tasks", true).await?;
    indexer.wait_for_log("another collection was renamed onto the tasks", SOON).await?;
    log_matches(&stack, &stack.service.expected(), Actors::MayBeMissing).await?;
    let snapshots = stack.db.collection::<Document>("taskSnapshots");
    assert_eq!(snapshots.count_documents(doc! { "deleted": true }).await?, 0);
    indexer.stop(SOON).await?;
    Ok(())
}

#[tokio::test]
async fn a_position_from_before_a_dropped_database_leads_behind_it() -> Result<()> {
    let stack = Stack::new(Profile::TasksTracker).await?;
    let mut indexer = start_indexer(&stack).await?;
    let task = stack.service.create(NewTask::named("before")).await?.0;
    log_matches(&stack, &stack.service.expected(), Actors::MayBeMissing).await?;
    indexer.stop(SOON).await?;
    // As after a restore of Taskwire's own collections alone.
    let own = ["watcherCheckpoints", "taskSnapshots", "taskEvents"];
    let mut saved = Vec::new();
    for name in own {
        let all = stack.db.collection::<Document>(name).find(doc! {}).await?;
        saved.push(all.try_collect::<Vec<Document>>().await?);
    }
    stack.db.database().drop().await?;
    for (name, documents) in own.iter().zip(&saved) {
        stack.db.collection::<Document>(name).insert_many(documents).await?;
    }
    for round in 1..=2 {
        indexer = start_indexer(&stack).await?;
        stack.service.create(NewTask::named("after")).await?;
        log_matches(&stack, &stack.service.expected(), Actors::MayBeMissing).await?;
        indexer.stop(SOON).await?;
        let ended = indexer.log().matches("the server ended the change stream").count();
        assert_eq!(ended, usize::from(round == 1), "{}", indexer.log());
    }
    let snapshots = stack.db.collection::<Document>("taskSnapshots");
    let stone = snapshots.find_one(doc! { "_id": task.id }).await?.context("the first task's snapshot")?;
    assert!(stone.get_bool("deleted")?);
    Ok(())
}

#[tokio::test]
async fn a_standby_whose_leader_and_database_are_gone_begins_anew_by_itself() -> Result<()> {
    let stack = Stack::new(Profile::TasksTracker).await?;
    let mut leader = start_indexer(&stack).await?;
    let mut standby = start_indexer(&stack).await?;
    leader.kill().await?;
    stack.db.database().drop().await?;
    standby.wait_for_log("leading: this process tails the stream", SOON).await?;
    standby.wait_for_log("first start: complete", SOON).await?;
    stack.service.create(NewTask::named("after")).await?;
    log_matches(&stack, &stack.service.expected(), Actors::MayBeMissing).await?;
    standby.stop(SOON).await?;
    Ok(())
}

#[tokio::test]
async fn after_a_dropped_database_the_running_indexer_begins_anew_by_itself() -> Result<()> {
    let stack = Stack::new(Profile::TasksTracker).await?;
    let mut indexer = start_indexer(&stack).await?;
    for round in 1..=2 {
        // Another database's end is none of ours.
        let other = Db::at(stack.db.uri()).await?;
        other.collection::<Document>("tasks").insert_one(doc! { "_id": 1 }).await?;
        other.database().drop().await?;
        let task = stack.service.create(NewTask::named("before")).await?.0;
        stack.service.complete(task.id).await?;
        log_matches(&stack, &stack.service.expected(), Actors::MayBeMissing).await?;
        stack.db.database().drop().await?;
        stack.service.forget_expected();
        eventually("a first start is complete again", SOON, async || {
            let checkpoints = stack.db.collection::<Document>("watcherCheckpoints");
            let watcher = checkpoints.find_one(doc! { "_id": "watcher" }).await.map_err(|error| error.to_string())?;
            let done = watcher.as_ref().and_then(|watcher| watcher.get_bool("bootstrapped").ok());
            if done == Some(true) { Ok(()) } else { Err(format!("{watcher:?}")) }
        })
        .await?;
        let said = indexer.log().matches("no position is stored").count();
        assert_eq!(said, round + 1, "{}", indexer.log());
    }
    indexer.wait_until_ready(SOON).await?;
    let after = stack.service.create(NewTask::named("after")).await?.0;
    stack.service.complete(after.id).await?;
    log_matches(&stack, &stack.service.expected(), Actors::MayBeMissing).await?;
    assert_eq!(event_log(&stack).await?.len(), 2);
    let indexes = stack.db.collection::<Document>("webhookDeliveries").list_index_names().await?;
    assert!(indexes.iter().any(|name| name == "open_by_webhook"), "{indexes:?}");
    indexer.stop(SOON).await?;
    Ok(())
}
