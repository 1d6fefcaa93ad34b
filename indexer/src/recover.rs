//! Recovering a gap: changes that the stream can no longer tell are found by comparing the snapshots with the collection.
//!
//! The gap's id and its end T0 are stored first, with the webhooks as of T0. Then three phases, each in chunks, each chunk as
//! of its own T at or after T0: the tasks that are there are compared with their snapshots; snapshots whose task is gone
//! become tombstones; history rows of tasks of which nothing is left are counted. What a chunk finds is recorded in the
//! record transaction, with the gap's progress, so that a kill resumes it. At the end the position is T0: what the stream
//! still tells after T0 and a chunk has told already is dropped by the fold, as after a first start.

mod compare;
mod gone;
mod rows;
mod story;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bson::{Bson, RawDocument, RawDocumentBuf, Timestamp, doc, rawdoc};
use futures::TryStreamExt;
use taskwire::mapping::Mapping;
use taskwire::model::{DocId, StreamTime, Version};
use taskwire::store::{ServerClock, Store, names};
use taskwire::telemetry::{Readiness, StatusBoard};
use tokio_util::sync::CancellationToken;

use crate::bootstrap::{Meter, progress_gauges, versions_as_of};
use crate::derive::Rules;
use crate::fan_out::Versions;
use crate::gap::{Gap, GapState, Phase, Reason, Tally};
use crate::judge::{Part, Quarantined};
use crate::lag::cluster_time;
use crate::progress::Position;
use crate::record::{Batch, RecordError, Recorder};
use crate::scan::{self, Query, Range};
use crate::snapshot::Snapshot;
use crate::trouble::is_too_old;
use compare::Compared;

/// Where nothing is found, progress is stored so often.
const STORE_EVERY: Duration = Duration::from_secs(2);
/// Seconds after a gap's end in which its chunks are read as of that end, so that the stream tells what is written
/// meanwhile change by change. Far less than the five minutes of history that the server keeps by default.
const AS_OF_END: u32 = 60;

/// A recovery in the name of one epoch.
pub struct Recovery<'a> {
    /// The database.
    pub store: &'a Store,
    /// How the service's documents are read.
    pub mapping: &'a Arc<Mapping>,
    /// The server's clock.
    pub clock: &'a ServerClock,
    /// What `/readyz` answers.
    pub status: &'a StatusBoard,
    /// Writes what is found.
    pub recorder: &'a mut Recorder,
    /// The most events recorded in one transaction.
    pub batch_max: usize,
}

/// What a chunk gave, task by task.
struct Found {
    key: Bson,
    part: Part,
    tally: Tally,
}

