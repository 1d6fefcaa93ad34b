//! A webhook as requests give it: what is read, what is checked, what it makes of a stored one.

use std::collections::BTreeMap;

use base64::Engine;
use bson::DateTime;
use secrecy::SecretString;
use serde::Deserialize;
use utoipa::ToSchema;

use super::sealed;
use super::target_headers::{self, GivenHeaders};
use crate::config::TargetPolicy;
use crate::http::body::{Object, given};
use crate::http::error::{ApiError, ApiResult, FieldError};
use crate::model::{DisabledReason, DocId, EventFilter, Ordering, Webhook};
use crate::secrets::MasterKeys;
use crate::target_guard::check_url;

/// The longest name, in characters.
const NAME_MAX: usize = 200;
/// How long a secret of one's own may be, in characters.
const SECRET_LENGTH: std::ops::RangeInclusive<usize> = 16..=256;

/// The body of `POST` and `PUT`. Optional because `PUT` keeps what is left out; null is no value, but for the rate limit.
/// `schema.rs` makes the two bodies' schemas of this one.
#[derive(Default, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct WebhookInput {
    /// The group whose events it gets; it cannot be changed.
    #[serde(default, deserialize_with = "given")]
    #[schema(nullable = false, example = "65a0000000000000000000a1")]
    pub(super) group_id: Option<String>,
    #[serde(default, deserialize_with = "given")]
    #[schema(nullable = false, min_length = 1, max_length = 200, pattern = r"\S", example = "Our chat")]
    name: Option<String>,
    /// Where it is sent: `https`, a public address, no credentials and no fragment.
    #[serde(default, deserialize_with = "given")]
    #[schema(nullable = false, max_length = 2048, format = "uri", example = "https://hooks.example.com/tasks")]
    target_url: Option<String>,
    #[serde(default, deserialize_with = "given")]
    #[schema(nullable = false, example = true)]
    enabled: Option<bool>,
    /// Which events it gets; at least one.
    #[serde(default, deserialize_with = "given")]
    #[schema(nullable = false, value_type = Option<EventsInput>)]
    events: Option<Object<EventsInput>>,
    /// Sent with each request. At most 20, 4096 bytes in all; none that Taskwire or the connection sets.
    #[serde(default, deserialize_with = "given")]
    #[schema(nullable = false, value_type = Option<BTreeMap<String, String>>, example = json!({"X-Api-Key": "k-123"}))]
    headers: Option<GivenHeaders>,
    /// When a failing delivery is tried again, and how often.
    #[serde(default, deserialize_with = "given")]
    #[schema(nullable = false, value_type = Option<RetryInput>)]
    retry_policy: Option<Object<RetryInput>>,
    /// A secret of one's own; with a `whsec_` in front it goes on with base64. Left out:
    /// one is made. In a change only together with `rotateSecret`.
    #[serde(default, deserialize_with = "given")]
    #[schema(
        nullable = false,
        min_length = 16,
        max_length = 256,
        pattern = r"^[^\x00-\x20\x7f-\x9f]([^\x00-\x1f\x7f-\x9f]*[^\x00-\x20\x7f-\x9f])?$",
        example = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    )]
    secret: Option<String>,
    /// One deadline over an attempt.
    #[serde(default, deserialize_with = "given")]
    #[schema(nullable = false, value_type = Option<i32>, minimum = 1, maximum = 30, example = 15)]
    timeout_seconds: Option<i64>,
    /// At most so many attempts begin in a second; null: no limit.
    // The outer option: given or not; the inner: a number or null.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<i32>, minimum = 1, maximum = 1000, example = 10)]
    rate_limit_per_second: Option<Option<i64>>,
    /// Whether events of one task go one after the other.
    #[serde(default, deserialize_with = "given")]
    #[schema(nullable = false)]
    ordering: Option<Ordering>,
    /// Whether changes that came in through the inbound endpoint are left out.
    #[serde(default, deserialize_with = "given")]
    #[schema(nullable = false, example = false)]
    skip_inbound_echoes: Option<bool>,
    /// Begins a rotation: a new secret, and the present one signs too until it is finalized.
    #[serde(default, deserialize_with = "given")]
    #[schema(nullable = false, example = false)]
    rotate_secret: Option<bool>,
    /// Ends a rotation: only the new secret signs.
    #[serde(default, deserialize_with = "given")]
    #[schema(nullable = false, example = false)]
    finalize_rotation: Option<bool>,
    /// What was missed while it was disabled is settled.
    #[serde(default, deserialize_with = "given")]
    #[schema(nullable = false, example = false)]
    dismiss_missed: Option<bool>,
}

