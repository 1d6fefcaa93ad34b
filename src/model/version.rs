//! `webhookVersions`: what fan-out needs of a webhook as it was from a point of the stream on, and why an event was not
//! for it. Fan-out and the trace of an event ask the same functions, so that the trace tells what was decided.

use std::fmt;

use bson::{DateTime, RawDocumentBuf, oid::ObjectId, rawdoc};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use utoipa::ToSchema;

use super::{DocId, EventFilter, EventKind, Ordering, StreamTime, Webhook};

/// Why an event was not sent to a webhook.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum NotSent {
    /// The webhook did not ask for events of this kind.
    Filter,
    /// It was disabled then.
    Disabled,
    /// It was created after the event.
    CreatedLater,
    /// It was deleted before the event.
    Deleted,
    /// The event came in through the inbound endpoint, and the webhook leaves those out.
    Echo,
    /// An operator had muted the group.
    Muted,
}

impl fmt::Display for NotSent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Filter => "filter",
            Self::Disabled => "disabled",
            Self::CreatedLater => "created-later",
            Self::Deleted => "deleted",
            Self::Echo => "echo",
            Self::Muted => "muted",
        })
    }
}

/// What fan-out needs of a webhook as it was from a point of the stream on; one document of `webhookVersions`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Version {
    /// The webhook; of a mute, [`Version::mute_id`].
    pub webhook_id: ObjectId,
    /// Its group.
    pub group_id: DocId,
    /// From here on.
    pub at: StreamTime,
    /// Whether it was enabled and not deleted.
    pub live: bool,
    /// Why not: `disabled` or `deleted`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Which events it wanted.
    pub events: EventFilter,
    /// Whether events of one task go in order.
    pub ordering: Ordering,
    /// Whether it left out what came in through the inbound endpoint.
    pub skip_inbound_echoes: bool,
    /// No webhook but a mute of the whole group: changes before this time are not sent to any of its webhooks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mute_until: Option<DateTime>,
}

impl Version {
    /// The version that a configuration begins at `at`.
    #[must_use]
    pub fn of(webhook: &Webhook, at: StreamTime) -> Self {
        let reason = match (webhook.deleted_at, webhook.enabled) {
            (Some(_), _) => Some("deleted".to_owned()),
            (None, false) => Some("disabled".to_owned()),
            (None, true) => None,
        };
        Self {
            webhook_id: webhook.id,
            group_id: webhook.group_id.clone(),
            at,
            live: webhook.is_live(),
            reason,
            events: webhook.events,
            ordering: webhook.ordering,
            skip_inbound_echoes: webhook.skip_inbound_echoes,
            mute_until: None,
        }
    }

    /// The version by which a group is muted from `at` on, for changes before `until`.
    #[must_use]
    pub fn mute(group: &DocId, at: StreamTime, until: DateTime) -> Self {
        Self {
            webhook_id: Self::mute_id(group),
            group_id: group.clone(),
            at,
            live: false,
            reason: None,
            events: EventFilter::default(),
            ordering: Ordering::None,
            skip_inbound_echoes: false,
            mute_until: Some(until),
        }
    }

    /// What a group's mutes stand under in place of a webhook's id: a function of the group.
    #[must_use]
    pub fn mute_id(group: &DocId) -> ObjectId {
        let hash = Sha256::new().chain_update("mute/").chain_update(group.to_string()).finalize();
        let mut id = [0; 12];
        id.copy_from_slice(&hash[..12]);
        ObjectId::from_bytes(id)
    }

    /// Why an event of this kind is not for it; `None`: it is.
    #[must_use]
    pub fn refuses(&self, kind: EventKind, echo: bool) -> Option<NotSent> {
        if !self.live {
            return Some(if self.reason.as_deref() == Some("deleted") { NotSent::Deleted } else { NotSent::Disabled });
        }
        if !self.events.wants(kind) {
            return Some(NotSent::Filter);
        }
        (echo && self.skip_inbound_echoes).then_some(NotSent::Echo)
    }

    /// Its document's id: one version a webhook and point of the stream.
    #[must_use]
    pub fn key(&self) -> RawDocumentBuf {
        let (t, i, n) = (i64::from(self.at.t), i64::from(self.at.i), i64::from(self.at.n));
        rawdoc! { "w": self.webhook_id, "t": t, "i": i, "n": n }
    }
}
