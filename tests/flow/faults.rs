//! Faults of the database under a running indexer: it comes back by itself, and every event is told once.

use std::time::Duration;

use anyhow::Result;
use bson::oid::ObjectId;
use bson::{Document, doc};
use taskwire_tests::expected::Actors;
use taskwire_tests::service::{NewTask, Status};
use taskwire_tests::{Db, Mongo, Process, Profile, Program, Stack, eventually};

use crate::common::{SOON, event_log, log_matches, start_indexer};

/// A stack in this set whose drivers notice a silent server within two seconds.
async fn stack_on(mongo: &Mongo) -> Result<Stack> {
    let uri = format!("{}&heartbeatFrequencyMS=500&connectTimeoutMS=1500", mongo.uri());
    Stack::on(Db::at(&uri).await?, Profile::TasksTracker).await
}

async fn create(stack: &Stack, count: usize) -> Result<Vec<ObjectId>> {
    let mut ids = Vec::new();
    for number in 0..count {
        ids.push(stack.service.create(NewTask::named(&format!("task {number}"))).await?.0.id);
    }
    Ok(ids)
}

/// Two changes of each task.
async fn write(stack: &Stack, ids: &[ObjectId]) -> Result<()> {
    for id in ids {
        stack.service.set_status(*id, Status::InProgress).await?;
        stack.service.set_status(*id, Status::Pending).await?;
    }
    Ok(())
}

/// What `/readyz` says.
async fn readiness(indexer: &Process) -> Result<String> {
    let client = reqwest::Client::builder().no_proxy().build()?;
    Ok(client.get(format!("{}/readyz", indexer.url())).send().await?.text().await?)
}

/// Waits until `/readyz` gives a reason with this text.
async fn is_not_ready(indexer: &Process, text: &str) -> Result<()> {
    eventually("the indexer says why it is not ready", SOON, async || {
        let said = readiness(indexer).await.map_err(|error| error.to_string())?;
        if said.contains("not ready") && said.contains(text) { Ok(()) } else { Err(said) }
    })
    .await
}

#[tokio::test]
async fn failovers_a_frozen_primary_and_killed_sessions_lose_and_double_nothing() -> Result<()> {
    let mut mongo = Mongo::three().await?;
    let stack = stack_on(&mongo).await?;
    let mut indexer = start_indexer(&stack).await?;
    let ids = create(&stack, 4).await?;
    for fault in ["step down", "kill sessions", "kill -9", "freeze"] {
        let primary = mongo.wait_for_primary(SOON).await?;
        match fault {
            "step down" => {
                let (stepped, written) = tokio::join!(mongo.step_down(), write(&stack, &ids));
                stepped?;
                written?;
            }
            "kill sessions" => {
                // Cursors and transactions of everybody end with them.
                for number in 0..mongo.len() {
                    let admin = mongo.node(number).client().await?.database("admin");
                    admin.run_command(doc! { "killAllSessions": [] }).await?;
                }
                write(&stack, &ids).await?;
            }
            "kill -9" => {
                mongo.node(primary).kill()?;
                write(&stack, &ids).await?;
                log_matches(&stack, &stack.service.expected(), Actors::MayBeMissing).await?;
                mongo.node(primary).restart().await?;
            }
            _ => {
                // It keeps its connections and thinks that it is primary: a partition with a minority.
                mongo.node(primary).pause()?;
                write(&stack, &ids).await?;
                log_matches(&stack, &stack.service.expected(), Actors::MayBeMissing).await?;
                mongo.node(primary).resume()?;
                write(&stack, &ids).await?;
            }
        }
        log_matches(&stack, &stack.service.expected(), Actors::MayBeMissing).await?;
    }
    indexer.wait_until_ready(SOON).await?;
    assert_eq!(event_log(&stack).await?.len(), 4 + 5 * 8);
    indexer.stop(SOON).await?;
    Ok(())
}

