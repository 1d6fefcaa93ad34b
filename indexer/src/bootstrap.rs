//! The first start: the past is taken in, and nothing is told of it.
//!
//! A point in time T0 is fixed first; webhooks are read as of T0. Then the tasks are scanned, several ranges of `_id` side by
//! side, in chunks, each chunk as of its own T (a snapshot read). Each chunk's snapshots are recorded together with how far
//! its range has come, in one fenced transaction, so that a kill resumes the scan where it was. The stream is then tailed
//! from T0 on: a change not after its task's T is in the snapshot already and is dropped by the fold.

mod reader;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bson::raw::cstr;
use bson::{Bson, DateTime, Document, RawArrayBuf, RawDocumentBuf, Timestamp, doc, rawdoc};
use mongodb::ClientSession;
use serde::{Deserialize, Serialize};
use taskwire::mapping::Mapping;
use taskwire::model::{DocId, StreamTime, Version, Webhook};
use taskwire::store::mutes::Mute;
use taskwire::store::{ServerClock, Store, describe_document, names};
use taskwire::telemetry::{Readiness, StatusBoard};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::checkpoint::{Checkpoint, WATCHER};
use crate::fan_out::Versions;
use crate::gap::{Reason, Wanted};
use crate::lag::cluster_time;
use crate::record::{RecordError, by_command, replace_statement};
use crate::scan::{self, Query, Range};
use reader::Taken;

/// Ranges that are read side by side. Recording is one after the other, and is what takes longest.
const READERS: usize = 4;
/// A collection of fewer tasks is one range.
const SMALL: i64 = 2 * scan::CHUNK;
/// How often progress is told in the log.
const TELL_EVERY: Duration = Duration::from_secs(5);

/// How far a first start has come, in the position's document.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Scan {
    /// Tasks taken in.
    pub done: i64,
    /// Tasks there were at its beginning, about.
    pub total: i64,
    /// When it began.
    pub started_at: DateTime,
    /// The ranges, in order.
    pub ranges: Vec<Range>,
}

/// A first start in the name of one epoch.
pub struct Bootstrap<'a> {
    store: &'a Store,
    mapping: &'a Arc<Mapping>,
    clock: &'a ServerClock,
    status: &'a StatusBoard,
    checkpoint: Checkpoint,
    session: &'a mut ClientSession,
}

impl<'a> Bootstrap<'a> {
    /// Goes on from `checkpoint`, with the session that the lease names.
    #[must_use]
    pub fn new(
        store: &'a Store,
        mapping: &'a Arc<Mapping>,
        clock: &'a ServerClock,
        status: &'a StatusBoard,
        checkpoint: Checkpoint,
        session: &'a mut ClientSession,
    ) -> Self {
        Self { store, mapping, clock, status, checkpoint, session }
    }

    /// Takes the past in. `None` if stopped halfway; a later start goes on. Where snapshots stand already, although the
    /// position's document is new, the past is not taken in but a recovery is asked for.
    ///
    /// # Errors
    /// [`RecordError::Fenced`] if another process leads; else the driver's.
    pub async fn run(mut self, stop: &CancellationToken) -> Result<Option<Checkpoint>, RecordError> {
        let mut scan = match self.checkpoint.scan.take() {
            Some(scan) => scan,
            None => {
                if let Some(last) = self.last_told().await? {
                    return self.ask_for_recovery(last).await.map(Some);
                }
                self.begin().await?
            }
        };
        tracing::info!(
            total = scan.total,
            done = scan.done,
            "first start: taking in the tasks as they are; nothing is told of the past"
        );
        if !self.take_in(&mut scan, stop).await? {
            return Ok(None);
        }
        self.commit(doc! { "bootstrapped": true, "scan": Bson::Null }, Vec::new()).await?;
        self.checkpoint.bootstrapped = true;
        tracing::info!(done = scan.done, "first start: complete");
        Ok(Some(self.checkpoint))
    }

    /// Where snapshots stand: the time of the newest event, or the earliest there is.
    async fn last_told(&self) -> Result<Option<Timestamp>, RecordError> {
        if self.store.collection::<Document>(names::SNAPSHOTS).find_one(doc! {}).await?.is_none() {
            return Ok(None);
        }
        let events = self.store.collection::<Document>(names::EVENTS);
        let newest = events.find_one(doc! {}).sort(doc! { "_id": -1 }).projection(doc! { "clusterTime": 1 }).await?;
        let time = newest.and_then(|event| event.get_timestamp("clusterTime").ok());
        Ok(Some(time.unwrap_or(Timestamp { time: 0, increment: 0 })))
    }

    async fn ask_for_recovery(mut self, from: Timestamp) -> Result<Checkpoint, RecordError> {
        tracing::error!("snapshots stand, but the stored position is gone: what happened since is recovered as a gap");
        let wanted = Wanted::Requested { requested: Reason::Position, from };
        let set = doc! { "time": from, "bootstrapped": true, "gap": bson::serialize_to_bson(&wanted)? };
        self.commit(set, Vec::new()).await?;
        self.checkpoint.bootstrapped = true;
        self.checkpoint.time = Some(from);
        self.checkpoint.gap = Some(wanted);
        Ok(self.checkpoint)
    }

