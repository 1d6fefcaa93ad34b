//! `ETag` and `If-Match` (RFC 9110, 8.8.3 and 13.1.1): a document's revision, as a strong tag.

use axum::http::{HeaderMap, HeaderValue, header};

use utoipa::IntoParams;

use super::error::{ApiError, ApiResult};

/// The condition of a change.
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
#[allow(dead_code, reason = "describes the header; `check_if_match` reads it")]
pub(super) struct IfMatch {
    /// The `ETag` of the version that was seen: refused with 412 if it is another by now.
    #[param(rename = "If-Match", example = "\"3\"")]
    if_match: Option<String>,
}

/// The tag of a revision.
#[must_use]
pub fn etag(revision: i64) -> HeaderValue {
    // Digits and quotes always make a header value.
    HeaderValue::from_str(&format!("\"{revision}\"")).unwrap_or(HeaderValue::from_static("\"\""))
}

/// Whether the request may change the document at `revision`: it names this version, any (`*`), or none at all. Weak
/// tags never match.
///
/// # Errors
/// 412, if it names other versions only.
pub fn check_if_match(headers: &HeaderMap, revision: i64) -> ApiResult<()> {
    let mut given = headers.get_all(header::IF_MATCH).iter().peekable();
    if given.peek().is_none() {
        return Ok(());
    }
    let wanted = format!("\"{revision}\"");
    let matches = given
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|tag| tag.trim() == "*" || tag.trim() == wanted);
    if matches { Ok(()) } else { Err(ApiError::stale()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(values: &[&str]) -> bool {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(header::IF_MATCH, HeaderValue::from_str(value).unwrap());
        }
        check_if_match(&headers, 7).is_ok()
    }

    #[test]
    fn only_the_present_version_any_or_none_may_change_it() {
        assert_eq!(etag(7), "\"7\"");
        for good in [&[][..], &["\"7\""], &["*"], &["\"6\", \"7\""], &["\"6\"", "\"7\""]] {
            assert!(checked(good), "{good:?}");
        }
        for bad in [&["\"6\""][..], &["7"], &["W/\"7\""], &[""], &["\"77\""]] {
            assert!(!checked(bad), "{bad:?}");
        }
    }
}
