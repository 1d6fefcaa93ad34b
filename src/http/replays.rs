//! Bulk replays and backfills: asked for here, done by an indexer in the background, watched and cancelled here.

use std::sync::Arc;

use axum::extract::{Path, RawQuery, State};
use axum::http::StatusCode;
use axum::{Extension, Json};
use bson::{DateTime, oid::ObjectId};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::App;
use super::auth::Caller;
use super::body::{JsonBody, given};
use super::error::{ApiError, ApiResult, FieldError};
use super::idempotency::OfGroup;
use super::page::{ListKey, Page, PageParameters};
use super::query::{Query, read_time, show_time};
use super::webhooks::{WebhookPath, find_webhook};
use crate::model::{
    AuditAction, AuditEntry, DeliveryStatus, EventKind, Replay, ReplayKind, ReplayState, Selection, Webhook,
};
use crate::store::replays::{self, Count, Started};
use crate::store::webhooks::Deleted;

/// How many kinds of events may be named.
const KINDS_MAX: usize = 100;

/// What a bulk replay takes.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = BulkReplay)]
pub(super) struct ReplayInput {
    /// `dead-letter` (the default) or `delivered`.
    #[serde(default, deserialize_with = "given")]
    #[schema(nullable = false, pattern = "^(dead-letter|delivered)$", example = "dead-letter")]
    status: Option<String>,
    #[serde(default, deserialize_with = "given")]
    #[schema(nullable = false, value_type = Option<Vec<EventKind>>, max_items = 100)]
    event_types: Option<Vec<String>>,
    /// Deliveries made at this time or later, in RFC 3339.
    #[serde(default, deserialize_with = "given")]
    #[schema(nullable = false, format = DateTime)]
    since: Option<String>,
    /// Deliveries made before this time.
    #[serde(default, deserialize_with = "given")]
    #[schema(nullable = false, format = DateTime, example = "2025-12-16T12:34:56.123Z")]
    until: Option<String>,
    /// Only count.
    #[serde(default)]
    #[schema(example = false)]
    dry_run: bool,
}

/// What a backfill takes.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Backfill)]
pub(super) struct BackfillInput {
    /// Events of this time or later, in RFC 3339; must be given.
    #[serde(default, deserialize_with = "given")]
    #[schema(nullable = false, format = DateTime, required = true)]
    since: Option<String>,
    /// Events before this time; the present, if not given.
    #[serde(default, deserialize_with = "given")]
    #[schema(nullable = false, format = DateTime, example = "2025-12-16T12:34:56.123Z")]
    until: Option<String>,
    /// What the webhook asks for now, if not given.
    #[serde(default, deserialize_with = "given")]
    #[schema(nullable = false, value_type = Option<Vec<EventKind>>, max_items = 100)]
    event_types: Option<Vec<String>>,
    /// Only count.
    #[serde(default)]
    #[schema(example = false)]
    dry_run: bool,
}

/// What was begun, or would be.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = ReplayStarted)]
pub(super) struct StartedAnswer {
    /// How many deliveries it queues.
    #[schema(example = 17)]
    count: u64,
    /// Whether there are more, which took too long to count.
    count_is_minimum: bool,
    /// Under which it can be watched; null for a dry run.
    #[schema(required = true, example = "65a0000000000000000000f6")]
    replay_id: Option<String>,
}

/// A bulk replay or backfill.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Replay)]
pub(super) struct ReplayAnswer {
    #[schema(example = "65a0000000000000000000f6")]
    id: String,
    #[schema(example = "65a0000000000000000000a1")]
    group_id: String,
    #[schema(example = "65a0000000000000000000b2")]
    webhook_id: String,
    kind: ReplayKind,
    status: ReplayState,
    /// Why it failed.
    #[schema(required = true, example = json!(null))]
    reason: Option<String>,
    /// How many there were at the request.
    #[schema(example = 17)]
    total: i64,
    /// Deliveries queued so far.
    #[schema(example = 12)]
    done: i64,
    /// Left out so far: open by then, there already, or without an event any more.
    #[schema(example = 1)]
    skipped: i64,
    /// Of a replay: what became of the deliveries before.
    #[schema(required = true)]
    delivery_status: Option<DeliveryStatus>,
    /// Which kinds; none named: all.
    event_types: Vec<EventKind>,
    #[schema(required = true, format = DateTime)]
    since: Option<String>,
    #[schema(format = DateTime)]
    until: String,
    /// The user who asked for it.
    #[schema(example = "65a0000000000000000000d4")]
    requested_by: String,
    #[schema(format = DateTime)]
    created_at: String,
    #[schema(required = true, format = DateTime)]
    finished_at: Option<String>,
}

