//! What one unit does: a part of a batch.

use std::sync::Arc;
use std::time::Instant;

use bson::RawDocumentBuf;
use taskwire::mapping::TaskState;
use taskwire::model::{DocId, StreamTime, Version};

use crate::change::Gone;
use crate::derive::Draft;
use crate::field_set::FieldSet;
use crate::quarantine::Reread;
use crate::snapshot::Snapshot;

/// A change that could not be understood, for `quarantinedChanges`.
#[derive(Debug, Clone)]
pub struct Quarantined {
    /// The document.
    pub key: Option<DocId>,
    /// Its collection.
    pub collection: String,
    /// Why, without values.
    pub reason: String,
    /// The place in the stream.
    pub at: StreamTime,
    /// The whole raw change.
    pub raw: RawDocumentBuf,
}

/// A task's change whose actor a history row may name.
#[derive(Debug, Clone)]
pub struct Need {
    /// The task.
    pub task: DocId,
    /// Before.
    pub before: Arc<TaskState>,
    /// After.
    pub after: Arc<TaskState>,
    /// The fields that changed.
    pub fields: FieldSet,
    /// The events (places in [`Part::events`]) that get the actor.
    pub events: std::ops::Range<usize>,
}

/// A swap that a transaction told, and whose approver a request may still name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Awaited {
    /// The task.
    pub task: DocId,
    /// The task whose old assignee it received.
    pub with: DocId,
}

/// What is recorded together: everything one unit does.
#[derive(Debug, Default)]
pub struct Part {
    /// The unit's number.
    pub number: u64,
    /// The time of its changes, in milliseconds.
    pub ms: i64,
    /// When its changes came off the stream.
    pub read: Option<Instant>,
    /// The snapshots after it, one a task.
    pub snapshots: Vec<Snapshot>,
    /// The events, in order.
    pub events: Vec<Draft>,
    /// The changes that wait for a history row.
    pub needs: Vec<Need>,
    /// The swaps that wait for a request to name their approver.
    pub approvals: Vec<Awaited>,
    /// Configurations that begin here.
    pub versions: Vec<Version>,
    /// Changes put aside.
    pub quarantined: Vec<Quarantined>,
    /// Entries of `quarantinedChanges` that this settles.
    pub reread: Vec<Reread>,
    /// The collection of tasks went away: every snapshot up to here is a tombstone.
    pub gone: Option<(StreamTime, Gone)>,
}

impl Part {
    /// Rows that recording it writes: events and deliveries.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.events.iter().map(|draft| 1 + draft.subscribers.len()).sum::<usize>().max(1)
    }

    /// About how many bytes recording it writes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let before = |draft: &Draft| draft.before.as_ref().map_or(0, |before| before.bytes());
        let events = self.events.iter().map(|draft| draft.state.bytes() + before(draft));
        let snapshots = self.snapshots.iter().flat_map(|snapshot| &snapshot.state).map(|state| state.bytes());
        let aside = self.quarantined.iter().map(|entry| entry.raw.as_bytes().len());
        events.chain(snapshots).chain(aside).sum()
    }

    /// Whether there is anything to record besides the position.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.snapshots.is_empty()
            && self.events.is_empty()
            && self.versions.is_empty()
            && self.quarantined.is_empty()
            && self.gone.is_none()
    }
}
