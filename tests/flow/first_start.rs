//! A first start takes in what is there, and not one change between the scan and the stream is lost or told twice.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use bson::{Document, doc};
use taskwire_tests::expected::Actors;
use taskwire_tests::service::{NewTask, Status, tracker};
use taskwire_tests::{Process, Profile, Program, Stack, eventually};

use crate::common::{SOON, event_log, log_matches};

/// Puts `count` tasks there, as if they had always been.
async fn fill(stack: &Stack, count: usize) -> Result<Vec<Document>> {
    let new = |number: usize| NewTask { description: None, ..NewTask::named(&format!("task {number}")) };
    let tasks: Vec<Document> =
        (0..count).map(|number| tracker::document(&stack.service.build(new(number)))).collect::<Result<_>>()?;
    for chunk in tasks.chunks(10_000) {
        stack.service.tasks().insert_many(chunk).ordered(false).await?;
    }
    Ok(tasks)
}

async fn scan_done(stack: &Stack) -> Result<i64> {
    let watcher = stack.db.collection::<Document>("watcherCheckpoints").find_one(doc! { "_id": "watcher" }).await?;
    let Some(watcher) = watcher else { return Ok(0) };
    if watcher.get_bool("bootstrapped").unwrap_or(false) {
        return Ok(i64::MAX);
    }
    Ok(watcher.get_document("scan").and_then(|scan| scan.get_i64("done")).unwrap_or(0))
}

async fn snapshots(stack: &Stack) -> Result<u64> {
    Ok(stack.db.collection::<Document>("taskSnapshots").count_documents(doc! {}).await?)
}

#[tokio::test]
async fn a_first_start_that_is_killed_again_and_again_with_writers_at_work_loses_and_doubles_nothing() -> Result<()> {
    const TASKS: usize = 60_000;
    let stack = Stack::new(Profile::TasksTracker).await?;
    let tasks = fill(&stack, TASKS).await?;
    let launch = || stack.launch(Program::Indexer).set("TASKWIRE_LEASE_MS", "500");
    let mut indexer: Process = launch().spawn()?;
    eventually("the scan has begun", SOON, async || match scan_done(&stack).await {
        Ok(done) if done > 0 => Ok(()),
        other => Err(format!("{other:?}")),
    })
    .await?;
    let answer = reqwest::get(format!("{}/readyz", indexer.url())).await;
    if let Ok(answer) = answer.as_ref().map(reqwest::Response::status) {
        // Unless it was done within the moment.
        ensure!(answer.as_u16() == 503 || scan_done(&stack).await? == i64::MAX, "/readyz answers {answer}");
    }
    let writing = async {
        // Spread over the ids, so that each range is written before, while and after it is scanned.
        for round in 0..200 {
            let id = tasks[round * 289].get_object_id("_id")?;
            stack.service.set_status(id, Status::InProgress).await?;
            stack.service.create(NewTask::named("meanwhile")).await?;
        }
        anyhow::Ok(())
    };
    let mut cut_short = 0;
    let killing = async {
        for _ in 0..4 {
            let before = scan_done(&stack).await?;
            eventually("the scan goes on", SOON, async || match scan_done(&stack).await {
                Ok(done) if done > before || done == i64::MAX => Ok(()),
                other => Err(format!("{other:?}")),
            })
            .await?;
            cut_short += usize::from(scan_done(&stack).await? != i64::MAX);
            indexer.kill().await?;
            indexer = launch().spawn()?;
        }
        anyhow::Ok(())
    };
    let (written, killed) = tokio::join!(writing, killing);
    written?;
    killed?;
    ensure!(cut_short > 0, "the scan was never cut short");
    indexer.wait_until_ready(Duration::from_secs(60)).await?;
    eventually("every task has its snapshot", SOON, async || match snapshots(&stack).await {
        Ok(count) if count >= TASKS as u64 + 200 => Ok(()),
        other => Err(format!("{other:?}")),
    })
    .await?;
    // Whatever was written so far has been read once this is told.
    let marker = stack.service.create(NewTask::named("marker")).await?.0.id.to_hex();
    eventually("the stream is caught up", SOON, async || match event_log(&stack).await {
        Ok(log) if log.iter().any(|event| event.task == marker) => Ok(()),
        other => Err(format!("{:?}", other.map(|log| log.len()))),
    })
    .await?;
    // A change before its task's T is the past and is not told; one after it is told once.
    let told = event_log(&stack).await?;
    let mut ids: Vec<&str> = told.iter().map(|event| event.id.as_str()).collect();
    ids.sort_unstable();
    ids.dedup();
    ensure!(ids.len() == told.len());
    // From now on everything is told, and every snapshot is the task as it is: the next change shows what stood before.
    stack.service.forget_expected();
    let known = told.len();
    for round in 0..200 {
        stack.service.complete(tasks[round * 289].get_object_id("_id")?).await?;
    }
    let expected = stack.service.expected();
    eventually("the changes after it are told", SOON, async || match event_log(&stack).await {
        Ok(log) if log.len() == known + expected.len() => Ok(()),
        Ok(log) => Err(format!("{} of {}", log.len() - known, expected.len())),
        Err(error) => Err(format!("{error:#}")),
    })
    .await?;
    for event in event_log(&stack).await?.iter().filter(|event| event.event == "task.completed") {
        let from = event.changes.get("status").and_then(|change| change.get("from")).context("no change of status")?;
        ensure!(from == "InProgress", "{event:?}");
    }
    indexer.stop(SOON).await?;
    Ok(())
}

