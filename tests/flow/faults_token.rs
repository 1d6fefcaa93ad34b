//! Stored tokens that are of no use: the stream is opened by the position's time, and what is read again adds nothing.

use std::path::Path;

use anyhow::{Context, Result};
use bson::{Bson, Document, Timestamp, doc};
use taskwire_tests::expected::Actors;
use taskwire_tests::service::{NewTask, Status};
use taskwire_tests::{Process, Profile, Program, Stack};

use crate::common::{SOON, event_log, log_matches, start_indexer};

/// The position's document.
async fn position(stack: &Stack) -> Result<Document> {
    let checkpoints = stack.db.collection::<Document>("watcherCheckpoints");
    checkpoints.find_one(doc! { "_id": "watcher" }).await?.context("no position is stored")
}

async fn set_position(stack: &Stack, set: Document) -> Result<()> {
    let checkpoints = stack.db.collection::<Document>("watcherCheckpoints");
    checkpoints.update_one(doc! { "_id": "watcher" }, doc! { "$set": set }).await?;
    Ok(())
}

/// The built-in profile without swap requests: another filter, so that the stored token belongs to another pipeline.
fn other_mapping(directory: &Path) -> Result<String> {
    let profile = concat!(env!("CARGO_MANIFEST_DIR"), "/../src/mapping/profiles/tasks-tracker.toml");
    let text = std::fs::read_to_string(profile)?;
    let (before, rest) = text.split_once("[swap_requests]").context("the profile has swap requests")?;
    let (_, after) = rest.split_once("[groups]").context("and groups behind them")?;
    let file = directory.join("mapping.toml");
    std::fs::write(&file, format!("{before}[groups]{after}"))?;
    Ok(file.display().to_string())
}

#[tokio::test]
async fn with_another_mapping_the_stream_goes_on_by_time_and_nothing_is_lost_or_told_twice() -> Result<()> {
    let stack = Stack::new(Profile::TasksTracker).await?;
    let directory = tempfile::tempdir()?;
    let other = other_mapping(directory.path())?;
    let mut indexer = start_indexer(&stack).await?;
    let task = stack.service.create(NewTask::named("wash").requiring_approval()).await?.0.id;
    log_matches(&stack, &stack.service.expected(), Actors::MayBeMissing).await?;
    let mut hashes = vec![];
    for mapping in [other.as_str(), "tasks-tracker", other.as_str()] {
        indexer.stop(SOON).await?;
        hashes.push(position(&stack).await?.get_str("pipeline")?.to_owned());
        stack.service.request_approval(task).await?;
        stack.service.reject(task).await?;
        indexer = stack.launch(Program::Indexer).set("TASKWIRE_MAPPING", mapping).start().await?;
        assert!(indexer.log().contains("going on by cluster time"), "{}", indexer.log());
        stack.service.set_status(task, Status::Overdue).await?;
        stack.service.set_status(task, Status::Pending).await?;
        log_matches(&stack, &stack.service.expected(), Actors::MayBeMissing).await?;
    }
    indexer.stop(SOON).await?;
    assert!(hashes[0] != hashes[1] && hashes[0] == hashes[2], "{hashes:?}");
    Ok(())
}

#[tokio::test]
async fn reading_from_an_earlier_time_tells_nothing_twice_and_goes_on_from_there() -> Result<()> {
    let stack = Stack::new(Profile::TasksTracker).await?;
    let mut indexer = start_indexer(&stack).await?;
    let begin = position(&stack).await?.get_timestamp("time")?;
    let members = stack.service.group().members.clone();
    let one = stack.service.create(NewTask::named("one").assigned_to(members[0])).await?.0.id;
    let two = stack.service.create(NewTask::named("two").assigned_to(members[1])).await?.0.id;
    stack.service.swap(one, two).await?;
    stack.service.tasks().insert_one(doc! { "_id": "no task" }).await?;
    stack.service.complete(one).await?;
    stack.service.delete(two).await?;
    log_matches(&stack, &stack.service.expected(), Actors::MayBeMissing).await?;
    let aside = stack.db.collection::<Document>("quarantinedChanges");
    aside.update_one(doc! {}, doc! { "$set": { "status": "dropped" } }).await?;
    let before = event_log(&stack).await?;
    for time in [begin, Timestamp { time: begin.time, increment: 0 }] {
        indexer.stop(SOON).await?;
        set_position(&stack, doc! { "time": time, "token": Bson::Null }).await?;
        stack.service.set_status(one, Status::Pending).await?;
        indexer = start_indexer(&stack).await?;
        log_matches(&stack, &stack.service.expected(), Actors::MayBeMissing).await?;
    }
    assert_eq!(event_log(&stack).await?[..before.len()], before[..]);
    // What was put aside and dealt with since stays as it is.
    assert_eq!(aside.count_documents(doc! { "status": "dropped" }).await?, 1);
    assert_eq!(aside.count_documents(doc! {}).await?, 1);
    indexer.stop(SOON).await?;
    Ok(())
}

#[tokio::test]
async fn a_stored_token_that_the_server_refuses_is_replaced_by_its_time() -> Result<()> {
    let stack = Stack::new(Profile::TasksTracker).await?;
    let mut indexer: Process = start_indexer(&stack).await?;
    let task = stack.service.create(NewTask::named("wash")).await?.0.id;
    log_matches(&stack, &stack.service.expected(), Actors::MayBeMissing).await?;
    for (nth, bad) in ["no hex", "82", "{time}29", "{time}2B022C0100296E04"].into_iter().enumerate() {
        indexer.stop(SOON).await?;
        let time = position(&stack).await?.get_timestamp("time")?;
        // The last names a change that there is not, at a time that there is: 280.
        let data = bad.replace("{time}", &format!("82{:08X}{:08X}", time.time, time.increment));
        set_position(&stack, doc! { "token": { "_data": data } }).await?;
        let status = if nth % 2 == 0 { Status::InProgress } else { Status::Pending };
        stack.service.set_status(task, status).await?;
        indexer = start_indexer(&stack).await?;
        log_matches(&stack, &stack.service.expected(), Actors::MayBeMissing).await?;
        assert!(indexer.log().contains("the server refuses the stored resume token"), "{bad}: {}", indexer.log());
    }
    indexer.stop(SOON).await?;
    Ok(())
}
