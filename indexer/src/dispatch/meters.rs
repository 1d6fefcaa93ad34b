//! The delivery metrics (contract: "Metrics").

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use bson::{DateTime, Document, doc};
use metrics::{Counter, Histogram};
use taskwire::model::{DisabledReason, EventKind};
use taskwire::store::{ServerClock, Store, names};

/// How often the queue is counted, where that is quick.
const COUNT_EVERY: Duration = Duration::from_secs(15);

/// How often at least, however long it takes.
const COUNT_SELDOM: Duration = Duration::from_secs(120);

/// Counting takes at most this part of the time, as far as that allows.
const COUNT_SHARE: u32 = 100;

/// Counts go no further than this.
const COUNT_MOST: u64 = 2_000_000;

/// One counter for each kind of event, kept so that counting looks nothing up.
#[derive(Debug)]
struct ByKind([Counter; EventKind::ALL.len()], [Counter; EventKind::NOTICES.len()]);

impl ByKind {
    fn new(name: &'static str) -> Self {
        let counter = |kind: EventKind| metrics::counter!(name, "event_type" => kind.name());
        Self(EventKind::ALL.map(counter), EventKind::NOTICES.map(counter))
    }

    fn of(&self, kind: EventKind) -> &Counter {
        let [created, completed, approved, rejected, swapped, updated] = &self.0;
        let [failing, disabled, recovered, dead_letter] = &self.1;
        match kind {
            EventKind::Created => created,
            EventKind::Completed => completed,
            EventKind::Approved => approved,
            EventKind::Rejected => rejected,
            EventKind::Swapped => swapped,
            EventKind::Updated => updated,
            EventKind::WebhookFailing => failing,
            EventKind::WebhookDisabled => disabled,
            EventKind::WebhookRecovered => recovered,
            EventKind::DeadLetter => dead_letter,
        }
    }
}

/// What this process has done so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Deliveries that arrived.
    pub delivered: u64,
    /// Attempts that failed.
    pub failed: u64,
    /// Deliveries given up.
    pub dead_lettered: u64,
}

/// The metrics of deliveries. Made after the recorder is installed.
#[derive(Debug)]
pub(crate) struct Meters {
    attempted: ByKind,
    succeeded: ByKind,
    failed: ByKind,
    dead_lettered: ByKind,
    duration: Histogram,
    commit_to_delivery: Histogram,
    oldest_due: Mutex<Option<DateTime>>,
    /// In the order of [`Tally`].
    counts: [AtomicU64; 3],
}

impl Meters {
    pub(crate) fn new() -> Self {
        describe();
        Self {
            attempted: ByKind::new("taskwire_deliveries_attempted_total"),
            succeeded: ByKind::new("taskwire_deliveries_succeeded_total"),
            failed: ByKind::new("taskwire_deliveries_failed_total"),
            dead_lettered: ByKind::new("taskwire_deliveries_dead_lettered_total"),
            duration: metrics::histogram!("taskwire_delivery_duration_seconds"),
            commit_to_delivery: metrics::histogram!("taskwire_commit_to_delivery_seconds"),
            oldest_due: Mutex::new(None),
            counts: Default::default(),
        }
    }

    /// The counts without their kinds.
    pub(crate) fn tally(&self) -> Tally {
        let [delivered, failed, dead_lettered] = self.counts.each_ref().map(|count| count.load(Ordering::Relaxed));
        Tally { delivered, failed, dead_lettered }
    }

    pub(crate) fn attempted(&self, kind: EventKind) {
        self.attempted.of(kind).increment(1);
    }

    pub(crate) fn succeeded(&self, kind: EventKind, took: Duration, since_change_ms: Option<i64>) {
        self.succeeded.of(kind).increment(1);
        self.counts[0].fetch_add(1, Ordering::Relaxed);
        self.duration.record(took);
        if let Some(since_change_ms) = since_change_ms {
            #[allow(clippy::cast_precision_loss, reason = "milliseconds of ages that occur")]
            self.commit_to_delivery.record(since_change_ms.max(0) as f64 / 1000.0);
        }
    }

    pub(crate) fn failed(&self, kind: EventKind, took: Duration) {
        self.failed.of(kind).increment(1);
        self.counts[1].fetch_add(1, Ordering::Relaxed);
        self.duration.record(took);
    }

    pub(crate) fn dead_lettered(&self, kind: EventKind, count: u64) {
        self.dead_lettered.of(kind).increment(count);
        self.counts[2].fetch_add(count, Ordering::Relaxed);
    }

    /// Notes the due time of the most overdue row, if any is due whose target is not in trouble itself: what waits for that
    /// one waits on purpose, and is told by the health of its webhook.
    pub(crate) fn set_oldest_due(&self, due: Option<DateTime>) {
        *self.oldest_due.lock().unwrap_or_else(PoisonError::into_inner) = due;
    }

