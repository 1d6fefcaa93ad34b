//! Webhooks: create, list, get, change, delete.

pub(super) mod answer;
pub(super) mod input;
mod schema;
pub(super) mod sealed;
mod target_headers;

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::{Path, RawQuery, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bson::oid::ObjectId;
use rand::Rng;
use secrecy::SecretString;
use utoipa::IntoParams;

pub(super) use self::input::{secret_fault, set};

use self::answer::WebhookAnswer;
use self::input::{Checked, SecretChange, WebhookInput};
pub(super) use self::schema::with_passed_over;
use self::schema::{NewWebhook, WebhookChange};
use super::App;
use super::auth::Caller;
use super::body::JsonBody;
use super::error::{ApiError, ApiResult};
use super::etag::{IfMatch, check_if_match, etag};
use super::idempotency::OfGroup;
use super::page::{ListKey, Page, PageParameters};
use super::query::Query;
use super::rotation;
use crate::model::{AuditAction, AuditEntry, DisabledReason, DocId, Webhook};
use crate::store::webhooks::{self, Deleted, Inserted, PER_GROUP_MAX, Replaced};

/// How often a change without `If-Match` is made anew on a version that came in between: with the pauses, about 2 s.
pub(super) const CHANGE_TRIES: u32 = 12;

/// Lets another's change become one that a read of the majority shows: until then it is only met, not seen.
pub(super) async fn let_it_settle(tries: u32) {
    let step = u64::from(tries) * 15;
    let pause = rand::rng().random_range(step..=2 * step);
    tokio::time::sleep(Duration::from_millis(pause)).await;
}

/// The webhook in a path.
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
#[allow(dead_code, reason = "describes the parameter; the handlers take the path apart")]
pub(super) struct WebhookPath {
    /// The webhook's id.
    #[param(example = "65a0000000000000000000b2")]
    id: String,
}

/// Which group's webhooks a list shows.
#[derive(IntoParams)]
#[into_params(parameter_in = Query, rename_all = "camelCase")]
#[allow(dead_code, reason = "describes the parameter; `Query` reads it")]
struct ListParameters {
    /// Only those of this group; left out: of every group that the caller administers.
    group_id: Option<String>,
}

/// The webhook with this id, if it is in a group of the caller's.
///
/// # Errors
/// 404 otherwise, also for a text that is no id.
pub(super) async fn find_webhook(app: &App, caller: &Caller, id: &str, deleted: Deleted) -> ApiResult<Webhook> {
    let id = ObjectId::parse_str(id).map_err(|_| ApiError::not_found("webhook"))?;
    let found = webhooks::find(&app.store, id, &caller.groups, deleted).await?;
    found.ok_or_else(|| ApiError::not_found("webhook"))
}

/// `GET /api/integrations/webhooks`: of the group asked for, or of all that the caller administers; newest first.
#[utoipa::path(
    get,
    path = "/api/integrations/webhooks",
    operation_id = "listWebhooks",
    tag = "Webhooks",
    summary = "List webhooks",
    description = "Newest first, without those that were deleted.\n\n\
        Permission: an admin of `groupId`; without it, everybody sees those of the groups they administer.",
    params(ListParameters, PageParameters),
    responses((status = 200, description = "One page", body = Page<WebhookAnswer>)),
)]
pub(super) async fn list(
    caller: Caller,
    State(app): State<Arc<App>>,
    RawQuery(raw): RawQuery,
) -> ApiResult<Json<Page<WebhookAnswer>>> {
    let mut query = Query::read(raw.as_deref(), &["groupId", "cursor", "limit"]);
    let limit = query.limit();
    query.finish()?;
    let groups = caller.scope(query.text("groupId"))?;
    let list = ListKey::new("webhooks", &[("groupId", query.text("groupId"))]);
    let before = query.text("cursor").map(|cursor| list.open::<ObjectId>(&app.keys, cursor)).transpose()?;
    let found = webhooks::list(&app.store, &groups, before, i64::from(limit) + 1).await?;
    let ids: Vec<_> = found.iter().map(|webhook| webhook.id).collect();
    let health = webhooks::health(&app.store, &ids).await?;
    let show = |webhook: Webhook| WebhookAnswer::new(&app, &webhook, health.get(&webhook.id));
    list.page(&app.keys, found, limit, |webhook| webhook.id, show).map(Json)
}

/// `GET /api/integrations/webhooks/{id}`
#[utoipa::path(
    get,
    path = "/api/integrations/webhooks/{id}",
    operation_id = "getWebhook",
    tag = "Webhooks",
    summary = "Get a webhook",
    description = "Permission: an admin of the webhook's group.",
    params(WebhookPath),
    responses((
        status = 200,
        description = "The webhook",
        body = WebhookAnswer,
        headers(("ETag" = String, description = "Its version, for `If-Match`")),
    )),
)]
pub(super) async fn get_one(
    caller: Caller,
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
) -> ApiResult<Response> {
    let webhook = find_webhook(&app, &caller, &id, Deleted::Without).await?;
    answer(&app, StatusCode::OK, &webhook, None).await
}

