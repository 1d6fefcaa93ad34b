//! Leading, term after term: stand by, take over, take the past in, tail; after any trouble begin again from the *stored*
//! position, with backoff.

use std::sync::Arc;
use std::time::{Duration, Instant};

use backoff::ExponentialBackoffBuilder;
use backoff::backoff::Backoff;
use bson::Timestamp;
use taskwire::config::{IndexerSettings, OnGap};
use taskwire::model::EventKind;
use taskwire::store::{ServerClock, Store};
use taskwire::telemetry::{Readiness, StatusBoard};
use tokio_util::sync::CancellationToken;

use crate::bootstrap::{Bootstrap, load_versions};
use crate::checkpoint::Checkpoint;
use crate::dispatch::DispatchHandle;
use crate::fan_out::Versions;
use crate::gap::{Gap, GapState, Reason, Wanted};
use crate::lag::Tracker;
use crate::lease::{self, Held};
use crate::progress::Position;
use crate::record::{RecordError, Recorder};
use crate::recover::Recovery;
use crate::retention;
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
    Trouble { reason: String, next: Next, grave: bool },
}

/// How the next tail begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Next {
    /// After the stored token.
    AfterToken,
    /// By the stored position's time: the token is of no use.
    ByTime,
    /// With the recovery of a gap.
    Recover(Reason),
}

