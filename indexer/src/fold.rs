//! Folding: a change and the task's last snapshot give the next state and the transition between them. Pure.

use std::sync::Arc;

use bson::RawDocument;
use taskwire::mapping::{Mapping, Misfit, TaskState, UpdateDescription};
use taskwire::model::StreamTime;

use crate::change::TaskWrite;
use crate::field_set::FieldSet;
use crate::snapshot::Snapshot;

/// How a task went from one state to the next.
#[derive(Debug, Clone, PartialEq)]
pub enum Transition {
    /// A new task, or a new life of a deleted one.
    Created(Arc<TaskState>),
    /// Tracked fields changed.
    Changed {
        /// Before.
        before: Arc<TaskState>,
        /// After.
        after: Arc<TaskState>,
        /// Which; may be empty where only an actor's field moved.
        fields: FieldSet,
    },
    /// Taken as state only: there was no past to compare with.
    Adopted(Arc<TaskState>),
    /// Deleted.
    Deleted,
}

impl Transition {
    /// The state after it; `None`: deleted.
    #[must_use]
    pub fn after(&self) -> Option<&Arc<TaskState>> {
        match self {
            Self::Created(after) | Self::Changed { after, .. } | Self::Adopted(after) => Some(after),
            Self::Deleted => None,
        }
    }
}

/// Folds one write at `at` into the task's last snapshot; `None` if it adds nothing: it was folded in before, or wrote
/// what already stood.
///
/// # Errors
/// [`Misfit`] if an update cannot be applied, or the state it updates is not known.
pub fn fold(
    mapping: &Mapping,
    at: StreamTime,
    last: Option<&Snapshot>,
    write: &TaskWrite,
) -> Result<Option<Transition>, Misfit> {
    if last.is_some_and(|snapshot| at <= snapshot.at) {
        return Ok(None);
    }
    let before = last.and_then(|snapshot| snapshot.state.clone());
    let after = match (write, &before) {
        (TaskWrite::Insert(state), _) => return Ok(Some(Transition::Created(Arc::clone(state)))),
        (TaskWrite::Delete, None) if last.is_some() => return Ok(None),
        // Of an unknown task too: what was put aside of it before must not come back later.
        (TaskWrite::Delete, _) => return Ok(Some(Transition::Deleted)),
        (TaskWrite::Replace(state), _) => Arc::clone(state),
        (TaskWrite::Update(change), Some(before)) => Arc::new(apply(mapping, before, change)?),
        (TaskWrite::Update(_), None) => return Err(Misfit::new("_id", "update of a task whose state is not known")),
    };
    Ok(match before {
        None => Some(Transition::Adopted(after)),
        Some(before) if before == after => None,
        Some(before) => {
            let unknown = last.map_or(FieldSet::default(), |snapshot| snapshot.unknown);
            let fields = FieldSet::difference(&before, &after).without(unknown);
            Some(Transition::Changed { before, after, fields })
        }
    })
}

fn apply(mapping: &Mapping, before: &TaskState, change: &RawDocument) -> Result<TaskState, Misfit> {
    let description =
        change.get_document("updateDescription").map_err(|_| Misfit::new("updateDescription", "missing"))?;
    let update = UpdateDescription {
        updated: description.get_document("updatedFields").ok(),
        removed: description.get_array("removedFields").ok(),
        truncated: description.get_array("truncatedArrays").ok(),
        disambiguated: description.get_document("disambiguatedPaths").ok(),
    };
    mapping.apply_update(before, update)
}

#[cfg(test)]
mod tests {
    use bson::{RawDocumentBuf, Timestamp, oid::ObjectId, rawdoc};
    use taskwire::model::DocId;

    use super::*;

    fn mapping() -> Mapping {
        Mapping::load("camel-case").unwrap()
    }

    fn state(group: ObjectId, name: &str, by: &str) -> TaskState {
        let doc = rawdoc! { "groupId": group, "name": name, "status": "Pending", "updatedBy": by };
        mapping().read_task(&doc).unwrap()
    }

    fn replace(state: TaskState) -> TaskWrite {
        TaskWrite::Replace(Arc::new(state))
    }

    fn at(time: u32, n: u32) -> StreamTime {
        StreamTime::new(Timestamp { time, increment: 1 }, n)
    }

    fn snapshot(state: TaskState, time: u32) -> Snapshot {
        Snapshot::of_scan(DocId::parse("t"), state, Timestamp { time, increment: 1 })
    }

    #[test]
    fn a_change_not_after_the_snapshot_is_dropped() {
        let group = ObjectId::new();
        let last = snapshot(state(group, "a", "u"), 5);
        let write = replace(state(group, "b", "u"));
        assert_eq!(fold(&mapping(), at(5, 0), Some(&last), &write).unwrap(), None);
        assert_eq!(fold(&mapping(), at(4, 9), Some(&last), &write).unwrap(), None);
        assert!(fold(&mapping(), at(6, 0), Some(&last), &write).unwrap().is_some());
    }

    #[test]
    fn a_replace_without_a_past_is_taken_as_state_only() {
        let write = replace(state(ObjectId::new(), "a", "u"));
        assert!(matches!(fold(&mapping(), at(1, 0), None, &write).unwrap(), Some(Transition::Adopted(_))));
    }

    #[test]
    fn an_insert_after_a_tombstone_is_a_new_life() {
        let group = ObjectId::new();
        let mut last = snapshot(state(group, "a", "u"), 5);
        last.state = None;
        let write = TaskWrite::Insert(Arc::new(state(group, "a", "u")));
        assert!(matches!(fold(&mapping(), at(6, 0), Some(&last), &write).unwrap(), Some(Transition::Created(_))));
        assert_eq!(fold(&mapping(), at(6, 0), Some(&last), &TaskWrite::Delete).unwrap(), None);
    }

    #[test]
    fn the_deletion_of_an_unknown_task_is_remembered() {
        assert_eq!(fold(&mapping(), at(6, 0), None, &TaskWrite::Delete).unwrap(), Some(Transition::Deleted));
    }

    #[test]
    fn a_write_of_what_already_stood_adds_nothing_and_a_new_actor_alone_changes_no_field() {
        let group = ObjectId::new();
        let last = snapshot(state(group, "a", "u"), 5);
        let same = replace(state(group, "a", "u"));
        assert_eq!(fold(&mapping(), at(6, 0), Some(&last), &same).unwrap(), None);
        let other = replace(state(group, "a", "v"));
        let Some(Transition::Changed { fields, .. }) = fold(&mapping(), at(6, 0), Some(&last), &other).unwrap() else {
            panic!()
        };
        assert!(fields.is_empty());
    }

    #[test]
    fn the_first_sight_of_a_field_that_the_mapping_gained_is_no_change() {
        let group = ObjectId::new();
        let mut last = snapshot(state(group, "a", "u"), 5);
        last.unknown = FieldSet::one(mapping().field("name").unwrap());
        let write = replace(state(group, "b", "u"));
        let Some(Transition::Changed { fields, .. }) = fold(&mapping(), at(6, 0), Some(&last), &write).unwrap() else {
            panic!()
        };
        assert!(fields.is_empty());
    }

    #[test]
    fn an_update_of_an_unknown_task_is_a_misfit() {
        let update: RawDocumentBuf = rawdoc! { "updateDescription": { "updatedFields": { "name": "x" } } };
        assert!(fold(&mapping(), at(1, 0), None, &TaskWrite::Update(update)).is_err());
    }
}
