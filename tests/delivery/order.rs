//! `ordering: perTask`.

use std::collections::HashMap;
use std::time::Duration;

use anyhow::Result;
use bson::doc;
use bson::oid::ObjectId;
use taskwire::model::{Delivery, DocId, Ordering, TaskEvent, Webhook};
use taskwire_indexer::dispatch::HandedOver;
use taskwire_tests::Answer;

use crate::scene::{Dispatcher, SOON, Scene, shared};

fn in_order(webhook: &mut Webhook) {
    webhook.ordering = Ordering::PerTask;
}

/// The sequences that each task's requests carried, in the order of arrival.
fn by_task(scene: &Scene, path: &str) -> HashMap<String, Vec<i64>> {
    let mut tasks: HashMap<String, Vec<i64>> = HashMap::new();
    for one in scene.receiver.received_at(path) {
        let body: serde_json::Value = serde_json::from_slice(&one.body).unwrap_or_default();
        let task = body["data"]["id"].as_str().unwrap_or_default().to_owned();
        tasks.entry(task).or_default().push(body["data"]["sequence"].as_i64().unwrap_or(0));
    }
    tasks
}

#[tokio::test]
async fn events_of_one_task_go_one_after_the_other_and_tasks_side_by_side() -> Result<()> {
    let scene = Scene::new().await?;
    let hook = scene.webhook("/order", in_order).await?;
    scene.receiver.always("/order", Answer::slow(Duration::from_millis(5), 200));
    scene.receiver.script("/order", (0..200).map(|n| Answer::Status(if n % 40 == 7 { 500 } else { 200 })));
    let tasks: Vec<ObjectId> = (0..50).map(|_| ObjectId::new()).collect();
    // Queued out of order.
    let mut rows = Vec::new();
    for sequence in (1..=8).rev() {
        rows.extend(tasks.iter().map(|task| scene.row(&hook, *task, sequence)));
    }
    scene.insert(&rows).await?;
    let (one, two) = tokio::try_join!(scene.dispatcher(), scene.dispatcher())?;
    scene.wait_for_count(doc! { "status": "delivered" }, 400).await?;
    let arrived = by_task(&scene, "/order");
    assert_eq!(arrived.len(), 50);
    for (task, sequences) in arrived {
        let mut without_repeats = sequences.clone();
        without_repeats.dedup();
        assert_eq!(without_repeats, (1..=8).collect::<Vec<i64>>(), "{task}: {sequences:?}");
    }
    assert_eq!(scene.count(doc! { "ordered": { "$exists": true } }).await?, 0);
    one.stop().await?;
    two.stop().await
}

#[tokio::test]
async fn a_stuck_task_with_a_long_queue_does_not_hold_back_others() -> Result<()> {
    let scene = Scene::new().await?;
    let hook = scene
        .webhook("/stuck", |hook| {
            in_order(hook);
            hook.retry_policy.backoff_seconds = 15;
        })
        .await?;
    scene.receiver.script("/stuck", [Answer::Status(500)]);
    let stuck = ObjectId::new();
    let rows: Vec<_> = (1..=3000).map(|sequence| scene.row(&hook, stuck, sequence)).collect();
    let dispatcher = scene.dispatcher().await?;
    scene.insert(&rows[..1]).await?;
    scene.failed_once(&rows[0].1.id).await?;
    scene.insert(&rows[1..]).await?;
    scene.queue(&hook, 100).await?;
    scene.receiver.wait_for_requests("/stuck", 101, Duration::from_secs(13)).await?;
    // Once the stuck one is delivered, its task goes on, parked rows included.
    scene.receiver.wait_for_requests("/stuck", 130, SOON).await?;
    let sequences = by_task(&scene, "/stuck").remove(&stuck.to_hex()).unwrap_or_default();
    assert_eq!(sequences[..4], [1, 1, 2, 3]);
    assert!(sequences[1..].is_sorted_by(|a, b| a + 1 == *b), "{sequences:?}");
    drop(dispatcher);
    Ok(())
}

/// Hands these rows over as the recorder does, so far as there is a place for them; answers how many were.
async fn hand_over(
    scene: &Scene,
    dispatcher: &Dispatcher,
    hook: &Webhook,
    rows: Vec<(TaskEvent, Delivery)>,
) -> Result<usize> {
    let tasks: Vec<DocId> = rows.iter().map(|(_, row)| row.task_id.clone()).collect();
    let mut slots = dispatcher.handle.reserve_in_order(HashMap::from([(hook.id, tasks)])).await;
    let mut slots = slots.remove(&hook.id).unwrap_or_default();
    let grant = dispatcher.handle.lease();
    let (mut all, mut handed) = (Vec::new(), Vec::new());
    for (event, mut row) in rows {
        if let Some(slot) = slots.pop_front().flatten() {
            row.attempts = 1;
            (row.due, row.lease) = (Some(grant.until), Some(grant.token.clone()));
            let (body, happened_at) = (shared(&event), event.at);
            handed.push(HandedOver { slot, delivery: row.clone(), parcel: None, body, happened_at });
        }
        all.push((event, row));
    }
    scene.insert(&all).await?;
    let count = handed.len();
    dispatcher.handle.hand_over(handed);
    Ok(count)
}

