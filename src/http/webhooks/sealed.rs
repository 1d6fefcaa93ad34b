//! The sealed fields of a webhook: its first secret, and its headers.

use std::collections::BTreeMap;

use bson::{DateTime, oid::ObjectId};
use secrecy::{ExposeSecret, SecretString};

use crate::http::error::{ApiError, ApiResult};
use crate::http::rotation;
use crate::model::{DocId, EventFilter, Ordering, RetryPolicy, SealedField, Stops, Webhook};
use crate::secrets::{MasterKeys, Sealed};

/// The deadline of an attempt where none is given, in seconds.
const TIMEOUT_DEFAULT: i32 = 15;

/// A new webhook with this secret, everything else as by default; it has no name, target or events yet.
pub(in crate::http) fn new_webhook(
    keys: &MasterKeys,
    group_id: DocId,
    user: &DocId,
    secret: &SecretString,
    now: DateTime,
) -> ApiResult<Webhook> {
    let id = ObjectId::new();
    Ok(Webhook {
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
        secret: rotation::first(keys, |field| Webhook::sealing_context(id, field), secret)?,
        stops: Stops::default(),
        alert: None,
        revision: 1,
        created_at: now,
        created_by: user.clone(),
        updated_at: now,
        deleted_at: None,
    })
}

/// Headers as they are stored: sealed JSON, or nothing.
pub(super) fn seal_headers(
    keys: &MasterKeys,
    id: ObjectId,
    headers: &BTreeMap<String, String>,
) -> ApiResult<Option<Sealed>> {
    if headers.is_empty() {
        return Ok(None);
    }
    let text = serde_json::to_string(headers).map_err(|_| ApiError::internal())?;
    Ok(Some(keys.seal(&Webhook::sealing_context(id, SealedField::Headers), &text)?))
}

/// The headers of a stored webhook.
pub(super) fn open_headers(keys: &MasterKeys, webhook: &Webhook) -> ApiResult<BTreeMap<String, String>> {
    let Some(sealed) = &webhook.headers else { return Ok(BTreeMap::new()) };
    let text = keys.open(&Webhook::sealing_context(webhook.id, SealedField::Headers), sealed)?;
    serde_json::from_str(text.expose_secret()).map_err(|_| {
        tracing::error!(webhook = %webhook.id, "the stored headers are no JSON object of texts");
        ApiError::internal()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::webhooks::input::tests::{keys, webhook};

    #[test]
    fn headers_come_back_as_they_were_sealed() {
        let mut webhook = webhook();
        assert!(open_headers(&keys(), &webhook).unwrap().is_empty());
        let headers = BTreeMap::from([("X-Key".to_owned(), "s3cret".to_owned())]);
        webhook.headers = seal_headers(&keys(), webhook.id, &headers).unwrap();
        assert!(!webhook.headers.as_ref().unwrap().as_str().contains("s3cret"));
        assert_eq!(open_headers(&keys(), &webhook).unwrap(), headers);
        assert_eq!(seal_headers(&keys(), webhook.id, &BTreeMap::new()).unwrap(), None);
    }
}
