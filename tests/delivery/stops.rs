//! Webhooks that are disabled or deleted, and dispatchers that stop, die or lose a lease.

use std::time::{Duration, Instant, SystemTime};

use anyhow::Result;
use bson::{DateTime, Document, doc};
use futures::TryStreamExt;
use taskwire::model::{AttemptOutcome, Delivery, DeliveryStatus};
use taskwire::store::names;
use taskwire_tests::{Answer, eventually};

use crate::scene::{SOON, Scene};

#[tokio::test]
async fn no_attempt_starts_later_than_a_second_after_a_webhook_is_disabled() -> Result<()> {
    let scene = Scene::new().await?;
    let mut hook = scene.webhook("/off", |_| {}).await?;
    scene.receiver.always("/off", Answer::slow(Duration::from_millis(20), 200));
    scene.queue(&hook, 20_000).await?;
    let dispatcher = scene.dispatcher().await?;
    scene.receiver.wait_for_requests("/off", 50, SOON).await?;
    scene.change(&mut hook, |hook| hook.enabled = false).await?;
    let disabled = SystemTime::now();
    scene.wait_for_count(doc! { "lease": { "$exists": true } }, 0).await?;
    let sent = scene.receiver.received_at("/off");
    let last = sent.iter().map(|one| one.at).max().unwrap_or(disabled);
    let after = last.duration_since(disabled).unwrap_or_default();
    // What began within the second has another to arrive on a busy machine.
    assert!(after < Duration::from_secs(2), "{after:?}");
    let open = scene.count(doc! { "due": { "$exists": true } }).await?;
    assert!(open > 0, "all were sent before the webhook was disabled");
    assert_eq!(open + sent.len() as u64, 20_000);
    assert_eq!(scene.count(doc! { "status": "queued", "attempts": 0 }).await?, open);
    dispatcher.stop().await
}

#[tokio::test]
async fn the_rows_of_a_deleted_webhook_end_as_dead_letters() -> Result<()> {
    let scene = Scene::new().await?;
    let mut hook = scene.webhook("/deleted", |hook| hook.retry_policy.backoff_seconds = 3600).await?;
    // What is sent before the dispatcher notices that the webhook is off fails, too.
    scene.receiver.always("/deleted", Answer::Status(500));
    let dispatcher = scene.dispatcher().await?;
    scene.queue(&hook, 2).await?;
    scene.wait_for_count(doc! { "status": "failed" }, 2).await?;
    scene.change(&mut hook, |hook| hook.enabled = false).await?;
    scene.queue(&hook, 1200).await?;
    scene.change(&mut hook, |hook| hook.deleted_at = Some(DateTime::now())).await?;
    scene.wait_for_count(doc! { "status": "dead-letter", "errorMessage": "deleted" }, 1202).await?;
    assert_eq!(
        scene.count(doc! { "$or": [{ "due": { "$exists": true } }, { "lease": { "$exists": true } }] }).await?,
        0
    );
    dispatcher.stop().await
}

#[tokio::test]
async fn a_changed_target_takes_the_waiting_rows_along() -> Result<()> {
    let scene = Scene::new().await?;
    let mut hook = scene.webhook("/old", |_| {}).await?;
    scene.receiver.always("/old", Answer::Status(500));
    scene.receiver.add_secret("/new", crate::scene::SECRET);
    let dispatcher = scene.dispatcher().await?;
    let id = &scene.queue(&hook, 1).await?[0];
    scene.failed_once(id).await?;
    let url = scene.receiver.url("/new");
    scene.change(&mut hook, |hook| hook.target_url = url).await?;
    assert_eq!(scene.finished(id).await?.status, DeliveryStatus::Delivered);
    assert_eq!(scene.receiver.received_at("/new").len(), 1);
    dispatcher.stop().await
}

#[tokio::test]
async fn a_stop_finishes_what_is_in_flight_and_gives_back_what_is_not_begun() -> Result<()> {
    let scene = Scene::new().await?;
    let hook = scene.webhook("/slow", |_| {}).await?;
    scene.receiver.always("/slow", Answer::slow(Duration::from_millis(300), 200));
    scene.queue(&hook, 2000).await?;
    let dispatcher = scene.dispatcher().await?;
    scene.receiver.wait_for_requests("/slow", 20, SOON).await?;
    dispatcher.stop().await?;
    let sent = scene.receiver.received_at("/slow").len() as u64;
    assert_eq!(scene.count(doc! { "status": "delivered" }).await?, sent);
    assert_eq!(scene.count(doc! { "status": "queued", "attempts": 0, "lease": null }).await?, 2000 - sent);
    let another = scene.dispatcher().await?;
    scene.receiver.always("/slow", Answer::Status(200));
    scene.wait_for_count(doc! { "status": "delivered" }, 2000).await?;
    assert_eq!(scene.receiver.received_at("/slow").len(), 2000);
    another.stop().await
}

#[tokio::test]
async fn a_killed_dispatchers_attempts_are_on_record_as_interrupted_and_made_again() -> Result<()> {
    let scene = Scene::new().await?;
    let hook = scene.webhook("/killed", |hook| hook.retry_policy.max_attempts = 1).await?;
    scene.receiver.always("/killed", Answer::Hang);
    let ids = scene.queue(&hook, 3).await?;
    let first = scene.dispatcher().await?;
    scene.receiver.wait_for_requests("/killed", 3, SOON).await?;
    first.kill();
    // As if the leases had run out; the real wait is a minute.
    let rows = scene.store.collection::<Document>(names::DELIVERIES);
    let past = doc! { "$set": { "due": DateTime::now() } };
    assert_eq!(rows.update_many(doc! { "lease": { "$exists": true } }, past).await?.matched_count, 3);
    scene.receiver.always("/killed", Answer::Status(200));
    let second = scene.dispatcher().await?;
    for id in &ids {
        let row = scene.finished(id).await?;
        assert_eq!((row.status, row.attempts, row.log.len()), (DeliveryStatus::Delivered, 2, 2));
        assert_eq!((row.log[0].n, row.log[0].outcome), (1, AttemptOutcome::Interrupted));
        assert_eq!((row.log[1].n, row.log[1].outcome), (2, AttemptOutcome::Delivered));
    }
    let attempts: Vec<u32> = scene.receiver.received_at("/killed").iter().map(|one| one.attempt()).collect();
    assert_eq!(attempts, [1, 1, 1, 2, 2, 2]);
    second.stop().await
}

