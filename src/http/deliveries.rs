//! A webhook's deliveries: the list, one with its log and body, and the replay of one.

use std::sync::Arc;

use axum::extract::{Path, RawQuery, State};
use axum::http::StatusCode;
use axum::{Extension, Json};
use serde::Serialize;
use utoipa::{IntoParams, ToSchema};

use super::App;
use super::auth::Caller;
use super::error::{ApiError, ApiResult};
use super::idempotency::OfGroup;
use super::page::{ListKey, Page, PageParameters};
use super::query::{Query, show_time};
use super::webhooks::{WebhookPath, find_webhook};
use crate::model::{Attempt, AttemptOutcome, AuditAction, AuditEntry, Delivery, DeliveryStatus, DocId, EventKind};
use crate::store::deliveries::{self, Filter, Place, Replayed};
use crate::store::webhooks::Deleted;

/// A delivery as lists show it.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Delivery)]
pub(super) struct DeliveryAnswer {
    #[schema(example = "dlv_d2g3n8o41q00000a9s1t4v6x8z0b2c4d")]
    id: String,
    #[schema(example = "65a0000000000000000000a1")]
    group_id: String,
    #[schema(example = "65a0000000000000000000b2")]
    webhook_id: String,
    #[schema(example = "evt_d2g3n8o41q00000f5h7j9k1m3p5r7t9v")]
    event_id: String,
    event_type: EventKind,
    #[schema(example = "65a0000000000000000000c3")]
    task_id: String,
    payload_summary: SummaryAnswer,
    status: DeliveryStatus,
    /// Attempts begun so far, over its whole life.
    #[schema(example = 1)]
    attempts: i32,
    #[schema(format = DateTime)]
    created_at: String,
    #[schema(required = true, format = DateTime)]
    last_attempt_at: Option<String>,
    /// When the next attempt is scheduled; null once it is finished.
    #[schema(required = true, format = DateTime)]
    next_attempt_at: Option<String>,
    #[schema(required = true, format = DateTime)]
    delivered_at: Option<String>,
    /// The last attempt's HTTP status, if an answer came.
    #[schema(required = true, example = 200)]
    response_status: Option<i32>,
    /// How long the last attempt took.
    #[schema(required = true, example = 42)]
    duration_ms: Option<i64>,
    /// Why the last attempt failed, or why it was given up.
    #[schema(required = true, example = "HTTP 500")]
    error_message: Option<String>,
}

/// What is shown of the payload: no text of the task.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = PayloadSummary)]
struct SummaryAnswer {
    #[schema(example = "65a0000000000000000000c3")]
    task_id: String,
    /// The task's status after the change.
    #[schema(required = true, example = "Completed")]
    status: Option<String>,
    /// Names of the payload fields that changed.
    #[schema(example = json!(["status"]))]
    changed: Vec<String>,
}

/// One delivery: the item, and what was tried and is sent.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct DeliveryDetail {
    #[serde(flatten)]
    item: DeliveryAnswer,
    /// The attempts, oldest first; the oldest of very many are not kept.
    attempt_log: Vec<AttemptAnswer>,
    /// The exact body that every attempt sends; null once the event is past its retention.
    #[schema(
        required = true,
        example = "{\"id\":\"evt_d2g3n8o41q00000f5h7j9k1m3p5r7t9v\",\"event\":\"task.completed\"}"
    )]
    body: Option<String>,
}

/// One attempt: one POST.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Attempt)]
struct AttemptAnswer {
    /// Its number, from 1, over the delivery's whole life.
    #[schema(example = 1)]
    attempt: i32,
    #[schema(format = DateTime)]
    at: String,
    outcome: AttemptOutcome,
    /// Null where the outcome was lost.
    #[schema(required = true, example = 42)]
    duration_ms: Option<i64>,
    #[schema(required = true, example = 200)]
    response_status: Option<i32>,
    #[schema(required = true, example = "HTTP 500")]
    error_message: Option<String>,
    /// The beginning of a failed answer's body, where the settings keep it.
    #[schema(required = true, example = "no such hook")]
    response_body: Option<String>,
}

/// The answer to a replay.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Replayed)]
pub(super) struct ReplayAnswer {
    #[schema(example = "dlv_d2g3n8o41q00000a9s1t4v6x8z0b2c4d")]
    id: String,
    status: DeliveryStatus,
}

