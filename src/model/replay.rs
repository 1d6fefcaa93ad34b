//! `replays`: work on many deliveries of a webhook at once, asked for by an admin and done by an indexer in the background.
//!
//! ```text
//! running ──▶ done | failed
//!     └── an admin's call ──▶ cancelled
//! ```
//!
//! Each page that is worked off moves `last` and the counts in the same transaction, so that another process goes on behind it.

use bson::{DateTime, oid::ObjectId};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{DeliveryStatus, DocId, EventKind};

/// What is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ReplayKind {
    /// Finished deliveries are queued again.
    Replay,
    /// Deliveries are made of events that the webhook never got.
    Backfill,
}

impl ReplayKind {
    /// The stored and shown name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Replay => "replay",
            Self::Backfill => "backfill",
        }
    }
}

/// Where it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ReplayState {
    /// Waits for an indexer, or one works on it.
    Running,
    /// All was looked at.
    Done,
    /// An admin ended it; what was queued by then stays queued.
    Cancelled,
    /// It cannot go on; `reason` says why.
    Failed,
}

impl ReplayState {
    /// The stored and shown name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Done => "done",
            Self::Cancelled => "cancelled",
            Self::Failed => "failed",
        }
    }
}

/// Which deliveries, or events.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Selection {
    /// Replays only: finished in this way.
    pub status: DeliveryStatus,
    /// Of these kinds; none named: of all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub event_types: Vec<EventKind>,
    /// Deliveries made, or events of, this time or later.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<DateTime>,
    /// Before this time; never later than the request.
    pub until: DateTime,
    /// Backfills only: leave out what came in through the inbound endpoint.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub without_echoes: bool,
}

/// One document of `replays`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Replay {
    /// Its id.
    #[serde(rename = "_id")]
    pub id: ObjectId,
    /// The webhook's group.
    pub group_id: DocId,
    /// The webhook.
    pub webhook_id: ObjectId,
    /// What is done.
    pub kind: ReplayKind,
    /// Which ones.
    pub selection: Selection,
    /// Who asked for it.
    pub by: DocId,
    /// When. Server time.
    pub requested_at: DateTime,
    /// Where it stands.
    pub status: ReplayState,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// How many there were at the request.
    pub total: i64,
    /// Deliveries queued so far.
    pub done: i64,
    /// Those left out so far: open by then, there already, or without an event any more.
    pub skipped: i64,
    /// The last one that was looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last: Option<Last>,
    /// The process that works on it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lease: Option<String>,
    /// Until when it is held. Server time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lease_until: Option<DateTime>,
    /// When it last had its turn: the one that waited longest is next.
    pub served_at: DateTime,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished_at: Option<DateTime>,
    /// Ended ones only: when the record is removed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expire_at: Option<DateTime>,
}

/// A place in the order in which a replay (by making and id) or a backfill (by event id) goes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Last {
    /// When the delivery was made; of a backfill, the event's time.
    pub at: DateTime,
    /// The delivery's, or the event's.
    pub id: String,
}
