//! Killed processes lose and double nothing.

use std::time::Duration;

use anyhow::Result;
use bson::oid::ObjectId;
use bson::{Document, doc};
use futures::{StreamExt, TryStreamExt};
use taskwire_tests::expected::{Actors, compare};
use taskwire_tests::service::{NewTask, Status};
use taskwire_tests::stack::HOOK;
use taskwire_tests::{Process, Profile, Program, Stack, eventually};

use crate::common::{SOON, event_log, log_matches, start_indexer};

/// Tasks, each written eight times.
const TASKS: usize = 250;
const KILLS: usize = 10;

async fn write_all(stack: &Stack) -> Result<()> {
    let service = &stack.service;
    let lives = (0..TASKS).map(|number| async move {
        let task: ObjectId = service.create(NewTask::named(&format!("task {number}"))).await?.0.id;
        for round in 0..3 {
            service.set_status(task, Status::InProgress).await?;
            if round == 1 {
                service.request_approval(task).await?;
            } else {
                service.complete(task).await?;
            }
        }
        service.set_status(task, Status::Pending).await.map(drop)
    });
    // Four tasks at a time.
    futures::stream::iter(lives).buffer_unordered(4).try_collect::<Vec<()>>().await.map(drop)
}

#[tokio::test]
async fn kill_9_of_the_indexer_in_the_middle_of_2000_writes_ten_times_loses_and_doubles_nothing() -> Result<()> {
    let stack = Stack::new(Profile::TasksTracker).await?;
    let mut api = stack.launch(Program::Api).start().await?;
    stack.webhook(&stack.admin(&api.url())?).await?;
    let launch = || stack.launch(Program::Indexer).set("TASKWIRE_LEASE_MS", "500").start();
    let mut indexer: Process = launch().await?;
    let kill = async {
        let log = stack.db.collection::<Document>("taskEvents");
        for kill in 1..=KILLS {
            let enough = u64::try_from(kill * TASKS * 8 / (KILLS + 2))?;
            eventually("some more events are recorded", SOON, async || {
                let count = log.count_documents(doc! {}).await.map_err(|error| error.to_string())?;
                if count >= enough { Ok(()) } else { Err(format!("{count} of {enough}")) }
            })
            .await?;
            indexer.kill().await?;
            indexer = launch().await?;
        }
        anyhow::Ok(indexer)
    };
    let (written, killed) = tokio::join!(write_all(&stack), kill);
    written?;
    let mut indexer = killed?;
    let expected = stack.service.expected();
    assert_eq!(expected.len(), TASKS * 8);
    log_matches(&stack, &expected, Actors::MayBeMissing).await?;
    // At least once: an attempt that was cut is made again when its lease ends, so every event arrives.
    let got = stack.receiver.wait_for_events(HOOK, expected.len(), Duration::from_secs(120)).await?;
    assert_eq!(compare(&expected, &got, Actors::MayBeMissing), Vec::<String>::new());
    assert_eq!(event_log(&stack).await?.len(), expected.len());
    indexer.stop(SOON).await?;
    api.stop(SOON).await?;
    Ok(())
}

#[tokio::test]
async fn a_standby_takes_over_when_the_leader_is_killed_and_at_once_when_it_stops() -> Result<()> {
    let stack = Stack::new(Profile::TasksTracker).await?;
    let launch = || stack.launch(Program::Indexer).set("TASKWIRE_LEASE_MS", "1000").start();
    let mut first = launch().await?;
    let mut second = launch().await?;
    let leads =
        async |process: &Process| process.metric("taskwire_watcher_leader").await.is_ok_and(|value| value > 0.5);
    assert!(leads(&first).await && !leads(&second).await);
    first.kill().await?;
    stack.service.create(NewTask::named("after the kill")).await?;
    log_matches(&stack, &stack.service.expected(), Actors::Exact).await?;
    assert!(leads(&second).await);
    let mut third = start_indexer(&stack).await?;
    second.stop(SOON).await?;
    stack.service.create(NewTask::named("after the stop")).await?;
    log_matches(&stack, &stack.service.expected(), Actors::Exact).await?;
    assert!(leads(&third).await);
    third.stop(SOON).await?;
    Ok(())
}

#[tokio::test]
async fn a_leader_frozen_past_its_lease_and_woken_writes_nothing_twice() -> Result<()> {
    let stack = Stack::new(Profile::TasksTracker).await?;
    let launch = || stack.launch(Program::Indexer).set("TASKWIRE_LEASE_MS", "500").start();
    let mut first = launch().await?;
    let mut second = launch().await?;
    let task = stack.service.create(NewTask::named("wash")).await?.0.id;
    log_matches(&stack, &stack.service.expected(), Actors::Exact).await?;
    first.pause()?;
    stack.service.set_status(task, Status::InProgress).await?;
    log_matches(&stack, &stack.service.expected(), Actors::MayBeMissing).await?;
    first.resume()?;
    stack.service.complete(task).await?;
    log_matches(&stack, &stack.service.expected(), Actors::MayBeMissing).await?;
    first.wait_for_log("another process leads now", SOON).await?;
    assert_eq!(event_log(&stack).await?.len(), 3);
    first.stop(SOON).await?;
    second.stop(SOON).await?;
    Ok(())
}
