//! `rateLimitPerSecond` over several processes.

use std::time::{Duration, SystemTime};

use anyhow::Result;
use bson::{Document, doc};
use taskwire::store::names;
use taskwire_tests::eventually;
use taskwire_tests::receiver::Received;

use crate::scene::{SOON, Scene};

/// A second less what the way to the receiver may vary by on a busy machine.
const WINDOW: Duration = Duration::from_millis(900);

/// The most requests that arrived within any [`WINDOW`].
fn most_in_a_window(received: &[Received]) -> usize {
    let mut times: Vec<SystemTime> = received.iter().map(|one| one.at).collect();
    times.sort();
    let within = |(at, start): (usize, &SystemTime)| {
        times[at..].iter().take_while(|time| time.duration_since(*start).unwrap_or_default() < WINDOW).count()
    };
    times.iter().enumerate().map(within).max().unwrap_or(0)
}

/// How many arrive while this time passes.
async fn arriving(scene: &Scene, path: &str, time: Duration) -> usize {
    let before = scene.receiver.received_at(path).len();
    // Nothing is waited for: the count over a span is what a rate is.
    tokio::time::sleep(time).await;
    scene.receiver.received_at(path).len() - before
}

/// Waits until two processes claim a share and have seen each other for a while.
async fn wait_for_two_claimants(scene: &Scene) -> Result<()> {
    eventually("two processes that claim shares", SOON, async || {
        let marks = scene.store.collection::<Document>(names::RATE_SHARES);
        let found = marks.find_one(doc! {}).await.map_err(|error| error.to_string())?.unwrap_or_default();
        let processes = found.get_document("processes").cloned().unwrap_or_default();
        let settled = processes.values().filter_map(|mark| {
            let mark = mark.as_document()?;
            let seen = mark.get_datetime("seen").ok()?;
            let mut claims = mark.get_document("claims").ok()?.values();
            claims.all(|since| since.as_datetime().is_some_and(|since| since < seen)).then_some(())
        });
        if settled.count() == 2 { Ok(()) } else { Err(found.to_string()) }
    })
    .await
}

#[tokio::test]
async fn two_processes_keep_one_rate_limit_and_what_a_killed_one_leaves_goes_to_the_other() -> Result<()> {
    let scene = Scene::new().await?;
    let hook = scene.webhook("/rate", |hook| hook.rate_limit_per_second = Some(20)).await?;
    scene.queue(&hook, 1000).await?;
    let (one, two) = tokio::try_join!(scene.dispatcher(), scene.dispatcher())?;
    wait_for_two_claimants(&scene).await?;
    eventually("four seconds in which at least 70 % arrive", SOON, async || {
        match arriving(&scene, "/rate", Duration::from_secs(4)).await {
            56.. => Ok(()),
            few => Err(format!("{few} of 80")),
        }
    })
    .await?;
    two.kill();
    let marks = scene.store.collection::<Document>(names::RATE_SHARES);
    eventually("the dead one's mark to go", SOON, async || {
        let found = marks.find_one(doc! {}).await.map_err(|error| error.to_string())?.unwrap_or_default();
        let count = found.get_document("processes").map_or(0, Document::len);
        if count == 1 { Ok(()) } else { Err(format!("{count} marks")) }
    })
    .await?;
    eventually("two seconds in which nearly the whole arrives", SOON, async || {
        match arriving(&scene, "/rate", Duration::from_secs(2)).await {
            30.. => Ok(()),
            few => Err(format!("{few} of 40")),
        }
    })
    .await?;
    let received = scene.receiver.received_at("/rate");
    let most = most_in_a_window(&received);
    assert!(most <= 20, "{most} within {WINDOW:?}");
    one.stop().await
}

#[tokio::test]
async fn a_limit_of_one_a_second_holds_for_two_processes() -> Result<()> {
    let scene = Scene::new().await?;
    let hook = scene.webhook("/slowly", |hook| hook.rate_limit_per_second = Some(1)).await?;
    scene.queue(&hook, 50).await?;
    let (one, two) = tokio::try_join!(scene.dispatcher(), scene.dispatcher())?;
    let received = scene.receiver.wait_for_requests("/slowly", 5, SOON).await?;
    assert_eq!(most_in_a_window(&received), 1);
    one.stop().await?;
    two.stop().await?;
    // Whoever found the limit taken gave back what it held, and no attempt counts for it.
    assert_eq!(scene.count(doc! { "log.outcome": "interrupted" }).await?, 0);
    assert_eq!(scene.count(doc! { "lease": { "$exists": true } }).await?, 0);
    Ok(())
}

#[tokio::test]
async fn a_webhook_without_a_limit_costs_no_agreement() -> Result<()> {
    let scene = Scene::new().await?;
    let hook = scene.webhook("/free", |_| {}).await?;
    let dispatcher = scene.dispatcher().await?;
    scene.queue(&hook, 100).await?;
    scene.wait_for_count(doc! { "status": "delivered" }, 100).await?;
    let marks = scene.store.collection::<Document>(names::RATE_SHARES);
    assert_eq!(marks.count_documents(doc! {}).await?, 0);
    dispatcher.stop().await
}
