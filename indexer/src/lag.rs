//! How far behind the watcher is, and how long its position still stays in the oplog.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bson::{Bson, Document, Timestamp, doc};
use taskwire::store::{ServerClock, Store, names, standing};
use tokio_util::sync::CancellationToken;

use crate::quarantine::EntryStatus;

/// Where this process stands in the stream. Shared between the tail, the metrics and readiness.
#[derive(Debug, Clone, Default)]
pub struct Tracker(Arc<Mutex<Standing>>);

#[derive(Debug, Clone, Copy, Default)]
struct Standing {
    read: Option<Timestamp>,
    reached: Option<Timestamp>,
    stored: Option<Timestamp>,
}

impl Tracker {
    fn change(&self, change: impl FnOnce(&mut Standing)) {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// A change of this time was read.
    pub fn read(&self, time: Timestamp) {
        self.change(|standing| standing.read = Some(time));
    }

    /// Nothing waits before this time.
    pub fn reach(&self, time: Timestamp) {
        self.change(|standing| standing.reached = Some(time));
    }

    /// The position stored is of this time.
    pub fn stored(&self, time: Timestamp) {
        self.change(|standing| {
            standing.stored = Some(time);
            standing.reached = Some(standing.reached.map_or(time, |reached| reached.max(time)));
        });
    }

    /// This process no longer tails: it knows no lag of its own.
    pub fn forget(&self) {
        self.change(|standing| *standing = Standing::default());
    }

    /// The place up to which nothing waits, if this process tails.
    #[must_use]
    pub fn reached(&self) -> Option<Timestamp> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).reached
    }

    fn stored_time(&self) -> Option<Timestamp> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).stored
    }
}

/// Seconds between what is said of it in the database.
const SAY_EVERY: u64 = 5;

/// Keeps the gauges of lag and oplog window true while this process tails, and counts what is aside; they are absent until
/// known.
pub async fn report(store: Store, clock: ServerClock, tracker: Tracker, stop: CancellationToken) {
    let mut every = tokio::time::interval(Duration::from_secs(1));
    let (mut ticks, mut oplog) = (0u64, None);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = every.tick() => {}
        }
        if let Some(reached) = tracker.reached()
            && let Ok(now) = cluster_time(&store).await
        {
            // Read before the cluster's time was asked for, so never negative but for ties.
            let lag = seconds_between(reached, now);
            metrics::gauge!("taskwire_resume_token_lag_seconds").set(lag);
            if ticks.is_multiple_of(SAY_EVERY) {
                let now_said = standing::Standing { lag_seconds: lag, oplog_seconds: oplog, at: clock.now() };
                // The next one makes good what is not written.
                let _said = standing::say(&store, &now_said).await;
            }
        }
        if ticks.is_multiple_of(15)
            && let Some(stored) = tracker.stored_time().or_else(|| tracker.reached())
            && let Some(first) = oldest_oplog_entry(&store).await
            && let Ok(now) = cluster_time(&store).await
        {
            let remaining = remaining(first, stored, now, oplog_share(&store).await);
            metrics::gauge!("taskwire_oplog_window_remaining_seconds").set(remaining);
            oplog = Some(remaining);
        }
        if ticks.is_multiple_of(15)
            && let Ok(aside) = count_aside(&store).await
        {
            #[allow(clippy::cast_precision_loss, reason = "counts that occur")]
            metrics::gauge!("taskwire_quarantine_entries").set(aside as f64);
        }
        ticks += 1;
    }
}

/// How many changes are aside: a count of index keys.
async fn count_aside(store: &Store) -> mongodb::error::Result<u64> {
    let entries = store.collection::<Document>(names::QUARANTINE);
    entries.count_documents(doc! { "status": EntryStatus::Aside.name() }).await
}

/// How long a position stays in the oplog that reaches from `first` to `now` and is full to this share: one that is not full
/// yet reaches further back before anything leaves it, as far as it is filled at the same rate.
fn remaining(first: Timestamp, position: Timestamp, now: Timestamp, full: f64) -> f64 {
    let reach = seconds_between(first, now) / full.clamp(0.001, 1.0);
    (reach - seconds_between(position, now)).max(0.0)
}

/// How much of the oplog is used, of 1; where that may not be read, all of it is taken as used.
async fn oplog_share(store: &Store) -> f64 {
    let stats = store.client.database("local").run_command(doc! { "collStats": "oplog.rs" }).await.unwrap_or_default();
    #[allow(clippy::cast_precision_loss, reason = "sizes that occur")]
    let number = |key: &str| match stats.get(key) {
        Some(Bson::Int32(number)) => Some(f64::from(*number)),
        Some(Bson::Int64(number)) => Some(*number as f64),
        Some(Bson::Double(number)) => Some(*number),
        _ => None,
    };
    // Entries leave it a little before it is full.
    number("size").zip(number("maxSize")).filter(|(_, most)| *most > 0.0).map_or(1.0, |(used, most)| used / most / 0.95)
}

fn seconds_between(from: Timestamp, to: Timestamp) -> f64 {
    f64::from(to.time.saturating_sub(from.time))
}

/// The cluster's time: that of the primary's newest majority-committed write.
///
/// # Errors
/// The driver's, or a reply without a time (never of a replica set).
pub async fn cluster_time(store: &Store) -> mongodb::error::Result<Timestamp> {
    cluster_time_of(&store.db.run_command(doc! { "hello": 1 }).await?)
}

/// The cluster's time in a `hello`'s reply.
///
/// # Errors
/// A reply without a time (never of a replica set).
pub(crate) fn cluster_time_of(hello: &Document) -> mongodb::error::Result<Timestamp> {
    let last = hello.get_document("lastWrite").and_then(|last| last.get_document("majorityOpTime"));
    let time = last.and_then(|time| time.get_timestamp("ts"));
    Ok(time.map_err(|error| std::io::Error::other(format!("the server tells no optime: {error}")))?)
}

/// The time of the oldest entry of the oplog; `None` where it cannot be read.
pub async fn oldest_oplog_entry(store: &Store) -> Option<Timestamp> {
    let oplog = store.client.database("local").collection::<Document>("oplog.rs");
    let first = oplog.find_one(doc! {}).sort(doc! { "$natural": 1 }).projection(doc! { "ts": 1 }).await.ok()??;
    first.get_timestamp("ts").ok()
}

#[cfg(test)]
#[allow(clippy::float_cmp, reason = "whole seconds, which are exact")]
mod tests {
    use super::*;

    #[test]
    fn a_position_stays_as_long_as_the_oplog_reaches_and_longer_while_it_fills() {
        let at = |time| Timestamp { time, increment: 1 };
        assert_eq!(remaining(at(1000), at(4600), at(4600), 1.0), 3600.0);
        assert_eq!(remaining(at(1000), at(2800), at(4600), 1.0), 1800.0);
        assert_eq!(remaining(at(1000), at(4600), at(4600), 0.25), 4.0 * 3600.0);
        // It has left.
        assert_eq!(remaining(at(1000), at(500), at(4600), 1.0), 0.0);
    }
}