#[tokio::test]
async fn what_is_handed_over_keeps_each_tasks_order_without_a_claim() -> Result<()> {
    let scene = Scene::new().await?;
    let hook = scene.webhook("/handed", in_order).await?;
    scene.receiver.always("/handed", Answer::slow(Duration::from_millis(3), 200));
    let tasks: Vec<ObjectId> = (0..40).map(|_| ObjectId::new()).collect();
    let dispatcher = scene.dispatcher().await?;
    // A lane holds more than it has in flight only once its target is known to answer well.
    scene.queue(&hook, 1).await?;
    scene.wait_for_count(doc! { "status": "delivered" }, 1).await?;
    let of = |sequences: std::ops::RangeInclusive<i64>| {
        sequences.flat_map(|sequence| tasks.iter().map(|task| scene.row(&hook, *task, sequence)).collect::<Vec<_>>())
    };
    assert_eq!(hand_over(&scene, &dispatcher, &hook, of(1..=3).collect()).await?, 120);
    hand_over(&scene, &dispatcher, &hook, of(4..=5).collect()).await?;
    scene.wait_for_count(doc! { "status": "delivered", "attempts": 1 }, 201).await?;
    let arrived = by_task(&scene, "/handed");
    for task in &tasks {
        assert_eq!(arrived[&task.to_hex()], [1, 2, 3, 4, 5], "{task}");
    }
    // All have ended: one more of each is handed over again.
    assert_eq!(hand_over(&scene, &dispatcher, &hook, of(6..=6).collect()).await?, 40);
    scene.wait_for_count(doc! { "status": "delivered" }, 241).await?;
    dispatcher.stop().await
}

#[tokio::test]
async fn behind_one_that_is_tried_again_what_was_handed_over_waits() -> Result<()> {
    let scene = Scene::new().await?;
    let hook = scene
        .webhook("/again", |hook| {
            in_order(hook);
            hook.retry_policy.backoff_seconds = 1;
        })
        .await?;
    scene.receiver.script("/again", [Answer::Status(200), Answer::Status(500)]);
    let task = ObjectId::new();
    let dispatcher = scene.dispatcher().await?;
    let rows = (1..=5).map(|sequence| scene.row(&hook, task, sequence)).collect();
    assert_eq!(hand_over(&scene, &dispatcher, &hook, rows).await?, 5);
    scene.wait_for_count(doc! { "status": "delivered" }, 5).await?;
    assert_eq!(by_task(&scene, "/again").remove(&task.to_hex()).unwrap_or_default(), [1, 2, 2, 3, 4, 5]);
    dispatcher.stop().await
}

#[tokio::test]
async fn a_task_with_rows_in_the_queue_is_not_handed_over_past_them() -> Result<()> {
    let scene = Scene::new().await?;
    let hook = scene.webhook("/behind", in_order).await?;
    scene.receiver.always("/behind", Answer::slow(Duration::from_millis(300), 200));
    let (behind, free) = (ObjectId::new(), ObjectId::new());
    let dispatcher = scene.dispatcher().await?;
    scene.insert(&[scene.row(&hook, behind, 1), scene.row(&hook, behind, 2)]).await?;
    let rows = vec![scene.row(&hook, behind, 3), scene.row(&hook, free, 1), scene.row(&hook, behind, 4)];
    assert_eq!(hand_over(&scene, &dispatcher, &hook, rows).await?, 1);
    scene.wait_for_count(doc! { "status": "delivered" }, 5).await?;
    assert_eq!(by_task(&scene, "/behind").remove(&behind.to_hex()).unwrap_or_default(), [1, 2, 3, 4]);
    dispatcher.stop().await
}

#[tokio::test]
async fn what_waits_for_its_turn_is_given_back_at_the_stop_and_goes_on_with_another_process() -> Result<()> {
    let scene = Scene::new().await?;
    let hook = scene.webhook("/stopped", in_order).await?;
    scene.receiver.script("/stopped", [Answer::slow(Duration::from_millis(400), 200)]);
    let task = ObjectId::new();
    let dispatcher = scene.dispatcher().await?;
    let rows = (1..=4).map(|sequence| scene.row(&hook, task, sequence)).collect();
    assert_eq!(hand_over(&scene, &dispatcher, &hook, rows).await?, 4);
    scene.receiver.wait_for_requests("/stopped", 1, SOON).await?;
    dispatcher.stop().await?;
    assert_eq!(scene.count(doc! { "status": "delivered" }).await?, 1);
    assert_eq!(scene.count(doc! { "status": "queued", "attempts": 0, "lease": null }).await?, 3);
    let other = scene.dispatcher().await?;
    scene.wait_for_count(doc! { "status": "delivered", "attempts": 1 }, 4).await?;
    assert_eq!(by_task(&scene, "/stopped").remove(&task.to_hex()).unwrap_or_default(), [1, 2, 3, 4]);
    other.stop().await
}
