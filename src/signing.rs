//! Signatures of requests: the ones partners check, and the ones they send. Pure.
//!
//! Two schemes stand side by side in every request. `X-Signature` is `sha256=` and the hex HMAC-SHA256 (RFC 2104) of
//! `{timestamp}.{body}` with the secret's text as key. `webhook-signature` follows Standard Webhooks 1.0.0: `v1,` and the
//! base64 HMAC-SHA256 of `{id}.{timestamp}.{body}`; its key is the base64 behind `whsec_`, or the text's bytes where the
//! secret has no such prefix. While a rotation is open both carry two values, the new secret's first.

use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use data_encoding::{HEXLOWER, HEXLOWER_PERMISSIVE};
use hmac::{Hmac, KeyInit, Mac};
use secrecy::{ExposeSecret, SecretString};
use sha2::Sha256;

/// What a secret of the Standard Webhooks form begins with.
pub const STANDARD_PREFIX: &str = "whsec_";

/// How far a partner's timestamp may be from ours, either way, in seconds.
pub const MAX_SKEW_SECONDS: i64 = 300;

/// More values than this in one `X-Signature` are refused unread.
const MAX_CANDIDATES: usize = 4;

/// Whether a configured header of this name would replace one of ours or steer the connection (RFC 9110, 7.6.1). Compared
/// without regard to case, and with `_` as `-`: many servers hand both on under one name.
#[must_use]
pub fn is_reserved_header(name: &str) -> bool {
    const OURS: [&str; 8] = [
        "x-signature",
        "x-timestamp",
        "x-event",
        "x-delivery-id",
        "x-attempt",
        "user-agent",
        "content-type",
        "content-length",
    ];
    const CONNECTION: [&str; 9] = [
        "host",
        "connection",
        "keep-alive",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "expect",
        "content-encoding",
    ];
    let name = name.to_ascii_lowercase().replace('_', "-");
    OURS.contains(&name.as_str())
        || CONNECTION.contains(&name.as_str())
        || name.starts_with("webhook-")
        || name.starts_with("proxy-")
}

/// Why a secret cannot sign.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SigningKeyError {
    /// `whsec_` promises base64.
    #[error("a secret that begins with whsec_ must go on with padded base64 of at least one byte")]
    BadBase64,
}

/// Why a signed request is not believed. For logs only: callers answer all of them alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum VerifyError {
    /// `X-Timestamp` is no number of seconds.
    #[error("the timestamp is not a whole number of seconds")]
    BadTimestamp,
    /// More than [`MAX_SKEW_SECONDS`] from now.
    #[error("the timestamp is too far from the present")]
    Skew,
    /// No value of the header is `sha256=` and 64 hexadecimal digits, or there are too many values.
    #[error("the signature header has no value of the form sha256=<64 hexadecimal digits>")]
    BadForm,
    /// None of the secrets made it.
    #[error("the signature does not match")]
    Mismatch,
}

/// A secret made ready: both schemes' keyed states, so that a signature costs only its message's hashing.
#[derive(Clone)]
pub struct SigningKey {
    plain: Hmac<Sha256>,
    standard: Hmac<Sha256>,
}

impl std::fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SigningKey(..)")
    }
}

impl SigningKey {
    /// Prepares a secret.
    ///
    /// # Errors
    /// [`SigningKeyError::BadBase64`] if `whsec_` is followed by something else than base64.
    pub fn new(secret: &SecretString) -> Result<Self, SigningKeyError> {
        let text = secret.expose_secret();
        let plain = keyed(text.as_bytes())?;
        let standard = match text.strip_prefix(STANDARD_PREFIX) {
            None => plain.clone(),
            Some(encoded) => {
                let bytes = BASE64.decode(encoded).map_err(|_| SigningKeyError::BadBase64)?;
                if bytes.is_empty() {
                    return Err(SigningKeyError::BadBase64);
                }
                keyed(&bytes)?
            }
        };
        Ok(Self { plain, standard })
    }

    fn plain_mac(&self, timestamp: &str, body: &[u8]) -> Hmac<Sha256> {
        let mut mac = self.plain.clone();
        mac.update(timestamp.as_bytes());
        mac.update(b".");
        mac.update(body);
        mac
    }