/// The six switches; one that is left out is off.
#[derive(Default, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", default)]
#[allow(clippy::struct_excessive_bools, reason = "the contract's six switches")]
pub(super) struct EventsInput {
    #[schema(example = true)]
    task_created: bool,
    task_updated: bool,
    #[schema(example = true)]
    task_completed: bool,
    task_approved: bool,
    task_rejected: bool,
    task_swapped: bool,
}

/// When a failing delivery is tried again, and how often.
#[derive(Default, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct RetryInput {
    /// Attempts in all.
    #[serde(default, deserialize_with = "given")]
    #[schema(nullable = false, value_type = Option<i32>, minimum = 1, maximum = 20, example = 14)]
    max_attempts: Option<i64>,
    /// Before the second attempt; doubled for each further one.
    #[serde(default, deserialize_with = "given")]
    #[schema(nullable = false, value_type = Option<i32>, minimum = 1, maximum = 86400, example = 30)]
    backoff_seconds: Option<i64>,
}

/// What a `PUT` does with the secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SecretChange {
    /// Nothing.
    Keep,
    /// Begins a rotation.
    Rotate,
    /// Ends one.
    Finalize,
}

/// The fields that were given, each within its range.
pub(super) struct Checked {
    name: Option<String>,
    target_url: Option<String>,
    enabled: Option<bool>,
    events: Option<EventFilter>,
    headers: Option<BTreeMap<String, String>>,
    max_attempts: Option<i32>,
    backoff_seconds: Option<i32>,
    timeout_seconds: Option<i32>,
    rate_limit_per_second: Option<Option<i32>>,
    ordering: Option<Ordering>,
    skip_inbound_echoes: Option<bool>,
    /// A secret of the caller's own.
    pub(super) secret: Option<SecretString>,
    /// What happens to the secret in a `PUT`.
    pub(super) secret_change: SecretChange,
    /// What was missed is settled.
    pub(super) dismiss_missed: bool,
}

impl WebhookInput {
    /// Checks the body of a `POST`, with its group.
    ///
    /// # Errors
    /// 422 naming every field that is missing or out of range.
    pub(super) fn check_new(self, group: Option<DocId>, targets: &TargetPolicy) -> ApiResult<(DocId, Checked)> {
        let mut faults = Vec::new();
        for (field, missing) in [
            ("groupId", group.is_none()),
            ("name", self.name.is_none()),
            ("targetUrl", self.target_url.is_none()),
            ("events", self.events.is_none()),
        ] {
            if missing {
                faults.push(FieldError::new(field, "is missing"));
            }
        }
        for (field, given) in
            [("rotateSecret", self.rotate_secret.is_some()), ("finalizeRotation", self.finalize_rotation.is_some())]
        {
            if given {
                faults.push(FieldError::new(field, "is for PUT only: a new webhook has a new secret"));
            }
        }
        if self.dismiss_missed.is_some() {
            faults.push(FieldError::new("dismissMissed", "is for PUT only: a new webhook has missed nothing"));
        }
        let checked = self.check(targets, &mut faults);
        match group {
            Some(group) if faults.is_empty() => Ok((group, checked)),
            _ => Err(ApiError::invalid(faults)),
        }
    }

