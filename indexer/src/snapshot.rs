//! `taskSnapshots`: the last known tracked fields of each task, the only memory of the past.

use std::sync::Arc;

use bson::raw::{CStr, RawBson, cstr};
use bson::{RawArrayBuf, RawDocument, RawDocumentBuf, Timestamp, rawdoc};
use taskwire::mapping::{Mapping, TaskState, Value};
use taskwire::model::{DocId, StreamTime};

use crate::field_set::FieldSet;

/// Who told a swap first: the tasks' own transaction, or the swap request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SwapTeller {
    /// A transaction that swapped the assignees.
    Transaction,
    /// A swap request that moved to its approved status.
    Request,
}

/// A swap that was told, and whether its other teller came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SwapMark {
    /// The other task.
    pub with: DocId,
    /// Who told it.
    pub told_by: SwapTeller,
    /// When, in stream time; the other teller is expected within [`SwapMark::LIFETIME`]. Tasks of one transaction share it.
    pub at: Timestamp,
    /// Whether nobody is expected any more: both tellers came, or the task was re-assigned otherwise.
    pub spent: bool,
    /// The newest of the approved requests that named this task: written again, they tell nothing.
    pub requests: Vec<String>,
}

impl SwapMark {
    /// Seconds of stream time in which the other teller of the same swap is expected.
    pub const LIFETIME: u32 = 600;
    /// Requests that are remembered of one task.
    const REQUESTS: usize = 16;

    /// The mark of a swap told by `told_by`, after the task's `last` one.
    #[must_use]
    pub fn told(last: Option<&Self>, with: DocId, told_by: SwapTeller, at: Timestamp) -> Self {
        let requests = last.map_or_else(Vec::new, |last| last.requests.clone());
        Self { with, told_by, at, spent: false, requests }
    }

    /// Whether `teller` told the swap not long before `now`, and the other teller has not come yet.
    #[must_use]
    pub fn awaits_other(&self, teller: SwapTeller, now: Timestamp) -> bool {
        let recent = now.time.saturating_sub(self.at.time) <= Self::LIFETIME;
        self.told_by == teller && !self.spent && recent
    }

    /// Remembers an approved request.
    pub fn see(&mut self, request: &str) {
        if self.requests.len() >= Self::REQUESTS {
            self.requests.remove(0);
        }
        self.requests.push(request.to_owned());
    }
}

/// A task as of the last change folded in.
#[derive(Debug, Clone, PartialEq)]
pub struct Snapshot {
    /// The task.
    pub id: DocId,
    /// The last change folded in; a change not after it is dropped.
    pub at: StreamTime,
    /// Events told so far; goes on over delete and re-insert.
    pub sequence: i64,
    /// The tracked fields; `None`: deleted.
    pub state: Option<Arc<TaskState>>,
    /// Whether an approval or rejection was told since the last change of status (or that is not known).
    pub reviewed: bool,
    /// A swap whose other teller may still come.
    pub swap: Option<SwapMark>,
    /// Fields that the mapping has gained since this was stored: their first sight is no change.
    pub unknown: FieldSet,
}

/// A stored snapshot that cannot be read: written by another mapping or damaged.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "the stored snapshot of task {task} cannot be read ({why}): restore `taskSnapshots` from a backup, or delete this document, and the task is taken as it is at its next write"
)]
pub struct BadSnapshot {
    /// The task.
    pub task: String,
    /// What is wrong.
    pub why: String,
}

impl Snapshot {
    /// The state a scan at `time` found: everything up to then is past, told or not.
    #[must_use]
    pub fn of_scan(id: DocId, state: TaskState, time: Timestamp) -> Self {
        Self {
            id,
            at: StreamTime::new(time, StreamTime::END),
            sequence: 0,
            state: Some(Arc::new(state)),
            reviewed: true,
            swap: None,
            unknown: FieldSet::default(),
        }
    }

    /// The document as it is stored. Fields are named by the mapping, so that a mapping with more fields reads it too.
    #[must_use]
    pub fn to_raw(&self, mapping: &Mapping) -> RawDocumentBuf {
        let mut doc = RawDocumentBuf::new();
        match &self.id {
            DocId::Oid(oid) => doc.append(cstr!("_id"), *oid),
            DocId::Text(text) => doc.append(cstr!("_id"), text.as_str()),
        }
        doc.append(cstr!("at"), raw_time(self.at));
        doc.append(cstr!("sequence"), self.sequence);
        doc.append(cstr!("reviewed"), self.reviewed);
        match &self.state {
            None => doc.append(cstr!("deleted"), true),
            Some(state) => append_state(&mut doc, state, mapping),
        }
        if let Some(mark) = &self.swap {
            doc.append(cstr!("swap"), raw_mark(mark));
        }
        doc
    }