impl From<Attempt> for AttemptAnswer {
    fn from(attempt: Attempt) -> Self {
        Self {
            attempt: attempt.n,
            at: show_time(attempt.at),
            outcome: attempt.outcome,
            duration_ms: attempt.duration_ms,
            response_status: attempt.response_status,
            error_message: attempt.error_message,
            response_body: attempt.response_body,
        }
    }
}

impl From<Delivery> for DeliveryAnswer {
    fn from(row: Delivery) -> Self {
        let task_id = row.task_id.to_string();
        Self {
            id: row.id.to_string(),
            group_id: row.group_id.to_string(),
            webhook_id: row.webhook_id.to_hex(),
            event_id: row.event_id.to_string(),
            event_type: row.event_type,
            payload_summary: SummaryAnswer {
                task_id: task_id.clone(),
                status: row.payload_summary.status,
                changed: row.payload_summary.changed,
            },
            task_id,
            status: row.status,
            attempts: row.attempts,
            created_at: show_time(row.created_at),
            last_attempt_at: row.last_attempt_at.map(show_time),
            next_attempt_at: row.next_attempt_at.filter(|_| row.status.is_open()).map(show_time),
            delivered_at: row.delivered_at.map(show_time),
            response_status: row.response_status,
            duration_ms: row.duration_ms,
            error_message: row.error_message,
        }
    }
}

const PARAMETERS: [&str; 7] = ["status", "eventType", "taskId", "since", "until", "cursor", "limit"];
const STATUSES: [DeliveryStatus; 4] =
    [DeliveryStatus::Queued, DeliveryStatus::Failed, DeliveryStatus::Delivered, DeliveryStatus::DeadLetter];

fn read_filter(query: &mut Query) -> Filter {
    let kinds: Vec<_> = EventKind::ALL.into_iter().chain(EventKind::NOTICES).map(EventKind::name).collect();
    let status = |text: &str| STATUSES.into_iter().find(|status| status.name() == text);
    Filter {
        status: query.one_of("status", &STATUSES.map(DeliveryStatus::name), status),
        event_type: query.one_of("eventType", &kinds, EventKind::from_name),
        task_id: query.text("taskId").map(DocId::parse),
        since: query.time("since"),
        until: query.time("until"),
    }
}

/// The delivery in a path.
#[derive(IntoParams)]
#[into_params(parameter_in = Path, rename_all = "camelCase")]
#[allow(dead_code, reason = "describes the parameter; the handlers take the path apart")]
pub(super) struct DeliveryPath {
    /// The delivery's id.
    #[param(example = "dlv_d2g3n8o41q00000a9s1t4v6x8z0b2c4d")]
    delivery_id: String,
}

/// The filters of the list.
#[derive(IntoParams)]
#[into_params(parameter_in = Query, rename_all = "camelCase")]
#[allow(dead_code, reason = "describes the parameters; `Query` reads them")]
pub(super) struct ListParameters {
    /// Only those in this state.
    status: Option<DeliveryStatus>,
    /// Only those of this kind of event.
    event_type: Option<EventKind>,
    /// Only those of this task.
    task_id: Option<String>,
    /// Only those made at this time or later.
    #[param(format = DateTime)]
    since: Option<String>,
    /// Only those made before this time.
    #[param(format = DateTime)]
    until: Option<String>,
}

/// `GET …/{id}/deliveries`: newest first. The log of a deleted webhook stays readable.
#[utoipa::path(
    get,
    path = "/api/integrations/webhooks/{id}/deliveries",
    operation_id = "listDeliveries",
    tag = "Deliveries",
    summary = "List a webhook's deliveries",
    description = "Newest first. The log of a deleted webhook stays readable.\n\n\
        Permission: an admin of the webhook's group.",
    params(WebhookPath, ListParameters, PageParameters),
    responses((status = 200, description = "One page", body = Page<DeliveryAnswer>)),
)]
pub(super) async fn list(
    caller: Caller,
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    RawQuery(raw): RawQuery,
) -> ApiResult<Json<Page<DeliveryAnswer>>> {
    let webhook = find_webhook(&app, &caller, &id, Deleted::With).await?;
    let mut query = Query::read(raw.as_deref(), &PARAMETERS);
    let filter = read_filter(&mut query);
    let limit = query.limit();
    query.finish()?;
    let filters: Vec<_> = PARAMETERS[..5].iter().map(|name| (*name, query.text(name))).collect();
    let list = ListKey::new(&format!("deliveries/{}", webhook.id), &filters);
    let place = query.text("cursor").map(|cursor| list.open::<Place>(&app.keys, cursor)).transpose()?;
    let found = deliveries::list(&app.store, &webhook, &filter, place.as_ref(), i64::from(limit) + 1).await?;
    let place_of = |row: &Delivery| Place { created_at: row.created_at.timestamp_millis(), id: row.id.clone() };
    list.page(&app.keys, found, limit, place_of, |row| Ok(DeliveryAnswer::from(row))).map(Json)
}

