//! Webhooks as of each point of the stream: created before a write, a webhook gets its event; created after, never.

use anyhow::{Context, Result};
use bson::{Document, doc};
use serde_json::{Value, json};
use taskwire_tests::expected::{Actors, compare};
use taskwire_tests::service::NewTask;
use taskwire_tests::stack::HOOK;
use taskwire_tests::{Profile, Program, Stack, eventually};

use crate::common::{SOON, log_matches, start_indexer};

/// How many deliveries a webhook has.
async fn queued(stack: &Stack, webhook: &Value) -> Result<u64> {
    let id = webhook.get("id").and_then(Value::as_str).context("no id")?;
    let rows = stack.db.collection::<Document>("webhookDeliveries");
    Ok(rows.count_documents(doc! { "webhookId": bson::oid::ObjectId::parse_str(id)? }).await?)
}

#[tokio::test]
async fn a_webhook_gets_what_is_written_after_it_and_nothing_from_before_also_with_a_backlog() -> Result<()> {
    let stack = Stack::new(Profile::TasksTracker).await?;
    let mut api = stack.launch(Program::Api).start().await?;
    let admin = stack.admin(&api.url())?;
    let mut indexer = start_indexer(&stack).await?;
    let first = stack.webhook(&admin).await?;
    stack.service.create(NewTask::named("with the first")).await?;
    log_matches(&stack, &stack.service.expected(), Actors::Exact).await?;
    // A backlog: what follows is written while nobody watches.
    indexer.stop(SOON).await?;
    for number in 0..10 {
        stack.service.create(NewTask::named(&format!("before the second {number}"))).await?;
    }
    let second = stack.webhook(&admin).await?;
    for number in 0..7 {
        stack.service.create(NewTask::named(&format!("after the second {number}"))).await?;
    }
    let id = second.get("id").and_then(Value::as_str).context("no id")?;
    let answer = admin.put(&format!("/api/integrations/webhooks/{id}"), &json!({ "enabled": false })).await?;
    answer.expect(200)?;
    stack.service.create(NewTask::named("after the second was disabled")).await?;
    for _ in 0..2 {
        indexer = start_indexer(&stack).await?;
        log_matches(&stack, &stack.service.expected(), Actors::Exact).await?;
        assert_eq!(queued(&stack, &first).await?, 19);
        assert_eq!(queued(&stack, &second).await?, 7);
        indexer.stop(SOON).await?;
    }
    api.stop(SOON).await?;
    Ok(())
}

#[tokio::test]
async fn what_the_service_writes_arrives_signed_and_verified_in_full() -> Result<()> {
    for profile in [Profile::TasksTracker, Profile::CamelCase] {
        let stack = Stack::new(profile).await?;
        let mut api = stack.launch(Program::Api).start().await?;
        stack.webhook(&stack.admin(&api.url())?).await?;
        let mut indexer = start_indexer(&stack).await?;
        let task = stack.service.create(NewTask::named("wash").requiring_approval()).await?.0.id;
        stack.service.request_approval(task).await?;
        stack.service.approve(task).await?;
        let expected = stack.service.expected();
        let got = stack.receiver.wait_for_events(HOOK, expected.len(), SOON).await?;
        assert_eq!(compare(&expected, &got, Actors::MayBeMissing), Vec::<String>::new());
        assert_eq!(stack.receiver.complaints(), Vec::<String>::new());
        eventually("every delivery is on record as delivered", SOON, async || {
            let rows = stack.db.collection::<Document>("webhookDeliveries");
            let open = rows.count_documents(doc! { "status": { "$ne": "delivered" } }).await;
            match open.map_err(|error| error.to_string())? {
                0 => Ok(()),
                open => Err(format!("{open} are not")),
            }
        })
        .await?;
        indexer.stop(SOON).await?;
        api.stop(SOON).await?;
    }
    Ok(())
}