/// `POST /api/integrations/webhooks`: 201; the only answer that shows a new webhook's secret.
#[utoipa::path(
    post,
    path = "/api/integrations/webhooks",
    operation_id = "createWebhook",
    tag = "Webhooks",
    summary = "Create a webhook",
    description = "The answer is the only one that shows the secret: keep it. A group has at most 100 webhooks.\n\n\
        Permission: an admin of the body's `groupId`; for any other group, whether it exists or not, 403.",
    request_body = NewWebhook,
    responses(
        (
            status = 201,
            description = "Created; with its secret",
            body = WebhookAnswer,
            headers(
                ("ETag" = String, description = "Its version, for `If-Match`"),
                ("Location" = String, description = "Its path"),
            ),
        ),
        (status = 403, description = "The caller does not administer this group"),
        (status = 409, description = "The group has as many webhooks as it may have"),
    ),
)]
pub(super) async fn create(caller: Caller, State(app): State<Arc<App>>, body: JsonBody) -> ApiResult<Response> {
    let input: WebhookInput = body.read(&[])?;
    let group = input.group_id.as_deref().filter(|text| !text.is_empty()).map(DocId::parse);
    // First of all: what is wrong with the rest is nothing to someone who may not do it at all.
    if group.as_ref().is_some_and(|group| !caller.administers(group)) {
        return Err(ApiError::foreign_group());
    }
    let (group, checked) = input.check_new(group, &app.targets)?;
    let secret = checked.secret.clone().unwrap_or_else(crate::secrets::generate_signing_secret);
    let webhook = checked.into_webhook(&app.keys, group, &caller.user, &secret, app.clock.now())?;
    let audit = AuditEntry::of_webhook(&webhook, caller.user.clone(), webhook.created_at, AuditAction::WebhookCreated);
    match webhooks::insert(&app.store, &webhook, &audit).await? {
        Inserted::Done => {}
        Inserted::GroupIsFull => {
            let detail = format!("a group has at most {PER_GROUP_MAX} webhooks: delete one first");
            return Err(ApiError::conflict(detail));
        }
    }
    tracing::info!(webhook = %webhook.id, group = %webhook.group_id, "webhook created");
    let mut response = answer(&app, StatusCode::CREATED, &webhook, Some(&secret)).await?;
    if let Ok(location) = HeaderValue::from_str(&format!("/api/integrations/webhooks/{}", webhook.id)) {
        response.headers_mut().insert(header::LOCATION, location);
    }
    response.extensions_mut().insert(OfGroup(webhook.group_id));
    Ok(response)
}

/// `PUT /api/integrations/webhooks/{id}`: fields left out keep their values.
#[utoipa::path(
    put,
    path = "/api/integrations/webhooks/{id}",
    operation_id = "updateWebhook",
    tag = "Webhooks",
    summary = "Change a webhook, rotate its secret",
    description = "Fields that are left out keep their values; what `GET` answers can be sent back with one field changed. \
        `rotateSecret` makes a new secret, shown in this answer alone, and both sign until `finalizeRotation`. \
        A changed `targetUrl` takes the waiting deliveries along.\n\n\
        Permission: an admin of the webhook's group.",
    params(WebhookPath, IfMatch),
    request_body = WebhookChange,
    responses(
        (
            status = 200,
            description = "The webhook as it is now; with the new secret if one was made",
            body = WebhookAnswer,
            headers(("ETag" = String, description = "Its version, for `If-Match`")),
        ),
        (status = 409, description = "A rotation is open already, or none is; or others keep changing this webhook"),
        (status = 412, description = "It was changed since: get it again"),
    ),
)]
pub(super) async fn update(
    caller: Caller,
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: JsonBody,
) -> ApiResult<Response> {
    // Before the body is looked at: a webhook of another group is not there, whatever is sent.
    let mut present = find_webhook(&app, &caller, &id, Deleted::Without).await?;
    let checked = body.read::<WebhookInput>(&answer::READ_ONLY)?.check_change(&present.group_id, &app.targets)?;
    for tries in 1..=CHANGE_TRIES {
        check_if_match(&headers, present.revision)?;
        let Some(change) = Change::plan(&app, &present, &checked, &caller.user)? else {
            return answer(&app, StatusCode::OK, &present, None).await;
        };
        match webhooks::replace(&app.store, &change.webhook, &change.audit).await? {
            Replaced::Done => {
                tracing::info!(webhook = %present.id, revision = change.webhook.revision, "webhook changed");
                return answer(&app, StatusCode::OK, &change.webhook, change.new_secret.as_ref()).await;
            }
            Replaced::ChangedMeanwhile => {
                let_it_settle(tries).await;
                present = find_webhook(&app, &caller, &id, Deleted::Without).await?;
            }
        }
    }
    Err(ApiError::conflict("this webhook keeps being changed by others: try again"))
}

