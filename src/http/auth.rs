//! Who calls: the task service's own JSON web tokens (RFC 7519), and the groups that their holder administers.
//!
//! The algorithm is what the settings say, never what the token says: HS256 with the shared secret, RS256 and ES256 with
//! the keys of the JWKS file. A shared secret is never tried on a token of another algorithm, nor a public key as a secret.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, JwkSet};
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header};
use secrecy::ExposeSecret;
use serde::Deserialize;

use super::App;
use super::error::{ApiError, ApiResult};
use super::query::Query;
use crate::config::{JwtSettings, SettingError};
use crate::model::DocId;

/// How far clocks may differ, in seconds.
const LEEWAY_SECONDS: u64 = 30;
/// The longest token that is looked at, in bytes.
const TOKEN_MAX: usize = 8 * 1024;

/// Checks tokens.
pub struct TokenChecker {
    keys: Vec<TokenKey>,
    issuer: String,
    audience: String,
}

struct TokenKey {
    algorithm: Algorithm,
    id: Option<String>,
    key: DecodingKey,
}

#[derive(Deserialize)]
struct Claims {
    sub: String,
}

impl TokenChecker {
    /// Takes the shared secret's UTF-8 bytes as HS256 key, and every signing key of the JWKS file.
    ///
    /// # Errors
    /// [`SettingError::Wrong`] naming `TASKWIRE_JWT_JWKS_FILE`, if the file cannot be used.
    pub fn new(settings: &JwtSettings) -> Result<Self, SettingError> {
        let mut keys = Vec::new();
        if let Some(secret) = &settings.secret {
            let key = DecodingKey::from_secret(secret.expose_secret().as_bytes());
            keys.push(TokenKey { algorithm: Algorithm::HS256, id: None, key });
        }
        if let Some(file) = &settings.jwks_file {
            let wrong = |why: String| SettingError::Wrong {
                variable: "TASKWIRE_JWT_JWKS_FILE".to_owned(),
                why,
                takes: "the path of a JWKS file with RS256 or ES256 keys".to_owned(),
            };
            let text = std::fs::read_to_string(file).map_err(|error| wrong(error.to_string()))?;
            keys.extend(read_jwks(&text).map_err(wrong)?);
        }
        Ok(Self { keys, issuer: settings.issuer.clone(), audience: settings.audience.clone() })
    }

    /// The user's id of a token that is good: signed by one of the keys with that key's own algorithm, issued by and for
    /// whom the settings name, begun and not expired.
    ///
    /// # Errors
    /// 401, which does not say what is wrong; the log does at `debug`.
    pub fn user_of(&self, token: &str) -> ApiResult<DocId> {
        if token.len() > TOKEN_MAX {
            return Err(ApiError::bad_token());
        }
        let header = decode_header(token).map_err(|error| refused(&error))?;
        // RFC 7515, 4.1.11: what the issuer calls critical must be understood, and nothing of it is.
        if header.crit.is_some() {
            tracing::debug!(why = "its header has crit", "a token was refused");
            return Err(ApiError::bad_token());
        }
        // Keys without an id, on either side, are tried by algorithm alone.
        let candidates = self.keys.iter().filter(|key| {
            key.algorithm == header.alg
                && (key.id.is_none() || header.kid.is_none() || key.id.as_deref() == header.kid.as_deref())
        });
        for key in candidates {
            match decode::<Claims>(token, &key.key, &self.validation(key.algorithm)) {
                Ok(data) if !data.claims.sub.is_empty() => return Ok(DocId::parse(&data.claims.sub)),
                Ok(_) => {}
                Err(error) => tell(&error),
            }
        }
        Err(ApiError::bad_token())
    }

    /// The user of the token in these headers.
    ///
    /// # Errors
    /// 401, if there is none or it is no good.
    pub(super) fn user_in(&self, headers: &HeaderMap) -> ApiResult<DocId> {
        self.user_of(bearer(headers)?)
    }

    fn validation(&self, algorithm: Algorithm) -> Validation {
        let mut validation = Validation::new(algorithm);
        validation.leeway = LEEWAY_SECONDS;
        validation.validate_nbf = true;
        validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
        validation.set_issuer(&[&self.issuer]);
        validation.set_audience(&[&self.audience]);
        validation
    }
}

fn refused(error: &jsonwebtoken::errors::Error) -> ApiError {
    tell(error);
    ApiError::bad_token()
}

