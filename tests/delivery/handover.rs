//! Rows that the recorder hands over.

use std::time::Duration;

use anyhow::Result;
use bson::doc;
use bson::oid::ObjectId;
use taskwire::model::{DeliveryStatus, Ordering};
use taskwire_indexer::dispatch::HandedOver;
use taskwire_tests::Answer;

use crate::scene::{SOON, Scene, shared};

#[tokio::test]
async fn what_is_handed_over_is_sent_without_a_claim() -> Result<()> {
    let scene = Scene::new().await?;
    let hook = scene.webhook("/over", |_| {}).await?;
    let dispatcher = scene.dispatcher().await?;
    let slots = dispatcher.handle.reserve(hook.id, 10);
    assert_eq!(slots.len(), 10);
    let grant = dispatcher.handle.lease();
    let rows: Vec<_> = (0..10)
        .map(|_| {
            let (event, mut row) = scene.row(&hook, ObjectId::new(), 1);
            row.attempts = 1;
            row.due = Some(grant.until);
            row.lease = Some(grant.token.clone());
            (event, row)
        })
        .collect();
    scene.insert(&rows).await?;
    let handed = slots
        .into_iter()
        .zip(&rows)
        .map(|(slot, (event, row))| HandedOver {
            slot,
            delivery: row.clone(),
            parcel: None,
            body: shared(event),
            happened_at: event.at,
        })
        .collect();
    dispatcher.handle.hand_over(handed);
    scene.wait_for_count(doc! { "status": "delivered", "attempts": 1, "lease": null }, 10).await?;
    assert_eq!(scene.receiver.complaints(), Vec::<String>::new());
    assert_eq!(scene.delivery(&rows[0].1.id).await?.log.len(), 1);
    dispatcher.stop().await
}

#[tokio::test]
async fn room_is_given_only_for_live_webhooks_and_comes_back_when_dropped() -> Result<()> {
    let scene = Scene::new().await?;
    let live = scene.webhook("/live", |_| {}).await?;
    let off = scene.webhook("/off", |hook| hook.enabled = false).await?;
    let ordered = scene.webhook("/ordered", |hook| hook.ordering = Ordering::PerTask).await?;
    let dispatcher = scene.dispatcher().await?;
    let handle = &dispatcher.handle;
    assert!(handle.reserve(off.id, 5).is_empty());
    assert!(handle.reserve(ordered.id, 5).is_empty());
    assert!(handle.reserve(ObjectId::new(), 5).is_empty());
    let all = handle.reserve(live.id, 100_000);
    assert!(!all.is_empty());
    assert!(handle.reserve(live.id, 1).is_empty());
    let count = all.len();
    drop(all);
    assert_eq!(handle.reserve(live.id, 100_000).len(), count);
    dispatcher.stop().await
}

#[tokio::test]
async fn what_is_held_when_its_webhook_is_disabled_is_given_back() -> Result<()> {
    let scene = Scene::new().await?;
    let mut hook = scene.webhook("/held", |_| {}).await?;
    scene.receiver.always("/held", Answer::slow(Duration::from_secs(2), 200));
    let dispatcher = scene.dispatcher().await?;
    scene.queue(&hook, 100).await?;
    scene.receiver.wait_for_requests("/held", 16, SOON).await?;
    scene.change(&mut hook, |hook| hook.enabled = false).await?;
    scene.wait_for_count(doc! { "lease": { "$exists": true } }, 0).await?;
    let sent = scene.receiver.received_at("/held").len() as u64;
    assert!(sent < 100);
    assert_eq!(scene.count(doc! { "status": DeliveryStatus::Delivered.name() }).await?, sent);
    assert_eq!(scene.count(doc! { "status": "queued", "attempts": 0 }).await?, 100 - sent);
    dispatcher.stop().await
}
