//! A delivery this process holds: what an attempt needs, and until when it may be made.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bson::{DateTime, oid::ObjectId};
use bytes::Bytes;
use taskwire::model::{AttemptOutcome, Delivery};

use super::parcel::Parcel;

/// What must be left of a lease after an attempt's deadline, for its outcome to be written.
const OUTCOME_MARGIN: Duration = Duration::from_secs(5);

/// A held delivery. Nobody else writes its row while the lease lasts, so that the row as it is known here, and what comes of
/// the attempt, make the row as it is written back.
#[derive(Debug)]
pub(crate) struct Job {
    /// As it is stored; `attempts` is the number of the attempt to be made.
    pub(crate) row: Box<Delivery>,
    pub(crate) token: Arc<str>,
    /// Where it stands, unless it is a row.
    pub(crate) parcel: Option<Arc<Parcel>>,
    /// Whether rows of its task may wait for its end here ([`super::chain`]).
    pub(crate) of_chain: bool,
    pub(crate) lease_until: Instant,
    /// `None` where the event is gone.
    pub(crate) body: Option<Bytes>,
    /// The change's own time.
    pub(crate) happened_at: DateTime,
}

impl Job {
    /// Whether an attempt with this deadline, begun now, ends and is on record while the lease lasts.
    pub(crate) fn has_time_for(&self, deadline: Duration, now: Instant) -> bool {
        self.lease_until.saturating_duration_since(now) >= deadline + OUTCOME_MARGIN
    }

    pub(crate) const fn webhook(&self) -> ObjectId {
        self.row.webhook_id
    }

    /// The number of this attempt since the last replay: what the retry policy counts.
    pub(crate) const fn tries(&self) -> i32 {
        self.row.attempts - self.row.attempts_base
    }

    /// Whether the attempt before ended without an outcome.
    pub(crate) fn is_after_interruption(&self) -> bool {
        let last = self.row.log.last();
        last.is_some_and(|last| last.outcome == AttemptOutcome::Interrupted && last.n == self.row.attempts - 1)
    }
}

struct SharedText(Arc<str>);

impl AsRef<[u8]> for SharedText {
    fn as_ref(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

/// A body that attempts share without copying it.
pub(crate) fn shared_body(text: Arc<str>) -> Bytes {
    Bytes::from_owner(SharedText(text))
}

#[cfg(test)]
pub(crate) mod tests {
    use bson::Timestamp;
    use taskwire::model::{DocId, EventId, EventKind, Ordering, PayloadSummary, StreamTime, TaskEvent};

    use super::*;

    /// A held row of this webhook, at its first attempt.
    pub(crate) fn job(webhook: ObjectId) -> Job {
        let at = Timestamp { time: 1, increment: 1 };
        let event = TaskEvent {
            id: EventId::derive(StreamTime::new(at, 0), "n", &DocId::parse("k"), "e"),
            group_id: DocId::parse("g"),
            task_id: DocId::parse("k"),
            event: EventKind::Created,
            at: DateTime::from_millis(0),
            cluster_time: at,
            sequence: 1,
            actor_id: None,
            summary: PayloadSummary { status: None, changed: Vec::new() },
            body: String::new(),
            echo: false,
            muted: false,
            recovered: false,
        };
        let mut row = Delivery::queued(&event, webhook, Ordering::None, event.at);
        (row.attempts, row.lease) = (1, Some("t".to_owned()));
        Job {
            row: Box::new(row),
            token: Arc::from("t"),
            parcel: None,
            of_chain: false,
            lease_until: Instant::now() + Duration::from_secs(60),
            body: None,
            happened_at: event.at,
        }
    }
}
