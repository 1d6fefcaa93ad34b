//! Notices about webhooks: which there are, what one says, and the row that delivers it to the group's alert address.

use bson::{DateTime, Timestamp, oid::ObjectId};
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;

use super::{Delivery, DeliveryId, DeliveryStatus, DocId, EventId, EventKind, PayloadSummary, StreamTime, Webhook};
use crate::mapping::value::rfc3339;

/// What a group's alert address may hear.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
pub enum NoticeKind {
    /// A webhook's deliveries have been failing for a while.
    #[serde(rename = "webhook.failing")]
    Failing,
    /// Taskwire disabled a webhook by itself.
    #[serde(rename = "webhook.disabled")]
    Disabled,
    /// A webhook that was told to be failing got a delivery through.
    #[serde(rename = "webhook.recovered")]
    Recovered,
    /// Deliveries were given up: gathered.
    #[serde(rename = "delivery.dead-letter")]
    DeadLetter,
}

impl NoticeKind {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Failing, Self::Disabled, Self::Recovered, Self::DeadLetter];

    /// As the kind of a delivery.
    #[must_use]
    pub const fn event(self) -> EventKind {
        match self {
            Self::Failing => EventKind::WebhookFailing,
            Self::Disabled => EventKind::WebhookDisabled,
            Self::Recovered => EventKind::WebhookRecovered,
            Self::DeadLetter => EventKind::DeadLetter,
        }
    }
}

/// What makes a webhook its group's alert address: it hears these notices, and no event.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Alert {
    /// Which notices.
    pub events: Vec<NoticeKind>,
}

/// The call that makes good what was missed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mend {
    /// Fetches the events from a time on that never became deliveries.
    Backfill {
        /// From when on.
        since: DateTime,
    },
    /// Queues what was given up once more.
    Replay {
        /// The first delivery's creation.
        since: DateTime,
        /// Just after the last one's.
        until: DateTime,
    },
}

/// One notice about a webhook.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// Which.
    pub kind: NoticeKind,
    /// Why, in a few words without URL, secret or body.
    pub reason: Option<String>,
    /// Since when.
    pub since: DateTime,
    /// Until when, if it is over.
    pub until: Option<DateTime>,
    /// How many deliveries it tells of.
    pub count: Option<i64>,
    /// What to do about it.
    pub mend: Mend,
}

impl Notice {
    /// The row that delivers it, with its body, if the group's alert address wants to hear it.
    #[must_use]
    pub fn row(&self, about: &Webhook, alert: &Webhook, now: DateTime) -> Option<Delivery> {
        let wants = alert.is_live() && alert.alert.as_ref().is_some_and(|alert| alert.events.contains(&self.kind));
        if !wants || about.alert.is_some() {
            return None;
        }
        let ms = now.timestamp_millis();
        let part = |number: i64| u32::try_from(number).unwrap_or(0);
        let at = StreamTime::new(Timestamp { time: part(ms / 1000), increment: part(ms % 1000) }, 0);
        let about_id = DocId::Oid(about.id);
        let event = EventId::derive(at, "notices", &about_id, self.kind.event().name());
        Some(Delivery {
            id: DeliveryId::of_notice(&event, alert.id),
            group_id: alert.group_id.clone(),
            webhook_id: alert.id,
            event_type: self.kind.event(),
            task_id: about_id,
            sequence: 0,
            payload_summary: PayloadSummary { status: None, changed: Vec::new() },
            status: DeliveryStatus::Queued,
            attempts: 0,
            attempts_base: 0,
            due: Some(now),
            lease: None,
            clock: None,
            ordered: None,
            created_at: now,
            last_attempt_at: None,
            next_attempt_at: Some(now),
            delivered_at: None,
            expire_at: None,
            response_status: None,
            duration_ms: None,
            error_message: None,
            log: Vec::new(),
            body: Some(self.body(&event, about, now)),
            event_id: event,
        })
    }

    fn body(&self, event: &EventId, about: &Webhook, now: DateTime) -> String {
        let time = |at: DateTime| rfc3339(at.timestamp_millis());
        json!({
            "id": event.as_str(),
            "event": self.kind.event().name(),
            "groupId": about.group_id.to_string(),
            "timestamp": time(now),
            "actorId": null,
            "data": {
                "webhookId": about.id.to_hex(),
                "webhookName": about.name,
                "reason": self.reason,
                "since": time(self.since),
                "until": self.until.map(time),
                "count": self.count,
                "mend": self.mend.call(about.id),
            },
        })
        .to_string()
    }
}

impl Mend {
    fn call(self, webhook: ObjectId) -> serde_json::Value {
        let time = |at: DateTime| rfc3339(at.timestamp_millis());
        let (name, body) = match self {
            Self::Backfill { since } => ("backfill", json!({"since": time(since)})),
            Self::Replay { since, until } => ("replay", json!({"since": time(since), "until": time(until)})),
        };
        json!({"method": "POST", "path": format!("/api/integrations/webhooks/{webhook}/{name}"), "body": body})
    }
}
