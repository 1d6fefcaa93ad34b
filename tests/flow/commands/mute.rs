//! Mutes: what changes meanwhile is in the log and goes to nobody.

use anyhow::{Context, Result};
use bson::{Document, doc};
use reqwest::Method;
use serde_json::json;
use taskwire_tests::expected::Actors;
use taskwire_tests::service::NewTask;
use taskwire_tests::stack::HOOK;
use taskwire_tests::{Profile, Program, Stack};

use super::{cluster_time, command, exact};
use crate::common::{SOON, log_matches, start_indexer};

#[tokio::test]
async fn what_changes_in_a_muted_group_is_logged_and_sent_to_nobody_by_any_process() -> Result<()> {
    let stack = Stack::new(Profile::TasksTracker).await?;
    let mut server = stack.launch(Program::Api).start().await?;
    let api = stack.admin(&server.url())?;
    let webhook = stack.webhook(&api).await?;
    let mut indexer = start_indexer(&stack).await?;
    let group = stack.service.group().id.to_hex();
    let begin = exact(cluster_time(&stack).await?);
    stack.service.create(NewTask::named("before")).await?;
    stack.receiver.wait_for_events(HOOK, 1, SOON).await?;
    let until = (chrono::Utc::now() + chrono::Duration::hours(1)).to_rfc3339();
    let said =
        command(&stack, &["mute", "--group", &group, "--until", &until, "--note", "a fix"]).await?.expect(0)?.out;
    assert!(said.contains("is muted"), "{said}");
    stack.service.create(NewTask::named("meanwhile")).await?;
    log_matches(&stack, &stack.service.expected(), Actors::MayBeMissing).await?;
    // One that starts again knows it too.
    indexer.kill().await?;
    indexer = start_indexer(&stack).await?;
    stack.service.create(NewTask::named("meanwhile too")).await?;
    log_matches(&stack, &stack.service.expected(), Actors::MayBeMissing).await?;
    let status = command(&stack, &["status"]).await?;
    assert!(status.out.contains(&group) && status.out.contains("a fix"), "{}", status.out);
    let said = command(&stack, &["unmute", "--group", &group]).await?.expect(0)?.out;
    assert!(said.contains("muted no longer"), "{said}");
    stack.service.create(NewTask::named("after")).await?;
    stack.receiver.wait_for_events(HOOK, 2, SOON).await?;
    log_matches(&stack, &stack.service.expected(), Actors::MayBeMissing).await?;
    let names: Vec<String> =
        stack.receiver.received_at(HOOK).iter().map(|one| String::from_utf8_lossy(&one.body).into_owned()).collect();
    assert!(names.len() == 2 && names[0].contains("before") && names[1].contains("after"), "{names:?}");
    let muted = stack.db.collection::<Document>("taskEvents").count_documents(doc! { "muted": true }).await?;
    assert_eq!(muted, 2);
    // Nothing is missing, and nothing makes it good behind the operator's back.
    command(&stack, &["audit"]).await?.expect(0)?;
    let made = command(&stack, &["rebuild", "deliveries", "--since", &begin]).await?.expect(0)?.out;
    assert!(made.contains("0 made"), "{made}");
    let path = format!("/api/integrations/webhooks/{}", webhook["id"].as_str().context("no id")?);
    let since = json!({"since": "2020-01-01T00:00:00Z", "dryRun": true});
    let backfill = api.call(Method::POST, &format!("{path}/backfill"), Some(&since)).await?.expect(202)?;
    assert_eq!(backfill["count"], 0);
    indexer.stop(SOON).await?;
    server.stop(SOON).await?;
    Ok(())
}

#[tokio::test]
async fn a_mute_names_a_group_that_is_there_and_a_time_to_come() -> Result<()> {
    let stack = Stack::new(Profile::TasksTracker).await?;
    let group = stack.service.group().id.to_hex();
    let late = "2099-01-01T00:00:00Z";
    let unknown =
        command(&stack, &["mute", "--group", "0123456789abcdef01234567", "--until", late]).await?.expect(1)?.err;
    assert!(unknown.contains("there is no group"), "{unknown}");
    let past = command(&stack, &["mute", "--group", &group, "--until", "2020-01-01T00:00:00Z"]).await?.expect(2)?.err;
    assert!(past.contains("is past"), "{past}");
    command(&stack, &["mute", "--group", &group]).await?.expect(2)?;
    let said = command(&stack, &["unmute", "--group", &group]).await?.expect(0)?.out;
    assert!(said.contains("is not muted"), "{said}");
    Ok(())
}
