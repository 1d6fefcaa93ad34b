//! The first start: the past is taken in, and nothing is told of it.
//!
//! A point in time T0 is fixed first; webhooks are read as of T0. Then the tasks are scanned in chunks by `_id`, each chunk
//! as of its own T (a snapshot read; the server keeps five minutes of history), and each chunk's snapshots are recorded
//! together with how far the scan has come, so that a kill resumes it. The stream is then tailed from T0 on: a change not
//! after its task's T is in the snapshot already and is dropped by the fold.

use std::sync::Arc;

use bson::raw::cstr;
use bson::{Bson, Document, RawArrayBuf, RawDocumentBuf, Timestamp, doc, rawdoc};
use futures::StreamExt;
use mongodb::ClientSession;
use taskwire::mapping::Mapping;
use taskwire::model::{DocId, StreamTime, Webhook};
use taskwire::store::{Store, names};
use tokio_util::sync::CancellationToken;

use crate::checkpoint::{Checkpoint, WATCHER};
use crate::fan_out::{Version, Versions};
use crate::lag::cluster_time;
use crate::record::{RecordError, replace_statement};
use crate::snapshot::Snapshot;

/// Tasks in one chunk.
const CHUNK: i64 = 5000;

/// A first start in the name of one epoch.
pub struct Bootstrap<'a> {
    store: &'a Store,
    mapping: &'a Arc<Mapping>,
    checkpoint: Checkpoint,
    session: &'a mut ClientSession,
}

impl<'a> Bootstrap<'a> {
    /// Goes on from `checkpoint`, with the session that the lease names.
    #[must_use]
    pub fn new(
        store: &'a Store,
        mapping: &'a Arc<Mapping>,
        checkpoint: Checkpoint,
        session: &'a mut ClientSession,
    ) -> Self {
        Self { store, mapping, checkpoint, session }
    }

    /// Takes the past in. `None` if stopped halfway; a later start goes on.
    ///
    /// # Errors
    /// [`RecordError::Fenced`] if another process leads; else the driver's.
    pub async fn run(mut self, stop: &CancellationToken) -> Result<Option<Checkpoint>, RecordError> {
        if self.checkpoint.time.is_none() {
            self.fix_start().await?;
        }
        let mut last = self.checkpoint.scan.as_ref().and_then(|scan| scan.get("last")).cloned();
        let mut done = self.checkpoint.scan.as_ref().and_then(|scan| scan.get_i64("done").ok()).unwrap_or(0);
        let total = self.store.collection::<Document>(&self.mapping.task.collection).estimated_document_count().await?;
        tracing::info!(total, done, "first start: taking in the tasks as they are; nothing is told of the past");
        loop {
            if stop.is_cancelled() {
                return Ok(None);
            }
            let time = cluster_time(self.store).await?;
            let tasks = self.chunk(last.as_ref(), time).await?;
            let Some(newest) = tasks.last().and_then(|task| task.get("_id").ok().flatten()) else { break };
            last = Bson::try_from(newest).ok();
            done += i64::try_from(tasks.len()).unwrap_or(0);
            let scan = doc! { "last": last.clone(), "done": done };
            self.record_chunk(&tasks, time, &scan).await?;
            tracing::info!(total, done, "first start: tasks taken in");
        }
        self.commit(doc! { "bootstrapped": true, "scan": Bson::Null }, Vec::new()).await?;
        self.checkpoint.bootstrapped = true;
        tracing::info!(done, "first start: complete");
        Ok(Some(self.checkpoint))
    }

    /// Fixes T0 and the webhooks as of T0.
    async fn fix_start(&mut self) -> Result<(), RecordError> {
        let time = cluster_time(self.store).await?;
        let command = rawdoc! { "find": names::WEBHOOKS, "readConcern": snapshot_at(time) };
        let mut versions = Vec::new();
        for raw in self.read(command).await? {
            match bson::deserialize_from_slice::<Webhook>(raw.as_bytes()) {
                Ok(webhook) => versions.push(Version::of(&webhook, StreamTime::new(time, 0))),
                Err(error) => tracing::warn!(%error, "a webhook's configuration cannot be read and gets no events"),
            }
        }
        let mut documents = Vec::new();
        for version in versions {
            let mut raw = bson::serialize_to_raw_document_buf(&version)?;
            raw.append(cstr!("_id"), version.key());
            documents.push((names::WEBHOOK_VERSIONS, raw));
        }
        self.commit(doc! { "time": time, "scan": { "done": 0i64 } }, documents).await?;
        self.checkpoint.time = Some(time);
        Ok(())
    }

