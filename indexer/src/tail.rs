//! Tailing: the stages joined up, from the stream to the recorder.
//!
//! Batches grow with the load: while one is being recorded, what is read meanwhile becomes the next, so that an idle
//! system records one change at once and a busy one about a thousand. Memory is bounded: beyond a number of parts on
//! their way nothing more is read.

mod past;
mod recording;

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bson::Timestamp;
use taskwire::mapping::Mapping;
use taskwire::store::Store;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::actor::Hall;
use crate::change::{Gone, What};
use crate::checkpoint::token_time;
use crate::fan_out::Versions;
use crate::judge::Judge;
use crate::lag::Tracker;
use crate::memory::{LoadError, Memory};
use crate::progress::{Position, Progress};
use crate::record::{Batch, RecordError, Recorder};
use crate::trouble::StreamEnd;
use crate::unit::{Assembler, Unit};
use crate::watch::Feed;
use recording::{record_all, wait_for};

/// The shortest sleep: what is overdue but may not leave yet is looked at again after it.
const TICK: Duration = Duration::from_millis(1);

/// So many bytes may wait to be recorded; beyond it nothing more is read.
const HALL_BYTES: usize = 4 * Batch::BYTES;

/// Why a tail ended.
#[derive(Debug, thiserror::Error)]
pub enum TailEnd {
    /// Asked to stop; the position is stored.
    #[error("stopped")]
    Stopped,
    /// The stream ended.
    #[error(transparent)]
    Stream(#[from] StreamEnd),
    /// Another collection took the place of the tasks. Everything before that is recorded, and the position is still before
    /// it: it moves on with the recovery of what differs.
    #[error("another collection was renamed onto the tasks")]
    TasksReplaced {
        /// When.
        at: Timestamp,
    },
    /// A batch could not be recorded.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// The past could not be read.
    #[error(transparent)]
    Load(#[from] LoadError),
}

/// How a tail goes about its work.
#[derive(Debug, Clone, Copy)]
pub struct TailOptions {
    /// The most events recorded in one transaction, unless one of the service's own is larger.
    pub batch_max: usize,
    /// How long an event may wait for its history row.
    pub actor_wait: Duration,
    /// How often the position is stored while nothing happens.
    pub idle_checkpoint: Duration,
    /// How long a stop waits for the batch under way.
    pub grace: Duration,
    /// Up to here a recovery has just compared the snapshots with the collection, and this tail begins there by time, so
    /// that the stream tells it again: a replacement of the tasks up to here asks for no other recovery.
    pub compared: Option<Timestamp>,
}

/// Everything between the stream and the recorder.
pub struct Tail {
    store: Store,
    mapping: Arc<Mapping>,
    options: TailOptions,
    judge: Judge,
    assembler: Assembler,
    memory: Memory,
    versions: Versions,
    hall: Hall,
    progress: Progress,
    tracker: Tracker,
    number: u64,
    /// Whether the server has more changes ready than it last sent: no silence yet.
    more: bool,
    /// The furthest position that nothing waits before, not yet stored.
    reached: Option<Position>,
    stored_at: Instant,
    batches: Option<mpsc::Sender<Batch>>,
    recording: usize,
    /// Nothing more is read; the tail ends so once what was read is recorded.
    ending: Option<TailEnd>,
}

impl Tail {
    /// A tail over `versions` as of the stored position.
    #[must_use]
    pub fn new(
        store: Store,
        mapping: Arc<Mapping>,
        versions: Versions,
        options: TailOptions,
        tracker: Tracker,
    ) -> Self {
        let database = store.db.name().to_owned();
        Self {
            judge: Judge::new(Arc::clone(&mapping), &database),
            memory: Memory::new(NonZeroUsize::new(Memory::CACHED).unwrap_or(NonZeroUsize::MIN)),
            hall: Hall::new(options.actor_wait),
            assembler: Assembler::default(),
            progress: Progress::default(),
            number: 0,
            more: false,
            reached: None,
            stored_at: Instant::now(),
            batches: None,
            recording: 0,
            ending: None,
            store,
            mapping,
            options,
            versions,
            tracker,
        }
    }

    /// Runs until something ends it.
    pub async fn run(
        mut self,
        mut feed: mpsc::Receiver<Feed>,
        recorder: Recorder,
        stop: &CancellationToken,
    ) -> TailEnd {
        let (batches, todo) = mpsc::channel(1);
        let (tell, mut recorded) = mpsc::channel(1);
        let recording = tokio::spawn(record_all(recorder, todo, tell));
        self.batches = Some(batches);
        let end = self.turn(&mut feed, &mut recorded, stop).await;
        self.batches = None;
        // A batch under way is finished: its outcome decides where the next term begins.
        let recorded = wait_for(recording, self.options.grace).await;
        match (end, recorded) {
            (TailEnd::Stopped, Err(error)) => error.into(),
            (end, _) => end,
        }
    }

    async fn turn(
        &mut self,
        feed: &mut mpsc::Receiver<Feed>,
        recorded: &mut mpsc::Receiver<Result<Batch, RecordError>>,
        stop: &CancellationToken,
    ) -> TailEnd {
        loop {
            let room = self.hall.len() < self.options.batch_max * 8 && self.hall.bytes() < HALL_BYTES;
            let expiry = self
                .hall
                .next_expiry()
                .map_or(Duration::from_secs(3600), |at| at.saturating_duration_since(Instant::now()).max(TICK));
            tokio::select! {
                biased;
                () = stop.cancelled() => {
                    // Beyond the grace the batch is left to the database: the position says whether it was recorded.
                    return tokio::time::timeout(self.options.grace, self.drain(recorded)).await.unwrap_or(TailEnd::Stopped);
                }
                done = recorded.recv() => match done {
                    Some(Ok(batch)) => self.on_recorded(&batch),
                    Some(Err(error)) => return error.into(),
                    None => return TailEnd::Stopped,
                },
                fed = feed.recv(), if room && self.ending.is_none() => match fed {
                    Some(fed) => if let Err(end) = self.on_feed(fed).await { return end },
                    None => return TailEnd::Stopped,
                },
                () = tokio::time::sleep(expiry), if self.recording == 0 => {}
            }
            self.hall.expire(Instant::now(), feed.is_empty() && !self.more);
            self.send(false).await;
            if self.ending.is_some()
                && let Some(end) = self.finish().await
            {
                return end;
            }
            if !room && self.recording == 0 {
                // Full, and nothing could leave: nothing more can be read, and nobody's row can come.
                self.hall.expire_all();
                self.send(false).await;
            }
        }
    }

    async fn on_feed(&mut self, fed: Feed) -> Result<(), TailEnd> {
        let mut units = Vec::new();
        let mut quiet = None;
        match fed {
            Feed::Changes { changes, more } => {
                self.more = more;
                changes.into_iter().for_each(|change| self.assembler.push(change, &mut units));
            }
            Feed::Quiet(mark) => {
                self.more = false;
                self.assembler.silence(&mut units);
                quiet = mark;
            }
            // What was read is recorded first, so that the next tail begins behind it. After all other ends it begins where
            // the stored position says.
            Feed::Ended(StreamEnd::Closed) => self.ending = Some(StreamEnd::Closed.into()),
            Feed::Ended(end) => return Err(end.into()),
        }
        if let Some(compared) = self.options.compared {
            units.retain(|unit| !replaces_the_tasks(unit) || unit.time() > compared);
        }
        if let Some(at) = units.iter().position(replaces_the_tasks) {
            self.ending = Some(TailEnd::TasksReplaced { at: units[at].time() });
            units.truncate(at);
        }
        self.load(&mut units).await?;
        let now = Instant::now();
        for unit in units {
            self.on_unit(unit, now);
        }
        if let Some(position) = self.progress.advance() {
            self.reach(position);
        }
        if let Some(mark) = quiet.filter(|_| self.progress.is_empty() && self.hall.is_empty())
            && let Some(time) = token_time(&mark)
        {
            self.reach(Position { token: Some(mark), time });
        }
        Ok(())
    }

    fn on_unit(&mut self, unit: Unit, now: Instant) {
        self.number += 1;
        let time = unit.time();
        let ends = unit.ends;
        let position = unit.token().cloned().filter(|_| ends).map(|token| Position { token: Some(token), time });
        self.tracker.read(time);
        let mut judged = self.judge.judge(unit, self.number, &mut self.memory, &mut self.versions);
        judged.part.read = Some(now);
        self.hall.stream_time(judged.part.ms);
        let parts = usize::from(!judged.part.is_empty());
        self.progress.read(self.number, position, parts);
        if let Some((at, _)) = judged.part.gone {
            self.hall.expire_all();
            self.memory.bury(at);
        }
        if parts > 0 {
            self.hall.enter(judged.part, now);
        }
        judged.approvals.iter().for_each(|approval| self.hall.approve(approval));
        for (row, at, ms) in judged.rows {
            if !self.hall.offer(&row, &self.mapping)
                && let Some(mut part) =
                    self.judge.tell_row((&row, at, ms), self.number, &mut self.memory, &self.versions)
            {
                part.read = Some(now);
                self.progress.also(self.number);
                self.hall.enter(part, now);
            }
        }
    }

    fn reach(&mut self, position: Position) {
        self.tracker.reach(position.time);
        self.reached = Some(position);
    }

    /// Sends the next batch to the recorder, if it is free and there is something to send.
    async fn send(&mut self, last: bool) {
        let Some(batches) = self.batches.clone().filter(|_| self.recording == 0) else { return };
        // An event and a delivery of it count as one of the batch's most; wider fan-out makes batches of fewer events.
        let parts = self.hall.leave(self.options.batch_max * 2);
        parts.iter().for_each(|part| self.progress.leaves(part.number));
        if let Some(position) = self.progress.advance() {
            self.reach(position);
        }
        let overdue = last || self.stored_at.elapsed() >= self.options.idle_checkpoint;
        if parts.is_empty() && !(overdue && self.reached.is_some()) {
            return;
        }
        self.recording = 1;
        let position = self.reached.take();
        // The recorder ends only by telling why; that is read next.
        let _gone = batches.send(Batch { parts, position, gap: None }).await;
    }

    fn on_recorded(&mut self, batch: &Batch) {
        self.recording = 0;
        self.stored_at = Instant::now();
        for part in &batch.parts {
            for snapshot in &part.snapshots {
                self.memory.recorded(&snapshot.id, part.number);
            }
        }
        if let Some(position) = &batch.position {
            self.tracker.stored(position.time);
            self.versions.prune(position.time);
        }
    }

    /// Nothing more is read: records all that was, also what waits for its row, and ends.
    async fn finish(&mut self) -> Option<TailEnd> {
        self.hall.expire_all();
        self.send(true).await;
        if self.recording == 0 { self.ending.take() } else { None }
    }

    /// Records what was read, then stops.
    async fn drain(&mut self, recorded: &mut mpsc::Receiver<Result<Batch, RecordError>>) -> TailEnd {
        // What still waits for its row stays behind: the position is before it, and the next leader reads both again.
        loop {
            self.send(true).await;
            if self.recording == 0 {
                return TailEnd::Stopped;
            }
            match recorded.recv().await {
                Some(Ok(batch)) => self.on_recorded(&batch),
                Some(Err(error)) => return error.into(),
                None => return TailEnd::Stopped,
            }
        }
    }
}

/// Whether another collection was renamed onto the tasks here.
fn replaces_the_tasks(unit: &Unit) -> bool {
    unit.changes.iter().any(|change| matches!(change.what, What::TasksGone(Gone::RenamedOnto)))
}
