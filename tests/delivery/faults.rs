//! What each kind of answer leads to.

use std::time::Duration;

use anyhow::Result;
use bson::{Document, doc};
use taskwire::model::{AttemptOutcome, DeliveryStatus};
use taskwire::store::names;
use taskwire_tests::{Answer, eventually};

use crate::scene::{SOON, Scene};

#[tokio::test]
async fn a_delivery_arrives_signed_with_the_configured_headers_and_is_on_record() -> Result<()> {
    let scene = Scene::new().await?;
    let hook = scene.webhook("/ok", |_| {}).await?;
    let dispatcher = scene.dispatcher().await?;
    let id = &scene.queue(&hook, 1).await?[0];
    let row = scene.finished(id).await?;
    assert_eq!((row.status, row.attempts, row.response_status), (DeliveryStatus::Delivered, 1, Some(204)));
    assert_eq!((row.due, row.lease, row.next_attempt_at, row.error_message), (None, None, None, None));
    assert!(row.delivered_at.is_some() && row.last_attempt_at.is_some() && row.duration_ms.is_some());
    assert_eq!((row.log.len(), row.log[0].n, row.log[0].outcome), (1, 1, AttemptOutcome::Delivered));
    let received = scene.receiver.received_at("/ok");
    assert_eq!(scene.receiver.complaints(), Vec::<String>::new());
    assert_eq!(received.len(), 1);
    assert_eq!(received[0].header("x-partner"), "p-1");
    assert_eq!(received[0].header("x-delivery-id"), id.as_str());
    assert_eq!(received[0].header("user-agent"), format!("Taskwire/{}", taskwire::VERSION));
    dispatcher.stop().await
}

#[tokio::test]
async fn after_an_error_status_the_same_body_comes_again_as_the_next_attempt() -> Result<()> {
    let scene = Scene::new().await?;
    let hook = scene.webhook("/flaky", |_| {}).await?;
    scene.receiver.script("/flaky", [Answer::Status(500), Answer::Status(404), Answer::redirect("/elsewhere")]);
    let dispatcher = scene.dispatcher().await?;
    let id = &scene.queue(&hook, 1).await?[0];
    let row = scene.finished(id).await?;
    assert_eq!((row.status, row.attempts), (DeliveryStatus::Delivered, 4));
    let errors: Vec<_> = row.log.iter().filter_map(|attempt| attempt.error_message.as_deref()).collect();
    assert_eq!(
        errors,
        ["HTTP 500", "HTTP 404: the target may be misconfigured", "HTTP 302: redirects are not followed"]
    );
    let received = scene.receiver.received_at("/flaky");
    assert_eq!(received.iter().map(|one| one.attempt()).collect::<Vec<_>>(), [1, 2, 3, 4]);
    assert!(received.iter().all(|one| one.body == received[0].body && one.verdict.is_ok()));
    for (pair, least) in received.windows(2).zip([0.9, 1.8, 3.6]) {
        assert!(pair[1].at.duration_since(pair[0].at)?.as_secs_f64() >= least);
    }
    assert!(scene.receiver.received_at("/elsewhere").is_empty());
    dispatcher.stop().await
}

#[tokio::test]
async fn one_deadline_covers_headers_and_body() -> Result<()> {
    let scene = Scene::new().await?;
    let dispatcher = scene.dispatcher().await?;
    for (path, answer) in [("/hang", Answer::Hang), ("/drip", Answer::EndlessBody)] {
        let hook = scene.webhook(path, |hook| hook.timeout_seconds = 1).await?;
        scene.receiver.always(path, answer);
        let id = &scene.queue(&hook, 1).await?[0];
        let row = scene.failed_once(id).await?;
        assert_eq!(row.status, DeliveryStatus::Failed);
        assert_eq!(row.error_message.as_deref(), Some("no complete answer within 1 s"));
        let took = row.duration_ms.unwrap_or(0);
        assert!((1000..10_000).contains(&took), "{took} ms");
        assert_eq!((row.response_status, row.lease.as_deref()), (None, None));
        assert!(row.next_attempt_at.is_some() && row.next_attempt_at == row.due);
    }
    dispatcher.stop().await
}

#[tokio::test]
async fn a_target_that_closes_halfway_or_at_once_costs_one_recorded_attempt_each() -> Result<()> {
    let scene = Scene::new().await?;
    let dispatcher = scene.dispatcher().await?;
    for (path, answer) in [("/half", Answer::HalfBody), ("/close", Answer::Close)] {
        let hook = scene.webhook(path, |_| {}).await?;
        scene.receiver.script(path, [answer]);
        let id = &scene.queue(&hook, 1).await?[0];
        let row = scene.failed_once(id).await?;
        assert_eq!(
            row.error_message.as_deref(),
            Some("the connection was closed before the answer was complete"),
            "{path}"
        );
        assert_eq!((row.attempts, scene.receiver.received_at(path).len()), (1, 1), "{path}");
    }
    dispatcher.stop().await
}

