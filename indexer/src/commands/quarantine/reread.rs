//! Reading an entry again: what it says today, and whether that still counts. No input or output.

use std::sync::Arc;

use taskwire::mapping::Mapping;
use taskwire::model::{DocId, StreamTime};

use super::entries::Entry;
use crate::change::{Change, TaskWrite, What};
use crate::fan_out::Versions;
use crate::judge::{Judge, Part};
use crate::memory::Memory;
use crate::quarantine::{EntryStatus, Reread};
use crate::snapshot::Snapshot;
use crate::unit::Unit;

/// What an entry says today.
#[derive(Debug)]
pub(super) enum Reading {
    /// A document that a scan met.
    Scanned(Snapshot),
    /// A change.
    Change(Box<Change>),
    /// It still does not fit.
    Misfit(String),
}

impl Reading {
    /// Reads an entry with this mapping.
    pub(super) fn of(entry: &Entry, mapping: &Mapping) -> Self {
        if let Some(id) = entry.scanned() {
            return match entry.raw.get_document("fullDocument") {
                Ok(task) => match mapping.read_task(task) {
                    Ok(state) => Self::Scanned(Snapshot::of_scan(id, state, entry.time)),
                    Err(misfit) => Self::Misfit(misfit.to_string()),
                },
                Err(_) => Self::Misfit("fullDocument: missing".to_owned()),
            };
        }
        match Change::read(&entry.raw, mapping) {
            Err(broken) => Self::Misfit(broken.to_string()),
            Ok(Change { what: What::Unreadable { reason, .. }, .. }) => Self::Misfit(reason),
            Ok(change) => Self::Change(Box::new(change)),
        }
    }

    /// The tasks whose snapshots are needed.
    pub(super) fn tasks(&self) -> Vec<DocId> {
        match self {
            Self::Scanned(snapshot) => vec![snapshot.id.clone()],
            Self::Change(change) => match &change.what {
                What::Task { id, .. } => vec![id.clone()],
                What::Row(row) => vec![row.task.clone()],
                What::SwapApproved(approval) => approval.tasks.iter().flatten().cloned().collect(),
                _ => Vec::new(),
            },
            Self::Misfit(_) => Vec::new(),
        }
    }

    /// The task that it changes in parts only: such a change needs all before it.
    pub(super) fn updates(&self) -> Option<&DocId> {
        match self {
            Self::Change(change) => match &change.what {
                What::Task { id, write: TaskWrite::Update(_) } => Some(id),
                _ => None,
            },
            Self::Scanned(_) | Self::Misfit(_) => None,
        }
    }
}

/// Judges one entry after the other, in the order of their changes.
pub(super) struct Again {
    judge: Judge,
    number: u64,
}

impl Again {
    pub(super) fn new(mapping: Arc<Mapping>, database: &str) -> Self {
        Self { judge: Judge::new(mapping, database), number: 0 }
    }

    /// What is recorded of an entry: its effects, if it comes before everything that is recorded of its task, and what
    /// becomes of it.
    pub(super) fn judge(
        &mut self,
        entry: &Entry,
        reading: Reading,
        memory: &mut Memory,
        versions: &mut Versions,
    ) -> Vec<Part> {
        self.number += 1;
        let (mut parts, status, reason) = match reading {
            // Whatever it says, the task as it was afterwards is known: what differed was told then.
            _ if self.is_passed(entry, memory) => (Vec::new(), EntryStatus::Superseded, None),
            Reading::Misfit(reason) => (Vec::new(), EntryStatus::Aside, Some(reason)),
            Reading::Scanned(snapshot) => {
                memory.put(snapshot.clone(), self.number);
                let part = Part { number: self.number, snapshots: vec![snapshot], ..Part::default() };
                (vec![part], EntryStatus::Retried, None)
            }
            Reading::Change(change) => self.judge_change(*change, entry.n, memory, versions),
        };
        let reread = Reread { id: entry.id.clone(), status, reason };
        match parts.last_mut() {
            Some(part) => part.reread.push(reread),
            None => parts.push(Part { number: self.number, reread: vec![reread], ..Part::default() }),
        }
        parts
    }

