//! The position, what the oplog still has, the first start, and gaps.

use bson::{Bson, DateTime, Document, Timestamp, doc};
use futures::TryStreamExt;
use mongodb::error::Result;
use serde::Serialize;
use taskwire::store::{Store, names};

use super::moment;
use crate::checkpoint::WATCHER;

/// Gaps that are shown one by one.
const GAPS_SHOWN: i64 = 5;

/// The stored position.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Position {
    pub(super) time: String,
    pub(super) cluster_time: String,
    pub(super) lag_seconds: Option<u32>,
    pub(super) epoch: i64,
    /// The gap whose recovery is under way or asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) gap: Option<String>,
}

/// How far back the stream can be read.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Oplog {
    pub(super) begins: String,
    pub(super) size_bytes: Option<i64>,
    /// How much of that is used; entries leave it once it is full.
    pub(super) used_bytes: Option<i64>,
    /// How long the position stays in it at the present rate of writes; negative: it has left.
    pub(super) headroom_seconds: Option<i64>,
}

/// The first start.
#[derive(Debug, Serialize)]
#[serde(tag = "state", rename_all = "lowercase")]
pub(super) enum FirstStart {
    /// Nobody has begun it.
    Pending,
    /// The tasks are being taken in.
    #[serde(rename_all = "camelCase")]
    Running {
        done: i64,
        total: Option<i64>,
        started_at: Option<String>,
        per_second: Option<i64>,
        seconds_left: Option<i64>,
    },
    /// The past is known.
    Complete,
}

/// Intervals of the stream that were lost.
#[derive(Debug, Serialize)]
pub(super) struct Gaps {
    pub(super) open: u64,
    pub(super) recovering: u64,
    pub(super) recovered: u64,
    pub(super) latest: Vec<Gap>,
}

/// One of them.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Gap {
    pub(super) id: String,
    pub(super) state: String,
    pub(super) reason: String,
    pub(super) from: Option<String>,
    pub(super) to: Option<String>,
    pub(super) done: Option<i64>,
    pub(super) total: Option<i64>,
    pub(super) events: i64,
    pub(super) vanished: Option<i64>,
}

/// The position's document, read leniently: whoever leads may be of another version.
pub(super) async fn watcher(store: &Store) -> Result<Option<Document>> {
    store.collection::<Document>(names::CHECKPOINTS).find_one(doc! { "_id": WATCHER }).await
}

/// A whole number of any type, as documents of any version and replies have them.
pub(in crate::commands) fn whole(document: &Document, key: &str) -> Option<i64> {
    match document.get(key)? {
        Bson::Int32(number) => Some(i64::from(*number)),
        Bson::Int64(number) => Some(*number),
        _ => None,
    }
}

impl Position {
    pub(super) fn of(watcher: &Result<Option<Document>>, now: Timestamp) -> Result<Option<Self>> {
        let Some(watcher) = watcher.as_ref().map_err(Clone::clone)? else { return Ok(None) };
        let Ok(time) = watcher.get_timestamp("time") else { return Ok(None) };
        let gap = match watcher.get("gap") {
            Some(Bson::String(id)) => Some(id.clone()),
            Some(Bson::Document(asked)) => Some(format!("requested: {}", asked.get_str("requested").unwrap_or("?"))),
            _ => None,
        };
        Ok(Some(Self {
            time: moment::shown(time),
            cluster_time: moment::exact(time),
            lag_seconds: Some(now.time.saturating_sub(time.time)),
            epoch: whole(watcher, "epoch").unwrap_or(0),
            gap,
        }))
    }
}

impl FirstStart {
    pub(super) fn of(watcher: &Result<Option<Document>>, now: DateTime) -> Result<Self> {
        let Some(watcher) = watcher.as_ref().map_err(Clone::clone)? else { return Ok(Self::Pending) };
        if watcher.get_bool("bootstrapped").unwrap_or(false) {
            return Ok(Self::Complete);
        }
        let Ok(scan) = watcher.get_document("scan") else { return Ok(Self::Pending) };
        let done = whole(scan, "done").unwrap_or(0);
        let total = whole(scan, "total").filter(|total| *total > 0);
        let started = scan.get_datetime("startedAt").ok().copied();
        let took = started.map(|at| (now.timestamp_millis() - at.timestamp_millis()).max(1));
        let per_second = took.map(|ms| done.saturating_mul(1000) / ms).filter(|rate| *rate > 0);
        let left = total.zip(per_second).map(|(total, rate)| (total - done).max(0) / rate);
        let started_at = started.map(moment::shown_date);
        Ok(Self::Running { done, total, started_at, per_second, seconds_left: left })
    }
}