    /// Reads a stored document.
    ///
    /// # Errors
    /// [`BadSnapshot`].
    pub fn from_raw(doc: &RawDocument, mapping: &Mapping) -> Result<Self, BadSnapshot> {
        let id = doc.get("_id").ok().flatten().and_then(DocId::from_raw);
        let task = id.as_ref().map_or_else(String::new, ToString::to_string);
        let bad = |why: &str| BadSnapshot { task: task.clone(), why: why.to_owned() };
        let id = id.ok_or_else(|| bad("no _id"))?;
        let at = doc.get_document("at").ok().and_then(read_time).ok_or_else(|| bad("no time"))?;
        let (state, unknown) = if doc.get_bool("deleted").unwrap_or(false) {
            (None, FieldSet::default())
        } else {
            let (state, unknown) = read_state(doc, mapping).ok_or_else(|| bad("no state"))?;
            (Some(Arc::new(state)), unknown)
        };
        Ok(Self {
            id,
            at,
            sequence: doc.get_i64("sequence").map_err(|_| bad("no sequence"))?,
            state,
            reviewed: doc.get_bool("reviewed").unwrap_or(true),
            swap: doc.get_document("swap").ok().and_then(read_mark),
            unknown,
        })
    }
}

/// A place in the stream, as it is stored.
fn raw_time(at: StreamTime) -> RawDocumentBuf {
    rawdoc! { "t": i64::from(at.t), "i": i64::from(at.i), "n": i64::from(at.n) }
}

fn read_time(doc: &RawDocument) -> Option<StreamTime> {
    let part = |key| doc.get_i64(key).ok().and_then(|number| u32::try_from(number).ok());
    Some(StreamTime { t: part("t")?, i: part("i")?, n: part("n")? })
}

fn raw_mark(mark: &SwapMark) -> RawDocumentBuf {
    let mut requests = RawArrayBuf::new();
    mark.requests.iter().for_each(|request| requests.push(request.as_str()));
    rawdoc! {
        "with": mark.with.to_string(), "byRequest": mark.told_by == SwapTeller::Request, "at": mark.at,
        "spent": mark.spent, "requests": requests,
    }
}

fn read_mark(doc: &RawDocument) -> Option<SwapMark> {
    let told_by = if doc.get_bool("byRequest").ok()? { SwapTeller::Request } else { SwapTeller::Transaction };
    let requests = doc.get_array("requests").ok().into_iter().flatten();
    Some(SwapMark {
        with: DocId::parse(doc.get_str("with").ok()?),
        told_by,
        at: doc.get_timestamp("at").ok()?,
        spent: doc.get_bool("spent").unwrap_or(false),
        requests: requests.filter_map(|request| Some(request.ok()?.as_str()?.to_owned())).collect(),
    })
}

fn append_state(doc: &mut RawDocumentBuf, state: &TaskState, mapping: &Mapping) {
    match &state.group {
        DocId::Oid(oid) => doc.append(cstr!("group"), *oid),
        DocId::Text(text) => doc.append(cstr!("group"), text.as_str()),
    }
    let mut fields = RawDocumentBuf::new();
    for (field, value) in mapping.task.fields.iter().zip(&state.values) {
        // The mapping's check lets no name with a NUL through.
        if let Ok(name) = <&CStr>::try_from(field.name.as_str()) {
            fields.append(name, value.to_snapshot());
        }
    }
    doc.append(cstr!("fields"), fields);
    if let Some(creator) = &state.created_by {
        doc.append(cstr!("createdBy"), creator.as_ref());
    }
    if state.actors.iter().any(Option::is_some) {
        let mut actors = RawDocumentBuf::new();
        for (source, actor) in mapping.task.actors.iter().zip(&state.actors) {
            if let (Some(actor), Ok(path)) = (actor, <&CStr>::try_from(source.path.as_str())) {
                actors.append(path, actor.as_ref());
            }
        }
        doc.append(cstr!("actors"), actors);
    }
    if !mapping.arrays().is_empty() {
        let mut lengths = RawDocumentBuf::new();
        for (path, length) in mapping.arrays().iter().zip(&state.lengths) {
            if let Ok(path) = <&CStr>::try_from(path.as_str()) {
                lengths.append(path, length.map_or(RawBson::Null, |length| RawBson::Int64(i64::from(length))));
            }
        }
        doc.append(cstr!("lengths"), lengths);
    }
}

