//! A delivery this process holds: what an attempt needs, and until when it may be made.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bson::{DateTime, oid::ObjectId};
use bytes::Bytes;
use taskwire::model::{DeliveryId, DocId, EventId, EventKind};

/// What must be left of a lease after an attempt's deadline, for its outcome to be written.
const OUTCOME_MARGIN: Duration = Duration::from_secs(5);

/// A held delivery.
#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) webhook: ObjectId,
    pub(crate) delivery: DeliveryId,
    pub(crate) event: EventId,
    pub(crate) kind: EventKind,
    /// The number of the attempt to be made, over the delivery's life.
    pub(crate) attempt: i32,
    /// Attempts before the last replay.
    pub(crate) base: i32,
    /// Whether the attempt before ended without an outcome.
    pub(crate) interrupted: bool,
    /// The task, for `perTask` rows: finishing it frees the next.
    pub(crate) ordered_task: Option<DocId>,
    pub(crate) token: Arc<str>,
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