/// `GET …/{id}/deliveries/{deliveryId}`
#[utoipa::path(
    get,
    path = "/api/integrations/webhooks/{id}/deliveries/{deliveryId}",
    operation_id = "getDelivery",
    tag = "Deliveries",
    summary = "Get a delivery with its attempts and body",
    description = "The body is the one that every attempt sends, byte for byte.\n\n\
        Permission: an admin of the webhook's group.",
    params(WebhookPath, DeliveryPath),
    responses((status = 200, description = "The delivery", body = DeliveryDetail)),
)]
pub(super) async fn get_one(
    caller: Caller,
    State(app): State<Arc<App>>,
    Path((id, delivery)): Path<(String, String)>,
) -> ApiResult<Json<DeliveryDetail>> {
    let webhook = find_webhook(&app, &caller, &id, Deleted::With).await?;
    let found = deliveries::find(&app.store, &webhook, &delivery).await?;
    let mut row = found.ok_or_else(|| ApiError::not_found("delivery"))?;
    let body = match row.body.take() {
        Some(body) => Some(body),
        None => deliveries::body_of(&app.store, &row.event_id).await?,
    };
    let attempt_log = std::mem::take(&mut row.log).into_iter().map(AttemptAnswer::from).collect();
    Ok(Json(DeliveryDetail { item: row.into(), attempt_log, body }))
}

/// `POST …/{id}/replay/{deliveryId}`: 202. While the webhook is disabled the delivery waits like any other.
#[utoipa::path(
    post,
    path = "/api/integrations/webhooks/{id}/replay/{deliveryId}",
    operation_id = "replayDelivery",
    tag = "Deliveries",
    summary = "Replay a finished delivery",
    description = "Queues it again, with the same id and body and the whole of the policy's attempts before it. While the \
        webhook is disabled it waits like any other.\n\nPermission: an admin of the webhook's group.",
    params(WebhookPath, DeliveryPath),
    responses(
        (status = 202, description = "Queued", body = ReplayAnswer),
        (status = 409, description = "The delivery is still open, the webhook is deleted, or the event is past its retention"),
    ),
)]
pub(super) async fn replay(
    caller: Caller,
    State(app): State<Arc<App>>,
    Path((id, delivery)): Path<(String, String)>,
) -> ApiResult<(StatusCode, Extension<OfGroup>, Json<ReplayAnswer>)> {
    let webhook = find_webhook(&app, &caller, &id, Deleted::With).await?;
    let now = app.clock.now();
    let audit = AuditEntry {
        delivery_id: Some(delivery.clone().into()),
        ..AuditEntry::of_webhook(&webhook, caller.user, now, AuditAction::DeliveryReplayed)
    };
    match deliveries::replay(&app.store, &webhook, &delivery, now, &audit).await? {
        Replayed::Done => {
            let queued = ReplayAnswer { id: delivery, status: DeliveryStatus::Queued };
            Ok((StatusCode::ACCEPTED, Extension(OfGroup(webhook.group_id)), Json(queued)))
        }
        Replayed::NoSuchDelivery => Err(ApiError::not_found("delivery")),
        Replayed::StillOpen => Err(ApiError::conflict("this delivery is still open: it is going to be tried anyway")),
        Replayed::WebhookDeleted => Err(ApiError::conflict("this webhook is deleted: nothing is sent to it any more")),
        Replayed::EventGone => {
            Err(ApiError::conflict("this delivery's event is past its retention: its body is no longer kept"))
        }
    }
}
