//! What is shown of a bulk replay or backfill.

use serde::Serialize;
use utoipa::ToSchema;

use super::show_time;
use crate::model::{DeliveryStatus, EventKind, Replay, ReplayKind, ReplayState};

/// What was begun, or would be.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = ReplayStarted)]
pub(in crate::http) struct StartedAnswer {
    /// How many deliveries it queues.
    #[schema(example = 17)]
    pub(super) count: u64,
    /// Whether there are more, which took too long to count.
    pub(super) count_is_minimum: bool,
    /// Under which it can be watched; null for a dry run.
    #[schema(required = true, example = "65a0000000000000000000f6")]
    pub(super) replay_id: Option<String>,
}

/// A bulk replay or backfill.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Replay)]
pub(in crate::http) struct ReplayAnswer {
    #[schema(example = "65a0000000000000000000f6")]
    id: String,
    #[schema(example = "65a0000000000000000000a1")]
    group_id: String,
    #[schema(example = "65a0000000000000000000b2")]
    webhook_id: String,
    kind: ReplayKind,
    status: ReplayState,
    /// Why it failed.
    #[schema(required = true, example = json!(null))]
    reason: Option<String>,
    /// How many there were at the request.
    #[schema(example = 17)]
    total: i64,
    /// Deliveries queued so far.
    #[schema(example = 12)]
    done: i64,
    /// Left out so far: open by then, there already, or without an event any more.
    #[schema(example = 1)]
    skipped: i64,
    /// Of a replay: what became of the deliveries before.
    #[schema(required = true)]
    delivery_status: Option<DeliveryStatus>,
    /// Which kinds; none named: all.
    event_types: Vec<EventKind>,
    #[schema(required = true, format = DateTime)]
    since: Option<String>,
    #[schema(format = DateTime)]
    until: String,
    /// The user who asked for it.
    #[schema(example = "65a0000000000000000000d4")]
    requested_by: String,
    #[schema(format = DateTime)]
    created_at: String,
    #[schema(required = true, format = DateTime)]
    finished_at: Option<String>,
}

impl From<Replay> for ReplayAnswer {
    fn from(replay: Replay) -> Self {
        Self {
            id: replay.id.to_hex(),
            group_id: replay.group_id.to_string(),
            webhook_id: replay.webhook_id.to_hex(),
            kind: replay.kind,
            status: replay.status,
            reason: replay.reason,
            total: replay.total,
            done: replay.done,
            skipped: replay.skipped,
            delivery_status: (replay.kind == ReplayKind::Replay).then_some(replay.selection.status),
            event_types: replay.selection.event_types,
            since: replay.selection.since.map(show_time),
            until: show_time(replay.selection.until),
            requested_by: replay.by.to_string(),
            created_at: show_time(replay.requested_at),
            finished_at: replay.finished_at.map(show_time),
        }
    }
}
