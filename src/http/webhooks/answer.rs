//! A webhook as answers show it.

use std::collections::BTreeMap;

use bson::DateTime;
use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;
use utoipa::ToSchema;

use super::sealed;
use crate::http::App;
use crate::http::error::ApiResult;
use crate::http::query::show_time;
use crate::model::{DisabledReason, EventFilter, Ordering, RetryPolicy, SecretState, Webhook, WebhookHealth};

/// Fields that answers show and no request sets. A `PUT` may carry them, so that an answer can be sent back with one
/// field changed; they are passed over.
pub(super) const READ_ONLY: [&str; 8] =
    ["id", "createdAt", "createdBy", "updatedAt", "health", "missed", "secretHint", "rotation"];

/// A webhook.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Webhook)]
pub(in crate::http) struct WebhookAnswer {
    #[schema(example = "65a0000000000000000000b2")]
    id: String,
    /// The group whose events it gets.
    #[schema(example = "65a0000000000000000000a1")]
    group_id: String,
    #[schema(example = "Our chat")]
    name: String,
    /// Where it is sent.
    #[schema(example = "https://hooks.example.com/tasks")]
    target_url: String,
    #[schema(example = true)]
    enabled: bool,
    /// Which events it gets.
    events: EventFilter,
    /// Sent with each request.
    #[schema(example = json!({"X-Api-Key": "k-123"}))]
    headers: BTreeMap<String, String>,
    /// When a failing delivery is tried again, and how often.
    retry_policy: RetryPolicy,
    /// One deadline over an attempt.
    #[schema(minimum = 1, maximum = 30, example = 15)]
    timeout_seconds: i32,
    /// At most so many attempts begin in a second; null: no limit.
    #[schema(required = true, minimum = 1, maximum = 1000, example = 10)]
    rate_limit_per_second: Option<i32>,
    /// Whether events of one task go one after the other.
    ordering: Ordering,
    /// Whether changes that came in through the inbound endpoint are left out.
    skip_inbound_echoes: bool,
    /// The signing secret: only in the answer to the call that made it, and never again.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")]
    secret: Option<String>,
    /// The secret's last four characters.
    #[schema(example = "LaSw")]
    secret_hint: String,
    /// The open rotation: both secrets sign. Null: none is open.
    #[schema(required = true)]
    rotation: Option<Rotation>,
    health: Health,
    /// When it was disabled and got no events, until its admins decide about them (`dismissMissed`, or a backfill).
    #[schema(required = true)]
    missed: Option<Missed>,
    #[schema(format = DateTime)]
    created_at: String,
    /// The user who made it.
    #[schema(example = "65a0000000000000000000d4")]
    created_by: String,
    #[schema(format = DateTime)]
    updated_at: String,
}

/// A rotation under way.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::http) struct Rotation {
    #[schema(format = DateTime)]
    started_at: String,
    /// When the previous secret stops by itself; null: not before the rotation is finalized.
    #[schema(required = true, format = DateTime)]
    expires_at: Option<String>,
}

/// When it was disabled and got no events, as long as its admins have not decided what to do about them.
#[derive(Serialize, ToSchema)]
struct Missed {
    #[schema(format = DateTime)]
    since: String,
    #[schema(format = DateTime)]
    until: String,
}

/// How its deliveries fare.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::http) struct Health {
    status: HealthStatus,
    /// Why it is disabled, if it is.
    #[schema(required = true)]
    disabled_reason: Option<DisabledReason>,
    #[schema(required = true, format = DateTime)]
    last_success_at: Option<String>,
}

/// Healthy: the last attempt succeeded, or there was none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum HealthStatus {
    Healthy,
    Failing,
    Disabled,
}

impl WebhookAnswer {
    /// Shows a webhook, without its secret.
    ///
    /// # Errors
    /// 500, if the stored headers cannot be opened.
    pub(super) fn new(app: &App, webhook: &Webhook, health: Option<&WebhookHealth>) -> ApiResult<Self> {
        Ok(Self {
            id: webhook.id.to_hex(),
            group_id: webhook.group_id.to_string(),
            name: webhook.name.clone(),
            target_url: webhook.target_url.clone(),
            enabled: webhook.enabled,
            events: webhook.events,
            headers: sealed::open_headers(&app.keys, webhook)?,
            retry_policy: webhook.retry_policy,
            timeout_seconds: webhook.timeout_seconds,
            rate_limit_per_second: webhook.rate_limit_per_second,
            ordering: webhook.ordering,
            skip_inbound_echoes: webhook.skip_inbound_echoes,
            secret: None,
            secret_hint: webhook.secret.hint.clone(),
            rotation: Rotation::of(webhook, app.clock.now()),
            health: Health::of(webhook, health),
            missed: missed(webhook),
            created_at: show_time(webhook.created_at),
            created_by: webhook.created_by.to_string(),
            updated_at: show_time(webhook.updated_at),
        })
    }

    /// With the secret, in the answer to the call that made it.
    pub(super) fn with_secret(mut self, secret: Option<&SecretString>) -> Self {
        self.secret = secret.map(|secret| secret.expose_secret().to_owned());
        self
    }
}

impl Rotation {
    /// The rotation that is open at `now`.
    pub(in crate::http) fn of(webhook: &Webhook, now: DateTime) -> Option<Self> {
        Self::of_secret(&webhook.secret, now)
    }

    /// The same of a secret.
    pub(in crate::http) fn of_secret(secret: &SecretState, now: DateTime) -> Option<Self> {
        let started = secret.rotation_started_at.filter(|_| secret.is_rotating(now))?;
        Some(Self { started_at: show_time(started), expires_at: secret.rotation_expires_at.map(show_time) })
    }
}

impl Health {
    /// How a webhook fares.
    pub(in crate::http) fn of(webhook: &Webhook, health: Option<&WebhookHealth>) -> Self {
        Self {
            status: health_status(webhook, health),
            disabled_reason: webhook.disabled_reason.filter(|_| !webhook.enabled),
            last_success_at: health.and_then(|health| health.last_success_at).map(show_time),
        }
    }
}

/// A second wider at both ends than it was, because an event's time and the configuration's are taken by different clocks.
fn missed(webhook: &Webhook) -> Option<Missed> {
    let missed = webhook.stops.missed?;
    let moved = |at: DateTime, by: i64| show_time(DateTime::from_millis(at.timestamp_millis().saturating_add(by)));
    Some(Missed { since: moved(missed.since, -1000), until: moved(missed.until, 1000) })
}

fn health_status(webhook: &Webhook, health: Option<&WebhookHealth>) -> HealthStatus {
    if !webhook.enabled {
        HealthStatus::Disabled
    } else if health.is_some_and(|health| health.failing_since.is_some()) {
        HealthStatus::Failing
    } else {
        HealthStatus::Healthy
    }
}
