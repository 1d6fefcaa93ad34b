//! Webhooks that are disabled and enabled again: retry clocks, and failing for too long.

use anyhow::{Context, Result};
use bson::{DateTime, Document, doc};
use taskwire::model::{Delivery, DeliveryStatus, DisabledReason, Webhook};
use taskwire::store::names;
use taskwire::store::webhooks::{Replaced, replace};
use taskwire_tests::{Answer, eventually};

use crate::scene::{SOON, Scene};

const MINUTE: i64 = 60_000;

fn moved(at: DateTime, by: i64) -> DateTime {
    DateTime::from_millis(at.timestamp_millis() + by)
}

/// A row that failed once, a second before `ended`, and whose next attempt is scheduled.
fn failed(row: &mut Delivery, ended: DateTime, next: DateTime) {
    row.status = DeliveryStatus::Failed;
    row.attempts = 1;
    row.last_attempt_at = Some(moved(ended, -1000));
    row.duration_ms = Some(1000);
    row.next_attempt_at = Some(next);
    row.due = Some(next);
}

#[tokio::test]
async fn what_remained_of_a_wait_at_the_disabling_remains_at_the_enabling_whoever_is_killed() -> Result<()> {
    let scene = Scene::new().await?;
    let mut hook = scene.webhook("/stopped", |_| {}).await?;
    let now = DateTime::from_millis(DateTime::now().timestamp_millis());
    let (from, stood) = (moved(now, -10 * MINUTE), 10 * MINUTE);
    scene.change(&mut hook, |hook| hook.disable(DisabledReason::Admin, from)).await?;
    let mut rows: Vec<_> = (0..5000).map(|_| scene.row(&hook, bson::oid::ObjectId::new(), 1)).collect();
    for (place, (_, row)) in (0i64..).zip(&mut rows) {
        match place {
            // Due before it was disabled; never tried; under way when it was disabled.
            0 => failed(row, moved(from, -20 * MINUTE), moved(from, -MINUTE)),
            1 => {}
            2 => failed(row, moved(from, 4 * MINUTE), moved(from, 9 * MINUTE)),
            _ => failed(row, moved(from, -MINUTE), moved(from, MINUTE + place)),
        }
    }
    scene.insert(&rows).await?;
    let first = scene.dispatcher().await?;
    scene.change(&mut hook, |hook| hook.enable(now)).await?;
    eventually("the first rows are moved", SOON, async || {
        let count = scene.count(doc! { "clock": hook.revision }).await.map_err(|error| error.to_string())?;
        if count > 0 { Ok(()) } else { Err("none yet".into()) }
    })
    .await?;
    first.kill();
    let (one, two) = tokio::try_join!(scene.dispatcher(), scene.dispatcher())?;
    scene.wait_for_count(doc! { "status": "delivered" }, 2).await?;
    assert_eq!(scene.count(doc! { "clock": hook.revision }).await?, 4998);
    for (place, (_, row)) in (0i64..).zip(&rows) {
        if !matches!(place, 0..3 | 3000 | 4000 | 4999) {
            continue;
        }
        let stored = scene.delivery(&row.id).await?;
        let next = match place {
            0 | 1 => {
                assert_eq!(stored.status, DeliveryStatus::Delivered);
                continue;
            }
            2 => moved(from, 9 * MINUTE + stood - 4 * MINUTE),
            _ => moved(from, MINUTE + place + stood),
        };
        assert_eq!((stored.due, stored.next_attempt_at), (Some(next), Some(next)), "row {place}");
    }
    let sum = doc! { "$group": { "_id": bson::Bson::Null, "first": { "$min": "$due" }, "last": { "$max": "$due" } } };
    let open = doc! { "$match": { "status": "failed" } };
    let rows = scene.store.collection::<Document>(names::DELIVERIES);
    let mut found = rows.aggregate([open, sum]).await?;
    assert!(found.advance().await?);
    let span = bson::deserialize_from_slice::<Document>(found.current().as_bytes())?;
    assert_eq!(span.get_datetime("first")?, &moved(from, MINUTE + 3 + stood));
    one.stop().await?;
    two.stop().await
}

#[tokio::test]
async fn a_second_stop_is_added_to_the_first_also_where_nobody_dispatched_in_between() -> Result<()> {
    let scene = Scene::new().await?;
    let mut hook = scene.webhook("/twice", |_| {}).await?;
    let start = moved(DateTime::from_millis(DateTime::now().timestamp_millis()), -60 * MINUTE);
    let (_, row) = {
        let mut row = scene.row(&hook, bson::oid::ObjectId::new(), 1);
        failed(&mut row.1, moved(start, -MINUTE), moved(start, 30 * MINUTE));
        scene.insert(std::slice::from_ref(&row)).await?;
        row
    };
    for minute in [0, 20] {
        scene.change(&mut hook, |hook| hook.disable(DisabledReason::Admin, moved(start, minute * MINUTE))).await?;
        scene.change(&mut hook, |hook| hook.enable(moved(start, (minute + 10) * MINUTE))).await?;
    }
    scene.change(&mut hook, |hook| hook.disable(DisabledReason::Admin, moved(start, 35 * MINUTE))).await?;
    scene.change(&mut hook, |hook| hook.enable(moved(start, 60 * MINUTE))).await?;
    let dispatcher = scene.dispatcher().await?;
    let moved_by = hook.revision;
    eventually("the row is moved", SOON, async || {
        let count = scene.count(doc! { "clock": moved_by }).await.map_err(|error| error.to_string())?;
        if count == 1 { Ok(()) } else { Err("not yet".into()) }
    })
    .await?;
    assert_eq!(scene.delivery(&row.id).await?.due, Some(moved(start, (30 + 10 + 10 + 25) * MINUTE)));
    dispatcher.stop().await
}

