//! The audit: proves for a period that the log, the deliveries and the snapshots agree, or says what is missing.
//!
//! Three checks. `log`: each event has, for each webhook which then wanted it, a delivery in a lawful state (`state`).
//! `sequence`: each task's events are numbered without hole or repetition, up to its snapshot's count. `snapshots`:
//! snapshots equal the tasks. All of it reads the database as of single points in time, so it is right while everything
//! runs: what is recorded together is seen together. Memory does not grow with the data.

mod feed;
mod log;
mod report;
mod sequence;
mod settle;
mod snapshots;
mod state;

use std::sync::Arc;
use std::time::Duration;

use bson::{Document, RawDocument, RawDocumentBuf, Timestamp, rawdoc};
use indicatif::ProgressBar;
use mongodb::error::Error;
use taskwire::config::Retention;
use taskwire::mapping::Mapping;
use taskwire::model::DocId;
use taskwire::store::{Store, names};

use crate::checkpoint::Checkpoint;
use crate::retention::Horizon;
use crate::trouble;

pub use report::{Checked, Finding, Kind, Report};

/// How often a read is begun anew whose point in time has left the server's history meanwhile.
const TRIES: usize = 3;

/// A reading goes on as of a new point in time after so long, well within the server's history of five minutes.
const LEG: Duration = Duration::from_secs(60);

/// What is audited.
#[derive(Debug, Clone, Copy, Default)]
pub struct Period {
    /// Events from this cluster time on; `None`: from the beginning of the log.
    pub since: Option<Timestamp>,
    /// Events before this cluster time; `None`: all.
    pub until: Option<Timestamp>,
}

/// Why an audit could not be made.
#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    /// Nothing to audit.
    #[error("no position is stored in this database: start taskwire-indexer once, or check TASKWIRE_DATABASE")]
    NoPosition,
    /// The server's history is shorter than one read takes.
    #[error(
        "MongoDB forgets the past faster than it can be read: audit a shorter period (--since), or raise the server's \
         parameter minSnapshotHistoryWindowInSeconds"
    )]
    TooOld,
    /// The database refused a read.
    #[error("MongoDB: {}", taskwire::store::describe(.0))]
    Database(#[from] Error),
    /// A configuration's version cannot be read.
    #[error("a document of webhookVersions cannot be read ({0}): restore it from a backup")]
    Version(String),
}

/// An audit to be made.
#[derive(Debug)]
pub struct Audit {
    /// The database.
    pub store: Store,
    /// How the service's documents are read.
    pub mapping: Arc<Mapping>,
    /// How long finished deliveries are kept.
    pub retention: Retention,
    /// What is audited.
    pub period: Period,
    /// How long the watcher may take to pass what was read.
    pub patience: Duration,
    /// Where progress is shown.
    pub bar: ProgressBar,
}

impl Audit {
    /// Makes the audit.
    ///
    /// # Errors
    /// See [`AuditError`].
    pub async fn run(&self) -> Result<Report, AuditError> {
        let position = Checkpoint::read(&self.store).await?.and_then(|checkpoint| checkpoint.time);
        let position = position.ok_or(AuditError::NoPosition)?;
        let from = self.period.since.unwrap_or(Timestamp { time: 0, increment: 0 });
        // Everything up to the position is recorded.
        let until = self.period.until.map_or(after(position), |until| until.min(after(position)));
        let mut report = Report::new(from, until);
        self.measure().await?;
        self.check_log(from, until, &mut report).await?;
        self.check_sequences(&mut report).await?;
        self.check_snapshots(&mut report).await?;
        self.bar.finish_and_clear();
        Ok(report)
    }

    /// How much there is to read, about: the bar's length.
    async fn measure(&self) -> Result<(), AuditError> {
        let mut all = 0;
        let tasks = self.mapping.task.collection.as_str();
        for (name, readings) in [(names::EVENTS, 2), (names::DELIVERIES, 1), (names::SNAPSHOTS, 2), (tasks, 1)] {
            all += readings * self.store.collection::<Document>(name).estimated_document_count().await?;
        }
        self.bar.set_length(all);
        Ok(())
    }

    async fn horizon(&self, at: Timestamp) -> Result<Horizon, AuditError> {
        let read = |raw: &RawDocument| bson::deserialize_from_slice::<Horizon>(raw.as_bytes()).ok();
        let command = find(names::CHECKPOINTS, rawdoc! { "_id": Horizon::ID }, at);
        Ok(feed::one(&self.store, command, read).await?.flatten().unwrap_or_default())
    }
}

/// The id of a raw document's field; of other types than ours, [`NO_ID`].
fn id_at(raw: &RawDocument, name: &str) -> DocId {
    raw.get(name).ok().flatten().and_then(DocId::from_raw).unwrap_or(NO_ID)
}

/// Stands for an id that is none of ours: nothing has the empty text.
const NO_ID: DocId = DocId::Text(String::new());

/// A `find` as of a point in time.
fn find(collection: &str, filter: RawDocumentBuf, at: Timestamp) -> RawDocumentBuf {
    rawdoc! { "find": collection, "filter": filter, "readConcern": as_of(at), "batchSize": feed::BATCH }
}

/// A `find` of many documents in the order of `_id`, as of a point in time.
fn find_in_order(
    collection: &str,
    filter: RawDocumentBuf,
    projection: RawDocumentBuf,
    at: Timestamp,
) -> RawDocumentBuf {
    rawdoc! {
        "find": collection, "filter": filter, "sort": { "_id": 1 }, "hint": { "_id": 1 }, "projection": projection,
        "readConcern": as_of(at), "batchSize": feed::BATCH,
    }
}

fn as_of(at: Timestamp) -> RawDocumentBuf {
    rawdoc! { "level": "snapshot", "atClusterTime": at }
}

/// The next cluster time.
const fn after(time: Timestamp) -> Timestamp {
    match time.increment.checked_add(1) {
        Some(increment) => Timestamp { time: time.time, increment },
        None => Timestamp { time: time.time.saturating_add(1), increment: 0 },
    }
}

/// The last cluster time before.
const fn before(time: Timestamp) -> Timestamp {
    match time.increment.checked_sub(1) {
        Some(increment) => Timestamp { time: time.time, increment },
        None => Timestamp { time: time.time.saturating_sub(1), increment: u32::MAX },
    }
}

/// Whether a read failed because its point in time has left the server's history.
fn is_too_old(error: &AuditError) -> bool {
    matches!(error, AuditError::Database(error) if trouble::is_too_old(error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn before_and_after_are_next_to_a_cluster_time() {
        let at = |time, increment| Timestamp { time, increment };
        assert_eq!(after(at(5, 1)), at(5, 2));
        assert_eq!(after(at(5, u32::MAX)), at(6, 0));
        assert_eq!(before(at(5, 1)), at(5, 0));
        assert_eq!(before(at(5, 0)), at(4, u32::MAX));
    }
}