    /// Whether something later is recorded of its task.
    fn is_passed(&self, entry: &Entry, memory: &mut Memory) -> bool {
        let task = entry.task(&self.judge.mapping.task.collection);
        let snapshot = task.as_ref().and_then(|task| memory.get(task));
        snapshot.is_some_and(|one| entry.scanned().is_some() || StreamTime::new(entry.time, entry.n) <= one.at)
    }

    fn judge_change(
        &mut self,
        change: Change,
        n: u32,
        memory: &mut Memory,
        versions: &mut Versions,
    ) -> (Vec<Part>, EntryStatus, Option<String>) {
        let is_task = match &change.what {
            What::Task { id, .. } => {
                self.judge.count_from(change.time, id, n);
                true
            }
            _ => false,
        };
        let unit = Unit { changes: vec![change], continues: false, ends: true };
        let mut judged = self.judge.judge(unit, self.number, memory, versions);
        if let Some(still) = judged.part.quarantined.pop() {
            return (Vec::new(), EntryStatus::Aside, Some(still.reason));
        }
        let mut parts = vec![judged.part];
        for (row, at, ms) in judged.rows {
            parts.extend(self.judge.tell_row((&row, at, ms), self.number, memory, versions));
        }
        parts.retain(|part| !part.is_empty());
        // A write of a task that changes nothing was read in full all the same. What is said too late by anything else
        // adds nothing: a row's change has been told, a request's swap too, and later configurations stand.
        let status = if is_task || !parts.is_empty() { EntryStatus::Retried } else { EntryStatus::Superseded };
        (parts, status, None)
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroUsize;

    use bson::raw::RawBson;
    use bson::{RawDocumentBuf, Timestamp, oid::ObjectId, rawdoc};

    use super::*;

    fn entry(time: u32, collection: &str, operation: &str, key: ObjectId, full: RawDocumentBuf) -> Entry {
        let time = Timestamp { time, increment: 1 };
        let raw = rawdoc! {
            "_id": { "_data": "82" }, "operationType": operation, "clusterTime": time,
            "ns": { "db": "d", "coll": collection }, "documentKey": { "_id": key }, "fullDocument": full,
        };
        Entry {
            id: RawBson::String(format!("{time}")),
            collection: collection.into(),
            key: Some(key.into()),
            time,
            n: 0,
            raw,
        }
    }

    fn scan(time: u32, key: ObjectId, full: RawDocumentBuf) -> Entry {
        let raw = rawdoc! { "fullDocument": full };
        let time = Timestamp { time, increment: 1 };
        Entry { id: RawBson::Document(rawdoc! { "scan": key }), collection: "tasks".into(), key: None, time, n: 0, raw }
    }

    fn task(status: i32) -> RawDocumentBuf {
        rawdoc! { "GroupId": ObjectId::new(), "Name": "wash", "Status": status }
    }

    struct Scene(Again, Memory, Versions, Arc<Mapping>);

    impl Scene {
        fn new() -> Self {
            let mapping = Arc::new(Mapping::load("tasks-tracker").unwrap());
            let memory = Memory::new(NonZeroUsize::new(10).unwrap());
            Self(Again::new(Arc::clone(&mapping), "d"), memory, Versions::default(), mapping)
        }

        fn read(&mut self, entry: &Entry) -> (EntryStatus, usize, Option<String>) {
            let parts = self.0.judge(entry, Reading::of(entry, &self.3), &mut self.1, &mut self.2);
            let reread = parts.iter().flat_map(|part| &part.reread).next().unwrap();
            (reread.status, parts.iter().map(|part| part.events.len()).sum(), reread.reason.clone())
        }
    }

    #[test]
    fn what_fits_today_is_told_unless_something_later_is_recorded() {
        let (mut scene, key) = (Scene::new(), ObjectId::new());
        assert_eq!(scene.read(&entry(5, "tasks", "insert", key, task(0))), (EntryStatus::Retried, 1, None));
        assert_eq!(scene.read(&entry(5, "tasks", "insert", key, task(0))).0, EntryStatus::Superseded);
        assert_eq!(scene.read(&entry(4, "tasks", "replace", key, task(1))).0, EntryStatus::Superseded);
        assert_eq!(scene.read(&entry(6, "tasks", "delete", key, task(1))), (EntryStatus::Retried, 0, None));
    }

    #[test]
    fn a_later_change_of_the_same_transaction_is_not_superseded_by_the_first() {
        let (mut scene, key) = (Scene::new(), ObjectId::new());
        let first = entry(5, "tasks", "insert", key, task(0));
        let first = scene.0.judge(&first, Reading::of(&first, &scene.3), &mut scene.1, &mut scene.2);
        let later = Entry { n: 1, ..entry(5, "tasks", "replace", key, task(1)) };
        let second = scene.0.judge(&later, Reading::of(&later, &scene.3), &mut scene.1, &mut scene.2);
        let at = |parts: &[Part]| parts.iter().flat_map(|part| &part.snapshots).map(|one| one.at.n).collect::<Vec<_>>();
        assert_eq!((at(&first), at(&second)), (vec![0], vec![1]));
        assert_eq!(second.iter().map(|part| part.events.len()).sum::<usize>(), 1);
        assert_eq!(scene.read(&later).0, EntryStatus::Superseded);
    }

    #[test]
    fn what_still_does_not_fit_stays_aside_with_the_reason_of_today() {
        let (mut scene, key) = (Scene::new(), ObjectId::new());
        let (status, events, reason) = scene.read(&entry(5, "tasks", "insert", key, task(77)));
        assert_eq!((status, events), (EntryStatus::Aside, 0));
        assert!(reason.unwrap().starts_with("Status: "));
        let (status, _, reason) = scene.read(&scan(5, key, rawdoc! { "Name": "private" }));
        assert_eq!((status, reason.as_deref()), (EntryStatus::Aside, Some("GroupId: missing")));
        let mut bare = entry(5, "tasks", "insert", key, task(0));
        bare.raw = rawdoc! {};
        assert_eq!(scene.read(&bare).0, EntryStatus::Aside);
    }

    #[test]
    fn what_does_not_fit_is_settled_once_its_task_is_known_as_it_was_afterwards() {
        let (mut scene, key) = (Scene::new(), ObjectId::new());
        let (misfit, met) = (entry(5, "tasks", "insert", key, task(77)), scan(5, key, rawdoc! { "Name": "private" }));
        let of_another = entry(5, "tasks", "insert", ObjectId::new(), task(77));
        scene.read(&entry(6, "tasks", "replace", key, task(0)));
        assert_eq!(scene.read(&misfit).0, EntryStatus::Superseded);
        assert_eq!(scene.read(&met).0, EntryStatus::Superseded);
        assert_eq!(scene.read(&of_another).0, EntryStatus::Aside);
        assert_eq!(scene.read(&entry(7, "tasks", "replace", key, task(77))).0, EntryStatus::Aside);
    }

    #[test]
    fn a_scans_document_is_the_tasks_past_only_where_nothing_else_is() {
        let (mut scene, key) = (Scene::new(), ObjectId::new());
        assert_eq!(scene.read(&scan(5, key, task(0))), (EntryStatus::Retried, 0, None));
        assert_eq!(scene.read(&scan(6, key, task(1))).0, EntryStatus::Superseded);
        assert_eq!(scene.read(&entry(7, "tasks", "replace", key, task(2))), (EntryStatus::Retried, 1, None));
    }

    #[test]
    fn a_history_row_that_tells_nothing_comes_too_late() {
        let (mut scene, key) = (Scene::new(), ObjectId::new());
        let row = |action: i32| rawdoc! { "TaskId": key, "ChangedByUserId": ObjectId::new(), "Action": action };
        assert_eq!(scene.read(&entry(5, "taskHistories", "insert", key, row(1))).0, EntryStatus::Superseded);
        scene.read(&entry(6, "tasks", "insert", key, task(0)));
        let approval = entry(7, "taskHistories", "insert", ObjectId::new(), row(5));
        assert_eq!(scene.read(&approval), (EntryStatus::Retried, 1, None));
    }
}
