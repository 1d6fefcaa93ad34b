//! `dispatch --group G`, with `--once` as a job and without as a server: the real program.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::Result;
use bson::doc;
use bson::oid::ObjectId;
use serde_json::json;
use taskwire::model;
use taskwire_tests::Answer;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::scene::{SOON, Scene};

async fn drained(scene: &Scene, code: i32) -> Result<serde_json::Value> {
    let group = scene.group.to_string();
    scene.indexer(&["dispatch", "--group", &group, "--once", "--json"]).run().await?.expect(code)?.json()
}

#[tokio::test]
async fn a_drain_delivers_what_is_due_for_its_group_alone_and_ends_with_0_when_nothing_remains() -> Result<()> {
    let scene = Scene::new().await?;
    let hook = scene.webhook("/mine", |_| {}).await?;
    let ordered = scene.webhook("/ordered", |hook| hook.ordering = model::Ordering::PerTask).await?;
    let other = scene.webhook("/other", |hook| hook.group_id = ObjectId::new().into()).await?;
    let dead = scene.webhook("/dead", |hook| hook.retry_policy.max_attempts = 1).await?;
    scene.receiver.always("/dead", Answer::Status(500));
    scene.queue(&hook, 700).await?;
    scene.queue(&other, 5).await?;
    scene.queue(&dead, 2).await?;
    let task = ObjectId::new();
    scene.insert(&(1..=20).map(|sequence| scene.row(&ordered, task, sequence)).collect::<Vec<_>>()).await?;
    let counts = drained(&scene, 0).await?;
    let expected =
        json!({ "group": scene.group.to_string(), "delivered": 720, "failed": 2, "deadLettered": 2, "remaining": 0 });
    assert_eq!(counts, expected);
    assert_eq!(scene.receiver.received_at("/ordered").len(), 20);
    assert!(scene.receiver.received_at("/other").is_empty());
    assert_eq!(scene.count(doc! { "webhookId": other.id, "status": "queued", "attempts": 0 }).await?, 5);
    Ok(())
}

#[tokio::test]
async fn a_drain_ends_with_2_when_deliveries_wait_for_a_retry_or_a_disabled_webhook() -> Result<()> {
    let scene = Scene::new().await?;
    let hook = scene.webhook("/well", |_| {}).await?;
    let failing = scene.webhook("/failing", |hook| hook.retry_policy.backoff_seconds = 3600).await?;
    let off = scene.webhook("/off", |hook| hook.enabled = false).await?;
    scene.receiver.always("/failing", Answer::Status(503));
    for (hook, count) in [(&hook, 3), (&failing, 2), (&off, 4)] {
        scene.queue(hook, count).await?;
    }
    let counts = drained(&scene, 2).await?;
    assert_eq!([&counts["delivered"], &counts["failed"], &counts["remaining"]], [&json!(3), &json!(2), &json!(6)]);
    let text = scene.indexer(&["dispatch", "--group", &scene.group.to_string(), "--once"]).run().await?.expect(2)?.out;
    let group = &scene.group;
    assert_eq!(text, format!("group {group}: 0 delivered, 0 attempts failed, 0 given up, 6 remain\n"));
    Ok(())
}

#[tokio::test]
async fn a_drain_tells_wrong_usage_and_settings_from_remaining_deliveries() -> Result<()> {
    let scene = Scene::new().await?;
    let wrong = scene.indexer(&["dispatch", "--group", "g", "--once"]).set("TASKWIRE_MASTER_KEY", "x");
    assert!(wrong.run().await?.expect(78)?.err.contains("TASKWIRE_MASTER_KEY"));
    assert!(scene.indexer(&["dispatch", "--once"]).run().await?.expect(78)?.err.contains("--group"));
    scene.indexer(&["dispatch", "--json"]).run().await?.expect(2)?;
    Ok(())
}

#[tokio::test]
async fn a_group_that_nobody_ever_configured_is_drained_and_said_to_be_unknown() -> Result<()> {
    let scene = Scene::new().await?;
    let warned = |ran: &taskwire_tests::process::Ran| ran.err.contains("has no webhooks");
    let unknown = scene.indexer(&["dispatch", "--group", "nonsense", "--once"]).run().await?.expect(0)?;
    assert!(warned(&unknown), "{unknown:?}");
    scene.webhook("/mine", |_| {}).await?;
    let group = scene.group.to_string();
    let known = scene.indexer(&["dispatch", "--group", &group, "--once"]).run().await?.expect(0)?;
    assert!(!warned(&known), "{known:?}");
    Ok(())
}