impl Oplog {
    /// Whether nothing has left it yet, so that its beginning says nothing of how far it reaches.
    pub(super) fn is_filling(&self) -> bool {
        self.size_bytes.zip(self.used_bytes).is_some_and(|(size, used)| used < size / 10 * 9)
    }

    pub(super) const fn has_lost(&self) -> bool {
        matches!(self.headroom_seconds, Some(left) if left < 0)
    }
}

/// What the oplog has, and how long the position stays in it.
pub(super) async fn oplog(store: &Store, watcher: Option<&Document>) -> Result<Oplog> {
    let local = store.client.database("local");
    let oplog = local.collection::<Document>("oplog.rs");
    let first = oplog.find_one(doc! {}).sort(doc! { "$natural": 1 }).projection(doc! { "ts": 1 }).await?;
    let begins = first.and_then(|first| first.get_timestamp("ts").ok());
    let Some(begins) = begins else { return Err(std::io::Error::other("the oplog is empty").into()) };
    let stats = local.run_command(doc! { "collStats": "oplog.rs" }).await.ok();
    let stat = |name: &str| stats.as_ref().and_then(|stats| whole(stats, name));
    let time = watcher.and_then(|watcher| watcher.get_timestamp("time").ok());
    Ok(Oplog {
        begins: moment::shown(begins),
        size_bytes: stat("maxSize"),
        used_bytes: stat("size"),
        headroom_seconds: time.map(|time| i64::from(time.time) - i64::from(begins.time)),
    })
}

/// How many gaps there are of each state, and the newest. They are few, and kept for a year.
pub(super) async fn gaps(store: &Store) -> Result<Gaps> {
    let gaps = store.collection::<Document>(names::GAPS);
    let mut found = Gaps { open: 0, recovering: 0, recovered: 0, latest: Vec::new() };
    let count = [doc! { "$group": { "_id": "$state", "count": { "$sum": 1i64 } } }];
    let mut states = gaps.aggregate(count).await?;
    while let Some(state) = states.try_next().await? {
        let count = whole(&state, "count").and_then(|count| u64::try_from(count).ok()).unwrap_or(0);
        match state.get_str("_id") {
            Ok("open") => found.open = count,
            Ok("recovering") => found.recovering = count,
            _ => found.recovered += count,
        }
    }
    let mut latest = gaps.find(doc! {}).sort(doc! { "detectedAt": -1 }).limit(GAPS_SHOWN).await?;
    while let Some(gap) = latest.try_next().await? {
        found.latest.push(Gap::of(&gap));
    }
    Ok(found)
}

impl Gap {
    fn of(gap: &Document) -> Self {
        let text = |key| gap.get_str(key).unwrap_or("?").to_owned();
        let time = |key| gap.get_timestamp(key).ok().map(moment::shown);
        let progress = |key| gap.get_document("progress").ok().and_then(|progress| whole(progress, key));
        let events = gap.get_document("recovered").and_then(|recovered| recovered.get_document("events"));
        Self {
            id: text("_id"),
            state: text("state"),
            reason: text("reason"),
            from: time("from"),
            to: time("to"),
            done: progress("done"),
            total: progress("total"),
            events: events.map_or(0, |events| events.keys().filter_map(|name| whole(events, name)).sum()),
            vanished: whole(gap, "vanished"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_first_start_tells_its_rate_and_the_time_left_as_far_as_they_are_known() {
        let running = |scan: Document| {
            let watcher = doc! { "epoch": 1i64, "bootstrapped": false, "scan": scan };
            FirstStart::of(&Ok(Some(watcher)), DateTime::from_millis(20_000)).unwrap()
        };
        let scan = doc! { "done": 5000i64, "total": 20_000i64, "startedAt": DateTime::from_millis(10_000) };
        let FirstStart::Running { done, total, per_second, seconds_left, .. } = running(scan) else { panic!() };
        assert_eq!((done, total, per_second, seconds_left), (5000, Some(20_000), Some(500), Some(30)));
        let FirstStart::Running { done, total, per_second, .. } = running(doc! { "done": 3 }) else { panic!() };
        assert_eq!((done, total, per_second), (3, None, None));
        assert!(matches!(FirstStart::of(&Ok(None), DateTime::from_millis(0)), Ok(FirstStart::Pending)));
    }

    #[test]
    fn a_recovery_shows_what_it_found() {
        let gap = Gap::of(&doc! {
            "_id": "g", "state": "recovering", "reason": "oplog", "from": Timestamp { time: 5, increment: 1 },
            "progress": { "done": 7i64, "total": 9i64 }, "recovered": { "events": { "task.created": 2i64, "task.updated": 3 } },
        });
        assert_eq!((gap.events, gap.done, gap.total, gap.to), (5, Some(7), Some(9), None));
    }
}
