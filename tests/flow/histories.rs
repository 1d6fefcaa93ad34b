//! Random histories of writes, through the real stream: the event log is what a model tells who sees every state.
//!
//! A failure prints its seed; `TASKWIRE_TEST_SEED` plays it again.

mod fields;
mod writer;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};
use bson::{Document, doc};
use futures::TryStreamExt;
use rand::Rng;
use taskwire::model::TaskEvent;
use taskwire_tests::model::{Model, Told};
use taskwire_tests::{Mongo, Profile, Program, Stack, eventually};

use self::writer::Writer;
use crate::common::SOON;

/// How long a backlog of some thousand writes may take on a busy machine.
const LONG: Duration = Duration::from_secs(240);

fn seed() -> Result<u64> {
    match std::env::var("TASKWIRE_TEST_SEED") {
        Ok(seed) => seed.parse().context("TASKWIRE_TEST_SEED takes a number"),
        Err(_) => Ok(u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis())?),
    }
}

/// The event log as bodies, in the order of ids.
async fn bodies(stack: &Stack) -> Result<Vec<String>> {
    let events = stack.db.collection::<TaskEvent>("taskEvents").find(doc! {}).sort(doc! { "_id": 1 }).await?;
    Ok(events.map_ok(|event| event.body).try_collect().await?)
}

/// Where the log differs from the model, task by task; the first few lines.
fn differences(model: &Model, bodies: &[String]) -> Result<Vec<String>> {
    let mut told = bodies.iter().map(|body| Told::from_body(body)).collect::<Result<Vec<_>>>()?;
    told.sort_by(|a, b| (&a.task, a.sequence).cmp(&(&b.task, b.sequence)));
    let expected: Vec<&Told> = model.told().values().flatten().collect();
    let mut differences: Vec<String> = expected
        .iter()
        .zip(&told)
        .filter(|(expected, told)| **expected != *told)
        .map(|(expected, told)| format!("expected {expected:?}\n     got {told:?}"))
        .collect();
    if expected.len() != told.len() {
        differences.push(format!("expected {} events and got {}", expected.len(), told.len()));
    }
    differences.truncate(3);
    Ok(differences)
}

async fn log_is_the_models(stack: &Stack, model: &Model, within: Duration) -> Result<()> {
    eventually("the event log is what the model tells", within, async || {
        let differences = bodies(stack).await.and_then(|bodies| differences(model, &bodies));
        let differences = differences.map_err(|error| format!("{error:#}"))?;
        if differences.is_empty() { Ok(()) } else { Err(differences.join("\n")) }
    })
    .await
}

/// Forgets all that was derived, with the position before the first write.
async fn begin_again(stack: &Stack, from: bson::Timestamp) -> Result<()> {
    for collection in ["taskEvents", "taskSnapshots", "webhookVersions", "watcherCheckpoints"] {
        stack.db.collection::<Document>(collection).drop().await?;
    }
    let position = doc! { "_id": "watcher", "epoch": 0i64, "batch": 0i64, "time": from, "bootstrapped": true };
    stack.db.collection::<Document>("watcherCheckpoints").insert_one(position).await?;
    Ok(())
}

/// `writes` writes with the indexer at work, then the same changes once more as a backlog.
async fn history(stack: &Stack, profile: Profile, seed: u64, writes: usize) -> Result<()> {
    let from = stack.db.run_command(doc! { "ping": 1 }).await?.get_timestamp("operationTime")?;
    let launch = || stack.launch(Program::Indexer).arguments(&["watch"]).start();
    let mut indexer = launch().await?;
    let mut writer = Writer::new(&stack.db, profile, seed);
    for number in 0..writes {
        if number % 120 == 119 {
            writer.make_anew().await?;
        }
        writer.write().await.with_context(|| format!("write {number}"))?;
        if writer.rng.random_range(0..150) == 0 {
            indexer.kill().await?;
            indexer = launch().await?;
        }
    }
    log_is_the_models(stack, &writer.model, LONG).await?;
    indexer.stop(SOON).await?;
    let first = bodies(stack).await?;
    begin_again(stack, from).await?;
    let mut indexer = launch().await?;
    eventually("the same history gives the same events with the same ids", LONG, async || {
        let again = bodies(stack).await.map_err(|error| format!("{error:#}"))?;
        let other = first.iter().zip(&again).find(|(first, again)| first != again);
        match other {
            None if again.len() == first.len() => Ok(()),
            _ => Err(format!("{} of {} events, the first other one: {other:?}", again.len(), first.len())),
        }
    })
    .await?;
    indexer.stop(SOON).await?;
    Ok(())
}

#[tokio::test]
async fn a_random_history_of_the_service_tells_what_a_model_tells_that_sees_each_state() -> Result<()> {
    let (stack, seed) = (Stack::new(Profile::TasksTracker).await?, seed()?);
    history(&stack, Profile::TasksTracker, seed, 250).await.with_context(|| format!("TASKWIRE_TEST_SEED={seed}"))
}

#[tokio::test]
async fn a_random_history_of_partial_updates_tells_what_a_model_tells_that_sees_each_state() -> Result<()> {
    let (stack, seed) = (Stack::new(Profile::CamelCase).await?, seed()?);
    history(&stack, Profile::CamelCase, seed, 250).await.with_context(|| format!("TASKWIRE_TEST_SEED={seed}"))
}

#[tokio::test]
#[ignore = "long: many histories of some thousand writes"]
async fn long_random_histories_of_both_profiles_tell_what_the_model_tells() -> Result<()> {
    let first = seed()?;
    // One of its own: beside tests that write millions, the beginning would have left the oplog when it is read again.
    let mongo = Mongo::single().await?;
    for seed in first..first + 3 {
        for profile in [Profile::TasksTracker, Profile::CamelCase] {
            let stack = Stack::on(mongo.db().await?, profile).await?;
            history(&stack, profile, seed, 2500)
                .await
                .with_context(|| format!("{}, TASKWIRE_TEST_SEED={seed}", profile.name()))?;
        }
    }
    Ok(())
}
