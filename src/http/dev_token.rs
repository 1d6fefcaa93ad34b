//! Tokens for development and demonstrations, as the task service issues them.

use std::time::Duration;

use bson::oid::ObjectId;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use secrecy::ExposeSecret;
use serde::Serialize;

use crate::config::JwtSettings;

/// Why no token can be made.
#[derive(Debug, thiserror::Error)]
pub enum DevTokenError {
    /// Only a JWKS file is configured: the private keys are elsewhere.
    #[error("TASKWIRE_JWT_SECRET is not set: it takes the secret with which the token is to be signed")]
    NoSecret,
    /// The library refuses.
    #[error("the token cannot be signed: {0}")]
    Signing(#[from] jsonwebtoken::errors::Error),
}

#[derive(Serialize)]
struct Claims<'a> {
    sub: &'a str,
    jti: String,
    iat: u64,
    nbf: u64,
    exp: u64,
    iss: &'a str,
    aud: &'a str,
}

/// An HS256 token for `user`, good for `lifetime` from now.
///
/// # Errors
/// See [`DevTokenError`].
pub fn issue(settings: &JwtSettings, user: &str, lifetime: Duration) -> Result<String, DevTokenError> {
    let secret = settings.secret.as_ref().ok_or(DevTokenError::NoSecret)?;
    let now = jsonwebtoken::get_current_timestamp();
    let claims = Claims {
        sub: user,
        jti: ObjectId::new().to_hex(),
        iat: now,
        nbf: now,
        exp: now + lifetime.as_secs(),
        iss: &settings.issuer,
        aud: &settings.audience,
    };
    let key = EncodingKey::from_secret(secret.expose_secret().as_bytes());
    Ok(encode(&Header::new(Algorithm::HS256), &claims, &key)?)
}
