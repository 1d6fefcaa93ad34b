//! A webhook as answers show it.

use std::collections::BTreeMap;

use bson::DateTime;
use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;

use super::sealed;
use crate::http::error::ApiResult;
use crate::http::query::show_time;
use crate::model::{DisabledReason, EventFilter, Ordering, RetryPolicy, Webhook, WebhookHealth};
use crate::secrets::MasterKeys;

/// Fields that answers show and no request sets. A `PUT` may carry them, so that an answer can be sent back with one
/// field changed; they are passed over.
pub(super) const READ_ONLY: [&str; 8] =
    ["id", "createdAt", "createdBy", "updatedAt", "health", "missed", "secretHint", "rotation"];

/// The answer.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::http) struct WebhookAnswer {
    id: String,
    group_id: String,
    name: String,
    target_url: String,
    enabled: bool,
    events: EventFilter,
    headers: BTreeMap<String, String>,
    retry_policy: RetryPolicy,
    timeout_seconds: i32,
    rate_limit_per_second: Option<i32>,
    ordering: Ordering,
    skip_inbound_echoes: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    secret: Option<String>,
    secret_hint: String,
    rotation: Option<Rotation>,
    health: Health,
    missed: Option<Missed>,
    created_at: String,
    created_by: String,
    updated_at: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Rotation {
    started_at: String,
    expires_at: Option<String>,
}

/// When it was disabled and got no events, as long as its admins have not decided what to do about them.
#[derive(Serialize)]
struct Missed {
    since: String,
    until: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Health {
    status: HealthStatus,
    disabled_reason: Option<DisabledReason>,
    last_success_at: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
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
    pub(super) fn new(keys: &MasterKeys, webhook: &Webhook, health: Option<&WebhookHealth>) -> ApiResult<Self> {
        Ok(Self {
            id: webhook.id.to_hex(),
            group_id: webhook.group_id.to_string(),
            name: webhook.name.clone(),
            target_url: webhook.target_url.clone(),
            enabled: webhook.enabled,
            events: webhook.events,
            headers: sealed::open_headers(keys, webhook)?,
            retry_policy: webhook.retry_policy,
            timeout_seconds: webhook.timeout_seconds,
            rate_limit_per_second: webhook.rate_limit_per_second,
            ordering: webhook.ordering,
            skip_inbound_echoes: webhook.skip_inbound_echoes,
            secret: None,
            secret_hint: webhook.secret.hint.clone(),
            rotation: rotation(webhook),
            health: Health {
                status: health_status(webhook, health),
                disabled_reason: webhook.disabled_reason.filter(|_| !webhook.enabled),
                last_success_at: health.and_then(|health| health.last_success_at).map(show_time),
            },
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

fn rotation(webhook: &Webhook) -> Option<Rotation> {
    let started = webhook.secret.rotation_started_at.filter(|_| webhook.secret.previous.is_some())?;
    Some(Rotation { started_at: show_time(started), expires_at: webhook.secret.rotation_expires_at.map(show_time) })
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
