//! Bulk replays and backfills: asked for here, done by an indexer in the background, watched and cancelled here.

mod answer;
mod input;

use std::sync::Arc;

use axum::extract::{Path, RawQuery, State};
use axum::http::StatusCode;
use axum::{Extension, Json};
use bson::{DateTime, oid::ObjectId};
use utoipa::IntoParams;

use self::answer::{ReplayAnswer, StartedAnswer};
use self::input::{BackfillInput, ReplayInput};
use super::App;
use super::auth::Caller;
use super::body::JsonBody;
use super::error::{ApiError, ApiResult};
use super::idempotency::OfGroup;
use super::page::{ListKey, Page, PageParameters};
use super::query::{Query, show_time};
use super::webhooks::{WebhookPath, find_webhook};
use crate::model::{AuditAction, AuditEntry, Replay, ReplayKind, ReplayState, Selection, Webhook};
use crate::store::replays::{self, Count, Started};
use crate::store::webhooks::Deleted;

/// `POST …/{id}/replay`: 202. Those that exist at the request, each once; open ones are left out.
#[utoipa::path(
    post,
    path = "/api/integrations/webhooks/{id}/replay",
    operation_id = "replayDeliveries",
    tag = "Replays",
    summary = "Replay many deliveries",
    description = "Takes dead letters unless told otherwise: those that exist at the request, each once; open ones are left \
        out. It is done in the background, and can be watched and cancelled.\n\nPermission: an admin of the webhook's group.",
    params(WebhookPath),
    request_body = ReplayInput,
    responses(
        (status = 202, description = "Begun; or, of a dry run, counted", body = StartedAnswer),
        (status = 409, description = "One of this webhook is under way"),
    ),
)]
pub(super) async fn replay(
    caller: Caller,
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    body: JsonBody,
) -> ApiResult<Begun> {
    let webhook = find_webhook(&app, &caller, &id, Deleted::Without).await?;
    let input: ReplayInput = body.read(&[])?;
    let dry_run = input.dry_run;
    let selection = input.selection(app.clock.now())?;
    let count = replays::count_deliveries(&app.store, &webhook, &selection).await?;
    begin(&app, caller, &webhook, (ReplayKind::Replay, selection), count, dry_run).await
}

/// `POST …/{id}/backfill`: 202. Deliveries of events of the log that the webhook never got.
#[utoipa::path(
    post,
    path = "/api/integrations/webhooks/{id}/backfill",
    operation_id = "backfillWebhook",
    tag = "Replays",
    summary = "Fetch events that a webhook never got",
    description = "Makes deliveries of the events of the log for which the webhook has none: those from before it was \
        created, or from while it was disabled. Done in the background, as a bulk replay is.\n\n\
        Permission: an admin of the webhook's group.",
    params(WebhookPath),
    request_body = BackfillInput,
    responses(
        (status = 202, description = "Begun; or, of a dry run, counted", body = StartedAnswer),
        (status = 409, description = "One of this webhook is under way"),
    ),
)]
pub(super) async fn backfill(
    caller: Caller,
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    body: JsonBody,
) -> ApiResult<Begun> {
    let webhook = find_webhook(&app, &caller, &id, Deleted::Without).await?;
    let input: BackfillInput = body.read(&[])?;
    let dry_run = input.dry_run;
    let whole_from = replays::deliveries_whole_from(&app.store).await?;
    let selection = input.selection(&webhook, app.clock.now(), whole_from)?;
    let count = replays::count_missing(&app.store, &webhook, &selection).await?;
    begin(&app, caller, &webhook, (ReplayKind::Backfill, selection), count, dry_run).await
}

/// What is answered, and about which group.
type Begun = (StatusCode, Extension<OfGroup>, Json<StartedAnswer>);

async fn begin(
    app: &App,
    caller: Caller,
    webhook: &Webhook,
    (kind, selection): (ReplayKind, Selection),
    Count { count, is_minimum }: Count,
    dry_run: bool,
) -> ApiResult<Begun> {
    let answer = |replay_id| {
        let started = StartedAnswer { count, count_is_minimum: is_minimum, replay_id };
        Ok((StatusCode::ACCEPTED, Extension(OfGroup(webhook.group_id.clone())), Json(started)))
    };
    if dry_run {
        return answer(None);
    }
    let now = app.clock.now();
    let replay = Replay {
        id: ObjectId::new(),
        group_id: webhook.group_id.clone(),
        webhook_id: webhook.id,
        kind,
        selection,
        by: caller.user.clone(),
        requested_at: now,
        status: ReplayState::Running,
        reason: None,
        total: i64::try_from(count).unwrap_or(i64::MAX),
        done: 0,
        skipped: 0,
        last: None,
        lease: None,
        lease_until: None,
        served_at: now,
        finished_at: None,
        expire_at: None,
    };
    let action = match kind {
        ReplayKind::Replay => AuditAction::ReplayStarted,
        ReplayKind::Backfill => AuditAction::BackfillStarted,
    };
    match replays::start(&app.store, &replay, &audit(webhook, caller, now, action, replay.id)).await? {
        Started::Done => {
            tracing::info!(webhook = %webhook.id, replay = %replay.id, kind = kind.name(), count, "bulk work begins");
            answer(Some(replay.id.to_hex()))
        }
        Started::OneIsRunning => {
            let kind = kind.name();
            Err(ApiError::conflict(format!("a {kind} of this webhook is under way: wait for its end, or cancel it")))
        }
        Started::WebhookDeleted => Err(ApiError::not_found("webhook")),
    }
}