    fn standard_mac(&self, id: &str, timestamp: &str, body: &[u8]) -> Hmac<Sha256> {
        let mut mac = self.standard.clone();
        mac.update(id.as_bytes());
        mac.update(b".");
        mac.update(timestamp.as_bytes());
        mac.update(b".");
        mac.update(body);
        mac
    }
}

/// HMAC takes keys of every length (RFC 2104, section 2), so the error cannot come about.
fn keyed(key: &[u8]) -> Result<Hmac<Sha256>, SigningKeyError> {
    Hmac::new_from_slice(key).map_err(|_| SigningKeyError::BadBase64)
}

/// Both signature headers of one attempt, as they are sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signatures {
    /// `X-Signature`
    pub x_signature: String,
    /// `webhook-signature`
    pub webhook_signature: String,
}

/// Signs for one webhook: with its secret, and with the previous one while a rotation is open.
#[derive(Debug, Clone)]
pub struct Signer {
    current: SigningKey,
    previous: Option<(SigningKey, Option<i64>)>,
}

impl Signer {
    /// Signs with one secret.
    #[must_use]
    pub const fn new(current: SigningKey) -> Self {
        Self { current, previous: None }
    }

    /// Signs with the previous secret too, up to `until` (unix seconds; `None`: as long as this signer lives).
    #[must_use]
    pub fn with_previous(self, previous: SigningKey, until: Option<i64>) -> Self {
        Self { previous: Some((previous, until)), ..self }
    }

    /// The signature headers for event `id`, sent at `timestamp` (unix seconds).
    #[must_use]
    pub fn sign(&self, id: &str, timestamp: i64, body: &[u8]) -> Signatures {
        let seconds = timestamp.to_string();
        let mut signatures = Signatures {
            x_signature: String::with_capacity(2 * (7 + 64) + 1),
            webhook_signature: String::with_capacity(2 * (3 + 44) + 1),
        };
        append(&mut signatures, &self.current, id, &seconds, body);
        if let Some((previous, until)) = &self.previous
            && until.is_none_or(|until| timestamp < until)
        {
            signatures.x_signature.push(',');
            signatures.webhook_signature.push(' ');
            append(&mut signatures, previous, id, &seconds, body);
        }
        signatures
    }
}

fn append(to: &mut Signatures, key: &SigningKey, id: &str, timestamp: &str, body: &[u8]) {
    to.x_signature.push_str("sha256=");
    HEXLOWER.encode_append(&key.plain_mac(timestamp, body).finalize().into_bytes(), &mut to.x_signature);
    to.webhook_signature.push_str("v1,");
    BASE64.encode_string(key.standard_mac(id, timestamp, body).finalize().into_bytes(), &mut to.webhook_signature);
}

/// Checks a request that a partner signed: `timestamp` and `signature` are its `X-Timestamp` and `X-Signature`, `now` is
/// in unix seconds. Returns which of the candidate secrets made the signature. Compares in constant time.
///
/// # Errors
/// See [`VerifyError`].
pub fn verify(
    candidates: &[SigningKey],
    now: i64,
    timestamp: &str,
    signature: &str,
    body: &[u8],
) -> Result<usize, VerifyError> {
    let is_number = !timestamp.is_empty() && timestamp.bytes().all(|byte| byte.is_ascii_digit());
    let seconds: i64 = if is_number { timestamp.parse().ok() } else { None }.ok_or(VerifyError::BadTimestamp)?;
    if now.abs_diff(seconds) > MAX_SKEW_SECONDS.unsigned_abs() {
        return Err(VerifyError::Skew);
    }
    let tags = read_signatures(signature)?;
    candidates
        .iter()
        .position(|key| {
            let mac = key.plain_mac(timestamp, body);
            tags.iter().any(|tag| mac.clone().verify_slice(tag).is_ok())
        })
        .ok_or(VerifyError::Mismatch)
}

fn read_signatures(header: &str) -> Result<Vec<Vec<u8>>, VerifyError> {
    if header.split(',').count() > MAX_CANDIDATES {
        return Err(VerifyError::BadForm);
    }
    let tags: Vec<Vec<u8>> = header
        .split(',')
        .filter_map(|value| value.trim().strip_prefix("sha256="))
        .filter_map(|hex| HEXLOWER_PERMISSIVE.decode(hex.as_bytes()).ok())
        .filter(|tag| tag.len() == 32)
        .collect();
    if tags.is_empty() { Err(VerifyError::BadForm) } else { Ok(tags) }
}

#[cfg(test)]
mod tests;
