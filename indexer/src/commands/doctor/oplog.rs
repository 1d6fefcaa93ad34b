//! How many hours the oplog holds, and what our own writes would take of them.

use bson::{Bson, Document, doc};
use futures::TryStreamExt;
use mongodb::error::Result;
use mongodb::options::Hint;
use serde::Serialize;
use taskwire::mapping::Mapping;
use taskwire::store::Store;

use crate::commands::status::stream::whole;

/// Oplog bytes of our own for one change that yields an event: event, snapshot, position. Measured by `scripts/bench` on
/// MongoDB 6.0.
pub(super) const BYTES_A_CHANGE: u32 = 1_100;

/// The same for one delivery of it.
pub(super) const BYTES_A_DELIVERY: u32 = 1_550;

/// Newest entries that are looked at for the rate.
const NEWEST: i64 = 20_000;

/// The oplog, as it is and as it would be.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Oplog {
    /// From its first entry to its last.
    pub(super) hours: f64,
    /// Whether entries leave it already.
    pub(super) is_full: bool,
    pub(super) size_bytes: Option<i64>,
    /// Changes of tasks, about, among the newest entries.
    pub(super) changes_an_hour: f64,
    /// How long it would hold with our writes, for one webhook that wants every event.
    pub(super) hours_with_us: f64,
}

pub(super) async fn look(store: &Store, mapping: &Mapping) -> Result<Oplog> {
    let local = store.client.database("local");
    let oplog = local.collection::<Document>("oplog.rs");
    let end = async |order: i32| {
        let entry = oplog.find_one(doc! {}).sort(doc! { "$natural": order }).projection(doc! { "ts": 1 }).await?;
        Ok::<_, mongodb::error::Error>(entry.and_then(|entry| entry.get_timestamp("ts").ok()).map_or(0, |ts| ts.time))
    };
    let (first, last) = (end(1).await?, end(-1).await?);
    let stats = local.run_command(doc! { "collStats": "oplog.rs" }).await.ok();
    let stat = |name: &str| stats.as_ref().and_then(|stats| whole(stats, name));
    let (size, used) = (stat("maxSize"), stat("size"));
    let (span, bytes, changes) = rate(store, mapping).await?;
    let hours = f64::from(last.saturating_sub(first)) / 3600.0;
    let per_hour = if span > 0.0 { changes / span } else { 0.0 };
    let bytes_an_hour = if span > 0.0 { bytes / span } else { 0.0 };
    let ours = per_hour * f64::from(BYTES_A_CHANGE + BYTES_A_DELIVERY);
    let share = if bytes_an_hour > 0.0 { bytes_an_hour / (bytes_an_hour + ours) } else { 1.0 };
    Ok(Oplog {
        hours,
        is_full: size.zip(used).is_none_or(|(size, used)| used >= size / 10 * 9),
        size_bytes: size,
        changes_an_hour: per_hour,
        hours_with_us: hours * share,
    })
}

/// Of the newest entries: the hours they span, their bytes, and changes of tasks among them. Writes in transactions are
/// counted by their entries.
async fn rate(store: &Store, mapping: &Mapping) -> Result<(f64, f64, f64)> {
    let namespace = format!("{}.{}", store.db.name(), mapping.task.collection);
    let is_task = doc! { "$or": [
        { "$eq": ["$ns", &namespace] },
        { "$in": [&namespace, { "$ifNull": ["$o.applyOps.ns", []] }] },
    ] };
    let stages = [
        doc! { "$limit": NEWEST },
        doc! { "$group": {
            "_id": null,
            "bytes": { "$sum": { "$bsonSize": "$$ROOT" } },
            "changes": { "$sum": { "$cond": [is_task, 1, 0] } },
            "first": { "$min": "$ts" },
            "last": { "$max": "$ts" },
        } },
    ];
    let oplog = store.client.database("local").collection::<Document>("oplog.rs");
    // The newest first: a stage cannot sort by `$natural`.
    let newest_first = Hint::Keys(doc! { "$natural": -1 });
    let found = oplog.aggregate(stages).hint(newest_first).await?.try_next().await?.unwrap_or_default();
    let seconds = |key: &str| found.get_timestamp(key).map_or(0, |ts| ts.time);
    #[allow(clippy::cast_precision_loss, reason = "sizes that occur")]
    let number = |key: &str| match found.get(key) {
        Some(Bson::Int32(number)) => f64::from(*number),
        Some(Bson::Int64(number)) => *number as f64,
        Some(Bson::Double(number)) => *number,
        _ => 0.0,
    };
    Ok((f64::from(seconds("last").saturating_sub(seconds("first"))) / 3600.0, number("bytes"), number("changes")))
}
