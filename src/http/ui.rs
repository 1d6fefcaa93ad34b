//! `/admin/`: the page, or how to build it.

use axum::Router;
use axum::http::{HeaderValue, header};
use axum::response::{Html, IntoResponse, Redirect, Response};
use axum::routing::get;

const NOT_BUILT: &str = include_str!("ui_not_built.html");

/// `/admin/` and the way to it.
pub(super) fn routes() -> Router {
    Router::new().route("/admin", get(|| async { Redirect::permanent("/admin/") })).route("/admin/", get(not_built))
}

async fn not_built() -> Response {
    const STYLE_ONLY: HeaderValue =
        HeaderValue::from_static("default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'");
    ([(header::CONTENT_SECURITY_POLICY, STYLE_ONLY)], Html(NOT_BUILT)).into_response()
}