fn audit(webhook: &Webhook, caller: Caller, now: DateTime, action: AuditAction, replay: ObjectId) -> AuditEntry {
    AuditEntry { replay_id: Some(replay), ..AuditEntry::of_webhook(webhook, caller.user, now, action) }
}

/// A replay in a path.
#[derive(IntoParams)]
#[into_params(parameter_in = Path, rename_all = "camelCase")]
#[allow(dead_code, reason = "describes the parameter; the handlers take the path apart")]
pub(super) struct ReplayPath {
    /// The replay's or backfill's id.
    #[param(example = "65a0000000000000000000f6")]
    replay_id: String,
}

/// `GET …/{id}/replays`: newest first.
#[utoipa::path(
    get,
    path = "/api/integrations/webhooks/{id}/replays",
    operation_id = "listReplays",
    tag = "Replays",
    summary = "List a webhook's bulk replays and backfills",
    description = "Newest first.\n\nPermission: an admin of the webhook's group.",
    params(WebhookPath, PageParameters),
    responses((status = 200, description = "One page", body = Page<ReplayAnswer>)),
)]
pub(super) async fn list(
    caller: Caller,
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    RawQuery(raw): RawQuery,
) -> ApiResult<Json<Page<ReplayAnswer>>> {
    let webhook = find_webhook(&app, &caller, &id, Deleted::With).await?;
    let mut query = Query::read(raw.as_deref(), &["cursor", "limit"]);
    let limit = query.limit();
    query.finish()?;
    let list = ListKey::new(&format!("replays/{}", webhook.id), &[]);
    let before = query.text("cursor").map(|cursor| list.open::<ObjectId>(&app.keys, cursor)).transpose()?;
    let found = replays::list(&app.store, &webhook, before, i64::from(limit) + 1).await?;
    list.page(&app.keys, found, limit, |replay| replay.id, |replay| Ok(ReplayAnswer::from(replay))).map(Json)
}

/// `GET …/{id}/replays/{replayId}`: how far it is.
#[utoipa::path(
    get,
    path = "/api/integrations/webhooks/{id}/replays/{replayId}",
    operation_id = "getReplay",
    tag = "Replays",
    summary = "Get how far a bulk replay or backfill is",
    description = "Permission: an admin of the webhook's group.",
    params(WebhookPath, ReplayPath),
    responses((status = 200, description = "How far it is", body = ReplayAnswer)),
)]
pub(super) async fn get_one(
    caller: Caller,
    State(app): State<Arc<App>>,
    Path((id, replay)): Path<(String, String)>,
) -> ApiResult<Json<ReplayAnswer>> {
    let webhook = find_webhook(&app, &caller, &id, Deleted::With).await?;
    Ok(Json(find(&app, &webhook, &replay).await?.into()))
}

/// `DELETE …/{id}/replays/{replayId}`: ends it. What was queued by then stays queued.
#[utoipa::path(
    delete,
    path = "/api/integrations/webhooks/{id}/replays/{replayId}",
    operation_id = "cancelReplay",
    tag = "Replays",
    summary = "Cancel a bulk replay or backfill",
    description = "What was queued by then stays queued.\n\nPermission: an admin of the webhook's group.",
    params(WebhookPath, ReplayPath),
    responses(
        (status = 200, description = "How far it came", body = ReplayAnswer),
        (status = 409, description = "It is over already"),
    ),
)]
pub(super) async fn cancel(
    caller: Caller,
    State(app): State<Arc<App>>,
    Path((id, replay)): Path<(String, String)>,
) -> ApiResult<Json<ReplayAnswer>> {
    let webhook = find_webhook(&app, &caller, &id, Deleted::With).await?;
    let replay = find(&app, &webhook, &replay).await?;
    let now = app.clock.now();
    let audit = audit(&webhook, caller, now, AuditAction::ReplayCancelled, replay.id);
    let ended = replays::cancel(&app.store, &replay, now, &audit).await?;
    let ended = ended.ok_or_else(|| ApiError::conflict("it is over already"))?;
    Ok(Json(ended.into()))
}

async fn find(app: &App, webhook: &Webhook, id: &str) -> ApiResult<Replay> {
    let id = ObjectId::parse_str(id).map_err(|_| ApiError::not_found("replay"))?;
    replays::find(&app.store, webhook, id).await?.ok_or_else(|| ApiError::not_found("replay"))
}
