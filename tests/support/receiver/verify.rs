//! Whether a request is what a partner was promised: its signatures, by an independent library and by a plain HMAC, and
//! its headers.

use data_encoding::HEXLOWER;
use hmac::{Hmac, KeyInit, Mac};
use hyper::header::HeaderMap;
use serde_json::Value;
use sha2::Sha256;
use standardwebhooks::Webhook;

/// The hexadecimal HMAC-SHA256 of `{timestamp}.{body}` under the secret's text, as `X-Signature` carries it.
#[must_use]
pub fn hex_signature(secret: &str, timestamp: &str, body: &[u8]) -> String {
    // HMAC takes a key of any length.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret.as_bytes()) else { return String::new() };
    mac.update(timestamp.as_bytes());
    mac.update(b".");
    mac.update(body);
    HEXLOWER.encode(&mac.finalize().into_bytes())
}

/// Checks a request against the secrets of which any may have signed it.
///
/// # Errors
/// One line that says what is wrong.
pub fn verify(secrets: &[String], headers: &HeaderMap, body: &[u8]) -> Result<(), String> {
    check_headers(headers, body)?;
    check_plain(secrets, headers, body)?;
    check_standard(secrets, headers, body)
}

fn header<'a>(headers: &'a HeaderMap, name: &str) -> Result<&'a str, String> {
    let mut values = headers.get_all(name).iter();
    let value = values.next().ok_or_else(|| format!("no header {name}"))?;
    if values.next().is_some() {
        return Err(format!("two headers {name}"));
    }
    value.to_str().map_err(|_| format!("the header {name} is no text"))
}

fn check_headers(headers: &HeaderMap, body: &[u8]) -> Result<(), String> {
    let value: Value = serde_json::from_slice(body).map_err(|error| format!("the body is no JSON: {error}"))?;
    let field = |name: &str| value.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    for (name, wanted) in [
        ("webhook-id", field("id")),
        ("x-event", field("event")),
        ("webhook-timestamp", header(headers, "x-timestamp")?.to_owned()),
        ("content-type", "application/json".to_owned()),
    ] {
        let got = header(headers, name)?;
        if got != wanted {
            return Err(format!("the header {name} is {got:?} and should be {wanted:?}"));
        }
    }
    if !header(headers, "user-agent")?.starts_with("Taskwire/") {
        return Err("the User-Agent does not begin with Taskwire/".to_owned());
    }
    if header(headers, "x-delivery-id")?.is_empty() {
        return Err("the X-Delivery-Id is empty".to_owned());
    }
    match header(headers, "x-attempt")?.parse::<u32>() {
        Ok(1..) => Ok(()),
        _ => Err("the X-Attempt is no number from 1".to_owned()),
    }
}

fn check_plain(secrets: &[String], headers: &HeaderMap, body: &[u8]) -> Result<(), String> {
    let (timestamp, signatures) = (header(headers, "x-timestamp")?, header(headers, "x-signature")?);
    let genuine: Vec<String> =
        secrets.iter().map(|secret| format!("sha256={}", hex_signature(secret, timestamp, body))).collect();
    let one_fits = signatures.split(',').any(|signature| genuine.iter().any(|good| good == signature.trim()));
    if one_fits { Ok(()) } else { Err(format!("no secret of {} gives the X-Signature", secrets.len())) }
}

fn check_standard(secrets: &[String], headers: &HeaderMap, body: &[u8]) -> Result<(), String> {
    let mut last = "no secret is known for this path".to_owned();
    for secret in secrets {
        let verifier = match secret.starts_with("whsec_") {
            true => Webhook::new(secret),
            false => Webhook::from_bytes(secret.clone().into_bytes()),
        };
        match verifier.and_then(|verifier| verifier.verify(body, headers)) {
            Ok(()) => return Ok(()),
            Err(error) => last = error.to_string(),
        }
    }
    Err(format!("the standardwebhooks library refuses it: {last}"))
}
