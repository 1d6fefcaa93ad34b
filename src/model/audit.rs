//! `integrationAudit`: who changed what in a group's integrations. Append-only, and without secrets.

use bson::{DateTime, oid::ObjectId};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{DeliveryId, DisabledReason, DocId, Webhook};

/// The actor of what Taskwire did by itself.
pub const SYSTEM: &str = "system";

/// What was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
pub enum AuditAction {
    /// A webhook was made.
    #[serde(rename = "webhook.created")]
    WebhookCreated,
    /// Fields of a webhook were changed.
    #[serde(rename = "webhook.updated")]
    WebhookUpdated,
    /// A webhook got a new secret; the old one signs too until the rotation is finalized.
    #[serde(rename = "webhook.secret-rotated")]
    SecretRotated,
    /// The old secret was given up.
    #[serde(rename = "webhook.rotation-finalized")]
    RotationFinalized,
    /// Taskwire disabled a webhook by itself.
    #[serde(rename = "webhook.disabled")]
    WebhookDisabled,
    /// A webhook was deleted.
    #[serde(rename = "webhook.deleted")]
    WebhookDeleted,
    /// A test was sent to a webhook's target.
    #[serde(rename = "webhook.tested")]
    WebhookTested,
    /// It was checked whether a webhook's receiver verifies what it gets.
    #[serde(rename = "webhook.verified")]
    WebhookVerified,
    /// The group's alert address was set, changed or removed.
    #[serde(rename = "settings.updated")]
    SettingsUpdated,
    /// A finished delivery was queued again.
    #[serde(rename = "delivery.replayed")]
    DeliveryReplayed,
    /// The group's inbound integration was set up.
    #[serde(rename = "inbound.created")]
    InboundCreated,
    /// Fields of it were changed.
    #[serde(rename = "inbound.updated")]
    InboundUpdated,
    /// It got a new secret; the old one is taken too until the rotation is finalized.
    #[serde(rename = "inbound.secret-rotated")]
    InboundSecretRotated,
    /// Its old secret was given up.
    #[serde(rename = "inbound.rotation-finalized")]
    InboundRotationFinalized,
    /// Finished deliveries are queued again, as many as fit a selection.
    #[serde(rename = "webhook.replay-started")]
    ReplayStarted,
    /// Deliveries are made of events that a webhook never got.
    #[serde(rename = "webhook.backfill-started")]
    BackfillStarted,
    /// One of both was ended before its end.
    #[serde(rename = "webhook.replay-cancelled")]
    ReplayCancelled,
}

/// One entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AuditEntry {
    /// Its id.
    #[serde(rename = "_id")]
    pub id: ObjectId,
    /// The group.
    pub group_id: DocId,
    /// The entry's number in its group: 1, 2, 3 … without holes.
    pub sequence: i64,
    /// When. Server time.
    pub at: DateTime,
    /// The user, or [`SYSTEM`].
    pub actor_id: DocId,
    /// What was done.
    pub action: AuditAction,
    /// To which webhook.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub webhook_id: Option<ObjectId>,
    /// To which of its deliveries.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delivery_id: Option<DeliveryId>,
    /// By which bulk replay or backfill.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replay_id: Option<ObjectId>,
    /// Why Taskwire did it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<DisabledReason>,
    /// The names of the fields that were changed, as REST calls them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub changed: Vec<String>,
}

impl AuditEntry {
    /// That `actor` did this to a webhook. Its number in the group is given when it is appended.
    #[must_use]
    pub fn of_webhook(webhook: &Webhook, actor: DocId, at: DateTime, action: AuditAction) -> Self {
        Self { webhook_id: Some(webhook.id), ..Self::of_group(webhook.group_id.clone(), actor, at, action) }
    }

    /// That `actor` did this to what a group has one of.
    #[must_use]
    pub fn of_group(group: DocId, actor: DocId, at: DateTime, action: AuditAction) -> Self {
        Self {
            id: ObjectId::new(),
            group_id: group,
            sequence: 0,
            at,
            actor_id: actor,
            action,
            webhook_id: None,
            delivery_id: None,
            replay_id: None,
            reason: None,
            changed: Vec::new(),
        }
    }
}