    /// Fixes T0, the webhooks as of T0, and the ranges.
    async fn begin(&mut self) -> Result<Scan, RecordError> {
        let time = cluster_time(self.store).await?;
        let mut documents = Vec::new();
        for version in versions_as_of(self.store, time).await? {
            documents.push((names::WEBHOOK_VERSIONS, raw_version(&version)?));
        }
        let collection = &self.mapping.task.collection;
        let total = self.store.collection::<Document>(collection).estimated_document_count().await?;
        let total = i64::try_from(total).unwrap_or(i64::MAX);
        let parts = if total < SMALL { 1 } else { READERS };
        let ranges = scan::ranges(self.store, collection, parts).await?;
        let scan = Scan { done: 0, total, started_at: self.clock.now(), ranges };
        self.commit(doc! { "time": time, "scan": bson::serialize_to_bson(&scan)? }, documents).await?;
        self.checkpoint.time = Some(time);
        Ok(scan)
    }

    /// Scans what is left; false if stopped first.
    async fn take_in(&mut self, scan: &mut Scan, stop: &CancellationToken) -> Result<bool, RecordError> {
        let (found, mut taken) = mpsc::channel(1);
        let mut readers = JoinSet::new();
        for (nth, range) in scan.ranges.iter().enumerate().filter(|(_, range)| !range.done) {
            let (store, mapping) = (self.store.clone(), Arc::clone(self.mapping));
            readers.spawn(reader::read(store, mapping, nth, range.clone(), found.clone(), stop.clone()));
        }
        drop(found);
        let recorded = self.record_all(scan, &mut taken).await;
        // Readers end by themselves once nobody takes what they read.
        drop(taken);
        let mut complete = true;
        let mut broken = None;
        while let Some(read) = readers.join_next().await {
            match read {
                Ok(Ok(to_the_end)) => complete &= to_the_end,
                Ok(Err(error)) => broken = Some(error),
                Err(panic) => broken = Some(std::io::Error::other(panic.to_string()).into()),
            }
        }
        recorded?;
        broken.map_or(Ok(complete), |error| Err(error.into()))
    }

    async fn record_all(&mut self, scan: &mut Scan, taken: &mut mpsc::Receiver<Taken>) -> Result<(), RecordError> {
        let mut meter = Meter::new(scan.done);
        self.tell(scan, &mut meter);
        while let Some(chunk) = taken.recv().await {
            self.record_chunk(scan, chunk).await?;
            self.tell(scan, &mut meter);
        }
        Ok(())
    }

    fn tell(&self, scan: &Scan, meter: &mut Meter) {
        let Scan { done, total, .. } = *scan;
        progress_gauges("bootstrap", done, total);
        self.status.set(Readiness::NotReady(format!("first start: {done} of about {total} tasks taken in")));
        if let Some(rate) = meter.due(done) {
            let left = total.saturating_sub(done).max(0) / rate.max(1);
            tracing::info!(done, total, per_second = rate, seconds_left = left, "first start: tasks taken in");
        }
    }

    async fn record_chunk(&mut self, scan: &mut Scan, chunk: Taken) -> Result<(), RecordError> {
        let Some(range) = scan.ranges.get_mut(chunk.range) else { return Ok(()) };
        range.reach(chunk.last);
        scan.done += chunk.tasks;
        let place = format!("scan.ranges.{}", chunk.range);
        let set = doc! { place: bson::serialize_to_bson(range)?, "scan.done": scan.done };
        let inserts = chunk.snapshots.into_iter();
        let mut commands: Vec<RawDocumentBuf> =
            inserts.map(|documents| rawdoc! { "insert": names::SNAPSHOTS, "documents": documents }).collect();
        commands.extend(put(names::QUARANTINE, &chunk.aside));
        self.write(set, commands).await
    }

    /// One fenced transaction: what was read and how far it came.
    async fn commit(&mut self, set: Document, documents: Vec<(&str, RawDocumentBuf)>) -> Result<(), RecordError> {
        let documents: Vec<RawDocumentBuf> = documents.into_iter().map(|(_, document)| document).collect();
        self.write(set, put(names::WEBHOOK_VERSIONS, &documents)).await
    }

    /// A commit whose outcome is unknown ends this tail; the next one reads how far the scan has come.
    async fn write(&mut self, set: Document, commands: Vec<RawDocumentBuf>) -> Result<(), RecordError> {
        self.session.start_transaction().await?;
        if let Err(error) = self.fill(set, commands).await {
            // The server drops an abandoned transaction by itself; the reason to tell is the first error.
            let _aborted = self.session.abort_transaction().await;
            return Err(error);
        }
        self.session.commit_transaction().await?;
        self.checkpoint.batch += 1;
        Ok(())
    }