    /// Checks the body of a `PUT` for a webhook of `group`.
    ///
    /// # Errors
    /// 422 naming every field that is out of range.
    pub(super) fn check_change(self, group: &DocId, targets: &TargetPolicy) -> ApiResult<Checked> {
        let mut faults = Vec::new();
        if self.group_id.as_deref().is_some_and(|asked| DocId::parse(asked) != *group) {
            faults.push(FieldError::new("groupId", "cannot be changed: make a new webhook in the other group"));
        }
        let (rotate, finalize) = (self.rotate_secret == Some(true), self.finalize_rotation == Some(true));
        if rotate && finalize {
            faults.push(FieldError::new("finalizeRotation", "cannot be asked for together with rotateSecret"));
        }
        if self.secret.is_some() && !rotate {
            faults.push(FieldError::new("secret", "is taken only together with \"rotateSecret\": true"));
        }
        let checked = self.check(targets, &mut faults);
        if faults.is_empty() { Ok(checked) } else { Err(ApiError::invalid(faults)) }
    }

    fn check(self, targets: &TargetPolicy, faults: &mut Vec<FieldError>) -> Checked {
        if let Some(message) = self.name.as_deref().and_then(name_fault) {
            faults.push(FieldError::new("name", message));
        }
        if let Some(message) = self.target_url.as_deref().and_then(|url| url_fault(url, targets)) {
            faults.push(FieldError::new("targetUrl", message));
        }
        if let Some(message) = self.secret.as_deref().and_then(secret_fault) {
            faults.push(FieldError::new("secret", message));
        }
        let headers = self.headers.map(|GivenHeaders(headers)| headers);
        faults.extend(headers.iter().flat_map(target_headers::faults));
        let events = self.events.map(|Object(events)| EventFilter::from(events));
        if events == Some(EventFilter::default()) {
            faults.push(FieldError::new("events", "names no event: at least one must be true"));
        }
        let retry = self.retry_policy.map_or_else(RetryInput::default, |Object(retry)| retry);
        let secret_change = match (self.rotate_secret, self.finalize_rotation) {
            (Some(true), _) => SecretChange::Rotate,
            (_, Some(true)) => SecretChange::Finalize,
            _ => SecretChange::Keep,
        };
        Checked {
            name: self.name,
            target_url: self.target_url,
            enabled: self.enabled,
            events,
            headers,
            max_attempts: within("retryPolicy.maxAttempts", retry.max_attempts, 1..=20, faults),
            backoff_seconds: within("retryPolicy.backoffSeconds", retry.backoff_seconds, 1..=86_400, faults),
            timeout_seconds: within("timeoutSeconds", self.timeout_seconds, 1..=30, faults),
            rate_limit_per_second: self
                .rate_limit_per_second
                .map(|limit| within("rateLimitPerSecond", limit, 1..=1000, faults)),
            ordering: self.ordering,
            skip_inbound_echoes: self.skip_inbound_echoes,
            secret: self.secret.map(SecretString::from),
            secret_change,
            dismiss_missed: self.dismiss_missed == Some(true),
        }
    }
}

impl From<EventsInput> for EventFilter {
    fn from(input: EventsInput) -> Self {
        Self {
            task_created: input.task_created,
            task_updated: input.task_updated,
            task_completed: input.task_completed,
            task_approved: input.task_approved,
            task_rejected: input.task_rejected,
            task_swapped: input.task_swapped,
        }
    }
}

fn name_fault(name: &str) -> Option<String> {
    let length = name.chars().count();
    if name.trim().is_empty() || length > NAME_MAX {
        Some(format!("must have 1 to {NAME_MAX} characters, not only spaces"))
    } else if name.chars().any(char::is_control) {
        Some("must not hold control characters".to_owned())
    } else {
        None
    }
}

pub(in crate::http) fn url_fault(url: &str, targets: &TargetPolicy) -> Option<String> {
    // Its reader takes one for a slash; an admin who reads it may not.
    if url.contains('\\') {
        return Some("must not hold a backslash: write / or %5C".to_owned());
    }
    check_url(url, targets).err().map(|error| error.to_string())
}

