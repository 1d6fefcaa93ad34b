//! Notices about webhooks in trouble, at their group's alert address.

use anyhow::{Context, Result};
use bson::doc;
use serde_json::Value;
use taskwire::catalogue::{BodyKind, entry};
use taskwire::mapping::Mapping;
use taskwire::model::{Alert, NoticeKind, RetryPolicy};
use taskwire_tests::catalogue::closed;
use taskwire_tests::receiver::Received;
use taskwire_tests::{Answer, eventually};

use crate::scene::{SOON, Scene};

/// The bodies that the alert address got, oldest first, each checked against the catalogue.
fn notices(scene: &Scene) -> Result<Vec<Value>> {
    let mapping = Mapping::load("tasks-tracker")?;
    let check = |request: Received| {
        let body: Value = serde_json::from_slice(&request.body)?;
        let name = body["event"].as_str().context("no event")?;
        let kind = BodyKind::from_name(name).context("not in the catalogue")?;
        let schema = jsonschema::validator_for(&closed(&entry(&mapping, kind).schema))?;
        let fault = schema.validate(&body).map_err(|fault| fault.to_string());
        assert_eq!(fault, Ok(()), "{body}");
        assert_eq!(request.header("x-event"), name);
        Ok(body)
    };
    scene.receiver.received_at("/alerts").into_iter().map(check).collect()
}

fn name(body: &Value) -> &str {
    body["event"].as_str().unwrap_or_default()
}

async fn wait_for(scene: &Scene, event: &str) -> Result<Value> {
    eventually(&format!("a notice {event}"), SOON, async || {
        let all = notices(scene).map_err(|error| error.to_string())?;
        all.iter().find(|body| body["event"] == event).cloned().ok_or_else(|| format!("{all:?}"))
    })
    .await
}

async fn alert(scene: &Scene, path: &str) -> Result<()> {
    scene.webhook(path, |hook| hook.alert = Some(Alert { events: NoticeKind::ALL.to_vec() })).await?;
    Ok(())
}

const QUICKLY: [(&str, &str); 2] = [("alert_failing_after_seconds", "1"), ("alert_gather_seconds", "3")];

#[tokio::test]
async fn a_group_hears_once_that_a_webhook_fails_what_was_given_up_and_that_it_works_again() -> Result<()> {
    let scene = Scene::new().await?;
    alert(&scene, "/alerts").await?;
    let policy = RetryPolicy { max_attempts: 1, backoff_seconds: 1 };
    let hook = scene.webhook("/hook", |hook| hook.retry_policy = policy).await?;
    scene.receiver.always("/hook", Answer::Status(500));
    let (one, other) = (scene.dispatcher_with(&QUICKLY).await?, scene.dispatcher_with(&QUICKLY).await?);
    scene.queue(&hook, 5).await?;
    let failing = wait_for(&scene, "webhook.failing").await?;
    let subject = hook.id.to_hex();
    assert_eq!(
        (&failing["data"]["webhookId"], &failing["data"]["reason"]),
        (&subject.clone().into(), &"HTTP 500".into())
    );
    assert_eq!(failing["data"]["mend"]["path"], format!("/api/integrations/webhooks/{subject}/replay"));
    // The deliveries were made before they failed.
    let since = failing["data"]["since"].as_str();
    assert!(failing["data"]["mend"]["body"]["since"].as_str() < since, "{failing}");
    let dead = wait_for(&scene, "delivery.dead-letter").await?;
    assert_eq!(dead["data"]["count"], 5, "gathered: {dead}");
    let call = &dead["data"]["mend"];
    assert_eq!(call["path"], format!("/api/integrations/webhooks/{subject}/replay"));
    assert!(call["body"]["since"].as_str() < call["body"]["until"].as_str(), "{call}");

    scene.receiver.always("/hook", Answer::Status(200));
    scene.queue(&hook, 1).await?;
    let recovered = wait_for(&scene, "webhook.recovered").await?;
    assert!(recovered["data"]["mend"]["body"]["since"].as_str() < since, "{recovered}");
    let told = notices(&scene)?;
    let mut names: Vec<_> = told.iter().map(name).collect();
    names.sort_unstable();
    assert_eq!(names, ["delivery.dead-letter", "webhook.failing", "webhook.recovered"], "each once");
    assert_eq!(scene.receiver.complaints(), Vec::<String>::new());
    one.stop().await?;
    other.stop().await
}

#[tokio::test]
async fn a_disabling_is_told_with_it_and_an_alert_address_is_told_nothing_about_itself() -> Result<()> {
    let scene = Scene::new().await?;
    alert(&scene, "/alerts").await?;
    let hook = scene.webhook("/hook", |_| {}).await?;
    scene.receiver.script("/hook", [Answer::Status(410)]);
    let dispatcher = scene.dispatcher_with(&QUICKLY).await?;
    scene.receiver.script("/alerts", [Answer::Status(410)]);
    scene.queue(&hook, 1).await?;
    // The alert address is gone as well: it is disabled, and what waits for it keeps waiting.
    scene.wait_for_count(doc! { "eventType": "webhook.disabled", "status": "failed" }, 1).await?;
    let told = notices(&scene)?;
    let told: Vec<_> = told.iter().map(|body| (name(body), body["data"]["reason"].as_str())).collect();
    assert_eq!(told, [("webhook.disabled", Some("gone"))]);
    eventually("the alert address is disabled", SOON, async || {
        let filter = doc! { "alert": { "$exists": true }, "enabled": false, "disabledReason": "gone" };
        let hooks = scene.store.collection::<bson::Document>("webhookConfigs");
        match hooks.count_documents(filter).await.map_err(|error| error.to_string())? {
            1 => Ok(()),
            _ => Err("it is not".into()),
        }
    })
    .await?;
    // Both were looked at for their failing: one is disabled, the other is no webhook of the group's admins.
    eventually("both were looked at", SOON, async || {
        let health = scene.store.collection::<bson::Document>("webhookHealth");
        let seen = health.count_documents(doc! { "toldFailing": { "$exists": true } }).await;
        match seen.map_err(|error| error.to_string())? {
            2 => Ok(()),
            seen => Err(format!("{seen} were")),
        }
    })
    .await?;
    scene.wait_for_count(doc! { "eventType": { "$regex": "^(webhook|delivery)" } }, 1).await?;
    dispatcher.stop().await
}
