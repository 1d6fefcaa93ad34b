//! `/admin/`: the page, which `scripts/web build` makes in `web/dist`, or how to build it.
//!
//! A release build holds the files; any other reads them as it runs. The page routes by itself, so every path under
//! `/admin/` that is no file answers with its `index.html`.

use std::borrow::Cow;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{Html, IntoResponse, Redirect, Response};
use axum::routing::get;
use data_encoding::BASE64URL_NOPAD;
use rand::Rng;
use rust_embed::Embed;

use super::error::ApiError;

const NOT_BUILT: &str = include_str!("ui_not_built.html");

/// Named by their content's hash, these never change.
const ASSETS: &str = "assets/";
const IMMUTABLE: HeaderValue = HeaderValue::from_static("public, max-age=31536000, immutable");
const NO_CACHE: HeaderValue = HeaderValue::from_static("no-cache");

#[derive(Embed)]
#[folder = "web/dist"]
#[allow_missing = true]
struct Dist;

/// `/admin/` and the way to it. Pages of `frame_ancestors` may show it in a frame.
pub(super) fn routes(frame_ancestors: &[String]) -> Router {
    Router::new()
        .route("/admin", get(|| async { Redirect::permanent("/admin/") }))
        .route("/admin/", get(|State(embedders): State<Arc<[String]>>| async move { index(&embedders) }))
        .route("/admin/{*path}", get(file))
        .with_state(frame_ancestors.into())
}