    /// Notes that the queue cannot be read: from now on, at the latest, something may be due that nobody sees.
    pub(crate) fn queue_unknown(&self, now: DateTime) {
        self.oldest_due.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(now);
    }

    fn oldest_due(&self) -> Option<DateTime> {
        *self.oldest_due.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps the gauges of the queue up to date, and the clock calibrated, until dropped.
    pub(crate) async fn watch_queue(&self, store: &Store, clock: &ServerClock) {
        tokio::join!(self.tell_age(clock), count_often(store, clock));
    }

    async fn tell_age(&self, clock: &ServerClock) {
        loop {
            let age = self.oldest_due().map_or(0, |due| clock.now().timestamp_millis() - due.timestamp_millis());
            #[allow(clippy::cast_precision_loss, reason = "milliseconds of ages that occur")]
            metrics::gauge!("taskwire_queue_oldest_age_seconds").set(age.max(0) as f64 / 1000.0);
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    }
}

async fn count_often(store: &Store, clock: &ServerClock) {
    loop {
        let began = tokio::time::Instant::now();
        let pause = match count_queue(store, clock).await {
            Ok(()) => pause_after(began.elapsed()),
            Err(error) => {
                tracing::debug!(error = taskwire::store::describe(&error), "the queue could not be counted");
                COUNT_EVERY
            }
        };
        tokio::time::sleep(pause).await;
    }
}

/// How long after a count that took so long the next one comes. One that a database in trouble held up tells nothing of the
/// queue's length.
fn pause_after(took: Duration) -> Duration {
    (took * COUNT_SHARE).clamp(COUNT_EVERY, COUNT_SELDOM)
}

/// Counts open and dead rows over the partial indexes that hold only those.
async fn count_queue(store: &Store, clock: &ServerClock) -> mongodb::error::Result<()> {
    clock.calibrate(&store.db).await?;
    let rows = store.collection::<Document>(names::DELIVERIES);
    let count = async |filter: Document, index: &str| {
        let hint = mongodb::options::Hint::Name(index.to_owned());
        rows.count_documents(filter).hint(hint).limit(COUNT_MOST).await
    };
    #[allow(clippy::cast_precision_loss, reason = "at most COUNT_MOST")]
    {
        metrics::gauge!("taskwire_queue_depth").set(count(doc! {}, "open_by_webhook").await? as f64);
        metrics::gauge!("taskwire_dead_letters").set(count(doc! {}, "dead_letters").await? as f64);
    }
    Ok(())
}

fn describe() {
    use metrics::{describe_counter as counter, describe_gauge as gauge, describe_histogram as histogram};
    counter!("taskwire_deliveries_attempted_total", "Attempts begun");
    counter!("taskwire_deliveries_succeeded_total", "Attempts that a 2xx answered in time");
    counter!("taskwire_deliveries_failed_total", "Attempts that failed");
    counter!("taskwire_deliveries_dead_lettered_total", "Deliveries given up");
    counter!("taskwire_delivery_leases_lost_total", "Outcomes refused because the lease had passed on");
    histogram!("taskwire_delivery_duration_seconds", "From an attempt's lookup to its answer's last byte");
    histogram!(
        "taskwire_commit_to_delivery_seconds",
        "From the task's change to the end of a first attempt that succeeds"
    );
    gauge!("taskwire_queue_depth", "Deliveries that wait or are under way, at most 2000000");
    gauge!(
        "taskwire_queue_oldest_age_seconds",
        "How long the most overdue delivery to a target that is not in trouble itself has been due"
    );
    gauge!("taskwire_webhooks_failing", "Live webhooks whose last attempt failed, at most 10000");
    gauge!("taskwire_dispatch_paused", "Pauses that operators have set and not ended");
    gauge!("taskwire_dead_letters", "Deliveries given up and neither replayed nor removed, at most 2000000");
    counter!("taskwire_webhooks_disabled_total", "Webhooks that this process disabled");
    // Begun at 0: of a counter that first appears as 1, no increase is ever seen.
    for reason in [DisabledReason::Gone, DisabledReason::FailingFor5Days] {
        metrics::counter!("taskwire_webhooks_disabled_total", "reason" => reason.to_string()).increment(0);
    }
    metrics::counter!("taskwire_delivery_leases_lost_total").increment(0);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_queue_is_counted_less_often_and_a_count_that_was_held_up_does_not_put_the_next_one_off_for_long() {
        assert_eq!(pause_after(Duration::from_millis(3)), COUNT_EVERY);
        assert_eq!(pause_after(Duration::from_millis(600)), Duration::from_secs(60));
        assert_eq!(pause_after(Duration::from_secs(20)), COUNT_SELDOM);
    }
}
