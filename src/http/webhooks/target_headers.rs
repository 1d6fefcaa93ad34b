//! Which headers an admin may add to what a partner gets.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use axum::http::{HeaderName, HeaderValue};
use serde::de::{Deserialize, Deserializer, Error, MapAccess, Visitor};

use crate::http::error::FieldError;
use crate::signing::is_reserved_header;

/// How many there may be.
pub(super) const COUNT_MAX: usize = 20;
/// How large names and values may be together, in bytes.
pub(super) const SIZE_MAX: usize = 4096;

/// Refused besides what [`is_reserved_header`] names: what the HTTP client or the connection sets.
const CLIENT: [&str; 3] = ["http2-settings", "accept-encoding", "date"];

/// Headers as a body gives them. A map of the standard library would take the last of two of one name.
pub(super) struct GivenHeaders(pub(super) BTreeMap<String, String>);

impl<'de> Deserialize<'de> for GivenHeaders {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_map(GivenVisitor)
    }
}

struct GivenVisitor;

impl<'de> Visitor<'de> for GivenVisitor {
    type Value = GivenHeaders;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a map")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<GivenHeaders, A::Error> {
        let mut headers = BTreeMap::new();
        while let Some((name, value)) = entries.next_entry::<String, String>()? {
            // As a struct says it of its fields, which `JsonBody` reads.
            if headers.contains_key(&name) {
                return Err(A::Error::custom(format_args!("duplicate field `{name}`")));
            }
            headers.insert(name, value);
        }
        Ok(GivenHeaders(headers))
    }
}

/// Every fault of these headers, each under `headers.<name>` or `headers`.
pub(super) fn faults(headers: &BTreeMap<String, String>) -> Vec<FieldError> {
    let mut faults = Vec::new();
    if headers.len() > COUNT_MAX {
        faults.push(FieldError::new("headers", format!("holds more than {COUNT_MAX} headers")));
        return faults;
    }
    if headers.iter().map(|(name, value)| name.len() + value.len()).sum::<usize>() > SIZE_MAX {
        faults.push(FieldError::new("headers", format!("is larger than {SIZE_MAX} bytes, names and values together")));
    }
    let mut seen = BTreeSet::new();
    for (name, value) in headers {
        let lower = name.to_ascii_lowercase();
        let fault = name_fault(&lower).or_else(|| value_fault(value)).or_else(|| {
            (!seen.insert(lower)).then_some("is there twice: header names are the same without regard to case")
        });
        if let Some(message) = fault {
            faults.push(FieldError::new(format!("headers.{name}"), message));
        }
    }
    faults
}

fn name_fault(lower: &str) -> Option<&'static str> {
    if HeaderName::from_bytes(lower.as_bytes()).is_err() {
        Some("is no header name: letters, digits and any of !#$%&'*+-.^_`|~")
    } else if is_reserved_header(lower) || CLIENT.contains(&lower.replace('_', "-").as_str()) {
        Some("is reserved: it is set for each request, or belongs to the connection")
    } else {
        None
    }
}

fn value_fault(value: &str) -> Option<&'static str> {
    if HeaderValue::from_str(value).is_err() || !value.is_ascii() {
        Some("has a value that no header can have: visible ASCII, spaces and tabs")
    } else if value.trim() != value {
        Some("has a value that begins or ends with a space, which would not arrive")
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults_of(pairs: &[(&str, &str)]) -> Vec<String> {
        let headers = pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        faults(&headers).into_iter().map(|fault| fault.field).collect()
    }

    #[test]
    fn a_reserved_hop_by_hop_or_malformed_name_is_refused_by_name_in_any_case() {
        for name in ["X-Signature", "webhook-ID", "Transfer-Encoding", "HOST", "a b", "a:b", "ä", "", "x\r\ny"] {
            assert_eq!(faults_of(&[(name, "v")]), [format!("headers.{name}")], "{name:?}");
        }
        assert!(faults_of(&[("Authorization", "Bearer x"), ("X-Api-Key", "")]).is_empty());
    }

    #[test]
    fn a_value_cannot_break_out_of_its_header() {
        for value in ["a\r\nX-Evil: 1", "a\nb", "a\0b", "grün", " a", "a "] {
            assert_eq!(faults_of(&[("X-A", value)]), ["headers.X-A"], "{value:?}");
        }
    }

    #[test]
    fn number_size_and_repeated_names_are_bounded() {
        assert_eq!(faults_of(&[("X-A", "1"), ("x-a", "2")]), ["headers.x-a"]);
        assert_eq!(faults_of(&[("X-A", &"v".repeat(SIZE_MAX))]), ["headers"]);
        assert!(faults_of(&[("X-A", &"v".repeat(SIZE_MAX - 3))]).is_empty());
        let many: BTreeMap<_, _> = (0..=COUNT_MAX).map(|n| (format!("X-{n}"), String::new())).collect();
        assert_eq!(faults(&many).len(), 1);
    }
}
