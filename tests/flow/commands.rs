//! The operator's commands, as programs.

mod doctor;
mod mute;
mod pause;
mod quarantine;
mod rebuild;
mod reset;
mod status;

use anyhow::{Context, Result};
use bson::{Document, Timestamp, doc};
use taskwire_tests::process::Ran;
use taskwire_tests::{Program, Stack};

/// Runs a command on the stack's database. The master key is not among its settings: none of these needs it.
async fn command(stack: &Stack, arguments: &[&str]) -> Result<Ran> {
    let launch = stack.launch(Program::Indexer).set("TASKWIRE_MASTER_KEY", "").set("TASKWIRE_LEASE_MS", "500");
    launch.arguments(arguments).run().await
}

/// The position's document.
async fn watcher(stack: &Stack) -> Result<Document> {
    let checkpoints = stack.db.collection::<Document>("watcherCheckpoints");
    checkpoints.find_one(doc! { "_id": "watcher" }).await?.context("no position is stored")
}

/// The cluster's time: everything written before is not after it.
async fn cluster_time(stack: &Stack) -> Result<Timestamp> {
    let hello = stack.db.run_command(doc! { "hello": 1 }).await?;
    Ok(hello.get_document("lastWrite")?.get_document("majorityOpTime")?.get_timestamp("ts")?)
}

/// A cluster time as the commands take it.
fn exact(time: Timestamp) -> String {
    format!("{}.{}", time.time, time.increment)
}