/// MongoDB is stopped for so long while two indexers run, and comes back.
async fn outage(length: Duration) -> Result<()> {
    let mut mongo = Mongo::single().await?;
    let stack = stack_on(&mongo).await?;
    let mut leader = start_indexer(&stack).await?;
    let mut standby = start_indexer(&stack).await?;
    let ids = create(&stack, 4).await?;
    write(&stack, &ids).await?;
    mongo.node(0).stop().await?;
    is_not_ready(&leader, "").await?;
    is_not_ready(&standby, "").await?;
    // The outage itself.
    tokio::time::sleep(length).await;
    mongo.node(0).restart().await?;
    mongo.wait_for_primary(SOON).await?;
    write(&stack, &ids).await?;
    log_matches(&stack, &stack.service.expected(), Actors::MayBeMissing).await?;
    assert_eq!(event_log(&stack).await?.len(), 4 + 2 * 8);
    for indexer in [&mut leader, &mut standby] {
        indexer.wait_until_ready(SOON).await?;
        // Each reason once, however often it was met: some differ a little.
        let log = indexer.log();
        let lines = log.lines().filter(|line| line.contains("taskwire_indexer::") && line.contains("reason="));
        let mut reasons: Vec<&str> = lines.filter_map(|line| line.split_once("Z ")).map(|(_, line)| line).collect();
        let said = reasons.len();
        reasons.sort_unstable();
        reasons.dedup();
        assert!(said - reasons.len() <= 1, "{said} lines of {} reasons: {log}", reasons.len());
        indexer.stop(SOON).await?;
    }
    Ok(())
}

#[tokio::test]
async fn after_mongodb_was_gone_for_ten_seconds_the_indexers_go_on_by_themselves() -> Result<()> {
    outage(Duration::from_secs(10)).await
}

#[tokio::test]
#[ignore = "long: MongoDB is gone for a minute"]
async fn after_mongodb_was_gone_for_a_minute_the_indexers_go_on_by_themselves() -> Result<()> {
    outage(Duration::from_secs(60)).await
}

/// The indexer's next `times` of these commands fail with this code.
fn failing(commands: &[&str], times: i32, code: i32) -> Document {
    let data = doc! { "failCommands": commands, "appName": "taskwire-indexer", "errorCode": code };
    doc! { "configureFailPoint": "failCommand", "mode": { "times": times }, "data": data }
}

#[tokio::test]
async fn a_reason_that_lasts_is_said_once_and_by_readyz_until_it_is_gone() -> Result<()> {
    let mongo = Mongo::single().await?;
    let stack = stack_on(&mongo).await?;
    let mut indexer = stack.launch(Program::Indexer).arguments(&["watch"]).start().await?;
    let ids = create(&stack, 1).await?;
    log_matches(&stack, &stack.service.expected(), Actors::MayBeMissing).await?;
    for (commands, times, code, text) in [
        (["aggregate", "getMore"], 5, 13, "grant it find and changeStream"),
        (["aggregate", "getMore"], 2, 40_573, "it takes a replica set"),
        (["getMore", "getMore"], 1, 280, "refuses the stored resume token"),
        (["getMore", "getMore"], 1, 175, "the change stream broke"),
        (["insert", "insert"], 1, 13, "recording failed"),
    ] {
        mongo.fail_point(failing(&commands, times, code)).await?;
        stack.service.set_status(ids[0], Status::InProgress).await?;
        if times > 2 {
            is_not_ready(&indexer, text).await?;
        }
        stack.service.set_status(ids[0], Status::Pending).await?;
        log_matches(&stack, &stack.service.expected(), Actors::MayBeMissing).await?;
        indexer.wait_until_ready(SOON).await?;
        let said = indexer.log().matches(text).count();
        assert_eq!(said, 1, "{text}: {}", indexer.log());
    }
    assert_eq!(event_log(&stack).await?.len(), 1 + 5 * 2);
    indexer.stop(SOON).await?;
    Ok(())
}