/// The library's text repeats a claim that it cannot read.
fn tell(error: &jsonwebtoken::errors::Error) {
    match error.kind() {
        ErrorKind::Json(_) => tracing::debug!(why = "its JSON does not have the expected form", "a token was refused"),
        _ => tracing::debug!(why = %error, "a token was refused"),
    }
}

fn read_jwks(text: &str) -> Result<Vec<TokenKey>, String> {
    let set: JwkSet = serde_json::from_str(text).map_err(|error| format!("it is no JWKS: {error}"))?;
    let mut keys = Vec::new();
    for jwk in &set.keys {
        let Some(algorithm) = algorithm_of(jwk) else { continue };
        let key = DecodingKey::from_jwk(jwk).map_err(|error| format!("a key of it cannot be used: {error}"))?;
        keys.push(TokenKey { algorithm, id: jwk.common.key_id.clone(), key });
    }
    if keys.is_empty() { Err("it holds no RS256 or ES256 key".to_owned()) } else { Ok(keys) }
}

/// Which of the two algorithms a key is for; symmetric and other keys are passed over.
fn algorithm_of(jwk: &Jwk) -> Option<Algorithm> {
    let for_kind = match &jwk.algorithm {
        AlgorithmParameters::RSA(_) => Algorithm::RS256,
        AlgorithmParameters::EllipticCurve(curve) if curve.curve == EllipticCurve::P256 => Algorithm::ES256,
        _ => return None,
    };
    let for_use = !matches!(jwk.common.public_key_use, Some(jsonwebtoken::jwk::PublicKeyUse::Encryption));
    let declared = jwk.common.key_algorithm.is_none_or(|declared| declared.to_string() == format!("{for_kind:?}"));
    (for_use && declared).then_some(for_kind)
}

/// Someone with a good token. Extracting it is what protects a route; put it before everything that reads the request.
#[derive(Debug, Clone)]
pub struct Caller {
    /// The user's id, as in the token.
    pub user: DocId,
    /// The groups that they administer, as of the last few seconds.
    pub groups: Arc<Vec<DocId>>,
}

impl Caller {
    /// Whether they administer this group.
    #[must_use]
    pub fn administers(&self, group: &DocId) -> bool {
        self.groups.contains(group)
    }

    /// The groups to look in: the one asked for, or all of theirs.
    ///
    /// # Errors
    /// 403 for a group that is not theirs.
    pub fn scope(&self, asked: Option<&str>) -> ApiResult<Arc<Vec<DocId>>> {
        match asked.map(DocId::parse) {
            None => Ok(self.groups.clone()),
            Some(group) if self.administers(&group) => Ok(Arc::new(vec![group])),
            Some(_) => Err(ApiError::foreign_group()),
        }
    }
}

impl Caller {
    /// The one group that the query must name; ends the reading of the query.
    ///
    /// # Errors
    /// 422 naming `groupId` if it is missing, and every other fault; 403 for a group that is not theirs.
    pub(super) fn only_group(&self, query: &mut Query) -> ApiResult<DocId> {
        query.needs("groupId");
        query.finish()?;
        let group = DocId::parse(query.text("groupId").unwrap_or_default());
        if self.administers(&group) { Ok(group) } else { Err(ApiError::foreign_group()) }
    }
}

impl FromRequestParts<Arc<App>> for Caller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, ApiError> {
        let user = match parts.extensions.get::<User>() {
            Some(User(user)) => user.clone(),
            None => app.tokens.user_in(&parts.headers)?,
        };
        let groups = app.admins.groups_of(&user).await?;
        Ok(Self { user, groups })
    }
}

/// The user of a request whose token was found to be good.
#[derive(Debug, Clone)]
pub(super) struct User(pub(super) DocId);

/// The token of `Authorization: Bearer <token>`; the scheme's name is compared without regard to case (RFC 9110, 11.1).
fn bearer(headers: &HeaderMap) -> ApiResult<&str> {
    let mut given = headers.get_all(header::AUTHORIZATION).iter();
    let (value, None) = (given.next().ok_or_else(ApiError::no_token)?, given.next()) else {
        return Err(ApiError::bad_token());
    };
    let text = value.to_str().map_err(|_| ApiError::bad_token())?;
    match text.split_once(' ') {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => Ok(token.trim()),
        _ => Err(ApiError::no_token()),
    }
}

#[cfg(test)]
#[path = "auth_tests.rs"]
mod tests;