fn read_state(doc: &RawDocument, mapping: &Mapping) -> Option<(TaskState, FieldSet)> {
    let group = DocId::from_raw(doc.get("group").ok()??)?;
    let fields = doc.get_document("fields").ok()?;
    let mut values = vec![Value::Null; mapping.task.fields.len()];
    let mut unknown = (0..values.len()).fold(FieldSet::default(), |set, field| set.with(FieldSet::one(field)));
    for element in fields {
        let (name, raw) = element.ok()?;
        if let Some(at) = mapping.field(name.as_str()) {
            values[at] = Value::from_snapshot(raw);
            unknown = unknown.without(FieldSet::one(at));
        }
    }
    let stored = doc.get_document("actors").ok();
    let lengths = doc.get_document("lengths").ok();
    let length = |path: &str| match lengths.and_then(|lengths| lengths.get(path).ok().flatten()) {
        // The mapping gained it since.
        None => Some(0),
        Some(length) => Value::whole_number(length).and_then(|length| u32::try_from(length).ok()),
    };
    let actor = |path: &str| stored.and_then(|actors| actors.get_str(path).ok()).map(Into::into);
    let state = TaskState {
        group,
        values: values.into(),
        created_by: doc.get_str("createdBy").ok().map(Into::into),
        actors: mapping.task.actors.iter().map(|source| actor(&source.path)).collect(),
        lengths: mapping.arrays().iter().map(|path| length(path)).collect(),
    };
    Some((state, unknown))
}

#[cfg(test)]
mod tests {
    use bson::oid::ObjectId;

    use super::*;

    #[test]
    fn what_is_stored_reads_back_the_same() {
        let mapping = Mapping::load("camel-case").unwrap();
        let task = rawdoc! {
            "groupId": ObjectId::new(), "name": "wash", "status": "Pending", "difficulty": 3i32, "assignedTo": "u7",
            "dueAt": bson::DateTime::from_millis(5), "requiresApproval": true, "createdBy": "u1", "updatedBy": "u2",
            "history": [{ "userId": "u1" }, { "userId": "u3" }],
        };
        let state = mapping.read_task(&task).unwrap();
        let time = Timestamp { time: 4_000_000_000, increment: 7 };
        let mut snapshot = Snapshot::of_scan(DocId::Oid(ObjectId::new()), state, time);
        snapshot.sequence = 9;
        let with = DocId::Oid(ObjectId::new());
        let mut mark = SwapMark::told(None, with, SwapTeller::Request, time);
        mark.see("r");
        snapshot.swap = Some(mark);
        assert_eq!(Snapshot::from_raw(&snapshot.to_raw(&mapping), &mapping).unwrap(), snapshot);
        snapshot.state = None;
        snapshot.swap = None;
        assert_eq!(Snapshot::from_raw(&snapshot.to_raw(&mapping), &mapping).unwrap(), snapshot);
    }

    #[test]
    fn a_field_that_the_mapping_gained_is_unknown_and_not_null() {
        let with = |fields: bson::Document| {
            let doc = bson::doc! { "_id": "t", "at": { "t": 1i64, "i": 1i64, "n": 0i64 }, "sequence": 1i64, "group": "g", "fields": fields };
            let mapping = Mapping::load("camel-case").unwrap();
            Snapshot::from_raw(&RawDocumentBuf::try_from(&doc).unwrap(), &mapping).unwrap().unknown
        };
        let mapping = Mapping::load("camel-case").unwrap();
        let all: bson::Document =
            mapping.task.fields.iter().map(|field| (field.name.clone(), bson::Bson::Null)).collect();
        assert!(with(all.clone()).is_empty());
        let mut fewer = all;
        fewer.remove("difficulty");
        assert_eq!(with(fewer), FieldSet::one(mapping.field("difficulty").unwrap()));
    }

    #[test]
    fn what_an_earlier_version_stored_without_lengths_takes_any_written_entry_for_the_newest() {
        let mapping = Mapping::load("camel-case").unwrap();
        let task = rawdoc! { "groupId": ObjectId::new(), "status": "Pending", "history": [{ "userId": "u1" }] };
        let state = mapping.read_task(&task).unwrap();
        assert_eq!(*state.lengths, [Some(1)]);
        let snapshot = Snapshot::of_scan(DocId::parse("t"), state, Timestamp { time: 1, increment: 1 });
        let mut stored = bson::Document::try_from(&snapshot.to_raw(&mapping)).unwrap();
        stored.remove("lengths");
        let read = Snapshot::from_raw(&RawDocumentBuf::try_from(&stored).unwrap(), &mapping).unwrap();
        assert_eq!(*read.state.unwrap().lengths, [Some(0)]);
    }

    #[test]
    fn a_snapshot_without_its_state_is_an_error_that_says_what_to_do() {
        let mapping = Mapping::load("tasks-tracker").unwrap();
        let doc = rawdoc! { "_id": "x", "at": raw_time(StreamTime { t: 1, i: 1, n: 0 }), "sequence": 1i64 };
        assert!(Snapshot::from_raw(&doc, &mapping).unwrap_err().to_string().contains("cannot be read (no state)"));
    }
}
