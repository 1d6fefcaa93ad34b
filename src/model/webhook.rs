//! `webhookConfigs`: what a group's admins set up. Written whole, guarded by `revision`, so that the change stream brings
//! every version in full.

use std::fmt;

use bson::{DateTime, oid::ObjectId};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Alert, DocId, EventKind, Stops};
use crate::secrets::Sealed;

/// Which events a webhook wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
#[allow(clippy::struct_excessive_bools, reason = "the contract's six switches")]
pub struct EventFilter {
    /// `task.created`
    #[schema(required = true)]
    pub task_created: bool,
    /// `task.updated`
    #[schema(required = true)]
    pub task_updated: bool,
    /// `task.completed`
    #[schema(required = true)]
    pub task_completed: bool,
    /// `task.approved`
    #[schema(required = true)]
    pub task_approved: bool,
    /// `task.rejected`
    #[schema(required = true)]
    pub task_rejected: bool,
    /// `task.swapped`
    #[schema(required = true)]
    pub task_swapped: bool,
}

impl EventFilter {
    /// Whether an event of this kind passes.
    #[must_use]
    pub const fn wants(self, kind: EventKind) -> bool {
        match kind {
            EventKind::Created => self.task_created,
            EventKind::Completed => self.task_completed,
            EventKind::Approved => self.task_approved,
            EventKind::Rejected => self.task_rejected,
            EventKind::Swapped => self.task_swapped,
            EventKind::Updated => self.task_updated,
            // These go to the group's alert address, and to no webhook.
            EventKind::WebhookFailing
            | EventKind::WebhookDisabled
            | EventKind::WebhookRecovered
            | EventKind::DeadLetter => false,
        }
    }
}

/// How often a failing delivery is tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct RetryPolicy {
    /// Attempts in all, 1–20.
    #[schema(required = true, minimum = 1, maximum = 20, example = 14)]
    pub max_attempts: i32,
    /// Seconds before the second attempt, 1–86400; doubled for each further one.
    #[schema(required = true, minimum = 1, maximum = 86400, example = 30)]
    pub backoff_seconds: i32,
}

impl Default for RetryPolicy {
    /// 14 attempts from 30 s on: 58 hours.
    fn default() -> Self {
        Self { max_attempts: 14, backoff_seconds: 30 }
    }
}

/// Whether events of one task go one after the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub enum Ordering {
    /// Each goes when it can.
    #[default]
    None,
    /// A later event of a task only once the earlier is delivered or dead.
    PerTask,
}

/// Why a webhook is disabled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum DisabledReason {
    /// An admin did it.
    Admin,
    /// The target answered 410.
    Gone,
    /// No success for so long that it was given up: five days, unless configured.
    #[serde(rename = "failing-for-5-days")]
    FailingFor5Days,
}

impl fmt::Display for DisabledReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Admin => "admin",
            Self::Gone => "gone",
            Self::FailingFor5Days => "failing-for-5-days",
        })
    }
}

/// A webhook's signing secret, sealed, and the one before it while a rotation is open.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SecretState {
    /// Signs everything.
    pub current: Sealed,
    /// Its last four characters.
    pub hint: String,
    /// Signs too while a rotation is open.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous: Option<Sealed>,
    /// When the open rotation began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rotation_started_at: Option<DateTime>,
    /// When `previous` stops signing by itself; absent: when the rotation is finalized.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rotation_expires_at: Option<DateTime>,
}

impl SecretState {
    /// Whether a rotation is open at `now`: the previous secret signs too.
    #[must_use]
    pub fn is_rotating(&self, now: DateTime) -> bool {
        self.previous.is_some() && self.rotation_expires_at.is_none_or(|expires| now < expires)
    }
}

/// One document of `webhookConfigs`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Webhook {
    /// Its id.
    #[serde(rename = "_id")]
    pub id: ObjectId,
    /// The group whose events it gets.
    pub group_id: DocId,
    /// What admins call it.
    pub name: String,
    /// Where it is sent.
    pub target_url: String,
    /// Whether anything is queued and sent.
    pub enabled: bool,
    /// Why not, if not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disabled_reason: Option<DisabledReason>,
    /// Which events.
    pub events: EventFilter,
    /// Further headers: a JSON object name → value, sealed because values are often credentials. Absent: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub headers: Option<Sealed>,
    /// When to try again, and how often.
    pub retry_policy: RetryPolicy,
    /// One deadline over an attempt, seconds, 1–30.
    pub timeout_seconds: i32,
    /// At most so many attempts begin in a second, over all dispatching processes; absent: no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate_limit_per_second: Option<i32>,
    /// Order within a task.
    pub ordering: Ordering,
    /// Leave out what came in through the inbound endpoint.
    pub skip_inbound_echoes: bool,
    /// The signing secret.
    pub secret: SecretState,
    /// When it was disabled, so far.
    #[serde(default, skip_serializing_if = "Stops::is_empty")]
    pub stops: Stops,
    /// Makes it its group's alert address: it hears notices, and no list of webhooks shows it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alert: Option<Alert>,
    /// Counts writes of this document, from 1; the `ETag`.
    pub revision: i64,
    /// When it was created.
    pub created_at: DateTime,
    /// Who created it.
    pub created_by: DocId,
    /// When it was last changed, by an admin or by disabling it: the dispatchers look for what changed by this. Server time.
    pub updated_at: DateTime,
    /// Set when deleted; the document stays so that its log keeps a name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deleted_at: Option<DateTime>,
}

/// A sealed field of a [`Webhook`]. Each has a context of its own, so that a sealed text opens only in its own field of its
/// own document: at a rotation the old secret is sealed anew as [`SealedField::PreviousSecret`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SealedField {
    /// `secret.current`
    CurrentSecret,
    /// `secret.previous`
    PreviousSecret,
    /// `headers`: a JSON object of name and value.
    Headers,
}

impl SealedField {
    /// The field's path in the document, as it stands in the sealing context.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::CurrentSecret => "secret.current",
            Self::PreviousSecret => "secret.previous",
            Self::Headers => "headers",
        }
    }
}

impl Webhook {
    /// Associated data that binds a sealed field to the document `id`: what `MasterKeys::seal` and `open` take.
    #[must_use]
    pub fn sealing_context(id: ObjectId, field: SealedField) -> String {
        format!("webhookConfigs/{id}/{}", field.name())
    }

    /// Whether events are queued and sent at all.
    #[must_use]
    pub const fn is_live(&self) -> bool {
        self.enabled && self.deleted_at.is_none()
    }
}

/// One document of `webhookHealth`: how a webhook's deliveries fare. Written by dispatchers alone, and apart from the
/// configuration so that it neither feeds the change stream nor changes an `ETag`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct WebhookHealth {
    /// The webhook.
    #[serde(rename = "_id")]
    pub webhook_id: ObjectId,
    /// When a partner last answered 2xx. Server time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_success_at: Option<DateTime>,
    /// When the present run of failures began; absent while the last attempt succeeded. Server time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failing_since: Option<DateTime>,
}
