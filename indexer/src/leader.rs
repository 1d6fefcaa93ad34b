//! Leading, term after term: stand by, take over, take the past in, tail; after any trouble begin again from the *stored*
//! position, with backoff.

use std::sync::Arc;
use std::time::{Duration, Instant};

use backoff::ExponentialBackoffBuilder;
use backoff::backoff::Backoff;
use taskwire::config::IndexerSettings;
use taskwire::store::{ServerClock, Store};
use taskwire::telemetry::{Readiness, StatusBoard};
use tokio_util::sync::CancellationToken;

use crate::bootstrap::{Bootstrap, load_versions};
use crate::checkpoint::Checkpoint;
use crate::dispatch::DispatchHandle;
use crate::lag::Tracker;
use crate::lease::{self, Held};
use crate::record::{RecordError, Recorder};
use crate::tail::{Tail, TailEnd, TailOptions};
use crate::trouble::{StreamEnd, describe};
use crate::watch;

/// A tail that lasted so long was no false start: the next trouble is waited for from the shortest pause on.
const STEADY: Duration = Duration::from_secs(5);

/// What a leader works with.
#[derive(Clone)]
pub struct Leader {
    /// The database.
    pub store: Store,
    /// The settings.
    pub settings: Arc<IndexerSettings>,
    /// The server's clock.
    pub clock: ServerClock,
    /// This process's name in the lease.
    pub owner: String,
    /// What `/readyz` answers.
    pub status: StatusBoard,
    /// Where the tail stands.
    pub tracker: Tracker,
    /// This process's dispatcher, which gets what was just recorded; `None`: deliver nothing here.
    pub dispatcher: Option<DispatchHandle>,
}

/// How a term ended.
enum TermEnd {
    Stopped,
    LostLease,
    Trouble { reason: String, by_time: bool, grave: bool },
}

impl Leader {
    /// Leads whenever it can, until stopped.
    pub async fn run(self, stop: CancellationToken) {
        let mut pause = ExponentialBackoffBuilder::new()
            .with_initial_interval(Duration::from_millis(100))
            .with_max_interval(Duration::from_secs(10))
            .with_max_elapsed_time(None)
            .build();
        while !stop.is_cancelled() {
            metrics::gauge!("taskwire_watcher_leader").set(0.0);
            let standing = || self.status.set(Readiness::Ready);
            let held = lease::stand_by(&self.store, &self.owner, self.settings.lease, &stop, standing).await;
            match held {
                Ok(None) => return,
                Ok(Some(held)) => {
                    metrics::gauge!("taskwire_watcher_leader").set(1.0);
                    self.term(held, &stop, &mut pause).await;
                    self.tracker.forget();
                }
                Err(error) => {
                    self.not_ready(format!("standing by: the database cannot be used: {}", describe(&error)), false);
                    wait(&mut pause, &stop).await;
                }
            }
        }
    }

    /// One epoch: tails again and again until the lease is lost or the process stops.
    async fn term(&self, held: Held, stop: &CancellationToken, pause: &mut impl Backoff) {
        let over = stop.child_token();
        let keeping = tokio::spawn(lease::keep(self.store.clone(), held.epoch, self.settings.lease, over.clone()));
        let mut by_time = false;
        loop {
            match self.tail(held.epoch, by_time, &over, pause).await {
                TermEnd::Stopped => break,
                TermEnd::LostLease => {
                    tracing::warn!(epoch = held.epoch, "another process leads now; standing by");
                    break;
                }
                TermEnd::Trouble { reason, by_time: next, grave } => {
                    by_time = next;
                    self.not_ready(reason, grave);
                    wait(pause, stop).await;
                }
            }
        }
        over.cancel();
        // The beat's task ends at the cancellation; its last renewal must not come after the release.
        let _ended = keeping.await;
        lease::release(&self.store, held.epoch).await;
    }

    /// Says once why this process cannot do its work: a repeat of the same reason, with no answer of the stream between,
    /// is no news.
    fn not_ready(&self, reason: String, grave: bool) {
        let readiness = Readiness::NotReady(reason);
        if self.status.get() == readiness {
            return;
        }
        if let Readiness::NotReady(reason) = &readiness {
            if grave {
                tracing::error!(reason, "nothing can be read until this is mended; trying again meanwhile");
            } else {
                tracing::warn!(reason, "trouble; going on from the stored position");
            }
        }
        self.status.set(readiness);
    }

