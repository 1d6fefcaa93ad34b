//! Errors as RFC 9457 problem details, made by named constructors. The text of a 5xx never says what went wrong inside:
//! that goes to the log, once, in `causes`.

mod causes;
mod signed;

use axum::body::Body;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

/// One field of a request that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct FieldError {
    /// The field's path in the body, or the parameter's name.
    #[schema(example = "retryPolicy.maxAttempts")]
    pub field: String,
    /// What is wrong with it and what it takes; never a secret's value.
    #[schema(example = "must be a whole number from 1 to 20")]
    pub message: String,
}

impl FieldError {
    /// An error of the field at `field`.
    pub fn new(field: impl Into<String>, message: impl Into<String>) -> Self {
        // A path may hold a key the caller made up: shown, but never at any length.
        Self { field: field.into().chars().take(120).collect(), message: message.into() }
    }
}

/// An answer that is no success.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiError {
    status: StatusCode,
    kind: &'static str,
    title: &'static str,
    detail: String,
    errors: Vec<FieldError>,
    header: Option<(&'static str, Box<str>)>,
}

/// What handlers answer.
pub type ApiResult<T> = Result<T, ApiError>;

/// An answer that is no success (RFC 9457).
#[derive(Serialize, ToSchema)]
pub(super) struct Problem<'a> {
    /// What kind of problem: tells them apart for programs.
    #[schema(example = "urn:taskwire:problem:invalid")]
    r#type: String,
    /// The kind in words.
    #[schema(example = "Invalid fields")]
    title: &'a str,
    /// The HTTP status once more.
    #[schema(minimum = 400, maximum = 599, example = 422)]
    status: u16,
    /// What is wrong here, and the way out.
    #[schema(example = "cannot be used: retryPolicy.maxAttempts")]
    detail: &'a str,
    /// Of a 422: each field that cannot be used.
    #[serde(skip_serializing_if = "<[FieldError]>::is_empty")]
    #[schema(required = false)]
    errors: &'a [FieldError],
}

impl ApiError {
    fn new(status: StatusCode, kind: &'static str, title: &'static str, detail: impl Into<String>) -> Self {
        Self { status, kind, title, detail: detail.into(), errors: Vec::new(), header: None }
    }

    /// `name` in lower case.
    fn with_header(mut self, name: &'static str, value: impl Into<Box<str>>) -> Self {
        self.header = Some((name, value.into()));
        self
    }

    /// 401: there is no token.
    #[must_use]
    pub fn no_token() -> Self {
        Self::new(
            StatusCode::UNAUTHORIZED,
            "no-token",
            "Not signed in",
            "send the task service's token as Authorization: Bearer <token>",
        )
        .with_header("www-authenticate", "Bearer")
    }