impl Recovery<'_> {
    /// Fixes the gap from `from` to now, with the webhooks as they are at its end.
    ///
    /// # Errors
    /// See [`RecordError`].
    pub async fn begin(
        &mut self,
        reason: Reason,
        from: Timestamp,
        versions: &mut Versions,
    ) -> Result<Gap, RecordError> {
        let to = cluster_time(self.store).await?;
        let mut gap = Gap::found(reason, from, to, self.clock.now(), GapState::Recovering);
        let tasks = self.store.collection::<RawDocumentBuf>(&self.mapping.task.collection);
        gap.progress.total = i64::try_from(tasks.estimated_document_count().await?).unwrap_or(i64::MAX);
        let mut part = Part::default();
        for version in changed_versions(versions, versions_as_of(self.store, to).await?, to) {
            if versions.add(version.clone()) {
                part.versions.push(version);
            }
        }
        self.recorder.record(&Batch { parts: vec![part], position: None, gap: Some(gap.clone()) }).await?;
        Ok(gap)
    }

    /// Recovers what is left of `gap`; the position behind it, or `None` if stopped first.
    ///
    /// # Errors
    /// See [`RecordError`].
    pub async fn run(
        &mut self,
        mut gap: Gap,
        versions: &Versions,
        stop: &CancellationToken,
    ) -> Result<Option<Position>, RecordError> {
        tracing::error!(
            gap = gap.id,
            from = gap.from.time,
            to = gap.to.time,
            why = gap.reason.describe(),
            "the stream has a gap: snapshots are compared with the collection, and differences are told as recovered"
        );
        let rules = Rules::of(self.mapping);
        let mut meter = Meter::new(gap.progress.done);
        let mut stored = Instant::now();
        let mut vanished = HashSet::new();
        // Never as of a time before that of a chunk that is told: a task that came back since would be taken for gone.
        let mut as_of_end = gap.progress.phase == Phase::Tasks && gap.progress.last.is_none();
        if gap.progress.phase == Phase::Rows {
            // What was counted before a kill is counted again.
            gap.enter(Phase::Rows);
        }
        loop {
            self.tell(&gap, &mut meter);
            if stop.is_cancelled() {
                return Ok(None);
            }
            let mut range = Range { last: gap.progress.last.clone(), ..Range::whole() };
            let now = cluster_time(self.store).await?;
            as_of_end &= now.time.saturating_sub(gap.to.time) < AS_OF_END;
            let time = if as_of_end { gap.to } else { now };
            let found = match gap.progress.phase {
                Phase::Tasks => self.compare(&mut range, time, &mut gap, versions, &rules).await,
                Phase::Gone => self.bury(&mut range, time).await,
                Phase::Rows => self.count_vanished(&mut range, time, &mut gap, &mut vanished).await,
            };
            let found = match found {
                // A collection that was made since then, or a server that keeps less.
                Err(RecordError::Database(error)) if as_of_end && is_too_old(&error) => {
                    as_of_end = false;
                    continue;
                }
                found => found?,
            };
            self.record(found, &mut gap).await?;
            match (range.done, gap.progress.phase) {
                (false, _) => gap.progress.last = range.last,
                (true, Phase::Tasks) => gap.enter(Phase::Gone),
                (true, Phase::Gone) => gap.enter(Phase::Rows),
                (true, Phase::Rows) => break,
            }
            if range.done || stored.elapsed() >= STORE_EVERY {
                self.recorder.record(&Batch { gap: Some(gap.clone()), ..Batch::default() }).await?;
                stored = Instant::now();
            }
        }
        gap.end(self.clock.now());
        let position = Position { token: None, time: gap.to };
        self.recorder
            .record(&Batch { parts: Vec::new(), position: Some(position.clone()), gap: Some(gap.clone()) })
            .await?;
        metrics::counter!("taskwire_gaps_recovered_total").increment(1);
        tracing::warn!(gap = gap.id, found = %gap, "the gap is recovered; the stream is read again from its end on");
        Ok(Some(position))
    }

    fn tell(&self, gap: &Gap, meter: &mut Meter) {
        let (done, total) = (gap.progress.done, gap.progress.total);
        progress_gauges("recovery", done, total);
        let why = gap.reason.describe();
        self.status
            .set(Readiness::NotReady(format!("recovering a gap ({why}): {done} of about {total} tasks compared")));
        if let Some(rate) = meter.due(done) {
            tracing::info!(gap = gap.id, done, total, per_second = rate, phase = ?gap.progress.phase, "recovering");
        }
    }

    /// The next tasks that are there, compared with their snapshots.
    async fn compare(
        &mut self,
        range: &mut Range,
        time: Timestamp,
        gap: &mut Gap,
        versions: &Versions,
        rules: &Rules,
    ) -> Result<Vec<Found>, RecordError> {
        let chunk = scan::chunk(self.store, &self.mapping.task.collection, range, &Query::default(), time).await?;
        let ids: Vec<DocId> = chunk.documents().filter_map(id_of).collect();
        let mut pasts = self.pasts(&ids, gap.reason).await?;
        let mut rows = rows::of_tasks(self.store, self.mapping, &ids, gap.from, time).await?;
        let mut found = Vec::new();
        for task in chunk.documents() {
            gap.progress.done += 1;
            let (Some(id), Some(key)) = (id_of(task), key_of(task)) else { continue };
            let parted = match self.mapping.read_task(task) {
                Ok(state) => {
                    let (last, rows) = (pasts.remove(&id), rows.remove(&id).unwrap_or_default());
                    let compared = Compared { id, time, last, now: Arc::new(state), rows };
                    compared.part(self.mapping, rules, versions, gap)
                }
                Err(misfit) => {
                    let aside = self.aside(id, &key, task, misfit.to_string(), gap);
                    let part = Part { quarantined: vec![aside], ..Part::default() };
                    Some((part, Tally { unreadable: 1, ..Tally::default() }))
                }
            };
            found.extend(parted.map(|(part, tally)| Found { key, part, tally }));
        }
        range.reach(chunk.last);
        Ok(found)
    }

    /// What could not be read is put aside as the change that would have brought it.
    fn aside(&self, id: DocId, key: &Bson, task: &RawDocument, reason: String, gap: &Gap) -> Quarantined {
        tracing::warn!(reason, "a task does not fit the mapping and is put aside");
        let collection = self.mapping.task.collection.clone();
        let mut raw = rawdoc! {
            "_id": { "_data": "" }, "operationType": "replace", "clusterTime": gap.to, "wallTime": gap.detected_at,
            "ns": { "db": self.store.db.name(), "coll": collection.as_str() }, "fullDocument": task.to_owned(),
        };
        if let Ok(key) = bson::raw::RawBson::try_from(key.clone()) {
            raw.append(bson::raw::cstr!("documentKey"), rawdoc! { "_id": key });
        }
        Quarantined { key: Some(id), collection, reason, at: StreamTime::new(gap.to, 0), raw }
    }

    /// The snapshots of these tasks. A task whose snapshot cannot be read, or was removed by hand, is one of which only
    /// the number of events is known.
    async fn pasts(&self, ids: &[DocId], reason: Reason) -> Result<HashMap<DocId, Result<Snapshot, i64>>, RecordError> {
        let keys: Vec<Bson> = ids.iter().cloned().map(Into::into).collect();
        let command = doc! { "find": names::SNAPSHOTS, "filter": { "_id": { "$in": keys } }, "batchSize": scan::CHUNK };
        let mut pasts = HashMap::new();
        for raw in scan::find_all(self.store, &command).await? {
            let Some(id) = id_of(&raw) else { continue };
            let read = Snapshot::from_raw(&raw, self.mapping).map_err(|error| {
                tracing::warn!(%error, "the task is taken as it is");
                raw.get_i64("sequence").unwrap_or(0)
            });
            pasts.insert(id, read);
        }
        match reason {
            // Nobody touched the snapshots: a task without one is new.
            Reason::Oplog | Reason::Renamed => {}
            Reason::Position | Reason::Reset | Reason::Rebuild => {
                let missing = ids.iter().filter(|id| !pasts.contains_key(*id)).cloned().map(Bson::from).collect();
                let told = self.told(missing).await?;
                pasts.extend(told.into_iter().map(|(task, sequence)| (task, Err(sequence))));
            }
        }
        Ok(pasts)
    }

    /// How many events the log has of each of these tasks, where it has any. Reads the whole log: no index is kept for what
    /// only a snapshot removed by hand needs.
    async fn told(&self, tasks: Vec<Bson>) -> mongodb::error::Result<Vec<(DocId, i64)>> {
        if tasks.is_empty() {
            return Ok(Vec::new());
        }
        let stages = [
            doc! { "$match": { "taskId": { "$in": tasks } } },
            doc! { "$group": { "_id": "$taskId", "told": { "$max": "$sequence" } } },
        ];
        let mut found = self.store.collection::<RawDocumentBuf>(names::EVENTS).aggregate(stages).await?;
        let mut told = Vec::new();
        while let Some(task) = found.try_next().await? {
            let task = RawDocumentBuf::try_from(&task)?;
            told.extend(id_of(&task).zip(task.get_i64("told").ok()));
        }
        Ok(told)
    }

    /// Records what was found, in transactions of a bounded size, each with the progress it makes.
    async fn record(&mut self, found: Vec<Found>, gap: &mut Gap) -> Result<(), RecordError> {
        let mut batch = Batch::default();
        let (mut rows, mut bytes) = (0, 0);
        for Found { key, part, tally } in found {
            let full = rows + part.rows() > self.batch_max * 2 || bytes + part.bytes() > Batch::BYTES;
            if rows > 0 && full {
                batch.gap = Some(gap.clone());
                self.recorder.record(&batch).await?;
                batch = Batch::default();
                (rows, bytes) = (0, 0);
            }
            rows += part.rows();
            bytes += part.bytes();
            gap.progress.last = Some(key);
            gap.add(&tally, part.events.iter().map(|draft| draft.kind));
            batch.parts.push(part);
        }
        if !batch.parts.is_empty() {
            batch.gap = Some(gap.clone());
            self.recorder.record(&batch).await?;
        }
        Ok(())
    }
}

/// Versions that begin at a gap's end: configurations that differ from the last one known, and webhooks that are gone.
fn changed_versions(known: &Versions, now: Vec<Version>, to: Timestamp) -> Vec<Version> {
    let at = StreamTime::new(to, 0);
    let there: HashSet<_> = now.iter().map(|version| version.webhook_id).collect();
    let gone = known.newest_of_all().filter(|last| last.live && !there.contains(&last.webhook_id));
    let gone: Vec<Version> =
        gone.map(|last| Version { at, live: false, reason: Some("deleted".to_owned()), ..last.clone() }).collect();
    let differs = |version: &Version| {
        known.newest(version.webhook_id).is_none_or(|last| Version { at, ..last.clone() } != *version)
    };
    now.into_iter().filter(differs).chain(gone).collect()
}

fn id_of(doc: &RawDocument) -> Option<DocId> {
    DocId::from_raw(doc.get("_id").ok()??)
}

fn key_of(doc: &RawDocument) -> Option<Bson> {
    Bson::try_from(doc.get("_id").ok()??).ok()
}
