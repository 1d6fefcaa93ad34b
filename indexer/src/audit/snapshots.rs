//! Snapshots equal the tasks: both are read in the order of `_id`, as of one point in time, side by side. The watcher is
//! always a little behind the tasks, so a difference is a suspicion only; [`settle`](super::settle) looks again.

use std::cmp::Ordering;
use std::sync::Arc;
use std::time::Instant;

use bson::{Bson, RawDocument, RawDocumentBuf, Timestamp, doc, rawdoc};
use taskwire::mapping::{Mapping, Misfit, TaskState};
use taskwire::model::DocId;
use taskwire::store::names;

use super::feed::Feed;
use super::report::{Kind, Report};
use super::sequence::order;
use super::settle::Settler;
use super::{Audit, AuditError, LEG, NO_ID, TRIES, find_in_order, id_at, is_too_old};
use crate::field_set::FieldSet;
use crate::lag::cluster_time;
use crate::snapshot::{BadSnapshot, Snapshot};

/// Suspicions that are looked at together.
const TOGETHER: usize = 1000;

/// A task as it is read.
pub(super) type Task = Result<TaskState, Misfit>;

/// A snapshot as it is stored.
pub(super) type Stored = Result<Snapshot, BadSnapshot>;

impl Audit {
    pub(super) async fn check_snapshots(&self, report: &mut Report) -> Result<(), AuditError> {
        let (mut last, mut tries) = (None, 0);
        let mut settler = Settler::new(self);
        loop {
            let begun = last.clone();
            match self.compare_from(&mut last, &mut settler, report).await {
                Ok(true) => return Ok(()),
                Ok(false) => {}
                Err(error) if is_too_old(&error) => {
                    tries = if last == begun { tries + 1 } else { 0 };
                    if tries == TRIES {
                        return Err(AuditError::TooOld);
                    }
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// As far as one point in time carries; true: to the end. `last` moves with what is compared.
    async fn compare_from(
        &self,
        last: &mut Option<DocId>,
        settler: &mut Settler<'_>,
        report: &mut Report,
    ) -> Result<bool, AuditError> {
        let at = cluster_time(&self.store).await?;
        let mut tasks = Feed::open(&self.store, self.tasks(last.as_ref(), at)?, task_reader(&self.mapping));
        let mut snapshots = Feed::open(&self.store, self.snapshots(last.as_ref(), at)?, snapshot_reader(&self.mapping));
        let begun = Instant::now();
        let mut suspects = Vec::new();
        // The first is the last of what was compared before.
        let known = last.clone();
        let end = loop {
            let left = tasks.peek().await?.map(|(id, _)| id);
            let right = snapshots.peek().await?.map(|(id, _)| id);
            let Some(id) = [left, right].into_iter().flatten().min_by(|one, other| order(one, other)).cloned() else {
                break true;
            };
            let task = tasks.take_if(|(other, _)| *other == id).await?.map(|(_, task)| task);
            let snapshot = snapshots.take_if(|(other, _)| *other == id).await?.map(|(_, snapshot)| snapshot);
            self.bar.inc(u64::from(task.is_some()) + u64::from(snapshot.is_some()));
            if id == NO_ID || known.as_ref().is_some_and(|known| order(&id, known) != Ordering::Greater) {
                continue;
            }
            report.checked.tasks += u64::from(task.is_some());
            if difference(task.as_ref(), snapshot.as_ref(), &self.mapping).is_some() {
                suspects.push(id.clone());
            }
            *last = Some(id);
            if suspects.len() == TOGETHER {
                settler.settle(std::mem::take(&mut suspects), at, report).await?;
            }
            if begun.elapsed() > LEG {
                break false;
            }
        };
        settler.settle(suspects, at, report).await?;
        Ok(end)
    }

    fn tasks(&self, last: Option<&DocId>, at: Timestamp) -> Result<RawDocumentBuf, AuditError> {
        let shape = &self.mapping.task;
        let paths = shape.fields.iter().map(|field| field.path.as_str()).chain([shape.group.as_str()]);
        let mut projection = doc! {};
        for head in paths.filter_map(|path| path.split(['.', '[']).next()) {
            projection.insert(head, 1);
        }
        let projection = RawDocumentBuf::try_from(&projection).map_err(mongodb::error::Error::from)?;
        after(find_in_order(&shape.collection, rawdoc! {}, projection, at), last)
    }

    fn snapshots(&self, last: Option<&DocId>, at: Timestamp) -> Result<RawDocumentBuf, AuditError> {
        let projection = rawdoc! { "at": 1, "sequence": 1, "deleted": 1, "group": 1, "fields": 1 };
        after(find_in_order(names::SNAPSHOTS, rawdoc! {}, projection, at), last)
    }
}

/// From this id on. `min` and not a comparison, which would see ids of one BSON type only.
fn after(mut command: RawDocumentBuf, last: Option<&DocId>) -> Result<RawDocumentBuf, AuditError> {
    if let Some(last) = last {
        let id = bson::raw::RawBson::try_from(Bson::from(last.clone())).map_err(mongodb::error::Error::from)?;
        command.append(bson::cstr!("min"), rawdoc! { "_id": id });
    }
    Ok(command)
}

/// Reads tasks.
pub(super) fn task_reader(mapping: &Arc<Mapping>) -> impl Fn(&RawDocument) -> (DocId, Task) + Send + 'static + use<> {
    let mapping = Arc::clone(mapping);
    move |raw| (id_at(raw, "_id"), mapping.read_task(raw))
}

/// Reads snapshots.
pub(super) fn snapshot_reader(
    mapping: &Arc<Mapping>,
) -> impl Fn(&RawDocument) -> (DocId, Stored) + Send + 'static + use<> {
    let mapping = Arc::clone(mapping);
    move |raw| (id_at(raw, "_id"), Snapshot::from_raw(raw, &mapping))
}

/// How a task and its snapshot differ, if they do. Names fields, never their contents.
pub(super) fn difference(task: Option<&Task>, snapshot: Option<&Stored>, mapping: &Mapping) -> Option<(Kind, String)> {
    let snapshot = match snapshot {
        Some(Err(bad)) => return Some((Kind::SnapshotUnreadable, bad.why.clone())),
        Some(Ok(snapshot)) => snapshot.state.as_deref().map(|state| (state, snapshot.unknown)),
        None => None,
    };
    match (task, snapshot) {
        (None, None) => None,
        (None, Some(_)) => Some((Kind::SnapshotLeftOver, "the task is gone".to_owned())),
        (Some(Err(misfit)), _) => Some((Kind::TaskUnreadable, misfit.to_string())),
        (Some(Ok(_)), None) => Some((Kind::SnapshotMissing, "the task is there".to_owned())),
        (Some(Ok(task)), Some((state, unknown))) => {
            let fields = FieldSet::difference(state, task).without(unknown);
            let differing = mapping.task.fields.iter().enumerate().filter(|(at, _)| fields.has(*at));
            let mut names: Vec<&str> = differing.map(|(_, field)| field.name.as_str()).collect();
            if task.group != state.group {
                names.push("group");
            }
            (!names.is_empty()).then(|| (Kind::SnapshotDiffers, format!("differs in {}", names.join(", "))))
        }
    }
}

#[cfg(test)]
mod tests {
    use bson::oid::ObjectId;

    use super::*;

    fn mapping() -> Mapping {
        Mapping::load("camel-case").unwrap()
    }

    fn task(group: ObjectId, name: &str) -> Task {
        mapping().read_task(&rawdoc! { "groupId": group, "name": name, "status": "Pending" })
    }

    fn stored(task: &Task) -> Snapshot {
        let time = Timestamp { time: 1, increment: 1 };
        Snapshot::of_scan(DocId::parse("t"), task.clone().unwrap(), time)
    }

    fn kind(task: Option<&Task>, snapshot: Option<Snapshot>) -> Option<(Kind, String)> {
        difference(task, snapshot.map(Ok).as_ref(), &mapping())
    }

    #[test]
    fn each_difference_has_its_kind_and_names_the_fields() {
        let group = ObjectId::new();
        let (one, other) = (task(group, "secret"), task(group, "other"));
        assert_eq!(kind(Some(&one), Some(stored(&one))), None);
        assert_eq!(kind(Some(&one), Some(stored(&other))), Some((Kind::SnapshotDiffers, "differs in name".into())));
        let moved = task(ObjectId::new(), "secret");
        assert_eq!(kind(Some(&one), Some(stored(&moved))), Some((Kind::SnapshotDiffers, "differs in group".into())));
        assert_eq!(kind(Some(&one), None).unwrap().0, Kind::SnapshotMissing);
        assert_eq!(kind(None, Some(stored(&one))).unwrap().0, Kind::SnapshotLeftOver);
        assert_eq!(kind(None, Some(Snapshot { state: None, ..stored(&one) })), None);
        assert_eq!(kind(Some(&one), Some(Snapshot { state: None, ..stored(&one) })).unwrap().0, Kind::SnapshotMissing);
        let misfit = mapping().read_task(&rawdoc! { "name": "x" });
        assert_eq!(kind(Some(&misfit), None).unwrap().0, Kind::TaskUnreadable);
    }

    #[test]
    fn a_field_that_the_mapping_gained_makes_no_difference() {
        let group = ObjectId::new();
        let (one, other) = (task(group, "a"), task(group, "b"));
        let unknown = FieldSet::one(mapping().field("name").unwrap());
        assert_eq!(kind(Some(&one), Some(Snapshot { unknown, ..stored(&other) })), None);
    }
}
