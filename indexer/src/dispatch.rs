//! Delivers: holds rows under leases, POSTs them, and writes what came of it.
//!
//! Rows come in two ways. The `feed` claims due rows from the queue in the database; the recorder of this process hands
//! over what it has just committed under a lease of ours ([`DispatchHandle::reserve`], [`DispatchHandle::lease`],
//! [`DispatchHandle::hand_over`]); one that keeps an order waits in its task's `chain` first. Either way a row stands in its
//! webhook's `lane` until the `board` gives it its turn;
//! the `engine` then asks the `view` whether its webhook may still be sent to, makes one attempt, and leaves the outcome
//! to the `writer`, which writes outcomes in groups. `shares` agrees with other processes on parts of rate limits.
//!
//! Invariants: a row is attempted only under a lease whose end is far enough; an outcome is written only where the lease's
//! token still stands; no attempt starts on a view older than a second; nothing here waits for one webhook on behalf of
//! another; memory is bounded by the slots, not by the backlog.

mod board;
mod chain;
mod clock;
mod disable;
mod drain;
mod engine;
mod feed;
mod handle;
mod health;
mod in_order;
mod job;
mod lane;
mod meters;
mod notices;
mod parcel;
mod shares;
mod statement;
mod stats;
mod told;
mod view;
mod writer;

use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bson::oid::ObjectId;
use taskwire::client::{ClientError, TargetClient};
use taskwire::config::IndexerSettings;
use taskwire::model::DocId;
use taskwire::store::{ServerClock, Store, describe};
use taskwire::target::Opener;
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use self::board::Board;
use self::clock::Clocks;
use self::engine::Engine;
use self::feed::Feeder;
use self::health::HealthBoard;
use self::meters::Meters;
use self::stats::StatsBoard;
use self::view::{Looker, View};
use self::writer::{FreedTasks, Writer};

pub use self::handle::{DispatchHandle, HandedOver, LeaseGrant, Slot};
pub use self::meters::Tally;
pub use self::parcel::Parcel;
pub use self::view::FRESH_FOR;

/// How often the webhooks are looked at.
const LOOK: Duration = Duration::from_millis(300);

/// How often failing webhooks are counted, and how many at most.
const FAILING: Duration = Duration::from_secs(15);
const FAILING_MOST: i64 = 10_000;

/// How often health is written.
const HEALTH: Duration = Duration::from_secs(1);

/// Starts delivering. After `stop`, nothing new is begun; what is in flight has the grace to end, what is held is released,
/// and the outcomes are written; then the returned task ends.
///
/// Call it inside a Tokio runtime, after the metrics' recorder is installed.
///
/// # Errors
/// [`ClientError`], for instance a file of roots that cannot be read.
pub fn start(
    store: &Store,
    settings: &IndexerSettings,
    clock: ServerClock,
    stop: CancellationToken,
) -> Result<(DispatchHandle, JoinHandle<()>), ClientError> {
    start_for(store, settings, clock, None, stop)
}

/// The same for the webhooks of one group only, if one is given.
///
/// # Errors
/// As [`start`].
pub fn start_for(
    store: &Store,
    settings: &IndexerSettings,
    clock: ServerClock,
    group: Option<DocId>,
    stop: CancellationToken,
) -> Result<(DispatchHandle, JoinHandle<()>), ClientError> {
    let client = TargetClient::new(&settings.client)?;
    let (sender, statements) = mpsc::channel(writer::WAITING);
    let engine = Arc::new(Engine {
        store: store.clone(),
        clock,
        view: View::new(),
        meters: Meters::new(),
        health: HealthBoard::default(),
        stats: StatsBoard::default(),
        clocks: Clocks::default(),
        alerts: settings.alerts,
        disable_failing_after: settings.disable_failing_after,
        more: Arc::new(Notify::new()),
        lacks_share: Notify::new(),
        workers: TaskTracker::new(),
        cut_off: CancellationToken::new(),
        client,
        statements: sender,
        retry_after_cap: settings.retry_after_cap,
        retention: settings.retention,
        board: Mutex::new(Board::new(settings.max_in_flight, settings.max_in_flight_per_webhook)),
        chains: Arc::default(),
    });
    let freed = Arc::new(FreedTasks::default());
    let writer = Writer {
        store: store.clone(),
        statements,
        chains: Arc::clone(&engine.chains),
        freed: Arc::clone(&freed),
        more: Arc::clone(&engine.more),
        finish: CancellationToken::new(),
        abandon: CancellationToken::new(),
    };
    let opener = Opener { keys: Arc::clone(&settings.common.master_keys), policy: settings.common.targets.clone() };
    let handle = DispatchHandle::of(Arc::clone(&engine));
    let parts = Parts { engine, writer, freed, opener, group, grace: settings.grace };
    Ok((handle, tokio::spawn(parts.run(stop))))
}

/// The dispatcher's tasks.
struct Parts {
    engine: Arc<Engine>,
    writer: Writer,
    freed: Arc<FreedTasks>,
    opener: Opener,
    group: Option<DocId>,
    grace: Duration,
}

