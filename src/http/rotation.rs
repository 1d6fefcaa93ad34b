//! A secret, sealed, through a rotation: a webhook's, or an inbound integration's.

use std::time::Duration;

use bson::DateTime;
use secrecy::{ExposeSecret, SecretString};

use super::error::{ApiError, ApiResult};
use crate::model::dates::later;
use crate::model::{SealedField, SecretState};
use crate::secrets::{MasterKeys, SecretError, hint};

/// A first secret. `place` tells what each field is sealed for.
pub(super) fn first(
    keys: &MasterKeys,
    place: impl Fn(SealedField) -> String,
    secret: &SecretString,
) -> Result<SecretState, SecretError> {
    Ok(SecretState {
        current: keys.seal(&place(SealedField::CurrentSecret), secret.expose_secret())?,
        hint: hint(secret),
        previous: None,
        rotation_started_at: None,
        rotation_expires_at: None,
    })
}

/// Begins a rotation: both secrets count until it is finalized, or for `overlap` at most.
///
/// # Errors
/// 409 while another rotation is open: its old secret would be lost to those who still use it.
pub(super) fn rotate(
    keys: &MasterKeys,
    place: impl Fn(SealedField) -> String,
    state: &mut SecretState,
    secret: &SecretString,
    now: DateTime,
    overlap: Option<Duration>,
) -> ApiResult<()> {
    if state.is_rotating(now) {
        return Err(ApiError::conflict("a rotation is open: finalize it first, with \"finalizeRotation\": true"));
    }
    let old = keys.open(&place(SealedField::CurrentSecret), &state.current)?;
    *state = SecretState {
        previous: Some(keys.seal(&place(SealedField::PreviousSecret), old.expose_secret())?),
        rotation_started_at: Some(now),
        rotation_expires_at: overlap.map(|overlap| later(now, overlap)),
        ..first(keys, place, secret)?
    };
    Ok(())
}

/// Ends a rotation: the old secret is forgotten.
///
/// # Errors
/// 409 if none is open.
pub(super) fn finalize(state: &mut SecretState, now: DateTime) -> ApiResult<()> {
    if !state.is_rotating(now) {
        return Err(ApiError::conflict("no rotation is open"));
    }
    (state.previous, state.rotation_started_at, state.rotation_expires_at) = (None, None, None);
    Ok(())
}

#[cfg(test)]
mod tests {
    use bson::oid::ObjectId;

    use super::*;
    use crate::http::webhooks::input::tests::keys;
    use crate::model::Webhook;

    #[test]
    fn a_rotation_keeps_the_old_secret_in_a_place_of_its_own_until_it_is_finalized() {
        let id = ObjectId::new();
        let place = |field| Webhook::sealing_context(id, field);
        let mut state = first(&keys(), place, &SecretString::from("the first secret")).unwrap();
        let old = state.current.clone();
        let at = DateTime::from_millis;
        rotate(&keys(), place, &mut state, &SecretString::from("a new secret 1234"), at(5), None).unwrap();
        let opened = |field, sealed| keys().open(&place(field), sealed).map(|text| text.expose_secret().to_owned());
        assert_eq!(opened(SealedField::CurrentSecret, &state.current).unwrap(), "a new secret 1234");
        let previous = state.previous.as_ref().unwrap();
        assert_eq!(opened(SealedField::PreviousSecret, previous).unwrap(), "the first secret");
        assert!(opened(SealedField::CurrentSecret, previous).is_err());
        assert!(opened(SealedField::PreviousSecret, &old).is_err());
        assert_eq!((state.hint.as_str(), state.rotation_started_at), ("1234", Some(at(5))));

        let again = rotate(&keys(), place, &mut state, &SecretString::from("yet another one"), at(6), None);
        assert_eq!(again.unwrap_err().status(), 409);
        finalize(&mut state, at(7)).unwrap();
        assert_eq!((state.previous.as_ref(), state.rotation_started_at), (None, None));
        assert_eq!(finalize(&mut state, at(7)).unwrap_err().status(), 409);
    }
}
