//! `checkpoint`: the position is shown, and moved in either direction.

use anyhow::Result;
use bson::{Bson, Document};
use taskwire_tests::expected::Actors;
use taskwire_tests::service::{NewTask, Status};
use taskwire_tests::{Profile, Program, Stack};

use super::{cluster_time, command, exact, watcher};
use crate::common::{SOON, event_log, log_matches, start_indexer};

/// A task with three events.
async fn a_task(stack: &Stack, name: &str) -> Result<()> {
    let task = stack.service.create(NewTask::named(name)).await?.0.id;
    stack.service.set_status(task, Status::InProgress).await?;
    stack.service.complete(task).await.map(drop)
}

#[tokio::test]
async fn what_is_read_again_after_a_reset_back_is_told_once() -> Result<()> {
    for profile in [Profile::TasksTracker, Profile::CamelCase] {
        let stack = Stack::new(profile).await?;
        let mut api = stack.launch(Program::Api).start().await?;
        stack.webhook(&stack.admin(&api.url())?).await?;
        let mut indexer = start_indexer(&stack).await?;
        let start = exact(cluster_time(&stack).await?);
        a_task(&stack, "before").await?;
        let members = stack.service.group().members.clone();
        let one = stack.service.create(NewTask::named("one").assigned_to(members[0])).await?.0.id;
        let other = stack.service.create(NewTask::named("other").assigned_to(members[1])).await?.0.id;
        stack.service.swap(one, other).await?;
        stack.service.delete(other).await?;
        log_matches(&stack, &stack.service.expected(), Actors::MayBeMissing).await?;
        // While it runs: the leader is fenced off, stands by, and goes on from the new place.
        let ran = command(&stack, &["checkpoint", "reset", "--to", &start, "--yes"]).await?.expect(0)?;
        assert!(ran.out.contains("read again") && ran.out.contains("in epoch 2"), "{ran:?}");
        a_task(&stack, "after").await?;
        log_matches(&stack, &stack.service.expected(), Actors::MayBeMissing).await?;
        indexer.wait_for_log("another process leads now", SOON).await?;
        indexer.stop(SOON).await?;
        // While nothing runs: what is stored is what was asked for.
        let done = watcher(&stack).await?.get_timestamp("time")?;
        command(&stack, &["checkpoint", "reset", "--to", &start, "--yes"]).await?.expect(0)?;
        let shown = command(&stack, &["checkpoint", "show", "--json"]).await?.expect(0)?.json()?;
        assert_eq!((shown["clusterTime"].as_str(), shown["token"].as_bool()), (Some(start.as_str()), Some(false)));
        assert_eq!(watcher(&stack).await?.get("gap"), Some(&Bson::Null));
        indexer = start_indexer(&stack).await?;
        a_task(&stack, "last").await?;
        log_matches(&stack, &stack.service.expected(), Actors::MayBeMissing).await?;
        assert!(watcher(&stack).await?.get_timestamp("time")? > done);
        let rows = stack.db.collection::<Document>("webhookDeliveries").count_documents(bson::doc! {}).await?;
        assert_eq!(rows, u64::try_from(event_log(&stack).await?.len())?);
        indexer.stop(SOON).await?;
        api.stop(SOON).await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_leader_with_nothing_to_record_notices_that_its_place_was_taken_and_takes_it_again() -> Result<()> {
    let stack = Stack::new(Profile::TasksTracker).await?;
    // Back, so that there is no gap: its recovery would tell the writes below, if it met them, by their difference.
    let start = exact(cluster_time(&stack).await?);
    // Its next write would come later than anything here is waited for.
    let mut indexer = stack.launch(Program::Indexer).set("TASKWIRE_IDLE_CHECKPOINT_MS", "600000").start().await?;
    command(&stack, &["checkpoint", "reset", "--to", &start, "--yes"]).await?.expect(0)?;
    indexer.wait_for_log("another process leads now", SOON).await?;
    a_task(&stack, "after").await?;
    log_matches(&stack, &stack.service.expected(), Actors::MayBeMissing).await?;
    assert_eq!(watcher(&stack).await?.get_i64("epoch")?, 3);
    assert_eq!(stack.db.collection::<Document>("gaps").count_documents(bson::doc! {}).await?, 0);
    indexer.stop(SOON).await?;
    Ok(())
}

#[tokio::test]
async fn what_is_told_again_because_its_snapshots_are_gone_is_left_as_it_stands() -> Result<()> {
    let stack = Stack::new(Profile::TasksTracker).await?;
    let mut api = stack.launch(Program::Api).start().await?;
    stack.webhook(&stack.admin(&api.url())?).await?;
    let mut indexer = start_indexer(&stack).await?;
    let start = exact(cluster_time(&stack).await?);
    a_task(&stack, "told").await?;
    log_matches(&stack, &stack.service.expected(), Actors::MayBeMissing).await?;
    indexer.stop(SOON).await?;
    let told = event_log(&stack).await?;
    // Without them the same changes are derived anew, into events and deliveries with the same ids.
    stack.db.collection::<Document>("taskSnapshots").delete_many(bson::doc! {}).await?;
    command(&stack, &["checkpoint", "reset", "--to", &start, "--yes"]).await?.expect(0)?;
    indexer = start_indexer(&stack).await?;
    indexer.wait_for_log("told before: left as they stand", SOON).await?;
    a_task(&stack, "after").await?;
    log_matches(&stack, &stack.service.expected(), Actors::MayBeMissing).await?;
    let now = event_log(&stack).await?;
    assert!(told.iter().all(|event| now.iter().any(|one| (&one.id, one.sequence) == (&event.id, event.sequence))));
    let rows = stack.db.collection::<Document>("webhookDeliveries").count_documents(bson::doc! {}).await?;
    assert_eq!(rows, u64::try_from(now.len())?);
    command(&stack, &["audit"]).await?.expect(0)?;
    indexer.stop(SOON).await?;
    api.stop(SOON).await?;
    Ok(())
}

#[tokio::test]
async fn a_reset_forward_asks_for_the_recovery_of_what_it_leaves_out() -> Result<()> {
    let stack = Stack::new(Profile::TasksTracker).await?;
    let mut indexer = start_indexer(&stack).await?;
    a_task(&stack, "told").await?;
    log_matches(&stack, &stack.service.expected(), Actors::MayBeMissing).await?;
    indexer.stop(SOON).await?;
    let told = watcher(&stack).await?.get_timestamp("time")?;
    a_task(&stack, "left out").await?;
    let middle = cluster_time(&stack).await?;
    a_task(&stack, "left out too").await?;
    let ran = command(&stack, &["checkpoint", "reset", "--to", &exact(middle), "--yes"]).await?.expect(0)?;
    assert!(ran.out.contains("this is a gap"), "{ran:?}");
    let moved = watcher(&stack).await?;
    assert_eq!((moved.get_timestamp("time")?, moved.get("token")), (middle, Some(&Bson::Null)));
    let gap = moved.get_document("gap")?;
    assert_eq!((gap.get_str("requested")?, gap.get_timestamp("from")?), ("reset", told));
    // Further on, before anybody recovered: the gap still begins where everything was told.
    command(&stack, &["checkpoint", "reset", "--to", "now", "--yes"]).await?.expect(0)?;
    let moved = watcher(&stack).await?;
    assert!(moved.get_timestamp("time")? > middle);
    assert_eq!(moved.get_document("gap")?.get_timestamp("from")?, told);
    // And back: everything is read after all, so there is no gap.
    command(&stack, &["checkpoint", "reset", "--to", &exact(told), "--yes"]).await?.expect(0)?;
    assert_eq!(watcher(&stack).await?.get("gap"), Some(&Bson::Null));
    indexer = start_indexer(&stack).await?;
    log_matches(&stack, &stack.service.expected(), Actors::MayBeMissing).await?;
    indexer.stop(SOON).await?;
    Ok(())
}

#[tokio::test]
async fn a_reset_that_cannot_be_says_why_and_what_can_be_and_changes_nothing() -> Result<()> {
    let stack = Stack::new(Profile::TasksTracker).await?;
    let ran = command(&stack, &["checkpoint", "show"]).await?.expect(1)?;
    assert!(ran.err.contains("no position is stored") && ran.err.contains("TASKWIRE_DATABASE"), "{ran:?}");
    start_indexer(&stack).await?.stop(SOON).await?;
    let before = watcher(&stack).await?;
    for (arguments, code, says) in [
        (&["checkpoint", "reset", "--to", "now"][..], 2, "add --yes"),
        (&["checkpoint", "reset", "--to", "tomorrow", "--yes"], 2, "RFC 3339"),
        (&["checkpoint", "reset", "--to", "2100-01-01T00:00:00Z", "--yes"], 1, "say --to now"),
        (&["checkpoint", "reset", "--to", "2020-01-01T00:00:00Z", "--yes"], 1, "the oplog begins at"),
        (&["checkpoint", "reset", "--yes"], 2, "--to"),
    ] {
        let ran = command(&stack, arguments).await?.expect(code)?;
        assert!(ran.err.contains(says), "{arguments:?}: {ran:?}");
    }
    assert_eq!(watcher(&stack).await?, before);
    let checkpoints = stack.db.collection::<Document>("watcherCheckpoints");
    checkpoints.update_one(bson::doc! { "_id": "watcher" }, bson::doc! { "$set": { "gap": "gap_1" } }).await?;
    let ran = command(&stack, &["checkpoint", "reset", "--to", "now", "--yes"]).await?.expect(1)?;
    assert!(ran.err.contains("recovery of a gap is under way"), "{ran:?}");
    Ok(())
}
