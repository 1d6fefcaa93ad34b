//! Opening an integration's sealed secrets.

use bson::oid::ObjectId;
use secrecy::SecretString;

use crate::model::{InboundIntegration, SealedField};
use crate::secrets::{MasterKeys, Sealed, SecretError};

/// The secret that signs.
pub(super) fn open_current(keys: &MasterKeys, id: ObjectId, sealed: &Sealed) -> Result<SecretString, SecretError> {
    keys.open(&InboundIntegration::sealing_context(id, SealedField::CurrentSecret), sealed)
}

/// The one before it.
pub(super) fn open_previous(keys: &MasterKeys, id: ObjectId, sealed: &Sealed) -> Result<SecretString, SecretError> {
    keys.open(&InboundIntegration::sealing_context(id, SealedField::PreviousSecret), sealed)
}