#[tokio::test]
async fn a_drain_that_is_stopped_finishes_what_is_in_flight_and_gives_back_the_rest() -> Result<()> {
    let scene = Scene::new().await?;
    let hook = scene.webhook("/slow", |_| {}).await?;
    scene.receiver.always("/slow", Answer::slow(Duration::from_millis(300), 200));
    scene.queue(&hook, 2000).await?;
    let mut job = scene.indexer(&["dispatch", "--group", &scene.group.to_string(), "--once"]).spawn()?;
    scene.receiver.wait_for_requests("/slow", 20, SOON).await?;
    assert_eq!(job.stop(SOON).await?, Some(2));
    let sent = scene.receiver.received_at("/slow").len() as u64;
    assert_eq!(scene.count(doc! { "status": "delivered" }).await?, sent);
    assert_eq!(scene.count(doc! { "status": "queued", "attempts": 0, "lease": null }).await?, 2000 - sent);
    assert!(job.log().contains(&format!("{sent} delivered, 0 attempts failed, 0 given up, {} remain", 2000 - sent)));
    Ok(())
}

#[tokio::test]
async fn without_once_one_group_is_served_for_ever() -> Result<()> {
    let scene = Scene::new().await?;
    let hook = scene.webhook("/mine", |_| {}).await?;
    let other = scene.webhook("/other", |hook| hook.group_id = ObjectId::new().into()).await?;
    scene.queue(&other, 5).await?;
    let mut process = scene.indexer(&["dispatch", "--group", &scene.group.to_string()]).spawn()?;
    for round in 1..=2 {
        scene.queue(&hook, 10).await?;
        scene.wait_for_count(doc! { "webhookId": hook.id, "status": "delivered" }, round * 10).await?;
    }
    assert!(scene.receiver.received_at("/other").is_empty());
    let opened = process.metric("taskwire_target_connections_opened_total").await?;
    assert!((1.0..=16.0).contains(&opened), "{opened} connections");
    assert_eq!(process.stop(SOON).await?, Some(0));
    Ok(())
}

/// A proxy that answers everything with 204 itself, and counts.
async fn proxy() -> Result<(String, Arc<AtomicUsize>)> {
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await?;
    let (url, count) = (format!("http://user:hush@{}", listener.local_addr()?), Arc::new(AtomicUsize::new(0)));
    let counting = Arc::clone(&count);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            counting.fetch_add(1, Ordering::Relaxed);
            let mut head = [0; 16 * 1024];
            let _ = stream.read(&mut head).await;
            let _ = stream.write_all(b"HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n").await;
        }
    });
    Ok((url, count))
}

#[tokio::test]
async fn a_proxy_of_the_environment_is_not_used_and_one_of_the_settings_is() -> Result<()> {
    let scene = Scene::new().await?;
    let hook = scene.webhook("/direct", |_| {}).await?;
    let (url, count) = proxy().await?;
    let group = scene.group.to_string();
    let once = || scene.indexer(&["dispatch", "--group", &group, "--once"]);
    scene.queue(&hook, 1).await?;
    let variables = ["HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "ALL_PROXY", "all_proxy"];
    variables.iter().fold(once(), |launch, name| launch.set(name, &url)).run().await?.expect(0)?;
    assert_eq!((scene.receiver.received_at("/direct").len(), count.load(Ordering::Relaxed)), (1, 0));
    scene.queue(&hook, 1).await?;
    let ran = once().set("TASKWIRE_EGRESS_PROXY", &url).set("RUST_LOG", "debug").run().await?.expect(0)?;
    assert_eq!((scene.receiver.received_at("/direct").len(), count.load(Ordering::Relaxed)), (1, 1));
    assert!(!ran.err.contains("hush") && !ran.out.contains("hush"), "{ran:?}");
    let wrong = once().set("TASKWIRE_EGRESS_PROXY", "socks5://user:hush@127.0.0.1:1").run().await?.expect(78)?;
    assert!(wrong.err.contains("TASKWIRE_EGRESS_PROXY") && !wrong.err.contains("hush"), "{wrong:?}");
    Ok(())
}