async fn file(State(embedders): State<Arc<[String]>>, Path(path): Path<String>, headers: HeaderMap) -> Response {
    let is_asset = path.starts_with(ASSETS);
    let Some(media) = media_type(&path) else {
        return if is_asset { ApiError::no_route().into_response() } else { index(&embedders) };
    };
    let cache = (header::CACHE_CONTROL, if is_asset { IMMUTABLE } else { NO_CACHE });
    let common = [(header::CONTENT_TYPE, media), cache, (header::VARY, HeaderValue::from_static("accept-encoding"))];
    let zipped = takes_gzip(&headers).then(|| Dist::get(&format!("{path}.gz"))).flatten();
    if let Some(zipped) = zipped {
        return (common, [(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"))], zipped.data).into_response();
    }
    Dist::get(&path).map_or_else(|| ApiError::no_route().into_response(), |file| (common, file.data).into_response())
}

/// The page, with a nonce for its styles that nobody can foresee.
fn index(embedders: &[String]) -> Response {
    let Some(page) = Dist::get("index.html") else { return not_built() };
    let nonce = BASE64URL_NOPAD.encode(&rand::rng().random::<[u8; 16]>());
    let page = text(&page.data).replace("__CSP_NONCE__", &nonce).replace("__EMBEDDERS__", &embedders.join(" "));
    let ancestors = if embedders.is_empty() { Cow::from("'none'") } else { embedders.join(" ").into() };
    let policy = format!(
        "default-src 'none'; script-src 'self'; style-src 'self' 'nonce-{nonce}'; img-src 'self' data:; font-src 'self'; \
         connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors {ancestors}"
    );
    match HeaderValue::from_str(&policy) {
        Ok(policy) => {
            ([(header::CONTENT_SECURITY_POLICY, policy), (header::CACHE_CONTROL, NO_CACHE)], Html(page)).into_response()
        }
        Err(_) => ApiError::internal().into_response(),
    }
}

fn text(bytes: &[u8]) -> Cow<'_, str> {
    String::from_utf8_lossy(bytes)
}

fn not_built() -> Response {
    const STYLE_ONLY: HeaderValue =
        HeaderValue::from_static("default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'");
    ([(header::CONTENT_SECURITY_POLICY, STYLE_ONLY)], Html(NOT_BUILT)).into_response()
}

/// Of the kinds of file that the build makes; what has none of these endings is a place in the page.
fn media_type(path: &str) -> Option<HeaderValue> {
    let media = match path.rsplit_once('.')?.1 {
        "js" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "svg" => "image/svg+xml",
        "woff2" => "font/woff2",
        _ => return None,
    };
    Some(HeaderValue::from_static(media))
}

fn takes_gzip(headers: &HeaderMap) -> bool {
    let accepted = headers.get(header::ACCEPT_ENCODING).and_then(|value| value.to_str().ok()).unwrap_or_default();
    accepted.split(',').any(|coding| {
        let (name, quality) = coding.split_once(';').unwrap_or((coding, ""));
        name.trim().eq_ignore_ascii_case("gzip") && !matches!(quality.trim(), "q=0" | "q=0.0" | "q=0.00" | "q=0.000")
    })
}

#[cfg(test)]
mod tests {
    use axum::body::{Body, to_bytes};
    use axum::http::Request;
    use tower::ServiceExt;

    use super::*;

    async fn ask(path: &str, embedders: &[&str]) -> (Response, String) {
        let embedders: Vec<String> = embedders.iter().map(|&origin| origin.to_owned()).collect();
        let request = Request::get(path).body(Body::empty()).unwrap();
        let (parts, body) = routes(&embedders).oneshot(request).await.unwrap().into_parts();
        let body = to_bytes(body, 1 << 22).await.unwrap();
        (Response::from_parts(parts, Body::empty()), text(&body).into_owned())
    }

    fn header_of(response: &Response, name: header::HeaderName) -> &str {
        response.headers().get(name).map_or("", |value| value.to_str().unwrap())
    }

    #[tokio::test]
    async fn every_place_of_the_page_is_the_page_or_says_how_to_build_it_and_no_asset_is() {
        for path in ["/admin/", "/admin/webhooks", "/admin/webhooks/64b7f1a2c3d4e5f60718293a"] {
            let (response, page) = ask(path, &[]).await;
            assert_eq!(response.status(), 200, "{path}");
            assert!(page.contains("id=\"root\"") || page.contains("scripts/web build"), "{page}");
        }
        for path in ["/admin/assets/none.js", "/admin/assets/none", "/admin/none.css", "/admin/assets/../../Cargo.toml"]
        {
            assert_eq!(ask(path, &[]).await.0.status(), 404, "{path}");
        }
    }

    #[tokio::test]
    async fn nobody_may_frame_the_page_but_whom_the_setting_names() {
        let (closed, _) = ask("/admin/", &[]).await;
        assert!(header_of(&closed, header::CONTENT_SECURITY_POLICY).contains("frame-ancestors 'none'"));
        if Dist::get("index.html").is_some() {
            let (open, page) = ask("/admin/", &["https://a.example", "https://b.example"]).await;
            let policy = header_of(&open, header::CONTENT_SECURITY_POLICY);
            assert!(policy.ends_with("frame-ancestors https://a.example https://b.example"), "{policy}");
            assert!(page.contains("content=\"https://a.example https://b.example\""));
        }
    }

    #[tokio::test]
    async fn assets_are_kept_for_ever_and_the_page_is_asked_for_anew_with_a_new_nonce() {
        let Some(asset) = Dist::iter().find(|name| name.starts_with(ASSETS) && name.ends_with(".js")) else { return };
        let (kept, _) = ask(&format!("/admin/{asset}"), &[]).await;
        assert!(header_of(&kept, header::CACHE_CONTROL).contains("immutable"));
        let (page, first) = ask("/admin/", &[]).await;
        assert_eq!(header_of(&page, header::CACHE_CONTROL), "no-cache");
        assert_ne!(first, ask("/admin/", &[]).await.1);
    }

    #[test]
    fn gzip_is_sent_only_to_those_who_take_it() {
        let with =
            |value: &'static str| HeaderMap::from_iter([(header::ACCEPT_ENCODING, HeaderValue::from_static(value))]);
        for yes in ["gzip", "br, GZIP", "deflate, gzip;q=0.5"] {
            assert!(takes_gzip(&with(yes)), "{yes}");
        }
        for no in ["", "br", "gzip;q=0", "gzippy"] {
            assert!(!takes_gzip(&with(no)), "{no}");
        }
    }
}
