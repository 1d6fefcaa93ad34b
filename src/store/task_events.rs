//! `taskEvents` as admins read it. Writing it is the watcher's.

use std::time::Duration;

use bson::{DateTime, Document, Timestamp, doc};
use futures::TryStreamExt;
use mongodb::error::Result;

use super::{Store, names};
use crate::model::{DocId, EventId, EventKind, TaskEvent};

/// How long a read may take.
const READ_MAX: Duration = Duration::from_secs(10);

/// An event's id begins with its cluster time; its own time is the wall clock's of the same write. So many seconds apart they
/// may be.
const CLOCKS_DIFFER: i64 = 60;

/// Which events a list shows.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Of this task.
    pub task_id: Option<DocId>,
    /// Of this kind.
    pub event_type: Option<EventKind>,
    /// Of this time or later.
    pub since: Option<DateTime>,
    /// Before this time.
    pub until: Option<DateTime>,
}

/// Events of `groups` before `before` in the log, newest first, without their bodies; at most `limit`.
///
/// # Errors
/// The driver's error.
pub async fn list(
    store: &Store,
    groups: &[DocId],
    filter: &Filter,
    before: Option<&EventId>,
    limit: i64,
) -> Result<Vec<TaskEvent>> {
    let events = store.collection(names::EVENTS);
    let found = events.find(list_filter(groups, filter, before)).sort(doc! { "_id": -1 }).limit(limit);
    found.projection(without_body()).max_time(READ_MAX).await?.try_collect().await
}

/// One event of one of `groups`, without its body.
///
/// # Errors
/// The driver's error.
pub async fn find(store: &Store, groups: &[DocId], id: &str) -> Result<Option<TaskEvent>> {
    let wanted = doc! { "_id": id, "groupId": { "$in": groups } };
    store.collection(names::EVENTS).find_one(wanted).projection(without_body()).max_time(READ_MAX).await
}

/// A projection of everything but the body, which is the largest part of an event.
#[must_use]
pub fn without_body() -> Document {
    doc! {
        "groupId": 1, "taskId": 1, "event": 1, "at": 1, "clusterTime": 1, "sequence": 1, "actorId": 1, "summary": 1,
        "echo": 1, "muted": 1, "recovered": 1, "body": { "$literal": "" },
    }
}

pub(super) fn list_filter(groups: &[DocId], filter: &Filter, before: Option<&EventId>) -> Document {
    let mut wanted = doc! { "groupId": { "$in": groups } };
    if let Some(task) = &filter.task_id {
        wanted.insert("taskId", task.clone());
    }
    if let Some(kind) = filter.event_type {
        wanted.insert("event", kind.name());
    }
    let (mut ids, mut at) = (Vec::new(), Document::new());
    if let Some(before) = before {
        ids.push(doc! { "_id": { "$lt": before.as_str() } });
    }
    // The ids bound the scan, the time itself decides.
    if let Some(since) = filter.since {
        ids.push(doc! { "_id": { "$gte": first_id(since, -CLOCKS_DIFFER).as_str() } });
        at.insert("$gte", since);
    }
    if let Some(until) = filter.until {
        ids.push(doc! { "_id": { "$lt": first_id(until, CLOCKS_DIFFER).as_str() } });
        at.insert("$lt", until);
    }
    if !at.is_empty() {
        wanted.insert("at", at);
    }
    if !ids.is_empty() {
        wanted.insert("$and", ids);
    }
    wanted
}

/// The least id of this time, moved by so many seconds.
fn first_id(time: DateTime, moved: i64) -> EventId {
    let seconds = (time.timestamp_millis().div_euclid(1000) + moved).clamp(0, i64::from(u32::MAX));
    EventId::first_at(Timestamp { time: u32::try_from(seconds).unwrap_or(u32::MAX), increment: 0 })
}
