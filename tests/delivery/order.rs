//! `ordering: perTask`.

use std::collections::HashMap;
use std::time::Duration;

use anyhow::Result;
use bson::doc;
use bson::oid::ObjectId;
use taskwire::model::{Ordering, Webhook};
use taskwire_tests::Answer;

use crate::scene::{SOON, Scene};

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
            hook.retry_policy.backoff_seconds = 10;
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
    scene.receiver.wait_for_requests("/stuck", 101, Duration::from_secs(8)).await?;
    // Once the stuck one is delivered, its task goes on, parked rows included.
    scene.receiver.wait_for_requests("/stuck", 130, SOON).await?;
    let sequences = by_task(&scene, "/stuck").remove(&stuck.to_hex()).unwrap_or_default();
    assert_eq!(sequences[..4], [1, 1, 2, 3]);
    assert!(sequences[1..].is_sorted_by(|a, b| a + 1 == *b), "{sequences:?}");
    drop(dispatcher);
    Ok(())
}