async fn stored(scene: &Scene, hook: &Webhook) -> Result<Webhook, String> {
    let found = scene.store.collection::<Webhook>(names::WEBHOOKS).find_one(doc! { "_id": hook.id }).await;
    found.map_err(|error| error.to_string())?.ok_or_else(|| "no webhook".into())
}

#[tokio::test]
async fn a_webhook_that_fails_for_too_long_is_disabled_once_and_enabled_it_has_its_time_again() -> Result<()> {
    let scene = Scene::new().await?;
    let failing = scene.webhook("/failing", |_| {}).await?;
    let recent = scene.webhook("/recent", |_| {}).await?;
    let health = scene.store.collection::<Document>(names::WEBHOOK_HEALTH);
    let now = DateTime::now();
    for (hook, minutes) in [(&failing, 61), (&recent, 58)] {
        health.insert_one(doc! { "_id": hook.id, "failingSince": moved(now, -minutes * MINUTE) }).await?;
    }
    for path in ["/failing", "/recent"] {
        scene.receiver.always(path, Answer::Status(500));
    }
    let hour = [("disable_failing_after_hours", "1")];
    let (one, two) = tokio::try_join!(scene.dispatcher_with(&hour), scene.dispatcher_with(&hour))?;
    // Nothing was tried yet, so nothing is judged.
    scene.queue(&recent, 30).await?;
    scene.wait_for_count(doc! { "webhookId": recent.id, "attempts": { "$gte": 2 } }, 30).await?;
    assert!(stored(&scene, &failing).await.map_err(anyhow::Error::msg)?.enabled);
    scene.queue(&failing, 30).await?;
    let mut disabled = eventually("a disabled webhook", SOON, async || {
        let stored = stored(&scene, &failing).await?;
        if stored.enabled { Err("still enabled".into()) } else { Ok(stored) }
    })
    .await?;
    assert_eq!((disabled.disabled_reason, disabled.revision), (Some(DisabledReason::FailingFor5Days), 2));
    assert!(stored(&scene, &recent).await.map_err(anyhow::Error::msg)?.enabled);
    let audit = scene.store.collection::<Document>(names::AUDIT);
    let entry = audit.find_one(doc! {}).await?.context("no entry")?;
    assert_eq!(entry.get_str("action")?, "webhook.disabled");
    assert_eq!((entry.get_str("actorId")?, entry.get_str("reason")?), ("system", "failing-for-5-days"));
    assert_eq!(entry.get_object_id("webhookId")?, failing.id);

    scene.wait_for_count(doc! { "lease": { "$exists": true } }, 0).await?;
    let tried = scene.receiver.received_at("/failing").len();
    disabled.enable(DateTime::now());
    disabled.revision += 1;
    disabled.updated_at = DateTime::now();
    assert_eq!(replace(&scene.store, &disabled, &[]).await?, Replaced::Done);
    scene.receiver.wait_for_requests("/failing", tried + 5, SOON).await?;
    eventually("it fails anew", SOON, async || {
        let found = health.find_one(doc! { "_id": failing.id }).await.map_err(|error| error.to_string())?;
        let since = found.and_then(|found| found.get_datetime("failingSince").ok().copied());
        if since.is_some_and(|since| since > now) { Ok(()) } else { Err("not yet".into()) }
    })
    .await?;
    assert!(stored(&scene, &failing).await.map_err(anyhow::Error::msg)?.enabled);
    assert_eq!(audit.count_documents(doc! {}).await?, 1);
    one.stop().await?;
    two.stop().await
}

#[tokio::test]
async fn what_waits_for_a_target_that_fails_does_not_age_the_queue_and_what_nobody_sends_does() -> Result<()> {
    let scene = Scene::new().await?;
    let failing = scene.webhook("/failing", |hook| hook.retry_policy.max_attempts = 50).await?;
    scene.receiver.always("/failing", Answer::Status(503));
    scene.queue(&failing, 100).await?;
    let mut process = scene.indexer(&["dispatch"]).start().await?;
    let overdue = |seconds: i64| DateTime::from_millis(DateTime::now().timestamp_millis() - 1000 * seconds);
    eventually("rows that the breaker holds back", SOON, async || {
        let rows = scene.count(doc! { "due": { "$lt": overdue(3) } }).await.map_err(|error| error.to_string())?;
        if rows > 0 { Ok(()) } else { Err("none".into()) }
    })
    .await?;
    let age = process.metric("taskwire_queue_oldest_age_seconds").await?;
    assert!(age < 1.0, "{age} s");
    let slow = scene.webhook("/slow", |hook| hook.rate_limit_per_second = Some(1)).await?;
    scene.queue(&slow, 100).await?;
    eventually("what waits for its turn ages the queue", SOON, async || {
        let age = process.metric("taskwire_queue_oldest_age_seconds").await.map_err(|error| error.to_string())?;
        if age >= 3.0 { Ok(()) } else { Err(format!("{age} s")) }
    })
    .await?;
    process.stop(SOON).await?;
    Ok(())
}
