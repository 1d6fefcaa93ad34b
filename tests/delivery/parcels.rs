//! Rows that are handed over packed.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use bson::oid::ObjectId;
use bson::{DateTime, Document, doc};
use taskwire::model::{Delivery, TaskEvent, Webhook};
use taskwire::store::{names, parcels};
use taskwire_indexer::dispatch::{HandedOver, LeaseGrant, Parcel};
use taskwire_tests::{Answer, eventually};

use crate::scene::{Dispatcher, SOON, Scene, shared};

type Rows = Vec<(TaskEvent, Delivery)>;

/// A parcel as the recorder writes it.
async fn pack(scene: &Scene, hook: &Webhook, grant: &LeaseGrant, count: usize) -> Result<Rows> {
    let rows: Rows = (0..count)
        .map(|_| {
            let (event, mut row) = scene.row(hook, ObjectId::new(), 1);
            (row.attempts, row.due, row.lease) = (1, Some(grant.until), Some(grant.token.clone()));
            (event, row)
        })
        .collect();
    let events = rows.iter().map(|(event, _)| event);
    scene.store.collection::<TaskEvent>(names::EVENTS).insert_many(events).await?;
    let parcel =
        parcels::NewParcel { id: &grant.token, at: DateTime::now(), rows: rows.iter().map(|(_, row)| row).collect() };
    scene.store.collection::<parcels::NewParcel<'_>>(names::PARCELS).insert_one(parcel).await?;
    Ok(rows)
}

async fn hand_over(scene: &Scene, dispatcher: &Dispatcher, hook: &Webhook, count: usize) -> Result<Rows> {
    let slots = dispatcher.handle.reserve(hook.id, count);
    assert_eq!(slots.len(), count);
    let grant = dispatcher.handle.lease();
    let rows = pack(scene, hook, &grant, count).await?;
    let parcel = Arc::new(Parcel::new(grant.token, count));
    let handed = slots.into_iter().zip(&rows).map(|(slot, (event, row))| HandedOver {
        slot,
        delivery: row.clone(),
        parcel: Some(Arc::clone(&parcel)),
        body: shared(event),
        happened_at: event.at,
    });
    dispatcher.handle.hand_over(handed.collect());
    Ok(rows)
}

async fn nothing_is_packed(scene: &Scene) -> Result<()> {
    let parcels = scene.store.collection::<Document>(names::PARCELS);
    eventually("no parcel", SOON, async || match parcels.count_documents(doc! {}).await {
        Ok(0) => Ok(()),
        other => Err(format!("{other:?}")),
    })
    .await
}

#[tokio::test]
async fn what_is_packed_becomes_a_row_with_its_end_and_the_parcel_goes() -> Result<()> {
    let scene = Scene::new().await?;
    let hook = scene.webhook("/packed", |_| {}).await?;
    let dispatcher = scene.dispatcher().await?;
    let rows = hand_over(&scene, &dispatcher, &hook, 10).await?;
    scene.wait_for_count(doc! { "status": "delivered", "attempts": 1, "lease": null }, 10).await?;
    nothing_is_packed(&scene).await?;
    assert_eq!(scene.delivery(&rows[0].1.id).await?.log.len(), 1);
    assert_eq!(scene.receiver.received_at("/packed").len(), 10);
    dispatcher.stop().await
}

#[tokio::test]
async fn what_is_packed_for_long_is_a_held_row_that_ends_like_any_other() -> Result<()> {
    let scene = Scene::new().await?;
    let hook = scene.webhook("/slow", |_| {}).await?;
    scene.receiver.always("/slow", Answer::slow(Duration::from_secs(3), 200));
    let dispatcher = scene.dispatcher().await?;
    let rows = hand_over(&scene, &dispatcher, &hook, 5).await?;
    let packed = parcels::find(&scene.store, &[rows[0].1.id.as_str()]).await?;
    assert_eq!(packed, [rows[0].1.clone()]);
    scene.wait_for_count(doc! { "status": "queued", "lease": { "$exists": true } }, 5).await?;
    nothing_is_packed(&scene).await?;
    scene.wait_for_count(doc! { "status": "delivered", "attempts": 1, "log": { "$size": 1 } }, 5).await?;
    assert_eq!(scene.receiver.received_at("/slow").len(), 5);
    dispatcher.stop().await
}

#[tokio::test]
async fn what_fails_or_is_given_back_leaves_its_parcel_as_an_open_row() -> Result<()> {
    let scene = Scene::new().await?;
    let hook = scene.webhook("/broken", |_| {}).await?;
    scene.receiver.always("/broken", Answer::Status(500));
    let dispatcher = scene.dispatcher().await?;
    hand_over(&scene, &dispatcher, &hook, 5).await?;
    scene.wait_for_count(doc! { "status": "failed", "due": { "$exists": true }, "lease": null }, 5).await?;
    nothing_is_packed(&scene).await?;
    dispatcher.stop().await
}

#[tokio::test]
async fn what_a_killed_process_left_packed_is_sent_by_another_and_says_so() -> Result<()> {
    let scene = Scene::new().await?;
    let hook = scene.webhook("/left", |_| {}).await?;
    let gone = LeaseGrant { token: "gone".to_owned(), until: DateTime::from_millis(1) };
    let rows = pack(&scene, &hook, &gone, 5).await?;
    let dispatcher = scene.dispatcher().await?;
    scene.wait_for_count(doc! { "status": "delivered", "attempts": 2 }, 5).await?;
    let log = scene.delivery(&rows[0].1.id).await?.log;
    assert_eq!(bson::serialize_to_bson(&log[0].outcome)?.as_str(), Some("interrupted"));
    nothing_is_packed(&scene).await?;
    dispatcher.stop().await
}

#[tokio::test]
async fn rows_unpacked_while_they_end_end_once() -> Result<()> {
    let scene = Scene::new().await?;
    let hook = scene.webhook("/both", |_| {}).await?;
    let dispatcher = scene.dispatcher().await?;
    let mut all = 0;
    for _ in 0..20 {
        let count = hand_over(&scene, &dispatcher, &hook, 16).await?.len();
        all += count as u64;
        parcels::unpack(&scene.store, None).await?;
        scene.wait_for_count(doc! { "status": "delivered", "attempts": 1, "log": { "$size": 1 } }, all).await?;
    }
    nothing_is_packed(&scene).await?;
    assert_eq!(scene.receiver.received_at("/both").len() as u64, all);
    assert_eq!(scene.count(doc! {}).await?, all);
    dispatcher.stop().await
}