impl Parts {
    async fn run(self, stop: CancellationToken) {
        let engine = self.engine;
        let (finish, abandon) = (self.writer.finish.clone(), self.writer.abandon.clone());
        let mut writer = tokio::spawn(self.writer.run());
        let looker = Looker::new(engine.store.clone(), self.opener);
        let looks = tokio::spawn(keep_looking(Arc::clone(&engine), looker.clone(), stop.clone()));
        let feeder = Feeder {
            engine: Arc::clone(&engine),
            looker,
            freed: Arc::clone(&self.freed),
            contended: AtomicBool::new(false),
            group: self.group,
        };
        let feed = tokio::spawn(feeder.run(stop.clone()));
        let watch = tokio::spawn(keep_reporting(Arc::clone(&engine), stop.clone()));
        let sharing = tokio::spawn(shares::keep_sharing(Arc::clone(&engine), stop.clone()));
        let turning = tokio::spawn(chain::keep_turning(Arc::clone(&engine), self.freed, stop.clone()));

        stop.cancelled().await;
        let deadline = tokio::time::Instant::now() + self.grace;
        let held = engine.board().close();
        let waiting = engine.chains.stop();
        let released = held.len() + waiting.len();
        // Each step is bounded by the grace: a database that does not answer must not keep the process.
        let _ =
            tokio::time::timeout_at(deadline, async { tokio::join!(engine.release(held), engine.give_back(waiting)) })
                .await;
        let _ = tokio::time::timeout_at(deadline, async { tokio::join!(feed, looks, watch, sharing, turning) }).await;
        engine.workers.close();
        if tokio::time::timeout_at(deadline, engine.workers.wait()).await.is_err() {
            tracing::warn!("requests still in flight after the grace are cut off; they will count as interrupted");
            engine.cut_off.cancel();
            engine.workers.wait().await;
        }
        finish.cancel();
        // At least a moment for the outcomes of what ended last.
        let last = deadline.max(tokio::time::Instant::now() + Duration::from_secs(5));
        if tokio::time::timeout_at(last, &mut writer).await.is_err() {
            abandon.cancel();
            let _ = writer.await;
        }
        let _ = tokio::time::timeout_at(last, engine.health.flush(&engine.store)).await;
        let _ = tokio::time::timeout_at(last, engine.stats.flush(&engine.store)).await;
        tracing::info!(released, "the dispatcher has stopped");
    }
}

/// Keeps the view fresh, releases what is held of webhooks that may no longer be sent to, and starts what may start now.
async fn keep_looking(engine: Arc<Engine>, mut looker: Looker, stop: CancellationToken) {
    let mut every = tokio::time::interval(LOOK);
    every.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut was_failing = false;
    loop {
        tokio::select! {
            _ = every.tick() => {}
            () = stop.cancelled() => return,
        }
        match looker.look(&engine.view, engine.clock.now()).await {
            Ok(changed) => {
                if was_failing {
                    tracing::info!("the webhooks can be read again");
                }
                was_failing = false;
                take_changes(&engine, changed).await;
            }
            Err(error) => {
                if !was_failing {
                    tracing::warn!(
                        error = describe(&error),
                        "the webhooks cannot be read: no attempt starts until they can"
                    );
                }
                was_failing = true;
            }
        }
    }
}

async fn take_changes(engine: &Arc<Engine>, changed: Vec<ObjectId>) {
    let any = !changed.is_empty();
    for webhook in changed {
        if engine.view.sendable(webhook).is_none() {
            let held = engine.board().drain(webhook);
            engine.release(held).await;
        }
    }
    if any {
        engine.more.notify_one();
    }
    engine.kick();
}

async fn keep_reporting(engine: Arc<Engine>, stop: CancellationToken) {
    let health = async {
        let mut every = tokio::time::interval(HEALTH);
        loop {
            every.tick().await;
            engine.stats.flush(&engine.store).await;
            let failed = engine.health.flush(&engine.store).await;
            let limit = engine.disable_failing_after;
            if let Err(error) = disable::failing(&engine.store, &engine.clock, &failed, limit).await {
                tracing::debug!(error = describe(&error), "whether webhooks fail for too long could not be judged");
            }
        }
    };
    let failing = async {
        let mut every = tokio::time::interval(FAILING);
        loop {
            every.tick().await;
            if let Ok(failing) = taskwire::store::health::failing(&engine.store, FAILING_MOST).await {
                // Those that are disabled or deleted are nobody's trouble any more.
                let live = failing.into_iter().filter(|webhook| engine.view.sendable(*webhook).is_some()).count();
                #[allow(clippy::cast_precision_loss, reason = "at most FAILING_MOST")]
                metrics::gauge!("taskwire_webhooks_failing").set(live as f64);
            }
        }
    };
    tokio::select! {
        () = failing => {}
        () = engine.meters.watch_queue(&engine.store, &engine.clock) => {}
        () = health => {}
        () = notices::keep_telling(&engine) => {}
        () = stop.cancelled() => {}
    }
}
