//! What is answered to signed requests only.

use axum::http::StatusCode;

use super::ApiError;

impl ApiError {
    /// 401 for a signed request: one answer for all that is wrong with it.
    #[must_use]
    pub fn bad_signature() -> Self {
        Self::new(
            StatusCode::UNAUTHORIZED,
            "bad-signature",
            "Not authenticated",
            "the signature is not one of an enabled integration of this group, or its time is too far from the present",
        )
        .with_header("www-authenticate", "Taskwire-Signature")
    }

    /// 403 for a signed request: what the integration may not do.
    pub fn not_allowed(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, "not-allowed", "Not allowed", detail)
    }

    /// 404 for a signed request: `what` is not there.
    pub fn nothing_there(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not-found", "Not found", detail)
    }

    /// 429: more calls than the integration may make; there is room again after so many seconds.
    #[must_use]
    pub fn too_fast_for_group(seconds: u64) -> Self {
        Self::new(
            StatusCode::TOO_MANY_REQUESTS,
            "too-fast",
            "Too many requests",
            "more calls than this group's rateLimitPerMinute allows: wait as long as Retry-After says, or send batches",
        )
        .with_header("retry-after", seconds.to_string())
    }

    /// 503: too many calls for one group at once. Nothing was written.
    #[must_use]
    pub fn busy() -> Self {
        Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "busy",
            "Busy",
            "this group is being written by too many at once; nothing was written: send the same request again",
        )
        .with_header("retry-after", "1")
    }
}