impl Leader {
    /// Leads whenever it can, until stopped.
    pub async fn run(self, stop: CancellationToken) {
        begin_counters();
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
        let clock = self.clock.clone();
        tokio::spawn(retention::sweep(self.store.clone(), clock, self.settings.retention, over.clone()));
        let mut next = Next::AfterToken;
        while !over.is_cancelled() {
            match self.tail(held.epoch, next, &over, pause).await {
                TermEnd::Stopped => break,
                TermEnd::LostLease => over.cancel(),
                TermEnd::Trouble { reason, next: then, grave } => {
                    next = then;
                    self.not_ready(reason, grave);
                    wait(pause, &over).await;
                }
            }
        }
        if over.is_cancelled() && !stop.is_cancelled() {
            tracing::warn!(epoch = held.epoch, "another process leads now; standing by");
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
    async fn tail(&self, epoch: i64, next: Next, stop: &CancellationToken, pause: &mut impl Backoff) -> TermEnd {
        match self.try_tail(epoch, next, stop, pause).await {
            Ok(end) => end,
            Err(RecordError::Fenced { .. }) => TermEnd::LostLease,
            Err(error) => trouble(&error),
        }
    }

    async fn try_tail(
        &self,
        epoch: i64,
        next: Next,
        stop: &CancellationToken,
        pause: &mut impl Backoff,
    ) -> Result<TermEnd, RecordError> {
        let fenced = || RecordError::Fenced { epoch };
        let mut session = lease::session(&self.store, epoch).await?.ok_or_else(fenced)?;
        let mut checkpoint =
            Checkpoint::read(&self.store).await?.filter(|now| now.epoch == epoch).ok_or_else(fenced)?;
        let (store, mapping) = (&self.store, &self.settings.common.mapping);
        self.clock.calibrate(&store.db).await?;
        if !checkpoint.bootstrapped {
            let bootstrap = Bootstrap::new(store, mapping, &self.clock, &self.status, checkpoint, &mut session);
            match bootstrap.run(stop).await? {
                Some(done) => checkpoint = done,
                None => return Ok(TermEnd::Stopped),
            }
        }
        let hash = watch::pipeline_hash(mapping);
        let Some(mut position) = checkpoint.position() else {
            return Ok(trouble(
                &"the stored position in watcherCheckpoints has no time: restore the document from a backup, or set one with \
                 taskwire-indexer checkpoint reset",
            ));
        };
        let mut compared = None;
        let mut versions = load_versions(store, position.time).await?;
        let (clock, dispatcher) = (self.clock.clone(), self.dispatcher.clone());
        let mut recorder =
            Recorder::new(store.clone(), Arc::clone(mapping), clock, &checkpoint, hash.clone(), session, dispatcher)
                .telling(self.status.clone());
        if let Some(wanted) = self.wanted(&checkpoint, next, position.time) {
            match self.recover(&mut recorder, wanted, position.time, &mut versions, stop).await? {
                Some(behind) => {
                    compared = Some(behind.time);
                    position = behind;
                }
                None => return Ok(TermEnd::Stopped),
            }
        } else if let Next::Recover(reason) = next {
            return Ok(self.leave_open(reason, position.time).await?);
        } else if next == Next::ByTime || checkpoint.pipeline.as_ref().is_some_and(|stored| *stored != hash) {
            tracing::info!("going on by cluster time: the stored token cannot be used; the overlap is dropped");
            position.token = None;
        }
        versions.prune(position.time);
        let end = self.follow(recorder, versions, &position, compared, stop, pause).await;
        Ok(match end {
            TailEnd::Stopped => TermEnd::Stopped,
            TailEnd::Record(error) => return Err(error),
            TailEnd::Load(error) => trouble(&error),
            // The position is before it, and moves on with the recovery.
            TailEnd::TasksReplaced { .. } => {
                TermEnd::Trouble { reason: end.to_string(), next: Next::Recover(Reason::Renamed), grave: false }
            }
            TailEnd::Stream(end) => after_stream(&end, &position),
        })
    }

    /// Tails from `position` on until something ends it.
    async fn follow(
        &self,
        recorder: Recorder,
        versions: Versions,
        position: &Position,
        compared: Option<Timestamp>,
        stop: &CancellationToken,
        pause: &mut impl Backoff,
    ) -> TailEnd {
        let mapping = &self.settings.common.mapping;
        let options = TailOptions {
            batch_max: self.settings.batch_max,
            actor_wait: self.settings.actor_wait,
            idle_checkpoint: self.settings.idle_checkpoint,
            grace: self.settings.grace,
            compared,
        };
        self.tracker.stored(position.time);
        let tail = Tail::new(self.store.clone(), Arc::clone(mapping), versions, options, self.tracker.clone());
        let (reading, wait) = (stop.child_token(), self.settings.stream_await);
        let status = self.status.clone();
        let ready = move || status.set(Readiness::Ready);
        let feed = watch::start(self.store.clone(), Arc::clone(mapping), position, wait, reading.clone(), ready);
        let begun = Instant::now();
        let end = tail.run(feed, recorder, stop).await;
        if begun.elapsed() > STEADY {
            pause.reset();
        }
        reading.cancel();
        end
    }

    /// The recovery that is under way, asked for, or needed; `None` also where a gap is to be left as it is.
    fn wanted(&self, checkpoint: &Checkpoint, next: Next, from: Timestamp) -> Option<Wanted> {
        checkpoint.gap.clone().or(match (next, self.settings.on_gap) {
            (Next::Recover(requested), OnGap::Recover) => Some(Wanted::Requested { requested, from }),
            (Next::Recover(_), OnGap::Stop) | (Next::AfterToken | Next::ByTime, _) => None,
        })
    }

    async fn recover(
        &self,
        recorder: &mut Recorder,
        wanted: Wanted,
        from: Timestamp,
        versions: &mut Versions,
        stop: &CancellationToken,
    ) -> Result<Option<Position>, RecordError> {
        let (store, mapping) = (&self.store, &self.settings.common.mapping);
        let mut recovery = Recovery {
            store,
            mapping,
            clock: &self.clock,
            status: &self.status,
            recorder,
            batch_max: self.settings.batch_max,
        };
        let gap = match wanted {
            Wanted::UnderWay(id) => match Gap::read(store, &id).await? {
                Some(gap) => gap,
                // Its record was removed by hand: begun anew, what was told already has its snapshots.
                None => recovery.begin(Reason::Oplog, from, versions).await?,
            },
            Wanted::Requested { requested, from } => recovery.begin(requested, from, versions).await?,
        };
        recovery.run(gap, versions, stop).await
    }

    /// `TASKWIRE_ON_GAP=stop`: says so, and looks again whether an operator has decided.
    async fn leave_open(&self, reason: Reason, from: Timestamp) -> mongodb::error::Result<TermEnd> {
        let gap = Gap::found(reason, from, from, self.clock.now(), GapState::Open);
        let text = format!(
            "{}, and TASKWIRE_ON_GAP is stop: nothing is recorded; restart with TASKWIRE_ON_GAP=recover to have the \
             differences told, or choose a position with taskwire-indexer checkpoint reset",
            reason.describe()
        );
        gap.keep_open(&self.store).await?;
        Ok(TermEnd::Trouble { reason: text, next: Next::Recover(reason), grave: true })
    }
}

/// Begins each counter of the stream at 0: of one that first appears as 1, no increase is ever seen.
fn begin_counters() {
    use metrics::{counter, describe_counter, describe_gauge};
    describe_gauge!("taskwire_watcher_leader", "1 while this process leads, else 0");
    describe_counter!("taskwire_changes_read_total", "Changes that the stream brought");
    describe_counter!("taskwire_events_derived_total", "Events recorded");
    describe_counter!("taskwire_gaps_recovered_total", "Gaps in the stream whose differences were told");
    describe_counter!("taskwire_events_removed_total", "Events that were kept long enough");
    describe_counter!("taskwire_quarantined_changes_total", "Changes put aside because they could not be understood");
    for kind in EventKind::ALL {
        counter!("taskwire_events_derived_total", "event_type" => kind.name()).increment(0);
    }
    for name in ["taskwire_changes_read_total", "taskwire_gaps_recovered_total", "taskwire_quarantined_changes_total"] {
        counter!(name).increment(0);
    }
}

/// What follows the stream's end, by its kind. `position` is where it was opened.
fn after_stream(end: &StreamEnd, position: &Position) -> TermEnd {
    let next = match end {
        StreamEnd::TokenRefused(_) | StreamEnd::PositionLost(_) if position.token.is_some() => Next::ByTime,
        StreamEnd::PositionLost(_) => Next::Recover(Reason::Oplog),
        StreamEnd::TokenRefused(_)
        | StreamEnd::NotAllowed(_)
        | StreamEnd::TooLarge(_)
        | StreamEnd::Unsuited(_)
        | StreamEnd::Closed
        | StreamEnd::Broken(_) => Next::AfterToken,
    };
    TermEnd::Trouble { reason: end.to_string(), next, grave: end.is_grave() }
}

fn trouble(reason: &impl ToString) -> TermEnd {
    TermEnd::Trouble { reason: reason.to_string(), next: Next::AfterToken, grave: false }
}

async fn wait(pause: &mut impl Backoff, stop: &CancellationToken) {
    let length = pause.next_backoff().unwrap_or(Duration::from_secs(10));
    tokio::select! {
        () = stop.cancelled() => {}
        () = tokio::time::sleep(length) => {}
    }
}
