//! The API's description in OpenAPI 3.1, and the page that shows it.
//!
//! Operations and types describe themselves (`#[utoipa::path]`, `ToSchema`), and a route is only served if it is described.
//! What all operations have in common is added here, once: the token, the errors that any call can meet, and an example of
//! each body, made of the examples of its fields. `docs/openapi.json` is what `taskwire-api openapi` prints; a test keeps it
//! current.

mod common;
mod example;

use std::sync::LazyLock;

use axum::Router;
use axum::http::{HeaderValue, header};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;
use serde_json::Value;

/// The document, made once.
static DOCUMENT: LazyLock<Value> = LazyLock::new(|| common::complete(super::operations().split_for_parts().1));

/// The document.
#[must_use]
pub fn document() -> &'static Value {
    &DOCUMENT
}

/// The document as it is committed: indented, with a line's end.
#[must_use]
pub fn text() -> String {
    format!("{:#}\n", document())
}

const PAGE: &str = include_str!("openapi/page.html");
const SCRIPT: &str = include_str!("openapi/page.js");
const STYLE: &str = include_str!("openapi/page.css");

/// `/api/openapi.json`, and `/api/docs`, which needs nothing from elsewhere.
pub(super) fn routes() -> Router {
    const OF_ITSELF: HeaderValue = HeaderValue::from_static(
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; base-uri 'none'; \
         form-action 'none'; frame-ancestors 'none'",
    );
    let file = |media: &'static str, text: &'static str| {
        get(move || std::future::ready(([(header::CONTENT_TYPE, HeaderValue::from_static(media))], text)))
    };
    Router::new()
        .route("/api/openapi.json", get(|| async { json() }))
        .route("/api/docs", get(|| async { ([(header::CONTENT_SECURITY_POLICY, OF_ITSELF)], Html(PAGE)) }))
        .route("/api/docs/page.js", file("text/javascript; charset=utf-8", SCRIPT))
        .route("/api/docs/page.css", file("text/css; charset=utf-8", STYLE))
}

fn json() -> Response {
    axum::Json(document()).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_committed_document_is_the_one_that_the_code_makes() {
        let committed = include_str!("../../docs/openapi.json");
        assert!(committed == text(), "docs/openapi.json is not current: taskwire-api openapi > docs/openapi.json");
    }

    #[test]
    fn every_operation_says_what_it_does_who_may_and_which_errors_it_has() {
        let mut ids = std::collections::BTreeSet::new();
        for (path, operations) in document()["paths"].as_object().unwrap() {
            for (method, operation) in operations.as_object().unwrap() {
                let what = format!("{method} {path}");
                assert!(ids.insert(operation["operationId"].as_str().unwrap().to_owned()), "{what}");
                assert!(operation["summary"].is_string() && operation["tags"].is_array(), "{what}");
                assert!(operation["description"].as_str().unwrap().contains("Permission: "), "{what}");
                for status in ["401", "500", "503"] {
                    let media = &operation["responses"][status]["content"]["application/problem+json"];
                    assert!(media["schema"].is_object(), "{what}: {status}");
                }
                let bodies = operation["responses"].as_object().unwrap().values().chain([&operation["requestBody"]]);
                for content in bodies.filter_map(|body| body["content"].as_object()).flat_map(|all| all.values()) {
                    assert!(!content["example"].is_null(), "{what} has a body without an example: {content}");
                }
            }
        }
    }
}