    /// From the stored position on, until something ends it.
    async fn tail(&self, epoch: i64, by_time: bool, stop: &CancellationToken, pause: &mut impl Backoff) -> TermEnd {
        match self.try_tail(epoch, by_time, stop, pause).await {
            Ok(end) => end,
            Err(RecordError::Fenced { .. }) => TermEnd::LostLease,
            Err(error) => trouble(&error),
        }
    }

    async fn try_tail(
        &self,
        epoch: i64,
        by_time: bool,
        stop: &CancellationToken,
        pause: &mut impl Backoff,
    ) -> Result<TermEnd, RecordError> {
        let fenced = || RecordError::Fenced { epoch };
        let mut session = lease::session(&self.store, epoch).await?.ok_or_else(fenced)?;
        let mut checkpoint =
            Checkpoint::read(&self.store).await?.filter(|now| now.epoch == epoch).ok_or_else(fenced)?;
        let mapping = &self.settings.common.mapping;
        if !checkpoint.bootstrapped {
            self.status.set(Readiness::NotReady("first start: taking in the tasks as they are".into()));
            match Bootstrap::new(&self.store, mapping, checkpoint, &mut session).run(stop).await? {
                Some(done) => checkpoint = done,
                None => return Ok(TermEnd::Stopped),
            }
        }
        let hash = watch::pipeline_hash(mapping);
        let Some(mut position) = checkpoint.position() else {
            return Ok(trouble(
                &"the stored position in watcherCheckpoints has no time: restore the document from a backup",
            ));
        };
        if by_time || checkpoint.pipeline.as_ref().is_some_and(|stored| *stored != hash) {
            tracing::info!("going on by cluster time: the stored token cannot be used; the overlap is dropped");
            position.token = None;
        }
        let versions = load_versions(&self.store, position.time).await?;
        self.clock.calibrate(&self.store.db).await?;
        let (store, clock, dispatcher) = (self.store.clone(), self.clock.clone(), self.dispatcher.clone());
        let recorder = Recorder::new(store, Arc::clone(mapping), clock, &checkpoint, hash, session, dispatcher)
            .telling(self.status.clone());
        let options = TailOptions {
            batch_max: self.settings.batch_max,
            actor_wait: self.settings.actor_wait,
            idle_checkpoint: self.settings.idle_checkpoint,
            grace: self.settings.grace,
        };
        self.tracker.stored(position.time);
        let tail = Tail::new(self.store.clone(), Arc::clone(mapping), versions, options, self.tracker.clone());
        let reading = stop.child_token();
        let feed = watch::start(
            self.store.clone(),
            Arc::clone(mapping),
            &position,
            self.settings.stream_await,
            reading.clone(),
            {
                let status = self.status.clone();
                move || status.set(Readiness::Ready)
            },
        );
        let begun = Instant::now();
        let end = tail.run(feed, recorder, stop).await;
        if begun.elapsed() > STEADY {
            pause.reset();
        }
        reading.cancel();
        Ok(match end {
            TailEnd::Stopped => TermEnd::Stopped,
            TailEnd::Record(error) => return Err(error),
            TailEnd::Load(error) => trouble(&error),
            // The position is before it; it moves on with a recovery.
            TailEnd::TasksReplaced { .. } => trouble(&end),
            TailEnd::Stream(end) => after_stream(&end),
        })
    }
}

/// What follows the stream's end, by its kind.
fn after_stream(end: &StreamEnd) -> TermEnd {
    let by_time = match end {
        StreamEnd::TokenRefused(_) => true,
        StreamEnd::PositionLost(_)
        | StreamEnd::NotAllowed(_)
        | StreamEnd::TooLarge(_)
        | StreamEnd::Unsuited(_)
        | StreamEnd::Closed
        | StreamEnd::Broken(_) => false,
    };
    TermEnd::Trouble { reason: end.to_string(), by_time, grave: end.is_grave() }
}

fn trouble(reason: &impl ToString) -> TermEnd {
    TermEnd::Trouble { reason: reason.to_string(), by_time: false, grave: false }
}

async fn wait(pause: &mut impl Backoff, stop: &CancellationToken) {
    let length = pause.next_backoff().unwrap_or(Duration::from_secs(10));
    tokio::select! {
        () = stop.cancelled() => {}
        () = tokio::time::sleep(length) => {}
    }
}