#[tokio::test]
async fn a_failed_answers_beginning_is_on_record_with_its_attempt_alone() -> Result<()> {
    let scene = Scene::new().await?;
    let hook = scene.webhook("/kept", |_| {}).await?;
    scene.receiver.script("/kept", [Answer::WithBody(422, 100)]);
    let dispatcher = scene.dispatcher_with(&[("keep_error_body_bytes", "8")]).await?;
    let id = &scene.queue(&hook, 1).await?[0];
    let row = scene.finished(id).await?;
    let bodies: Vec<_> = row.log.iter().map(|attempt| attempt.response_body.as_deref()).collect();
    assert_eq!(bodies, [Some("xxxxxxxx"), None]);
    assert_eq!(row.log[0].error_message.as_deref(), Some("HTTP 422: the target may be misconfigured"));
    dispatcher.stop().await
}

#[tokio::test]
async fn a_refused_connection_and_an_unknown_name_are_told_apart() -> Result<()> {
    let scene = Scene::new().await?;
    let dispatcher = scene.dispatcher().await?;
    let port = taskwire_tests::free_port()?;
    for (url, reason) in [
        (format!("http://127.0.0.1:{port}/"), "connection refused"),
        ("http://no-such-host.invalid/".to_owned(), "the host name could not be resolved"),
        ("http://10.0.0.1/".to_owned(), "the target URL is not allowed"),
        (format!("https://{}/", scene.receiver.address()), "TLS failed"),
    ] {
        let hook = scene.webhook("/x", |hook| hook.target_url.clone_from(&url)).await?;
        let id = &scene.queue(&hook, 1).await?[0];
        let row = scene.failed_once(id).await?;
        let error = row.error_message.unwrap_or_default();
        assert!(error.starts_with(reason), "{url}: {error}");
    }
    dispatcher.stop().await
}

#[tokio::test]
async fn a_long_answer_is_a_success_and_is_not_read_to_its_end() -> Result<()> {
    let scene = Scene::new().await?;
    let hook = scene.webhook("/long", |_| {}).await?;
    scene.receiver.always("/long", Answer::WithBody(200, 50_000_000));
    let dispatcher = scene.dispatcher().await?;
    let id = &scene.queue(&hook, 1).await?[0];
    assert_eq!(scene.finished(id).await?.response_status, Some(200));
    dispatcher.stop().await
}

#[tokio::test]
async fn retry_after_is_honoured() -> Result<()> {
    let scene = Scene::new().await?;
    let hook = scene.webhook("/busy", |_| {}).await?;
    scene.receiver.script("/busy", [Answer::retry_after(429, 3)]);
    let dispatcher = scene.dispatcher().await?;
    let id = &scene.queue(&hook, 1).await?[0];
    let row = scene.finished(id).await?;
    assert_eq!((row.attempts, row.log[0].response_status), (2, Some(429)));
    let received = scene.receiver.received_at("/busy");
    assert!(received[1].at.duration_since(received[0].at)? >= Duration::from_secs(3));
    dispatcher.stop().await
}

#[tokio::test]
async fn when_its_attempts_are_used_up_a_delivery_is_a_dead_letter() -> Result<()> {
    let scene = Scene::new().await?;
    let hook = scene.webhook("/dead", |hook| hook.retry_policy.max_attempts = 2).await?;
    scene.receiver.always("/dead", Answer::Status(500));
    let dispatcher = scene.dispatcher().await?;
    let id = &scene.queue(&hook, 1).await?[0];
    let row = scene.finished(id).await?;
    assert_eq!((row.status, row.attempts, row.log.len()), (DeliveryStatus::DeadLetter, 2, 2));
    assert_eq!((row.due, row.lease, row.next_attempt_at), (None, None, None));
    dispatcher.stop().await
}

#[tokio::test]
async fn a_delivery_whose_event_is_gone_is_given_up_at_once() -> Result<()> {
    let scene = Scene::new().await?;
    let hook = scene.webhook("/gone-event", |_| {}).await?;
    let id = &scene.queue(&hook, 1).await?[0];
    scene.store.collection::<Document>(names::EVENTS).delete_many(doc! {}).await?;
    let dispatcher = scene.dispatcher().await?;
    let row = scene.finished(id).await?;
    assert_eq!(
        (row.status, row.error_message.as_deref()),
        (DeliveryStatus::DeadLetter, Some("the event is no longer stored"))
    );
    assert!(scene.receiver.received().is_empty());
    dispatcher.stop().await
}