impl From<Replay> for ReplayAnswer {
    fn from(replay: Replay) -> Self {
        Self {
            id: replay.id.to_hex(),
            group_id: replay.group_id.to_string(),
            webhook_id: replay.webhook_id.to_hex(),
            kind: replay.kind,
            status: replay.status,
            reason: replay.reason,
            total: replay.total,
            done: replay.done,
            skipped: replay.skipped,
            delivery_status: (replay.kind == ReplayKind::Replay).then_some(replay.selection.status),
            event_types: replay.selection.event_types,
            since: replay.selection.since.map(show_time),
            until: show_time(replay.selection.until),
            requested_by: replay.by.to_string(),
            created_at: show_time(replay.requested_at),
            finished_at: replay.finished_at.map(show_time),
        }
    }
}

/// Reads the fields of both, collecting what is wrong with them.
struct Reader {
    now: DateTime,
    errors: Vec<FieldError>,
}

impl Reader {
    fn fault(&mut self, field: &str, message: impl Into<String>) {
        self.errors.push(FieldError::new(field, message));
    }

    fn time(&mut self, field: &str, text: Option<&str>) -> Option<DateTime> {
        let time = read_time(text?);
        if time.is_none() {
            self.fault(field, "is no time in RFC 3339, such as 2026-01-31T12:00:00Z");
        }
        time
    }

    /// From when to when; never into the time after the request.
    fn range(&mut self, since: Option<&str>, until: Option<&str>) -> (Option<DateTime>, DateTime) {
        let (since, until) = (self.time("since", since), self.time("until", until));
        let until = until.map_or(self.now, |until| until.min(self.now));
        if since.is_some_and(|since| since >= until) {
            self.fault("since", "is not before until, or not past");
        }
        (since, until)
    }

    fn kinds(&mut self, names: Option<Vec<String>>) -> Vec<EventKind> {
        let names = names.unwrap_or_default();
        if names.len() > KINDS_MAX {
            self.fault("eventTypes", format!("must have at most {KINDS_MAX} entries"));
        }
        let mut kinds = Vec::new();
        for (at, name) in names.into_iter().enumerate().take(KINDS_MAX) {
            match EventKind::from_name(&name) {
                Some(kind) if !kinds.contains(&kind) => kinds.push(kind),
                Some(_) => {}
                None => {
                    let known = EventKind::ALL.map(EventKind::name).join(", ");
                    self.fault(&format!("eventTypes[{at}]"), format!("is none of: {known}"));
                }
            }
        }
        kinds
    }

    fn finish<T>(self, value: T) -> ApiResult<T> {
        if self.errors.is_empty() { Ok(value) } else { Err(ApiError::invalid(self.errors)) }
    }
}

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
    let now = app.clock.now();
    let mut reader = Reader { now, errors: Vec::new() };
    let status = match input.status.as_deref() {
        None | Some("dead-letter") => DeliveryStatus::DeadLetter,
        Some("delivered") => DeliveryStatus::Delivered,
        Some(_) => {
            reader.fault("status", "is none of: dead-letter, delivered (what is queued or failed is tried anyway)");
            DeliveryStatus::DeadLetter
        }
    };
    let (since, until) = reader.range(input.since.as_deref(), input.until.as_deref());
    let event_types = reader.kinds(input.event_types);
    let selection = reader.finish(Selection { status, event_types, since, until, without_echoes: false })?;
    let count = replays::count_deliveries(&app.store, &webhook, &selection).await?;
    begin(&app, caller, &webhook, (ReplayKind::Replay, selection), count, input.dry_run).await
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
    let mut reader = Reader { now: app.clock.now(), errors: Vec::new() };
    let (since, until) = reader.range(input.since.as_deref(), input.until.as_deref());
    if input.since.is_none() {
        reader.fault("since", "must be given");
    }
    let mut event_types = reader.kinds(input.event_types);
    if let (Some(since), Some(from)) = (since, replays::deliveries_whole_from(&app.store).await?)
        && since < from
        && until > webhook.created_at
        && webhook.created_at < from
    {
        let from = show_time(from);
        reader.fault(
            "since",
            format!("reaches back to where deliveries were sent and removed since: name {from} or later"),
        );
    }
    if event_types.is_empty() {
        event_types = EventKind::ALL.into_iter().filter(|kind| webhook.events.wants(*kind)).collect();
    }
    if event_types.is_empty() {
        reader.fault("eventTypes", "must be given: the webhook asks for no events");
    }
    let (status, without_echoes) = (DeliveryStatus::Queued, webhook.skip_inbound_echoes);
    let selection = reader.finish(Selection { status, event_types, since, until, without_echoes })?;
    let count = replays::count_missing(&app.store, &webhook, &selection).await?;
    begin(&app, caller, &webhook, (ReplayKind::Backfill, selection), count, input.dry_run).await
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