    /// 401: there is a token, and it is no good. Why stays untold.
    #[must_use]
    pub fn bad_token() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "bad-token", "Not signed in", "the token is not valid, or no longer")
            .with_header("www-authenticate", "Bearer error=\"invalid_token\"")
    }

    /// 403: a group that the caller does not administer, whether it exists or not.
    #[must_use]
    pub fn foreign_group() -> Self {
        Self::new(StatusCode::FORBIDDEN, "forbidden", "Forbidden", "you do not administer this group")
    }

    /// 404: `what` is not there, or not in a group of the caller's.
    #[must_use]
    pub fn not_found(what: &str) -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            "not-found",
            "Not found",
            format!("there is no such {what} in a group that you administer"),
        )
    }

    /// 404: no such path.
    #[must_use]
    pub fn no_route() -> Self {
        Self::new(StatusCode::NOT_FOUND, "no-such-path", "Not found", "there is nothing at this path")
    }

    /// 400: the request cannot be read at all.
    pub fn malformed(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "malformed", "Malformed request", detail)
    }

    /// 409: what stands in the way.
    pub fn conflict(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, "conflict", "Conflict", detail)
    }

    /// 412: the caller saw an older version.
    #[must_use]
    pub fn stale() -> Self {
        Self::new(
            StatusCode::PRECONDITION_FAILED,
            "stale",
            "Changed in the meantime",
            "If-Match names another version than the present one: get it again and repeat the change",
        )
    }

    /// 413: the body is larger than `limit` bytes.
    #[must_use]
    pub fn too_large(limit: usize) -> Self {
        Self::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "too-large",
            "Body too large",
            format!("a body here is at most {limit} bytes"),
        )
    }

    /// 415: a body that does not say it is JSON.
    #[must_use]
    pub fn not_json() -> Self {
        Self::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "not-json",
            "Unsupported media type",
            "send JSON, with Content-Type: application/json",
        )
    }

    /// 415: a body that is compressed. A small one could unfold to any size.
    #[must_use]
    pub fn encoded() -> Self {
        Self::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "encoded",
            "Unsupported content encoding",
            "send the body as it is, without Content-Encoding",
        )
    }

    /// 422: these fields cannot be used. `errors` is not empty.
    #[must_use]
    pub fn invalid(errors: Vec<FieldError>) -> Self {
        let fields: Vec<_> = errors.iter().map(|error| error.field.as_str()).collect();
        let detail = format!("cannot be used: {}", fields.join(", "));
        Self { errors, ..Self::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid", "Invalid fields", detail) }
    }

    /// 422 for one field.
    pub fn invalid_field(field: &str, message: impl Into<String>) -> Self {
        Self::invalid(vec![FieldError::new(field, message)])
    }

    /// 429: the user calls too fast; there is room again after so many seconds.
    #[must_use]
    pub fn user_too_fast(seconds: u64) -> Self {
        Self::new(
            StatusCode::TOO_MANY_REQUESTS,
            "too-fast",
            "Too many requests",
            "more calls than this user may make: wait as long as Retry-After says",
        )
        .with_header("retry-after", seconds.to_string())
    }

    /// 429: more tests than a group may make; there is room again after so many seconds.
    #[must_use]
    pub fn too_many_tests(per_minute: u32, seconds: u64) -> Self {
        Self::new(
            StatusCode::TOO_MANY_REQUESTS,
            "too-fast",
            "Too many requests",
            format!("a group has {per_minute} tests a minute: wait as long as Retry-After says"),
        )
        .with_header("retry-after", seconds.to_string())
    }

    /// 503: the database does not answer now.
    #[must_use]
    pub fn unavailable() -> Self {
        Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "unavailable",
            "Unavailable",
            "the database does not answer at present: try again",
        )
        .with_header("retry-after", "5")
    }

    /// 503: it took too long. What was asked for may still have been done.
    #[must_use]
    pub fn timed_out() -> Self {
        Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "timed-out",
            "Took too long",
            "no answer in time; a change may have been made nevertheless: look before you repeat it",
        )
        .with_header("retry-after", "5")
    }

    /// 500: a fault of ours. The caller of this logs why.
    #[must_use]
    pub fn internal() -> Self {
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "internal",
            "Internal error",
            "something went wrong here; the log has it under this answer's X-Request-Id",
        )
    }

    /// The problem for a bare status that a library answered; the library's own text is dropped.
    #[must_use]
    pub fn of_status(status: StatusCode) -> Self {
        match status {
            StatusCode::NOT_FOUND => Self::no_route(),
            StatusCode::METHOD_NOT_ALLOWED => {
                Self::new(status, "method", "Method not allowed", "this path takes the methods that Allow names")
            }
            StatusCode::BAD_REQUEST => Self::malformed("the request cannot be read"),
            status if status.is_client_error() => {
                Self::new(status, "refused", status.canonical_reason().unwrap_or("Refused"), "the request was refused")
            }
            _ => Self::internal(),
        }
    }

    /// The problem as it is answered.
    pub(super) fn to_json(&self) -> serde_json::Value {
        // Texts and numbers always serialize.
        serde_json::to_value(self.problem()).unwrap_or_default()
    }

    fn problem(&self) -> Problem<'_> {
        Problem {
            r#type: format!("urn:taskwire:problem:{}", self.kind),
            title: self.title,
            status: self.status.as_u16(),
            detail: &self.detail,
            errors: &self.errors,
        }
    }

    /// The status it is answered with.
    #[must_use]
    pub const fn status(&self) -> StatusCode {
        self.status
    }
}

/// The media type of every error.
pub const PROBLEM_JSON: HeaderValue = HeaderValue::from_static("application/problem+json");

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        // Strings and numbers always serialize; an empty body would still carry the status.
        let body = serde_json::to_vec(&self.problem()).unwrap_or_default();
        let mut response = Response::new(Body::from(body));
        *response.status_mut() = self.status;
        response.headers_mut().insert(header::CONTENT_TYPE, PROBLEM_JSON);
        if let Some((name, value)) = self.header {
            // Made here of visible ASCII.
            if let Ok(value) = HeaderValue::try_from(&*value) {
                response.headers_mut().insert(HeaderName::from_static(name), value);
            }
        }
        response
    }
}

#[cfg(test)]
mod tests;
