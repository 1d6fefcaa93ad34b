//! A webhook as requests give it: what is read, what is checked, what it makes of a stored one.

use std::collections::BTreeMap;

use base64::Engine;
use bson::{DateTime, oid::ObjectId};
use secrecy::SecretString;
use serde::Deserialize;

use super::{sealed, target_headers};
use crate::config::TargetPolicy;
use crate::http::body::{Object, given};
use crate::http::error::{ApiError, ApiResult, FieldError};
use crate::model::{DisabledReason, DocId, EventFilter, Ordering, RetryPolicy, Stops, Webhook};
use crate::secrets::MasterKeys;
use crate::target_guard::check_url;

/// The longest name, in characters.
const NAME_MAX: usize = 200;
/// The longest URL, in bytes.
const URL_MAX: usize = 2048;
/// How long a secret of one's own may be, in characters.
const SECRET_LENGTH: std::ops::RangeInclusive<usize> = 16..=256;
/// The deadline of an attempt where none is given, in seconds.
const TIMEOUT_DEFAULT: i32 = 15;

/// The body of `POST` and `PUT`. Optional because `PUT` keeps what is left out; null is no value, but for the rate limit.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct WebhookInput {
    #[serde(deserialize_with = "given")]
    pub(super) group_id: Option<String>,
    #[serde(deserialize_with = "given")]
    name: Option<String>,
    #[serde(deserialize_with = "given")]
    target_url: Option<String>,
    #[serde(deserialize_with = "given")]
    enabled: Option<bool>,
    #[serde(deserialize_with = "given")]
    events: Option<Object<EventsInput>>,
    #[serde(deserialize_with = "given")]
    headers: Option<BTreeMap<String, String>>,
    #[serde(deserialize_with = "given")]
    retry_policy: Option<Object<RetryInput>>,
    #[serde(deserialize_with = "given")]
    secret: Option<String>,
    #[serde(deserialize_with = "given")]
    timeout_seconds: Option<i64>,
    /// The outer option: given or not; the inner: a number or null.
    #[serde(deserialize_with = "given")]
    rate_limit_per_second: Option<Option<i64>>,
    #[serde(deserialize_with = "given")]
    ordering: Option<Ordering>,
    #[serde(deserialize_with = "given")]
    skip_inbound_echoes: Option<bool>,
    #[serde(deserialize_with = "given")]
    rotate_secret: Option<bool>,
    #[serde(deserialize_with = "given")]
    finalize_rotation: Option<bool>,
    #[serde(deserialize_with = "given")]
    dismiss_missed: Option<bool>,
}

/// The six switches; one that is left out is off.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[allow(clippy::struct_excessive_bools, reason = "the contract's six switches")]
struct EventsInput {
    task_created: bool,
    task_updated: bool,
    task_completed: bool,
    task_approved: bool,
    task_rejected: bool,
    task_swapped: bool,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct RetryInput {
    #[serde(deserialize_with = "given")]
    max_attempts: Option<i64>,
    #[serde(deserialize_with = "given")]
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
        faults.extend(self.headers.iter().flat_map(target_headers::faults));
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
            headers: self.headers,
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

fn url_fault(url: &str, targets: &TargetPolicy) -> Option<String> {
    if url.len() > URL_MAX {
        return Some(format!("must have at most {URL_MAX} bytes"));
    }
    check_url(url, targets).err().map(|error| error.to_string())
}

/// Faults of a secret; none of them repeats it.
pub(in crate::http) fn secret_fault(secret: &str) -> Option<String> {
    if !SECRET_LENGTH.contains(&secret.chars().count()) {
        return Some(format!("must have {} to {} characters", SECRET_LENGTH.start(), SECRET_LENGTH.end()));
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
fn set<T: PartialEq + Clone>(place: &mut T, wanted: Option<&T>, field: &'static str, changed: &mut Vec<&'static str>) {
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
        let id = ObjectId::new();
        let mut webhook = Webhook {
            id,
            group_id,
            name: String::new(),
            target_url: String::new(),
            enabled: true,
            disabled_reason: None,
            events: EventFilter::default(),
            headers: None,
            retry_policy: RetryPolicy::default(),
            timeout_seconds: TIMEOUT_DEFAULT,
            rate_limit_per_second: None,
            ordering: Ordering::default(),
            skip_inbound_echoes: false,
            secret: sealed::first_secret(keys, id, secret)?,
            stops: Stops::default(),
            revision: 1,
            created_at: now,
            created_by: user.clone(),
            updated_at: now,
            deleted_at: None,
        };
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
pub(super) mod tests;
