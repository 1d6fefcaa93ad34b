//! `Idempotency-Key`: a POST that is sent again under its key has no second effect and gets the first answer.
//!
//! The key is the user's own, and kept a day. Only successes are kept: a call that was refused changed nothing, and may be made
//! again, mended or not. A call whose process was killed may have been made; two minutes later its key is free again. A kept
//! answer is given to whoever still administers the group that it is about; to others it is said what the handler would say.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{MatchedPath, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use bson::oid::ObjectId;
use data_encoding::HEXLOWER;
use secrecy::ExposeSecret;
use sha2::{Digest, Sha256};
use tokio::time::Instant;

use super::App;
use super::auth::User;
use super::body::{BODY_MAX, read_limited};
use super::error::{ApiError, ApiResult};
use crate::model::DocId;
use crate::store::idempotency::{self, KeptAnswer, Known};
use crate::store::{Store, describe, names};

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
/// How long a key that could not be freed is tried again, in the background.
const FREED_WITHIN: Duration = Duration::from_secs(60);
/// How often.
const FREED_EVERY: Duration = Duration::from_secs(2);

/// In the extensions of an answer to a POST: the group that it is about.
#[derive(Debug, Clone)]
pub(super) struct OfGroup(pub(super) DocId);

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
    let entry = Entry { store: app.store.clone(), id, owner: ObjectId::new() };
    let known = idempotency::begin(&app.store, &entry.id, entry.owner, &asked, app.clock.now()).await;
    match known.inspect_err(|_| entry.free_in_background())? {
        Known::New => {}
        Known::Answered(answer) => {
            check_still_theirs(app, user, &parts, &answer).await?;
            return again(app, &entry.id, answer);
        }
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
        entry.free().await;
        return Ok(answer);
    }
    keep(app, &entry, answer).await
}

/// What this very call has taken.
#[derive(Clone)]
struct Entry {
    store: Store,
    id: String,
    owner: ObjectId,
}

impl Entry {
    /// Frees the key. What the call is answered does not hang on it.
    async fn free(&self) {
        if let Err(error) = idempotency::forget(&self.store, &self.id, self.owner).await {
            tracing::warn!(error = describe(&error), "an Idempotency-Key could not be freed; it is tried again");
            self.free_in_background();
        }
    }

    /// Frees the key as soon as it can be: what the database was asked for it may still carry out later.
    fn free_in_background(&self) {
        let entry = self.clone();
        tokio::spawn(async move {
            let until = Instant::now() + FREED_WITHIN;
            while Instant::now() < until {
                tokio::time::sleep(FREED_EVERY).await;
                if let Ok(true) = idempotency::forget(&entry.store, &entry.id, entry.owner).await {
                    break;
                }
            }
        });
    }
}

/// Looks whether the user administers the group of a kept answer still.
///
/// # Errors
/// What the handler says to someone who does not administer the group: 404 where a path names something of it, else 403.
async fn check_still_theirs(app: &App, user: &DocId, parts: &Parts, answer: &KeptAnswer) -> ApiResult<()> {
    let Some(group) = &answer.group_id else {
        return Err(ApiError::conflict(
            "this call was made before, and its answer is not kept in a form that can be shown",
        ));
    };
    if app.admins.groups_of(user).await?.contains(group) {
        return Ok(());
    }
    let names_one = parts.extensions.get::<MatchedPath>().is_some_and(|path| path.as_str().contains("{id}"));
    Err(if names_one { ApiError::not_found("webhook") } else { ApiError::foreign_group() })
}

/// Keeps the answer, and gives it. One that cannot be kept is given all the same: what was asked for is done.
async fn keep(app: &App, entry: &Entry, answer: Response) -> ApiResult<Response> {
    let (parts, body) = answer.into_parts();
    let body = to_bytes(body, ANSWER_MAX).await.map_err(|_| ApiError::internal())?;
    let text = |name: &HeaderName| Some((name.to_string(), parts.headers.get(name)?.to_str().ok()?.to_owned()));
    let kept = KeptAnswer {
        group_id: parts.extensions.get::<OfGroup>().map(|OfGroup(group)| group.clone()),
        status: i32::from(parts.status.as_u16()),
        headers: KEPT.iter().filter_map(text).collect(),
        body: app.keys.seal(&context(&entry.id), &String::from_utf8_lossy(&body))?,
    };
    if let Err(error) = idempotency::keep(&app.store, &entry.id, entry.owner, &kept).await {
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
