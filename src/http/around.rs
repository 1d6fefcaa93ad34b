//! What surrounds every request: its id, its span and metrics, the deadline, a task of its own, problem details instead of
//! bare errors, and the security headers.

use std::time::{Duration, Instant};

use axum::extract::{MatchedPath, Request};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use rand::Rng;
use tracing::Instrument;

use super::error::{ApiError, PROBLEM_JSON};
use crate::telemetry::traces::{Caller, Value};

/// How long a request may take, its body included.
const DEADLINE: Duration = Duration::from_secs(30);

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Runs a request in a task of its own: a caller that goes away does not cut a write in half, and a panic ends that task
/// alone.
pub(super) async fn around(request: Request, next: Next) -> Response {
    let id = request_id(request.headers());
    let method = request.method().clone();
    let route = request.extensions().get::<MatchedPath>().map_or("none", MatchedPath::as_str).to_owned();
    let span = tracing::info_span!("request", %id, %method, route);
    let trace = Caller::of(request.headers()).filter(|_| route.starts_with("/api/"));
    let begun = Instant::now();
    let work = tokio::spawn(next.run(request).instrument(span.clone()));
    let response = match tokio::time::timeout(DEADLINE, work).await {
        Ok(Ok(response)) => response,
        Ok(Err(_)) => {
            span.in_scope(|| tracing::error!("the handler panicked"));
            ApiError::internal().into_response()
        }
        Err(_) => {
            span.in_scope(|| tracing::error!("the request took longer than {DEADLINE:?}"));
            ApiError::timed_out().into_response()
        }
    };
    let mut response = as_problem(response);
    secure(response.headers_mut());
    // Checked or made here of characters that a header takes.
    if let Ok(id) = HeaderValue::from_str(&id) {
        response.headers_mut().insert(REQUEST_ID, id);
    }
    if let Some(trace) = trace {
        trace_of(trace, &method, &route, &id, &response, begun.elapsed());
    }
    span.in_scope(|| told(&method, route, &response, begun.elapsed()));
    response
}

/// The request as a span. Its path and query may hold what is private; the route does not.
fn trace_of(trace: Caller, method: &Method, route: &str, id: &str, response: &Response, took: Duration) {
    let status = response.status();
    let attributes = vec![
        ("http.request.method", Value::from(method_label(method))),
        ("http.route", Value::from(route)),
        ("http.response.status_code", Value::from(i64::from(status.as_u16()))),
        ("taskwire.request.id", Value::from(id)),
    ];
    trace.answered(took, attributes, status.is_server_error().then(|| format!("HTTP {}", status.as_u16())));
}

/// Says what this file counts.
pub(super) fn describe_metrics() {
    metrics::describe_counter!("taskwire_api_requests_total", "Requests answered, by route and status");
    metrics::describe_histogram!("taskwire_api_request_duration_seconds", "From a request's head to its answer");
}

fn told(method: &Method, route: String, response: &Response, took: Duration) {
    let status = response.status().as_u16();
    let ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
    if method.is_safe() {
        tracing::debug!(status, ms, "answered");
    } else {
        tracing::info!(status, ms, "answered");
    }
    let method = method_label(method);
    let labels = [("method", method.to_owned()), ("route", route), ("status", status.to_string())];
    metrics::counter!("taskwire_api_requests_total", &labels).increment(1);
    metrics::histogram!("taskwire_api_request_duration_seconds", "method" => method).record(took.as_secs_f64());
}

/// A caller may make up methods; a label may not grow with them.
fn method_label(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::DELETE => "DELETE",
        Method::HEAD => "HEAD",
        _ => "other",
    }
}

/// The caller's id for the request if it is short and plain, so that it can be followed through logs; else a new one.
fn request_id(headers: &HeaderMap) -> String {
    let plain = |text: &&str| {
        (1..=64).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
    };
    match headers.get(&REQUEST_ID).and_then(|value| value.to_str().ok()).filter(plain) {
        Some(given) => given.to_owned(),
        None => format!("{:032x}", rand::rng().random::<u128>()),
    }
}

