//! How far behind the watcher is, and how long its position still stays in the oplog.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bson::{Bson, Document, Timestamp, doc};
use taskwire::store::{ServerClock, Store, names, standing};
use taskwire::telemetry::UNKNOWN;
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
        self.standing().reached
    }

    fn standing(&self) -> Standing {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How often the gauges are set, and the cluster is asked for its time.
const TELL_EVERY: Duration = Duration::from_secs(1);
/// How often what is known is said in the database.
const SAY_EVERY: Duration = Duration::from_secs(5);
/// How often the oplog is looked at, and what is aside is counted.
const LOOK_EVERY: Duration = Duration::from_secs(15);
/// A cluster that has told no time for so long is taken to have gone on without telling.
const SILENT: Duration = Duration::from_secs(3);

/// The cluster's time as it was last told.
#[derive(Debug, Clone, Copy)]
struct Sighting {
    time: Timestamp,
    at: Instant,
}

impl Sighting {
    /// The cluster's time now, in seconds. While it answers, that is what it said: nothing new is written unless it says so.
    fn now(self) -> f64 {
        let since = self.at.elapsed();
        f64::from(self.time.time) + if since < SILENT { 0.0 } else { since.as_secs_f64() }
    }
}

/// What is known of the cluster. Each part is asked for on its own, so that an answer that does not come holds up nothing
/// else.
#[derive(Debug, Clone, Copy, Default)]
struct Known {
    cluster: Option<Sighting>,
    /// How many seconds the oplog reaches back, or will once it is full.
    reach: Option<f64>,
}

impl Known {
    /// How far behind a tail that stands there is.
    fn lag(self, standing: Standing) -> Option<Lag> {
        self.cluster.and_then(|cluster| Lag::of(standing, cluster.now()))
    }
}

/// How far behind a tail is, in seconds.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Lag {
    read: f64,
    reached: f64,
    stored: Option<f64>,
}

impl Lag {
    /// `None` while this process does not tail.
    fn of(standing: Standing, now: f64) -> Option<Self> {
        let reached = standing.reached?;
        let behind = |time: Timestamp| (now - f64::from(time.time)).max(0.0);
        let read = standing.read.map_or(reached, |read| read.max(reached));
        Some(Self { read: behind(read), reached: behind(reached), stored: standing.stored.map(behind) })
    }
}

/// Keeps the gauges of lag and oplog window true while this process tails, and counts what is aside; they are absent while
/// they are not known.
pub async fn report(store: Store, clock: ServerClock, tracker: Tracker, stop: CancellationToken) {
    describe();
    let known = Mutex::default();
    tokio::select! {
        () = stop.cancelled() => {}
        () = ask_time(&store, &known) => {}
        () = look_at_oplog(&store, &tracker, &known) => {}
        () = count_aside(&store) => {}
        () = say(&store, &clock, &tracker, &known) => {}
        () = tell(&tracker, &known) => {}
    }
}