#[tokio::test]
async fn when_the_stored_position_is_removed_what_happened_since_is_recovered() -> Result<()> {
    let stack = Stack::new(Profile::TasksTracker).await?;
    let mut indexer = stack.launch(Program::Indexer).start().await?;
    let task = stack.service.create(NewTask::named("wash")).await?.0.id;
    log_matches(&stack, &stack.service.expected(), Actors::Exact).await?;
    indexer.stop(SOON).await?;
    stack.service.complete(task).await?;
    stack.db.collection::<Document>("watcherCheckpoints").delete_one(doc! { "_id": "watcher" }).await?;
    let mut indexer = stack.launch(Program::Indexer).start().await?;
    log_matches(&stack, &stack.service.expected(), Actors::Ignored).await?;
    let gap = stack.db.collection::<Document>("gaps").find_one(doc! {}).await?.context("a gap")?;
    assert_eq!(gap.get_str("reason")?, "position");
    indexer.stop(SOON).await?;
    Ok(())
}

#[tokio::test]
async fn documents_of_which_no_two_fit_one_answer_are_all_taken_in() -> Result<()> {
    let stack = Stack::new(Profile::TasksTracker).await?;
    let (small, large) = (fill(&stack, 10).await?, fill(&stack, 5).await?);
    let padding = "x".repeat(9 << 20);
    for task in &large {
        let id = doc! { "_id": task.get_object_id("_id")? };
        stack.service.tasks().update_one(id, doc! { "$set": { "Attachment": &padding } }).await?;
    }
    let behind = fill(&stack, 10).await?;
    let mut indexer = stack.launch(Program::Indexer).start().await?;
    assert_eq!(scan_done(&stack).await?, i64::MAX);
    assert_eq!(snapshots(&stack).await?, (small.len() + large.len() + behind.len()) as u64);
    indexer.stop(SOON).await?;
    Ok(())
}

#[tokio::test]
#[ignore = "long: a million tasks"]
async fn a_million_tasks_are_taken_in_with_flat_memory() -> Result<()> {
    const TASKS: usize = 1_000_000;
    let stack = Stack::new(Profile::TasksTracker).await?;
    fill(&stack, TASKS).await?;
    let begun = Instant::now();
    let mut indexer = stack.launch(Program::Indexer).spawn()?;
    let id = indexer.id().context("it runs")?;
    let mut most = 0;
    eventually("the scan is complete", Duration::from_secs(300), async || {
        let status = std::fs::read_to_string(format!("/proc/{id}/status")).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or_default();
        most = line.trim().trim_end_matches(" kB").parse().unwrap_or(most);
        match scan_done(&stack).await {
            Ok(i64::MAX) => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await?;
    let seconds = begun.elapsed().as_secs_f64();
    println!("{TASKS} tasks in {seconds:.1} s: {:.0} a second, at most {} MB", TASKS as f64 / seconds, most / 1024);
    ensure!(snapshots(&stack).await? == TASKS as u64);
    ensure!(most < 300 * 1024, "{most} kB resident");
    ensure!(event_log(&stack).await?.is_empty(), "something was told of the past");
    indexer.stop(SOON).await?;
    Ok(())
}