#[tokio::test]
async fn a_410_disables_the_webhook_and_what_waits_keeps_waiting() -> Result<()> {
    let scene = Scene::new().await?;
    let mut hook = scene.webhook("/gone", |_| {}).await?;
    scene.receiver.always("/gone", Answer::Status(410));
    scene.queue(&hook, 200).await?;
    let dispatcher = scene.dispatcher().await?;
    let webhooks = scene.store.collection::<taskwire::model::Webhook>(names::WEBHOOKS);
    let stored = eventually("a disabled webhook", SOON, async || {
        let stored = webhooks.find_one(doc! { "_id": hook.id }).await.map_err(|error| error.to_string())?;
        stored.filter(|stored| !stored.enabled).ok_or_else(|| "still enabled".into())
    })
    .await?;
    assert_eq!((stored.disabled_reason, stored.revision), (Some(taskwire::model::DisabledReason::Gone), 2));
    assert!(stored.updated_at >= hook.updated_at);
    let audit = scene.store.collection::<Document>(names::AUDIT);
    assert_eq!(audit.count_documents(doc! { "action": "webhook.disabled", "reason": "gone" }).await?, 1);
    scene.wait_for_count(doc! { "lease": { "$exists": true } }, 0).await?;
    let sent = scene.receiver.received_at("/gone").len();
    assert!(sent <= 64, "{sent}");
    assert_eq!(scene.count(doc! { "due": { "$exists": true } }).await?, 200);
    assert_eq!(scene.count(doc! { "attempts": 1 }).await?, sent as u64);
    // Enabled again, they all go.
    scene.receiver.always("/gone", Answer::Status(200));
    hook.revision = 2;
    scene.change(&mut hook, |_| {}).await?;
    scene.wait_for_count(doc! { "status": "delivered" }, 200).await?;
    dispatcher.stop().await
}

#[tokio::test]
async fn health_tells_since_when_a_target_fails_and_when_it_last_answered() -> Result<()> {
    let scene = Scene::new().await?;
    let hook = scene.webhook("/health", |_| {}).await?;
    scene.receiver.script("/health", [Answer::Status(503)]);
    let dispatcher = scene.dispatcher().await?;
    scene.queue(&hook, 1).await?;
    let health = scene.store.collection::<Document>(names::WEBHOOK_HEALTH);
    let look = async |what: &str, fits: fn(&Document) -> bool| {
        eventually(what, SOON, async || {
            let found = health.find_one(doc! { "_id": hook.id }).await.map_err(|error| error.to_string())?;
            found.filter(fits).ok_or_else(|| "not there".into())
        })
        .await
    };
    let failing = look("a failing target", |found| found.contains_key("failingSince")).await?;
    assert_eq!(failing.get_str("lastError")?, "HTTP 503");
    let healthy = look("a healthy target", |found| found.contains_key("lastSuccessAt")).await?;
    assert!(!healthy.contains_key("failingSince") && healthy.contains_key("lastFailureAt"));
    dispatcher.stop().await
}

#[tokio::test]
async fn rows_whose_events_cannot_be_read_after_the_claim_are_given_back_and_count_no_attempt() -> Result<()> {
    let scene = Scene::new().await?;
    let hook = scene.webhook("/ok", |_| {}).await?;
    let id = &scene.queue(&hook, 1).await?[0];
    let queued = scene.delivery(id).await?.due;
    // Every read of the events fails while a view that divides by zero stands in their place.
    let (db, name) = (&scene.store.db, scene.store.db.name());
    let aside = doc! { "renameCollection": format!("{name}.{}", names::EVENTS), "to": format!("{name}.aside") };
    scene.store.client.database("admin").run_command(aside).await?;
    let failing = doc! { "$match": { "$expr": { "$divide": [1, "$$ROOT.none"] } } };
    let failing = vec![doc! { "$addFields": { "none": 0 } }, failing];
    db.run_command(doc! { "create": names::EVENTS, "viewOn": "aside", "pipeline": failing }).await?;
    let dispatcher = scene.dispatcher().await?;
    scene.wait_for(id, "a row that was claimed", |row| row.due > queued).await?;
    // In one step: without events for a moment, the row would rightly be given up.
    db.run_command(doc! { "collMod": names::EVENTS, "viewOn": "aside", "pipeline": [] }).await?;
    let row = scene.finished(id).await?;
    assert_eq!((row.status, row.attempts, row.log.len()), (DeliveryStatus::Delivered, 1, 1));
    assert_eq!(scene.receiver.received_at("/ok")[0].attempt(), 1);
    dispatcher.stop().await
}