    async fn fill(&mut self, set: Document, commands: Vec<RawDocumentBuf>) -> Result<(), RecordError> {
        let fence = doc! { "_id": WATCHER, "epoch": self.checkpoint.epoch, "batch": self.checkpoint.batch };
        let update = doc! { "$set": set, "$inc": { "batch": 1i64 } };
        let checkpoints = self.store.collection::<Document>(names::CHECKPOINTS);
        let moved = checkpoints.update_one(fence, update).session(&mut *self.session).await?;
        if moved.matched_count == 0 {
            return Err(RecordError::Fenced { epoch: self.checkpoint.epoch });
        }
        for command in commands {
            self.store.db.run_raw_command(command).session(&mut *self.session).await?;
        }
        Ok(())
    }
}

/// The rate of a scan, told now and then.
#[derive(Debug)]
pub(crate) struct Meter {
    since: Instant,
    begun: i64,
    told: Instant,
}

impl Meter {
    pub(crate) fn new(done: i64) -> Self {
        Self { since: Instant::now(), begun: done, told: Instant::now() }
    }

    /// Documents a second since its beginning, where it is time to tell.
    pub(crate) fn due(&mut self, done: i64) -> Option<i64> {
        if self.told.elapsed() < TELL_EVERY {
            return None;
        }
        self.told = Instant::now();
        let ms = i64::try_from(self.since.elapsed().as_millis()).unwrap_or(i64::MAX).max(1);
        Some((done - self.begun).saturating_mul(1000) / ms)
    }
}

/// Shows how far a scan of the tasks has come.
pub(crate) fn progress_gauges(scan: &'static str, done: i64, total: i64) {
    #[allow(clippy::cast_precision_loss, reason = "counts of documents stay far below 2^52")]
    let (done, total) = (done as f64, total as f64);
    metrics::describe_gauge!("taskwire_scan_tasks_done", "Tasks that a scan of them has taken in");
    metrics::describe_gauge!("taskwire_scan_tasks_expected", "Tasks that it will take in");
    metrics::gauge!("taskwire_scan_tasks_done", "scan" => scan).set(done);
    metrics::gauge!("taskwire_scan_tasks_expected", "scan" => scan).set(total);
}

/// Commands that put whole documents by `_id`, each as many as it may hold.
fn put(collection: &str, documents: &[RawDocumentBuf]) -> Vec<RawDocumentBuf> {
    let statements: Vec<RawDocumentBuf> = documents.iter().filter_map(replace_statement).collect();
    let commands = by_command(&statements).map(|chunk| {
        let mut updates = RawArrayBuf::new();
        chunk.iter().for_each(|one| updates.push(one.clone()));
        rawdoc! { "update": collection, "updates": updates }
    });
    commands.collect()
}

fn raw_version(version: &Version) -> Result<RawDocumentBuf, bson::error::Error> {
    let mut raw = bson::serialize_to_raw_document_buf(version)?;
    raw.append(cstr!("_id"), version.key());
    Ok(raw)
}

/// The webhooks' configurations and the mutes as they were at `time`, as versions that begin there.
///
/// # Errors
/// The driver's.
pub async fn versions_as_of(store: &Store, time: Timestamp) -> mongodb::error::Result<Vec<Version>> {
    let mut versions = Vec::new();
    let mut range = Range::whole();
    while !range.done {
        let chunk = scan::chunk(store, names::WEBHOOKS, &range, &Query::default(), time).await?;
        for raw in chunk.documents() {
            match bson::deserialize_from_slice::<Webhook>(raw.as_bytes()) {
                Ok(webhook) => versions.push(Version::of(&webhook, StreamTime::new(time, 0))),
                Err(error) => {
                    let error = describe_document(&error);
                    tracing::warn!(error, "a webhook's configuration cannot be read and gets no events");
                }
            }
        }
        range.reach(chunk.last);
    }
    let muted = doc! { "find": names::MUTES, "sort": { "_id": 1 }, "readConcern": scan::as_of(time) };
    let mut newest: HashMap<DocId, Version> = HashMap::new();
    for raw in scan::find_all(store, &muted).await? {
        if let Ok(mute) = bson::deserialize_from_slice::<Mute>(raw.as_bytes()) {
            newest.insert(mute.group_id.clone(), Version::mute(&mute.group_id, StreamTime::new(time, 0), mute.until));
        }
    }
    versions.extend(newest.into_values());
    Ok(versions)
}

/// Loads the versions that changes after `position` can need.
///
/// # Errors
/// The driver's.
pub async fn load_versions(store: &Store, position: Timestamp) -> mongodb::error::Result<Versions> {
    use futures::TryStreamExt;
    let mut versions = Versions::default();
    let mut stored = store.collection::<Version>(names::WEBHOOK_VERSIONS).find(doc! {}).await?;
    while let Some(version) = stored.try_next().await? {
        versions.add(version);
    }
    versions.prune(position);
    Ok(versions)
}
