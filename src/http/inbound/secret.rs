//! An integration's secret, sealed, through a rotation.

use std::time::Duration;

use bson::{DateTime, oid::ObjectId};
use secrecy::{ExposeSecret, SecretString};

use crate::http::error::{ApiError, ApiResult};
use crate::model::{InboundIntegration, SealedField, SecretState};
use crate::secrets::{MasterKeys, Sealed, SecretError, hint};

/// A first secret.
pub(super) fn first(keys: &MasterKeys, id: ObjectId, secret: &SecretString) -> Result<SecretState, SecretError> {
    let place = InboundIntegration::sealing_context(id, SealedField::CurrentSecret);
    Ok(SecretState {
        current: keys.seal(&place, secret.expose_secret())?,
        hint: hint(secret),
        previous: None,
        rotation_started_at: None,
        rotation_expires_at: None,
    })
}

/// The secret that signs.
pub(super) fn open_current(keys: &MasterKeys, id: ObjectId, sealed: &Sealed) -> Result<SecretString, SecretError> {
    keys.open(&InboundIntegration::sealing_context(id, SealedField::CurrentSecret), sealed)
}

/// The one before it.
pub(super) fn open_previous(keys: &MasterKeys, id: ObjectId, sealed: &Sealed) -> Result<SecretString, SecretError> {
    keys.open(&InboundIntegration::sealing_context(id, SealedField::PreviousSecret), sealed)
}

/// Begins a rotation: both secrets are taken until it is finalized, or for `overlap` at most.
///
/// # Errors
/// 409 while another rotation is open: its old secret would be lost to a partner that still uses it.
pub(super) fn rotate(
    keys: &MasterKeys,
    integration: &mut InboundIntegration,
    secret: &SecretString,
    now: DateTime,
    overlap: Option<Duration>,
) -> ApiResult<()> {
    if integration.secret.is_rotating(now) {
        return Err(ApiError::conflict("a rotation is open: finalize it first, with \"finalizeRotation\": true"));
    }
    let id = integration.id;
    let old = open_current(keys, id, &integration.secret.current)?;
    let place = InboundIntegration::sealing_context(id, SealedField::PreviousSecret);
    integration.secret = SecretState {
        previous: Some(keys.seal(&place, old.expose_secret())?),
        rotation_started_at: Some(now),
        rotation_expires_at: overlap.map(|overlap| {
            let millis = i64::try_from(overlap.as_millis()).unwrap_or(i64::MAX);
            DateTime::from_millis(now.timestamp_millis().saturating_add(millis))
        }),
        ..first(keys, id, secret)?
    };
    Ok(())
}

/// Ends a rotation: the old secret is forgotten.
///
/// # Errors
/// 409 if none is open.
pub(super) fn finalize(integration: &mut InboundIntegration, now: DateTime) -> ApiResult<()> {
    let secret = &mut integration.secret;
    if !secret.is_rotating(now) {
        return Err(ApiError::conflict("no rotation is open"));
    }
    secret.previous = None;
    secret.rotation_started_at = None;
    secret.rotation_expires_at = None;
    Ok(())
}
