//! `webhookDeliveries`: one row for each event and webhook that wants it, and its way to an end.
//!
//! ```text
//! queued ──attempt──▶ delivered
//!   ▲  │ └──fails──▶ failed ──attempt──▶ delivered | failed | dead-letter
//!   │  └──cannot help──▶ dead-letter
//!   └── replay of any finished row
//! ```
//!
//! An open row (queued or failed) carries `due`: when it may next be claimed. A claim pushes `due` to the lease's end and
//! sets `lease` to a token; the outcome is written only where that token still stands. A row whose `due` passed while a
//! `lease` stands lost its holder: the next claim records that attempt as interrupted. A finished row has neither, and carries
//! `expireAt` instead: when it may be removed.

use bson::{DateTime, oid::ObjectId};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{DeliveryId, DocId, EventId, EventKind, Ordering, TaskEvent};

/// Where a delivery stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum DeliveryStatus {
    /// Never tried, or replayed.
    Queued,
    /// Tried; another attempt is scheduled.
    Failed,
    /// A 2xx came back in time.
    Delivered,
    /// Given up.
    DeadLetter,
}

impl DeliveryStatus {
    /// The stored and shown name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Failed => "failed",
            Self::Delivered => "delivered",
            Self::DeadLetter => "dead-letter",
        }
    }

    /// Whether an attempt may still follow.
    #[must_use]
    pub const fn is_open(self) -> bool {
        match self {
            Self::Queued | Self::Failed => true,
            Self::Delivered | Self::DeadLetter => false,
        }
    }
}

/// What a list shows of the payload: no text of the task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PayloadSummary {
    /// The task's status after the change, by name.
    pub status: Option<String>,
    /// Names of the payload fields that changed.
    pub changed: Vec<String>,
}

/// How one attempt ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum AttemptOutcome {
    /// 2xx within the deadline.
    Delivered,
    /// Failed; `errorMessage` says how.
    Failed,
    /// The process that held it went away before the outcome was written: the partner may or may not have got it.
    Interrupted,
}

/// One recorded attempt: one POST.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Attempt {
    /// 1-based number over the delivery's whole life, as sent in `X-Attempt`.
    pub n: i32,
    /// When it began.
    pub at: DateTime,
    /// How it ended.
    pub outcome: AttemptOutcome,
    /// From the first lookup to the last byte, in milliseconds; absent where the outcome was lost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration_ms: Option<i64>,
    /// The HTTP status, if an answer came.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub response_status: Option<i32>,
    /// Short reason, without secrets or bodies.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error_message: Option<String>,
    /// The beginning of a failed answer's body, where `TASKWIRE_KEEP_ERROR_BODY_BYTES` keeps it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub response_body: Option<String>,
}

/// How many attempts a row keeps in its log; older ones fall out, `attempts` counts on.
pub const ATTEMPT_LOG_LENGTH: i32 = 100;

/// One row of `webhookDeliveries`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Delivery {
    /// A function of event and webhook.
    #[serde(rename = "_id")]
    pub id: DeliveryId,
    /// The webhook's group.
    pub group_id: DocId,
    /// The webhook.
    pub webhook_id: ObjectId,
    /// The event whose body is sent.
    pub event_id: EventId,
    /// The event's kind.
    pub event_type: EventKind,
    /// The task.
    pub task_id: DocId,
    /// The event's sequence in its task, for `perTask` order.
    pub sequence: i64,
    /// What lists show of the payload.
    pub payload_summary: PayloadSummary,
    /// Where it stands.
    pub status: DeliveryStatus,
    /// Attempts begun over its whole life: taken at claim or hand-over.
    pub attempts: i32,
    /// `attempts` at the last replay: the policy's `maxAttempts` counts from here.
    pub attempts_base: i32,
    /// Open rows only: when it may be claimed; while leased, when the lease ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub due: Option<DateTime>,
    /// Held rows only: the holder's token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lease: Option<String>,
    /// The last time that its webhook was disabled by which its retry was moved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clock: Option<i64>,
    /// Open rows of `perTask` webhooks only: true.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ordered: Option<bool>,
    /// When the row was made.
    pub created_at: DateTime,
    /// When the last attempt began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_attempt_at: Option<DateTime>,
    /// When the next attempt is scheduled; open rows only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_attempt_at: Option<DateTime>,
    /// When a 2xx came.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delivered_at: Option<DateTime>,
    /// Finished rows only: when it is removed, unless it is replayed before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expire_at: Option<DateTime>,
    /// The last attempt's HTTP status.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub response_status: Option<i32>,
    /// The last attempt's duration in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration_ms: Option<i64>,
    /// The last attempt's reason, or why it was given up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error_message: Option<String>,
    /// Notices only: the body, which for all others stands with the event.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<String>,
    /// The attempts, oldest first, at most [`ATTEMPT_LOG_LENGTH`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub log: Vec<Attempt>,
}

impl Delivery {
    /// The row of `event` for `webhook`, queued and due at `now`.
    #[must_use]
    pub fn queued(event: &TaskEvent, webhook: ObjectId, ordering: Ordering, now: DateTime) -> Self {
        Self {
            id: DeliveryId::derive(&event.id, webhook),
            group_id: event.group_id.clone(),
            webhook_id: webhook,
            event_id: event.id.clone(),
            event_type: event.event,
            task_id: event.task_id.clone(),
            sequence: event.sequence,
            payload_summary: event.summary.clone(),
            status: DeliveryStatus::Queued,
            attempts: 0,
            attempts_base: 0,
            due: Some(now),
            lease: None,
            clock: None,
            ordered: (ordering == Ordering::PerTask).then_some(true),
            created_at: now,
            last_attempt_at: None,
            next_attempt_at: Some(now),
            delivered_at: None,
            expire_at: None,
            response_status: None,
            duration_ms: None,
            error_message: None,
            body: None,
            log: Vec::new(),
        }
    }
}
