//! `Idempotency-Key`: a POST that is sent again under its key has no second effect and gets the first answer.
//!
//! The key is the user's own, and kept a day. Only successes are kept: a call that was refused changed nothing, and may be made
//! again, mended or not. A call whose process was killed may have been made; two minutes later its key is free again.

use std::sync::Arc;

use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use data_encoding::HEXLOWER;
use secrecy::ExposeSecret;
use sha2::{Digest, Sha256};

use super::App;
use super::auth::User;
use super::body::{BODY_MAX, read_limited};
use super::error::{ApiError, ApiResult};
use crate::model::DocId;
use crate::store::idempotency::{self, KeptAnswer, Known};
use crate::store::{describe, names};

/// The header.
pub(super) const KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// On an answer that was given before.
pub(super) const REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");
/// The longest key.
pub(super) const KEY_MAX: usize = 255;
/// The largest answer that is kept, in bytes.
const ANSWER_MAX: usize = 1 << 20;
/// Which headers of an answer are kept.
const KEPT: [HeaderName; 3] = [header::CONTENT_TYPE, header::ETAG, header::LOCATION];

/// Makes each POST of a user under one key once.
pub(super) async fn once(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let user = request.extensions().get::<User>().map(|User(user)| user.clone());
    let (Some(user), true) = (user, request.method() == Method::POST) else { return next.run(request).await };
    match key(request.headers()) {
        Ok(None) => next.run(request).await,
        Ok(Some(key)) => {
            Box::pin(make(&app, &user, &key, request, next)).await.unwrap_or_else(IntoResponse::into_response)
        }
        Err(refused) => refused.into_response(),
    }
}

fn key(headers: &HeaderMap) -> ApiResult<Option<String>> {
    let mut given = headers.get_all(KEY).iter();
    let Some(value) = given.next() else { return Ok(None) };
    let text = value
        .to_str()
        .ok()
        .filter(|text| (1..=KEY_MAX).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic()));
    match (text, given.next()) {
        (Some(text), None) => Ok(Some(text.to_owned())),
        _ => {
            let message = format!("takes one key of 1 to {KEY_MAX} visible ASCII characters");
            Err(ApiError::invalid_field("Idempotency-Key", message))
        }
    }
}

fn hash(parts: &[&[u8]]) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    HEXLOWER.encode(&hash.finalize())
}

async fn make(app: &App, user: &DocId, key: &str, request: Request, next: Next) -> ApiResult<Response> {
    let (parts, body) = request.into_parts();
    let body = Bytes::from(read_limited(body, BODY_MAX).await?);
    let id = hash(&[user.to_string().as_bytes(), key.as_bytes()]);
    let asked = hash(&[parts.uri.to_string().as_bytes(), &body]);
    match idempotency::begin(&app.store, &id, &asked, app.clock.now()).await? {
        Known::New => {}
        Known::Answered(answer) => return again(app, &id, answer),
        Known::UnderWay => {
            return Err(ApiError::conflict("a call with this Idempotency-Key is under way: wait for its answer"));
        }
        Known::Other => {
            let message = "was used for another call: a new call takes a new key";
            return Err(ApiError::invalid_field("Idempotency-Key", message));
        }
    }
    let answer = next.run(Request::from_parts(parts, Body::from(body))).await;
    if !answer.status().is_success() {
        idempotency::forget(&app.store, &id).await?;
        return Ok(answer);
    }
    keep(app, &id, answer).await
}

/// Keeps the answer, and gives it. One that cannot be kept is given all the same: what was asked for is done.
async fn keep(app: &App, id: &str, answer: Response) -> ApiResult<Response> {
    let (parts, body) = answer.into_parts();
    let body = to_bytes(body, ANSWER_MAX).await.map_err(|_| ApiError::internal())?;
    let text = |name: &HeaderName| Some((name.to_string(), parts.headers.get(name)?.to_str().ok()?.to_owned()));
    let kept = KeptAnswer {
        status: i32::from(parts.status.as_u16()),
        headers: KEPT.iter().filter_map(text).collect(),
        body: app.keys.seal(&context(id), &String::from_utf8_lossy(&body))?,
    };
    if let Err(error) = idempotency::keep(&app.store, id, &kept).await {
        tracing::warn!(error = describe(&error), "an answer could not be kept under its Idempotency-Key");
    }
    Ok(Response::from_parts(parts, Body::from(body)))
}

fn again(app: &App, id: &str, answer: KeptAnswer) -> ApiResult<Response> {
    let body = app.keys.open(&context(id), &answer.body)?;
    let mut response = Response::new(Body::from(body.expose_secret().to_owned()));
    *response.status_mut() = u16::try_from(answer.status)
        .ok()
        .and_then(|status| StatusCode::from_u16(status).ok())
        .unwrap_or(StatusCode::OK);
    for (name, value) in answer.headers {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
            response.headers_mut().insert(name, value);
        }
    }
    response.headers_mut().insert(REPLAYED, HeaderValue::from_static("true"));
    Ok(response)
}

fn context(id: &str) -> String {
    format!("{}/{id}/answer.body", names::IDEMPOTENCY)
}