    async fn chunk(&self, last: Option<&Bson>, time: Timestamp) -> Result<Vec<RawDocumentBuf>, RecordError> {
        let mut command = doc! {
            "find": &self.mapping.task.collection, "sort": { "_id": 1 }, "hint": { "_id": 1 }, "limit": CHUNK,
            "readConcern": { "level": "snapshot", "atClusterTime": time },
        };
        if let Some(last) = last {
            // `min` and not `$gt`: a comparison would see ids of one BSON type only.
            command.insert("min", doc! { "_id": last.clone() });
            command.insert("limit", CHUNK + 1);
        }
        let mut tasks = self.read(RawDocumentBuf::try_from(&command)?).await?;
        if let Some(last) = last
            && tasks.first().and_then(|task| Bson::try_from(task.get("_id").ok()??).ok()).as_ref() == Some(last)
        {
            tasks.remove(0);
        }
        Ok(tasks)
    }

    async fn record_chunk(
        &mut self,
        tasks: &[RawDocumentBuf],
        time: Timestamp,
        scan: &Document,
    ) -> Result<(), RecordError> {
        let mut documents = Vec::with_capacity(tasks.len());
        for task in tasks {
            let id = task.get("_id").ok().flatten().and_then(DocId::from_raw);
            let read = id.map(|id| self.mapping.read_task(task).map(|state| Snapshot::of_scan(id, state, time)));
            match read {
                Some(Ok(snapshot)) => documents.push((names::SNAPSHOTS, snapshot.to_raw(self.mapping))),
                Some(Err(misfit)) => {
                    tracing::warn!(reason = %misfit, "first start: a task does not fit the mapping and is put aside");
                    let reason = misfit.to_string();
                    let key = task.get("_id").ok().flatten().map(bson::raw::RawBson::from);
                    let mut aside = rawdoc! {
                        "collection": self.mapping.task.collection.as_str(), "reason": reason, "clusterTime": time,
                        "status": "aside", "raw": { "fullDocument": task.clone() },
                    };
                    if let Some(key) = key {
                        aside.append(cstr!("_id"), rawdoc! { "scan": key });
                    }
                    documents.push((names::QUARANTINE, aside));
                }
                None => tracing::warn!("first start: a task whose _id is neither an ObjectId nor a string is left out"),
            }
        }
        self.commit(doc! { "scan": scan.clone() }, documents).await
    }

    async fn read(&self, command: RawDocumentBuf) -> Result<Vec<RawDocumentBuf>, RecordError> {
        let mut cursor = self.store.db.run_raw_cursor_command(command).batch().await?;
        let mut documents = Vec::new();
        while let Some(batch) = cursor.next().await {
            for raw in batch?.doc_slices()? {
                documents.extend(raw?.as_document().map(ToOwned::to_owned));
            }
        }
        Ok(documents)
    }

    /// One fenced transaction: what the scan found and how far it came.
    async fn commit(&mut self, set: Document, documents: Vec<(&str, RawDocumentBuf)>) -> Result<(), RecordError> {
        let fence = doc! { "_id": WATCHER, "epoch": self.checkpoint.epoch, "batch": self.checkpoint.batch };
        let update = doc! { "$set": set, "$inc": { "batch": 1i64 } };
        let commands = commands(&documents);
        let db = self.store.db.clone();
        let checkpoints = self.store.collection::<Document>(names::CHECKPOINTS);
        self.session.start_transaction().await?;
        let moved = checkpoints.update_one(fence, update).session(&mut *self.session).await?;
        if moved.matched_count == 0 {
            return Err(RecordError::Fenced { epoch: self.checkpoint.epoch });
        }
        for command in commands {
            db.run_raw_command(command).session(&mut *self.session).await?;
        }
        self.session.commit_transaction().await?;
        self.checkpoint.batch += 1;
        Ok(())
    }
}

/// Upserts by `_id`, a thousand a command.
fn commands(documents: &[(&str, RawDocumentBuf)]) -> Vec<RawDocumentBuf> {
    let mut commands = Vec::new();
    for collection in [names::SNAPSHOTS, names::WEBHOOK_VERSIONS, names::QUARANTINE] {
        let of_it: Vec<_> = documents.iter().filter(|(name, _)| *name == collection).collect();
        for chunk in of_it.chunks(1000) {
            let mut updates = RawArrayBuf::new();
            chunk.iter().filter_map(|(_, document)| replace_statement(document)).for_each(|one| updates.push(one));
            commands.push(rawdoc! { "update": collection, "updates": updates });
        }
    }
    commands
}

fn snapshot_at(time: Timestamp) -> RawDocumentBuf {
    rawdoc! { "level": "snapshot", "atClusterTime": time }
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
