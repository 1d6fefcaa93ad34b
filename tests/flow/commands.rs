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
use taskwire_tests::process::{Launch, Ran};
use taskwire_tests::{Program, Stack};

/// Runs a command on the stack's database. The master key is not among its settings: none of these needs it.
async fn command(stack: &Stack, arguments: &[&str]) -> Result<Ran> {
    let launch = stack.launch(Program::Indexer).set("TASKWIRE_MASTER_KEY", "").set("TASKWIRE_LEASE_MS", "500");
    launch.arguments(arguments).run().await
}

#[tokio::test]
async fn settings_stand_in_a_file_too_and_the_environment_wins() -> Result<()> {
    let stack = Stack::new(taskwire_tests::Profile::TasksTracker).await?;
    let directory = tempfile::tempdir()?;
    let file = directory.path().join("taskwire.toml");
    let (uri, database) = (stack.db.uri(), stack.db.name());
    std::fs::write(&file, format!("mongodb_uri = \"{uri}\"\ndatabase = \"{database}\"\nlease_ms = 500\n"))?;
    let status = || Launch::new(Program::Indexer).arguments(&["status", "--json"]).log_to(directory.path());
    // Nobody leads there, and it says so.
    let shown = |ran: Ran| anyhow::Ok(ran.expect(1)?.json()?["database"].clone());
    assert_eq!(shown(status().run().await?)?, database);
    assert_eq!(shown(status().set("TASKWIRE_DATABASE", "elsewhere").run().await?)?, "elsewhere");
    std::fs::write(&file, "mongodb_url = \"x\"")?;
    let refused = status().run().await?;
    assert!(refused.code != Some(0) && refused.err.contains("there is no setting mongodb_url"), "{refused:?}");
    Ok(())
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
