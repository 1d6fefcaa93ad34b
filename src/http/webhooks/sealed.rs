//! The sealed fields of a webhook: its secret through a rotation, and its headers.

use std::collections::BTreeMap;
use std::time::Duration;

use bson::{DateTime, oid::ObjectId};
use secrecy::{ExposeSecret, SecretString};

use crate::http::error::{ApiError, ApiResult};
use crate::model::{DocId, EventFilter, Ordering, RetryPolicy, SealedField, SecretState, Stops, Webhook};
use crate::secrets::{MasterKeys, Sealed, hint};

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
        secret: first_secret(keys, id, secret)?,
        stops: Stops::default(),
        alert: None,
        revision: 1,
        created_at: now,
        created_by: user.clone(),
        updated_at: now,
        deleted_at: None,
    })
}

/// A first secret.
fn first_secret(keys: &MasterKeys, id: ObjectId, secret: &SecretString) -> ApiResult<SecretState> {
    let context = Webhook::sealing_context(id, SealedField::CurrentSecret);
    Ok(SecretState {
        current: keys.seal(&context, secret.expose_secret())?,
        hint: hint(secret),
        previous: None,
        rotation_started_at: None,
        rotation_expires_at: None,
    })
}

/// Begins a rotation: `secret` signs from now on, and the present one beside it until the rotation is finalized, or for
/// `overlap` at most.
///
/// # Errors
/// 409 while another rotation is open: its old secret would be lost to receivers that still use it.
pub(in crate::http) fn rotate(
    keys: &MasterKeys,
    webhook: &mut Webhook,
    secret: &SecretString,
    now: DateTime,
    overlap: Option<Duration>,
) -> ApiResult<()> {
    if webhook.secret.is_rotating(now) {
        return Err(ApiError::conflict("a rotation is open: finalize it first, with \"finalizeRotation\": true"));
    }
    let current = Webhook::sealing_context(webhook.id, SealedField::CurrentSecret);
    let previous = Webhook::sealing_context(webhook.id, SealedField::PreviousSecret);
    let old = keys.open(&current, &webhook.secret.current)?;
    webhook.secret = SecretState {
        previous: Some(keys.seal(&previous, old.expose_secret())?),
        rotation_started_at: Some(now),
        rotation_expires_at: overlap.map(|overlap| {
            let millis = i64::try_from(overlap.as_millis()).unwrap_or(i64::MAX);
            DateTime::from_millis(now.timestamp_millis().saturating_add(millis))
        }),
        ..first_secret(keys, webhook.id, secret)?
    };
    Ok(())
}

/// Ends a rotation: the old secret is forgotten.
///
/// # Errors
/// 409 if none is open.
pub(in crate::http) fn finalize(webhook: &mut Webhook, now: DateTime) -> ApiResult<()> {
    if !webhook.secret.is_rotating(now) {
        return Err(ApiError::conflict("no rotation is open"));
    }
    webhook.secret.previous = None;
    webhook.secret.rotation_started_at = None;
    webhook.secret.rotation_expires_at = None;
    Ok(())
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
    fn a_rotation_keeps_the_old_secret_in_a_place_of_its_own_until_it_is_finalized() {
        let mut webhook = webhook();
        let old = webhook.secret.current.clone();
        rotate(&keys(), &mut webhook, &SecretString::from("a new secret 1234"), DateTime::from_millis(5), None)
            .unwrap();
        let opened = |field, sealed: &Sealed| {
            keys()
                .open(&Webhook::sealing_context(webhook.id, field), sealed)
                .map(|text| text.expose_secret().to_owned())
        };
        let secret = &webhook.secret;
        assert_eq!(opened(SealedField::CurrentSecret, &secret.current).unwrap(), "a new secret 1234");
        let previous = secret.previous.as_ref().unwrap();
        assert_eq!(opened(SealedField::PreviousSecret, previous).unwrap(), "the first secret");
        assert!(opened(SealedField::CurrentSecret, previous).is_err());
        assert!(opened(SealedField::PreviousSecret, &old).is_err());
        assert_eq!((secret.hint.as_str(), secret.rotation_started_at), ("1234", Some(DateTime::from_millis(5))));

        let again =
            rotate(&keys(), &mut webhook, &SecretString::from("yet another one"), DateTime::from_millis(6), None);
        assert_eq!(again.unwrap_err().status(), 409);
        finalize(&mut webhook, DateTime::from_millis(7)).unwrap();
        assert_eq!((webhook.secret.previous.as_ref(), webhook.secret.rotation_started_at), (None, None));
        assert_eq!(finalize(&mut webhook, DateTime::from_millis(7)).unwrap_err().status(), 409);
    }

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