#[tokio::test]
async fn the_outcome_of_a_lost_lease_is_refused() -> Result<()> {
    let scene = Scene::new().await?;
    let hook = scene.webhook("/lost", |_| {}).await?;
    scene.receiver.script("/lost", [Answer::slow(Duration::from_secs(1), 200)]);
    let dispatcher = scene.dispatcher().await?;
    let id = &scene.queue(&hook, 1).await?[0];
    scene.receiver.wait_for_requests("/lost", 1, SOON).await?;
    let rows = scene.store.collection::<Document>(names::DELIVERIES);
    let far = DateTime::from_millis(DateTime::now().timestamp_millis() + 60_000);
    let stolen = doc! { "$set": { "lease": "another", "due": far } };
    rows.update_one(doc! { "_id": id.as_str() }, stolen).await?;
    dispatcher.stop().await?;
    let row = scene.delivery(id).await?;
    assert_eq!((row.status, row.lease.as_deref(), row.log.len()), (DeliveryStatus::Queued, Some("another"), 0));
    Ok(())
}

#[tokio::test]
async fn two_dispatchers_share_a_queue_and_send_each_row_once() -> Result<()> {
    let scene = Scene::new().await?;
    let hooks = [scene.webhook("/a", |_| {}).await?, scene.webhook("/b", |_| {}).await?];
    for hook in &hooks {
        scene.queue(hook, 3000).await?;
    }
    let (one, two) = tokio::try_join!(scene.dispatcher(), scene.dispatcher())?;
    scene.wait_for_count(doc! { "status": "delivered" }, 6000).await?;
    let again: Vec<Delivery> =
        scene.store.collection(names::DELIVERIES).find(doc! { "attempts": { "$ne": 1 } }).await?.try_collect().await?;
    assert!(again.is_empty(), "{again:?}");
    assert_eq!(scene.receiver.received().len(), 6000);
    one.stop().await?;
    two.stop().await
}

#[tokio::test]
async fn a_dead_target_with_a_long_queue_does_not_delay_its_neighbour() -> Result<()> {
    let scene = Scene::new().await?;
    for path in ["/hole-1", "/hole-2", "/hole-3"] {
        let hole = scene.webhook(path, |hook| hook.timeout_seconds = 30).await?;
        scene.receiver.always(path, Answer::Hang);
        scene.queue(&hole, 2000).await?;
    }
    let well = scene.webhook("/well", |_| {}).await?;
    let dispatcher = scene.dispatcher_with(&[("max_in_flight", "32"), ("max_in_flight_per_webhook", "16")]).await?;
    scene.receiver.wait_for_requests("/hole-3", 1, SOON).await?;
    let began = Instant::now();
    scene.queue(&well, 200).await?;
    scene.wait_for_count(doc! { "webhookId": well.id, "status": "delivered" }, 200).await?;
    let took = began.elapsed();
    assert!(took < Duration::from_secs(20), "the dead ones take 30 s, and it waited {took:?}");
    drop(dispatcher);
    Ok(())
}

#[tokio::test]
async fn a_rate_limit_spaces_attempts_out() -> Result<()> {
    let scene = Scene::new().await?;
    let hook = scene.webhook("/rate", |hook| hook.rate_limit_per_second = Some(10)).await?;
    let dispatcher = scene.dispatcher().await?;
    scene.queue(&hook, 25).await?;
    let received = scene.receiver.wait_for_requests("/rate", 25, SOON).await?;
    for window in received.windows(11) {
        assert!(window[10].at.duration_since(window[0].at)? >= Duration::from_millis(950));
    }
    dispatcher.stop().await
}

#[tokio::test]
async fn the_search_for_work_reads_no_more_of_the_index_than_there_are_webhooks() -> Result<()> {
    let scene = Scene::new().await?;
    for path in ["/1", "/2", "/3"] {
        let hook = scene.webhook(path, |_| {}).await?;
        scene.queue(&hook, 1000).await?;
    }
    let explained = eventually("a plan", SOON, async || {
        let search = doc! {
            "aggregate": names::DELIVERIES, "cursor": {}, "hint": "open_by_webhook",
            "pipeline": [
                { "$sort": { "webhookId": 1, "due": 1 } },
                { "$group": { "_id": "$webhookId", "due": { "$first": "$due" } } },
            ],
        };
        let command = doc! { "explain": search, "verbosity": "executionStats" };
        scene.store.db.run_command(command).await.map_err(|error| error.to_string())
    })
    .await?;
    let text = serde_json::to_string(&explained)?;
    assert!(text.contains("DISTINCT_SCAN"), "{text}");
    let stats = explained.get_document("executionStats").or_else(|_| {
        explained
            .get_array("stages")
            .map(|stages| stages[0].as_document().unwrap())
            .and_then(|stage| stage.get_document("$cursor").and_then(|cursor| cursor.get_document("executionStats")))
    })?;
    assert!(stats.get_i32("totalKeysExamined")? <= 6, "{stats}");
    assert_eq!(stats.get_i32("totalDocsExamined")?, 0);
    Ok(())
}
