//! Whether tasks that seemed to differ from their snapshots really do.
//!
//! Once the position has passed the read, the snapshots as of now hold every change before the position, and no later one
//! except where they say so. So the tasks as of just before the position must equal them. A task that was changed since is
//! looked at again: its next change will be passed too.

use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

use bson::{Bson, Document, RawBsonRef, RawDocument, RawDocumentBuf, Timestamp, doc, rawdoc};
use taskwire::model::DocId;
use taskwire::store::names;

use super::report::{Finding, Kind, Report};
use super::snapshots::{difference, snapshot_reader, task_reader};
use super::{Audit, AuditError, before, feed, is_too_old};
use crate::checkpoint::WATCHER;
use crate::lag::cluster_time;

/// Between two looks at the position.
const PAUSE: Duration = Duration::from_millis(200);

/// Settles suspicions.
pub(super) struct Settler<'a> {
    audit: &'a Audit,
    /// When waiting for the watcher ends, over all of the audit.
    deadline: Option<Instant>,
}

/// Where the watcher stands, as far as suspicions go.
enum Standing {
    /// Every change before this time is in the snapshots.
    Passed(Timestamp),
    /// Nothing can be said yet.
    NotYet(&'static str),
}

impl<'a> Settler<'a> {
    pub(super) const fn new(audit: &'a Audit) -> Self {
        Self { audit, deadline: None }
    }

    /// Settles what was suspected as of `read`.
    pub(super) async fn settle(
        &mut self,
        suspects: Vec<DocId>,
        read: Timestamp,
        report: &mut Report,
    ) -> Result<(), AuditError> {
        if suspects.is_empty() {
            return Ok(());
        }
        let mut open = suspects;
        // A watcher that did not move once is not waited for again and again.
        let deadline = *self.deadline.get_or_insert_with(|| Instant::now() + self.audit.patience);
        loop {
            let now = cluster_time(&self.audit.store).await?;
            let why = match self.standing(read, now).await? {
                Standing::Passed(position) => match self.look(&open, position, now, report).await {
                    Ok(left) if left.is_empty() => {
                        // The watcher moves: it will be waited for again.
                        self.deadline = None;
                        return Ok(());
                    }
                    Ok(left) => {
                        open = left;
                        "they are being changed"
                    }
                    Err(error) if is_too_old(&error) => "the position is older than the server's history",
                    Err(error) => return Err(error),
                },
                Standing::NotYet(why) => why,
            };
            if Instant::now() >= deadline {
                let first = Finding { task: open.first().cloned(), ..Finding::default() };
                let detail = format!("and {} more differ from their snapshots: {why}", open.len() - 1);
                report.note_many(Kind::NotProvable, open.len() as u64, Finding { detail, ..first });
                return Ok(());
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    async fn standing(&self, read: Timestamp, now: Timestamp) -> Result<Standing, AuditError> {
        let find = super::find(names::CHECKPOINTS, rawdoc! { "_id": WATCHER }, now);
        let standing = feed::one(&self.audit.store, find, move |raw| {
            let gap = raw.get("gap").ok().flatten().is_some_and(|gap| gap != RawBsonRef::Null);
            match raw.get_timestamp("time") {
                _ if !raw.get_bool("bootstrapped").unwrap_or(false) => {
                    Standing::NotYet("the first start is not complete")
                }
                _ if gap => Standing::NotYet("a gap is being recovered"),
                Ok(position) if position > read => Standing::Passed(position),
                Ok(_) | Err(_) => Standing::NotYet("the position has not passed the read"),
            }
        });
        Ok(standing.await?.unwrap_or(Standing::NotYet("there is no position")))
    }

    /// Compares the tasks as of just before the position with the snapshots as of now. Returns those that say nothing,
    /// because they were changed since.
    async fn look(
        &self,
        open: &[DocId],
        position: Timestamp,
        now: Timestamp,
        report: &mut Report,
    ) -> Result<Vec<DocId>, AuditError> {
        let Audit { store, mapping, .. } = self.audit;
        let ids: Vec<Bson> = open.iter().cloned().map(Bson::from).collect();
        let among = doc! { "_id": { "$in": ids } };
        let tasks = command(&mapping.task.collection, &among, before(position))?;
        let tasks: HashMap<_, _> = feed::all(store, tasks, task_reader(mapping)).await?.into_iter().collect();
        let snapshots = command(names::SNAPSHOTS, &among, now)?;
        let snapshots: HashMap<_, _> =
            feed::all(store, snapshots, snapshot_reader(mapping)).await?.into_iter().collect();
        let (mut left, mut differing) = (Vec::new(), Vec::new());
        for id in open {
            let snapshot = snapshots.get(id);
            if snapshot.and_then(|stored| stored.as_ref().ok()).is_some_and(|stored| stored.at.timestamp() >= position)
            {
                left.push(id.clone());
            } else if let Some(found) = difference(tasks.get(id), snapshot, mapping) {
                differing.push((id.clone(), found));
            }
        }
        if !differing.is_empty() {
            let explained = self.put_aside(differing.iter().map(|(id, _)| id), now).await?;
            for (id, (kind, detail)) in differing {
                if !explained.contains(&id) {
                    report.note(kind, Finding { task: Some(id), detail, ..Finding::default() });
                }
            }
        }
        Ok(left)
    }

    /// Those of which a change was put aside: it is not in the snapshot, lawfully.
    async fn put_aside(
        &self,
        tasks: impl Iterator<Item = &DocId>,
        now: Timestamp,
    ) -> Result<HashSet<DocId>, AuditError> {
        let ids: Vec<Bson> = tasks.cloned().map(Bson::from).collect();
        let of_scan: Vec<Document> = ids.iter().map(|id| doc! { "scan": id.clone() }).collect();
        let collection = self.audit.mapping.task.collection.as_str();
        let filter = doc! { "$or": [{ "collection": collection, "documentKey": { "$in": ids } }, { "_id": { "$in": of_scan } }] };
        let read = |raw: &RawDocument| {
            let of_scan = raw.get_document("_id").ok().and_then(|id| id.get("scan").ok().flatten());
            raw.get("documentKey").ok().flatten().or(of_scan).and_then(DocId::from_raw)
        };
        let found = feed::all(&self.audit.store, command(names::QUARANTINE, &filter, now)?, read).await?;
        Ok(found.into_iter().flatten().collect())
    }
}

fn command(collection: &str, filter: &Document, at: Timestamp) -> Result<RawDocumentBuf, AuditError> {
    let filter = RawDocumentBuf::try_from(filter).map_err(mongodb::error::Error::from)?;
    Ok(super::find(collection, filter, at))
}
