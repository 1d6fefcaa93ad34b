//! The history rows that were written inside a gap.

use std::collections::HashMap;

use bson::oid::ObjectId;
use bson::{Bson, Document, RawDocument, Timestamp, doc};
use taskwire::mapping::{HistoryShape, Mapping};
use taskwire::model::DocId;
use taskwire::store::Store;

use crate::change::{HistoryRow, at_path, read_row};
use crate::scan::{as_of, find_all};

/// Rows whose id is so many seconds older than the gap are not looked at: ids are made by the service's clock.
const CLOCKS_DIFFER: u32 = 300;
/// A row counts as written inside the gap if it is so many milliseconds after its beginning: the service's clock and the
/// server's are not the same, and a row from before must not be told again.
const MARGIN_MS: i64 = 2000;
/// Rows that are read for one chunk of tasks, at most.
const MOST: i64 = 50_000;

/// A row, and when it was written, in milliseconds by the service's clock.
#[derive(Debug, Clone)]
pub(super) struct TimedRow {
    pub(super) ms: i64,
    pub(super) row: HistoryRow,
}

/// The rows of `tasks` since `from`, by task, in the order in which they were written.
pub(super) async fn of_tasks(
    store: &Store,
    mapping: &Mapping,
    tasks: &[DocId],
    from: Timestamp,
    time: Timestamp,
) -> mongodb::error::Result<HashMap<DocId, Vec<TimedRow>>> {
    let mut found: HashMap<DocId, Vec<TimedRow>> = HashMap::new();
    let Some((history, when)) = shape(mapping) else { return Ok(found) };
    let keys: Vec<Bson> = tasks.iter().cloned().map(Into::into).collect();
    let mut filter = since(from);
    filter.insert(&history.task, doc! { "$in": keys });
    let command = doc! {
        "find": &history.collection, "filter": filter, "limit": MOST, "batchSize": 5000, "readConcern": as_of(time),
    };
    let rows = find_all(store, &command).await?;
    if i64::try_from(rows.len()).is_ok_and(|count| count >= MOST) {
        tracing::warn!(most = MOST, "more history rows than are read for one chunk of tasks: the others are left out");
    }
    for raw in rows {
        if let Some(timed) = read(&raw, history, when) {
            found.entry(timed.row.task.clone()).or_default().push(timed);
        }
    }
    for rows in found.values_mut() {
        rows.sort_by(|one, other| (one.ms, &one.row.id).cmp(&(other.ms, &other.row.id)));
    }
    Ok(found)
}

/// The tasks that `rows` of the history name and that were written inside the gap.
pub(super) fn tasks_named<'a>(
    rows: impl Iterator<Item = &'a RawDocument>,
    mapping: &Mapping,
    from: Timestamp,
) -> Vec<DocId> {
    let Some((history, when)) = shape(mapping) else { return Vec::new() };
    let mut tasks: Vec<DocId> = rows
        .filter_map(|raw| read(raw, history, when))
        .filter(|timed| timed.ms > after(from.time))
        .map(|timed| timed.row.task)
        .collect();
    tasks.sort_unstable();
    tasks.dedup();
    tasks
}

/// The rows that may lie inside a gap since `from`, by their ids: no other index can be counted on.
pub(super) fn since(from: Timestamp) -> Document {
    doc! { "_id": { "$gte": first_id(from) } }
}

fn first_id(from: Timestamp) -> ObjectId {
    ObjectId::from_parts(from.time.saturating_sub(CLOCKS_DIFFER), [0; 5], [0; 3])
}

/// Milliseconds after which a row cannot belong to a change at `seconds` of cluster time or before.
pub(super) fn after(seconds: u32) -> i64 {
    i64::from(seconds) * 1000 + MARGIN_MS
}

/// The history's shape, where its rows tell when they were written.
pub(super) fn shape(mapping: &Mapping) -> Option<(&HistoryShape, &str)> {
    let history = mapping.history.as_ref()?;
    Some((history, history.time.as_deref()?))
}

fn read(raw: &RawDocument, history: &HistoryShape, when: &str) -> Option<TimedRow> {
    let id = DocId::from_raw(raw.get("_id").ok()??)?;
    let ms = at_path(raw, when)?.as_datetime()?.timestamp_millis();
    Some(TimedRow { ms, row: read_row(id, raw, history).ok()? })
}