/// `DELETE /api/integrations/webhooks/{id}`: soft. It is gone from lists, nothing is sent any more, its log stays.
#[utoipa::path(
    delete,
    path = "/api/integrations/webhooks/{id}",
    operation_id = "deleteWebhook",
    tag = "Webhooks",
    summary = "Delete a webhook",
    description = "It is gone from lists and nothing is sent any more: what waits ends as `dead-letter`. Its log stays \
        readable.\n\nPermission: an admin of the webhook's group.",
    params(WebhookPath, IfMatch),
    responses(
        (status = 204, description = "Deleted"),
        (status = 409, description = "Others keep changing this webhook"),
        (status = 412, description = "It was changed since: get it again"),
    ),
)]
pub(super) async fn delete(
    caller: Caller,
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> ApiResult<StatusCode> {
    for tries in 1..=CHANGE_TRIES {
        let present = find_webhook(&app, &caller, &id, Deleted::Without).await?;
        check_if_match(&headers, present.revision)?;
        let now = app.clock.now();
        let deleted = Webhook {
            enabled: false,
            deleted_at: Some(now),
            updated_at: now,
            revision: present.revision + 1,
            ..present
        };
        let audit = AuditEntry::of_webhook(&deleted, caller.user.clone(), now, AuditAction::WebhookDeleted);
        if webhooks::replace(&app.store, &deleted, &[audit]).await? == Replaced::Done {
            tracing::info!(webhook = %deleted.id, "webhook deleted");
            return Ok(StatusCode::NO_CONTENT);
        }
        let_it_settle(tries).await;
    }
    Err(ApiError::conflict("this webhook keeps being changed by others: try again"))
}

async fn answer(
    app: &App,
    status: StatusCode,
    webhook: &Webhook,
    new_secret: Option<&SecretString>,
) -> ApiResult<Response> {
    let health = webhooks::health(&app.store, &[webhook.id]).await?;
    let shown = WebhookAnswer::new(app, webhook, health.get(&webhook.id))?.with_secret(new_secret);
    Ok((status, [(header::ETAG, etag(webhook.revision))], Json(shown)).into_response())
}

/// The next version of a webhook, and what to tell about it.
struct Change {
    webhook: Webhook,
    new_secret: Option<SecretString>,
    audit: Vec<AuditEntry>,
}

impl Change {
    /// What `wanted` makes of `present`; `None` if nothing.
    fn plan(app: &App, present: &Webhook, wanted: &Checked, user: &DocId) -> ApiResult<Option<Self>> {
        let now = app.clock.now();
        let mut webhook = present.clone();
        let mut changed = wanted.apply(&app.keys, &mut webhook)?;
        match (present.enabled, webhook.enabled) {
            (true, false) => webhook.disable(DisabledReason::Admin, now),
            (false, true) => webhook.enable(now),
            (true, true) | (false, false) => {}
        }
        if wanted.dismiss_missed && webhook.stops.missed.take().is_some() {
            changed.push("missed");
        }
        let mut actions = Vec::new();
        let mut new_secret = None;
        match wanted.secret_change {
            SecretChange::Keep => {}
            SecretChange::Rotate => {
                let secret = wanted.secret.clone().unwrap_or_else(crate::secrets::generate_signing_secret);
                let id = webhook.id;
                let place = |field| Webhook::sealing_context(id, field);
                rotation::rotate(&app.keys, place, &mut webhook.secret, &secret, now, app.rotation_overlap)?;
                new_secret = Some(secret);
                actions.push(AuditAction::SecretRotated);
            }
            SecretChange::Finalize => {
                rotation::finalize(&mut webhook.secret, now)?;
                actions.push(AuditAction::RotationFinalized);
            }
        }
        if changed.is_empty() && actions.is_empty() {
            return Ok(None);
        }
        webhook.revision += 1;
        webhook.updated_at = now;
        let entry = |action| AuditEntry::of_webhook(present, user.clone(), now, action);
        let mut audit: Vec<_> = actions.into_iter().map(entry).collect();
        if !changed.is_empty() {
            let changed = changed.into_iter().map(str::to_owned).collect();
            audit.push(AuditEntry { changed, ..entry(AuditAction::WebhookUpdated) });
        }
        Ok(Some(Self { webhook, new_secret, audit }))
    }
}
