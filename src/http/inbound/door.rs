//! Who may come in: signature, address, scope, rate, in this order, before anything of the body is read.
//!
//! One 401 answers everything that is wrong with a signature, an unknown group and a disabled integration, and takes the
//! same work: where there is no integration, the secret of a decoy is opened and tried instead.

use std::net::IpAddr;

use axum::http::HeaderMap;
use bson::oid::ObjectId;

use super::client_address::client_address;
use super::{Desk, secret};
use crate::http::App;
use crate::http::error::{ApiError, ApiResult};
use crate::http::rotation;
use crate::model::{DocId, InboundIntegration, ReceiptId, Scope, SecretState};
use crate::secrets::{MasterKeys, SecretError, generate_signing_secret};
use crate::signing::{SigningKey, VerifyError, verify};
use crate::store;

/// Stands in where there is no integration, and no previous secret.
pub(super) struct Decoy {
    id: ObjectId,
    secret: SecretState,
}

impl Decoy {
    /// One whose secret nobody knows.
    pub(super) fn new(keys: &MasterKeys) -> Result<Self, SecretError> {
        let id = ObjectId::new();
        let place = |field| InboundIntegration::sealing_context(id, field);
        Ok(Self { id, secret: rotation::first(keys, place, &generate_signing_secret())? })
    }
}

/// A call that was let in.
pub(super) struct Pass {
    pub(super) group: DocId,
    pub(super) integration: InboundIntegration,
    /// What this very request is called.
    pub(super) receipt: ReceiptId,
}

/// Checks that an enabled integration of the group signed this body just now.
///
/// # Errors
/// The one 401.
pub(super) async fn identify(app: &App, group: &str, headers: &HeaderMap, body: &[u8]) -> ApiResult<Pass> {
    let group = DocId::parse(group);
    let found = store::inbound::find(&app.store, &group).await?;
    let decoy = &app.inbound.decoy;
    let (id, state) = found.as_ref().map_or((decoy.id, &decoy.secret), |found| (found.id, &found.secret));
    // The path's group may be any text: a log names only what there is.
    let known = found.as_ref().map(|found| tracing::field::display(found.id));
    let now = app.clock.now();
    let previous = match state.previous.as_ref().filter(|_| state.is_rotating(now)) {
        Some(sealed) => secret::open_previous(&app.keys, id, sealed)?,
        None => secret::open_current(&app.keys, decoy.id, &decoy.secret.current)?,
    };
    let current = secret::open_current(&app.keys, id, &state.current)?;
    let keys = [&current, &previous].map(SigningKey::new);
    let [Ok(current), Ok(previous)] = keys else {
        tracing::error!(integration = %id, "the stored secret cannot sign");
        return Err(ApiError::internal());
    };
    let (timestamp, signature) = (only(headers, "x-timestamp"), only(headers, "x-signature"));
    let seconds = now.timestamp_millis().div_euclid(1000);
    let checked = match (timestamp, signature) {
        (Some(timestamp), Some(signature)) => verify(&[current, previous], seconds, timestamp, signature, body),
        _ => Err(VerifyError::BadForm),
    };
    match (checked, found.filter(|found| found.enabled)) {
        (Ok(_), Some(integration)) => {
            let receipt = ReceiptId::derive(integration.id, timestamp.unwrap_or_default(), body);
            Ok(Pass { group, integration, receipt })
        }
        (checked, _) => {
            tracing::debug!(integration = known, why = ?checked.err(), "an inbound call was refused");
            Err(ApiError::bad_signature())
        }
    }
}

/// The header's value, if it is there once and is plain text.
fn only<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let mut values = headers.get_all(name).iter();
    let (value, None) = (values.next()?, values.next()) else { return None };
    value.to_str().ok()
}

impl Pass {
    /// Checks where it comes from and what it may do.
    ///
    /// # Errors
    /// 403, naming which.
    pub(super) fn admit(&self, desk: &Desk, peer: Option<IpAddr>, headers: &HeaderMap, scope: Scope) -> ApiResult<()> {
        let allowed = &self.integration.ip_allowlist;
        let is_allowed = |address: IpAddr| allowed.iter().any(|network| network.contains(&address));
        if !allowed.is_empty() && !client_address(peer, headers, &desk.trusted_proxies).is_some_and(is_allowed) {
            return Err(ApiError::not_allowed("calls from this address are not in the integration's ipAllowlist"));
        }
        if !self.integration.scopes.contains(&scope) {
            return Err(ApiError::not_allowed(format!("the integration lacks the scope {}", scope.name())));
        }
        Ok(())
    }
}