/// Errors that a library answered (no such method, a path that is no UTF-8) look like ours.
fn as_problem(response: Response) -> Response {
    let status = response.status();
    let is_error = status.is_client_error() || status.is_server_error();
    if !is_error || response.headers().get(header::CONTENT_TYPE) == Some(&PROBLEM_JSON) {
        return response;
    }
    let mut problem = ApiError::of_status(status).into_response();
    if let Some(allow) = response.headers().get(header::ALLOW) {
        problem.headers_mut().insert(header::ALLOW, allow.clone());
    }
    problem
}

/// Headers that every answer carries; a route that set its own keeps it.
fn secure(headers: &mut HeaderMap) {
    // What may be framed by some says so itself, in a way that X-Frame-Options has no word for.
    let policy = headers.get(header::CONTENT_SECURITY_POLICY).and_then(|policy| policy.to_str().ok());
    let names_some = |policy: &str| policy.contains("frame-ancestors ") && !policy.contains("frame-ancestors 'none'");
    if !policy.is_some_and(names_some) {
        headers.entry(header::X_FRAME_OPTIONS).or_insert(HeaderValue::from_static("DENY"));
    }
    for (name, value) in [
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'"),
        (header::CACHE_CONTROL, "no-store"),
    ] {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    }
}

#[cfg(test)]
mod tests {
    use axum::Router;
    use axum::body::{Body, to_bytes};
    use axum::http::StatusCode;
    use axum::routing::get;
    use tower::ServiceExt;

    use super::*;

    async fn panics() -> &'static str {
        panic!("a secret detail")
    }

    fn app() -> Router {
        Router::new()
            .route("/fine", get(|| async { "fine" }))
            .route("/panics", get(panics))
            .route("/leaks", get(|| async { (StatusCode::INTERNAL_SERVER_ERROR, "a secret detail") }))
            .layer(axum::middleware::from_fn(around))
    }

    async fn ask(method: &str, path: &str, id: Option<&str>) -> (Response, String) {
        let mut request = Request::builder().method(method).uri(path).body(Body::empty()).unwrap();
        if let Some(id) = id {
            request.headers_mut().insert(REQUEST_ID, HeaderValue::from_str(id).unwrap());
        }
        let response = app().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let body = to_bytes(body, 1 << 16).await.unwrap();
        (Response::from_parts(parts, Body::empty()), String::from_utf8(body.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn a_panic_and_a_librarys_error_are_problems_that_tell_nothing() {
        for path in ["/panics", "/leaks"] {
            let (response, body) = ask("GET", path, None).await;
            assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
            assert_eq!(response.headers()[header::CONTENT_TYPE], PROBLEM_JSON);
            assert!(!body.contains("secret detail"), "{body}");
        }
    }

    #[tokio::test]
    async fn a_wrong_method_is_a_problem_that_keeps_allow() {
        let (response, body) = ask("POST", "/fine", None).await;
        assert_eq!(response.status(), StatusCode::METHOD_NOT_ALLOWED);
        assert_eq!(response.headers()[header::ALLOW], "GET,HEAD");
        assert!(body.contains("urn:taskwire:problem:method"));
    }

    #[tokio::test]
    async fn a_plain_request_id_is_kept_and_any_other_replaced() {
        assert_eq!(ask("GET", "/fine", Some("order-7.a_b")).await.0.headers()[REQUEST_ID], "order-7.a_b");
        for bad in ["two words", "a\tb", &"x".repeat(65), "{}"] {
            let (response, _) = ask("GET", "/fine", Some(bad)).await;
            assert_eq!(response.headers()[REQUEST_ID].len(), 32, "{bad}");
        }
    }

    #[test]
    fn what_some_may_frame_is_not_said_to_be_framed_by_nobody() {
        let framed = |policy: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(policy));
            secure(&mut headers);
            headers.get(header::X_FRAME_OPTIONS).is_none()
        };
        assert!(framed("default-src 'self'; frame-ancestors https://app.example"));
        assert!(!framed("default-src 'self'; frame-ancestors 'none'"));
        assert!(!framed("default-src 'self'"));
    }

    #[tokio::test]
    async fn every_answer_carries_the_security_headers() {
        for path in ["/fine", "/panics", "/nowhere"] {
            let (response, _) = ask("GET", path, None).await;
            for name in ["x-content-type-options", "content-security-policy", "x-frame-options", "cache-control"] {
                assert!(response.headers().contains_key(name), "{path} {name}");
            }
        }
    }
}
