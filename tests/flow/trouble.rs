//! What cannot be understood is put aside, and the rest flows.

use anyhow::{Context, Result};
use bson::oid::ObjectId;
use bson::{Document, doc};
use taskwire_tests::expected::Actors;
use taskwire_tests::service::NewTask;
use taskwire_tests::{Process, Profile, Program, Stack, free_port};

use crate::common::{SOON, log_matches, start_indexer};

#[tokio::test]
async fn a_document_that_does_not_fit_is_put_aside_and_counted_and_others_flow() -> Result<()> {
    let stack = Stack::new(Profile::TasksTracker).await?;
    let mut indexer = start_indexer(&stack).await?;
    stack.service.tasks().insert_one(doc! { "_id": ObjectId::new(), "Name": "secret name", "Status": 0 }).await?;
    let group = stack.service.group().id;
    stack.service.tasks().insert_one(doc! { "_id": ObjectId::new(), "GroupId": group, "Status": "open" }).await?;
    stack.service.create(NewTask::named("wash")).await?;
    log_matches(&stack, &stack.service.expected(), Actors::Exact).await?;
    let aside = stack.db.collection::<Document>("quarantinedChanges");
    let mut reasons: Vec<String> = Vec::new();
    let mut found = aside.find(doc! {}).await?;
    while found.advance().await? {
        reasons.push(found.deserialize_current()?.get_str("reason")?.to_owned());
    }
    reasons.sort();
    assert_eq!(reasons, ["GroupId: missing", "Status: not one of the mapping's names"]);
    assert!((indexer.metric("taskwire_quarantined_changes_total").await? - 2.0).abs() < 0.5);
    assert!(!indexer.log().contains("secret name"));
    indexer.stop(SOON).await?;
    Ok(())
}

#[tokio::test]
async fn without_a_mongodb_the_first_start_says_so_and_ends() -> Result<()> {
    let stack = Stack::new(Profile::TasksTracker).await?;
    let uri = format!("mongodb://127.0.0.1:{}/?replicaSet=rs0&serverSelectionTimeoutMS=500", free_port()?);
    for program in [Program::Indexer, Program::Api] {
        let mut process: Process = stack.launch(program).set("TASKWIRE_MONGODB_URI", &uri).spawn()?;
        assert_eq!(process.wait_for_end(SOON).await?, Some(1));
        assert!(process.log().contains("TASKWIRE_MONGODB_URI"), "{}", process.log());
    }
    Ok(())
}

#[tokio::test]
async fn a_wrong_setting_stops_the_process_with_one_line_that_names_it() -> Result<()> {
    let stack = Stack::new(Profile::TasksTracker).await?;
    for (variable, value) in [
        ("TASKWIRE_MASTER_KEY", "short"),
        ("TASKWIRE_BATCH_MAX", "many"),
        ("TASKWIRE_TARGET_ALLOWLIST", "10.0.0.0/99"),
        ("TASKWIRE_MAPPING", "no-such-profile"),
        ("TASKWIRE_LOG_FORMAT", "xml"),
        ("RUST_LOG", "=x=y"),
    ] {
        let mut process = stack.launch(Program::Indexer).set(variable, value).spawn()?;
        assert_eq!(process.wait_for_end(SOON).await?, Some(2), "{variable}");
        let log = process.log();
        assert!(log.contains(variable) && log.trim().lines().count() == 1, "{variable}: {log}");
    }
    Ok(())
}

#[tokio::test]
async fn a_dropped_collection_of_tasks_ends_their_lives_and_what_is_made_anew_begins_new_ones() -> Result<()> {
    let stack = Stack::new(Profile::TasksTracker).await?;
    let mut indexer = start_indexer(&stack).await?;
    let first = stack.service.create(NewTask::named("first")).await?.0;
    log_matches(&stack, &stack.service.expected(), Actors::Exact).await?;
    stack.service.tasks().drop().await?;
    let second = stack.service.create(NewTask::named("second")).await?.0;
    stack.service.complete(second.id).await?;
    log_matches(&stack, &stack.service.expected(), Actors::MayBeMissing).await?;
    let snapshots = stack.db.collection::<Document>("taskSnapshots");
    let stone = snapshots.find_one(doc! { "_id": first.id }).await?.context("the first task's snapshot")?;
    assert!(stone.get_bool("deleted")? && !stone.contains_key("fields"));
    indexer.stop(SOON).await?;
    Ok(())
}