/// Faults of a secret; none of them repeats it. It must fit into a header, a shell's variable and a file of settings.
pub(in crate::http) fn secret_fault(secret: &str) -> Option<String> {
    if !SECRET_LENGTH.contains(&secret.chars().count()) {
        return Some(format!("must have {} to {} characters", SECRET_LENGTH.start(), SECRET_LENGTH.end()));
    }
    if secret.chars().any(char::is_control) || secret.starts_with(' ') || secret.ends_with(' ') {
        return Some("must be without control characters, and without a blank at either end".to_owned());
    }
    let key = secret.strip_prefix("whsec_");
    let unreadable = |text: &str| base64::engine::general_purpose::STANDARD.decode(text).is_err();
    key.filter(|text| unreadable(text)).map(|_| "must have base64 behind whsec_ (Standard Webhooks)".to_owned())
}

fn within(
    field: &str,
    value: Option<i64>,
    range: std::ops::RangeInclusive<i32>,
    faults: &mut Vec<FieldError>,
) -> Option<i32> {
    let number = i32::try_from(value?).ok().filter(|number| range.contains(number));
    if number.is_none() {
        let message = format!("must be a whole number from {} to {}", range.start(), range.end());
        faults.push(FieldError::new(field, message));
    }
    number
}

/// Sets `place` to a value that was given, and notes the field's name if that changed it.
pub(in crate::http) fn set<T: PartialEq + Clone>(
    place: &mut T,
    wanted: Option<&T>,
    field: &'static str,
    changed: &mut Vec<&'static str>,
) {
    if let Some(wanted) = wanted.filter(|wanted| **wanted != *place) {
        *place = wanted.clone();
        changed.push(field);
    }
}

impl Checked {
    /// A new webhook: what was given, and defaults.
    ///
    /// # Errors
    /// 500, if it cannot be sealed.
    pub(super) fn into_webhook(
        self,
        keys: &MasterKeys,
        group_id: DocId,
        user: &DocId,
        secret: &SecretString,
        now: DateTime,
    ) -> ApiResult<Webhook> {
        let mut webhook = sealed::new_webhook(keys, group_id, user, secret, now)?;
        self.apply(keys, &mut webhook)?;
        if !webhook.enabled {
            webhook.disable(DisabledReason::Admin, now);
        }
        Ok(webhook)
    }

    /// Writes what was given into a webhook and answers the names of the fields that this changed. The secret is left to
    /// the caller.
    ///
    /// # Errors
    /// 500, if headers cannot be opened or sealed.
    pub(super) fn apply(&self, keys: &MasterKeys, webhook: &mut Webhook) -> ApiResult<Vec<&'static str>> {
        let mut changed = Vec::new();
        let policy = &mut webhook.retry_policy;
        set(&mut webhook.name, self.name.as_ref(), "name", &mut changed);
        set(&mut webhook.target_url, self.target_url.as_ref(), "targetUrl", &mut changed);
        set(&mut webhook.enabled, self.enabled.as_ref(), "enabled", &mut changed);
        set(&mut webhook.events, self.events.as_ref(), "events", &mut changed);
        set(&mut policy.max_attempts, self.max_attempts.as_ref(), "retryPolicy.maxAttempts", &mut changed);
        set(&mut policy.backoff_seconds, self.backoff_seconds.as_ref(), "retryPolicy.backoffSeconds", &mut changed);
        set(&mut webhook.timeout_seconds, self.timeout_seconds.as_ref(), "timeoutSeconds", &mut changed);
        let rate = self.rate_limit_per_second.as_ref();
        set(&mut webhook.rate_limit_per_second, rate, "rateLimitPerSecond", &mut changed);
        set(&mut webhook.ordering, self.ordering.as_ref(), "ordering", &mut changed);
        set(&mut webhook.skip_inbound_echoes, self.skip_inbound_echoes.as_ref(), "skipInboundEchoes", &mut changed);
        // Sealing the same headers gives another text each time, so the open ones are compared.
        if let Some(headers) = &self.headers
            && *headers != sealed::open_headers(keys, webhook)?
        {
            webhook.headers = sealed::seal_headers(keys, webhook.id, headers)?;
            changed.push("headers");
        }
        Ok(changed)
    }
}

#[cfg(test)]
#[path = "input_tests.rs"]
pub(in crate::http) mod tests;
