//! `taskEvents`: the append-only log of derived events, the truth about what happened.

use bson::{DateTime, Timestamp};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{DocId, EventId, PayloadSummary};

/// What a delivery tells: one of the six lifecycle events, in the order in which several events of one change are told; or a
/// notice about a webhook, which goes to its group's alert address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
pub enum EventKind {
    /// A task was inserted, or upserted by a replace.
    #[serde(rename = "task.created")]
    Created,
    /// A task's status became completed.
    #[serde(rename = "task.completed")]
    Completed,
    /// A completion was approved.
    #[serde(rename = "task.approved")]
    Approved,
    /// A completion was rejected.
    #[serde(rename = "task.rejected")]
    Rejected,
    /// Tasks passed their assignees among each other.
    #[serde(rename = "task.swapped")]
    Swapped,
    /// Any other change of a tracked field.
    #[serde(rename = "task.updated")]
    Updated,
    /// A webhook's deliveries have been failing for a while.
    #[serde(rename = "webhook.failing")]
    WebhookFailing,
    /// Taskwire disabled a webhook by itself.
    #[serde(rename = "webhook.disabled")]
    WebhookDisabled,
    /// A webhook that was told to be failing got a delivery through.
    #[serde(rename = "webhook.recovered")]
    WebhookRecovered,
    /// Deliveries of a webhook were given up.
    #[serde(rename = "delivery.dead-letter")]
    DeadLetter,
}

impl EventKind {
    /// The six lifecycle events, in order.
    pub const ALL: [Self; 6] =
        [Self::Created, Self::Completed, Self::Approved, Self::Rejected, Self::Swapped, Self::Updated];

    /// The notices about webhooks.
    pub const NOTICES: [Self; 4] =
        [Self::WebhookFailing, Self::WebhookDisabled, Self::WebhookRecovered, Self::DeadLetter];

    /// The name partners see.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Created => "task.created",
            Self::Completed => "task.completed",
            Self::Approved => "task.approved",
            Self::Rejected => "task.rejected",
            Self::Swapped => "task.swapped",
            Self::Updated => "task.updated",
            Self::WebhookFailing => "webhook.failing",
            Self::WebhookDisabled => "webhook.disabled",
            Self::WebhookRecovered => "webhook.recovered",
            Self::DeadLetter => "delivery.dead-letter",
        }
    }

    /// The switch of a webhook's `events` that lets it through; notices have none.
    #[must_use]
    pub const fn filter_key(self) -> Option<&'static str> {
        match self {
            Self::Created => Some("taskCreated"),
            Self::Completed => Some("taskCompleted"),
            Self::Approved => Some("taskApproved"),
            Self::Rejected => Some("taskRejected"),
            Self::Swapped => Some("taskSwapped"),
            Self::Updated => Some("taskUpdated"),
            Self::WebhookFailing | Self::WebhookDisabled | Self::WebhookRecovered | Self::DeadLetter => None,
        }
    }

    /// The kind with this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().chain(Self::NOTICES).find(|kind| kind.name() == name)
    }
}

/// One derived event, as it stands in `taskEvents`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TaskEvent {
    /// The event's id, shown to partners as `id` and `webhook-id`.
    #[serde(rename = "_id")]
    pub id: EventId,
    /// The group the task belonged to at the change.
    pub group_id: DocId,
    /// The task.
    pub task_id: DocId,
    /// Which of the six.
    pub event: EventKind,
    /// The change's own time in the database.
    pub at: DateTime,
    /// The change's cluster time.
    pub cluster_time: Timestamp,
    /// This task's event count, from 1.
    pub sequence: i64,
    /// Who made the change, where it is known.
    pub actor_id: Option<String>,
    /// What delivery lists show of it.
    pub summary: PayloadSummary,
    /// The exact body that every attempt and replay sends: compact JSON, fixed here.
    pub body: String,
    /// True if it came in through the inbound endpoint.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub echo: bool,
    /// True if its group was muted: it is sent to nobody.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub muted: bool,
    /// True if found while recovering a gap.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub recovered: bool,
}