fn now_known(known: &Mutex<Known>) -> Known {
    *known.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn tell(tracker: &Tracker, known: &Mutex<Known>) {
    loop {
        let known = now_known(known);
        let lag = known.lag(tracker.standing());
        let or_unknown = |value: Option<f64>| value.unwrap_or(UNKNOWN);
        metrics::gauge!("taskwire_resume_token_lag_seconds").set(or_unknown(lag.map(|lag| lag.reached)));
        metrics::gauge!("taskwire_read_lag_seconds").set(or_unknown(lag.map(|lag| lag.read)));
        metrics::gauge!("taskwire_committed_lag_seconds").set(or_unknown(lag.and_then(|lag| lag.stored)));
        metrics::gauge!("taskwire_oplog_window_remaining_seconds").set(or_unknown(remaining(lag, known.reach)));
        tokio::time::sleep(TELL_EVERY).await;
    }
}

async fn ask_time(store: &Store, known: &Mutex<Known>) {
    loop {
        if let Ok(time) = cluster_time(store).await {
            known.lock().unwrap_or_else(PoisonError::into_inner).cluster = Some(Sighting { time, at: Instant::now() });
        }
        tokio::time::sleep(TELL_EVERY).await;
    }
}

async fn look_at_oplog(store: &Store, tracker: &Tracker, known: &Mutex<Known>) {
    loop {
        if let (Some(_), Some(cluster)) = (tracker.reached(), now_known(known).cluster)
            && let Some(first) = oldest_oplog_entry(store).await
        {
            let reach = reach(first, cluster.time, oplog_share(store).await);
            known.lock().unwrap_or_else(PoisonError::into_inner).reach = Some(reach);
            tokio::time::sleep(LOOK_EVERY).await;
        } else {
            tokio::time::sleep(TELL_EVERY).await;
        }
    }
}

async fn count_aside(store: &Store) {
    loop {
        let entries = store.collection::<Document>(names::QUARANTINE);
        // A count of index keys.
        if let Ok(aside) = entries.count_documents(doc! { "status": EntryStatus::Aside.name() }).await {
            #[allow(clippy::cast_precision_loss, reason = "counts that occur")]
            metrics::gauge!("taskwire_quarantine_entries").set(aside as f64);
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// Says how far behind this process is, for the API to show.
async fn say(store: &Store, clock: &ServerClock, tracker: &Tracker, known: &Mutex<Known>) {
    loop {
        let known = now_known(known);
        if let Some(lag) = known.lag(tracker.standing()) {
            let oplog_seconds = remaining(Some(lag), known.reach);
            let said = standing::Standing { lag_seconds: lag.reached, oplog_seconds, at: clock.now() };
            // The next one makes good what is not written.
            let _said = standing::say(store, &said).await;
        }
        tokio::time::sleep(SAY_EVERY).await;
    }
}

/// How long the stored position stays in an oplog that reaches so far back.
fn remaining(lag: Option<Lag>, reach: Option<f64>) -> Option<f64> {
    let lag = lag?;
    Some((reach? - lag.stored.unwrap_or(lag.reached)).max(0.0))
}

/// How far back an oplog reaches whose oldest entry is `first`, and which is full to this share: one that is not full yet
/// will reach further before anything leaves it, as far as it is filled at the same rate.
fn reach(first: Timestamp, now: Timestamp, full: f64) -> f64 {
    f64::from(now.time.saturating_sub(first.time)) / full.clamp(0.001, 1.0)
}

fn describe() {
    use metrics::describe_gauge as gauge;
    gauge!("taskwire_resume_token_lag_seconds", "The cluster's time less that before which nothing waits");
    gauge!("taskwire_read_lag_seconds", "The cluster's time less that up to which the stream was read");
    gauge!("taskwire_committed_lag_seconds", "The cluster's time less that of the stored position");
    gauge!("taskwire_oplog_window_remaining_seconds", "How long the stored position still stays in the oplog");
    gauge!("taskwire_quarantine_entries", "Changes that could not be understood and wait for an operator");
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

    const fn at(time: u32) -> Timestamp {
        Timestamp { time, increment: 1 }
    }

    #[test]
    fn a_position_stays_as_long_as_the_oplog_reaches_and_longer_while_it_fills() {
        let behind = |stored: f64| Some(Lag { read: 0.0, reached: 0.0, stored: Some(stored) });
        assert_eq!(remaining(behind(0.0), Some(reach(at(1000), at(4600), 1.0))), Some(3600.0));
        assert_eq!(remaining(behind(1800.0), Some(reach(at(1000), at(4600), 1.0))), Some(1800.0));
        assert_eq!(remaining(behind(0.0), Some(reach(at(1000), at(4600), 0.25))), Some(4.0 * 3600.0));
        // It has left.
        assert_eq!(remaining(behind(4100.0), Some(reach(at(1000), at(4600), 1.0))), Some(0.0));
        assert_eq!(remaining(behind(0.0), None), None);
        assert_eq!(remaining(None, Some(3600.0)), None);
    }

    #[test]
    fn who_does_not_tail_knows_no_lag_and_what_is_read_is_never_further_behind_than_what_is_done() {
        assert_eq!(Lag::of(Standing::default(), 100.0), None);
        let tracker = Tracker::default();
        tracker.stored(at(90));
        assert_eq!(Lag::of(tracker.standing(), 100.0), Some(Lag { read: 10.0, reached: 10.0, stored: Some(10.0) }));
        tracker.read(at(95));
        assert_eq!(Lag::of(tracker.standing(), 100.0), Some(Lag { read: 5.0, reached: 10.0, stored: Some(10.0) }));
        // An empty batch's mark goes beyond the last change.
        tracker.reach(at(99));
        assert_eq!(Lag::of(tracker.standing(), 100.0), Some(Lag { read: 1.0, reached: 1.0, stored: Some(10.0) }));
        // The cluster's time was asked for before the last change came.
        assert_eq!(Lag::of(tracker.standing(), 98.0).map(|lag| lag.reached), Some(0.0));
        tracker.forget();
        assert_eq!(Lag::of(tracker.standing(), 100.0), None);
    }

    #[test]
    fn a_cluster_that_answers_is_believed_and_one_that_does_not_is_taken_to_go_on() {
        let ago = |seconds| Instant::now().checked_sub(Duration::from_secs(seconds)).unwrap();
        assert_eq!(Sighting { time: at(100), at: ago(2) }.now(), 100.0);
        assert!(Sighting { time: at(100), at: ago(60) }.now() >= 160.0);
    }
}
