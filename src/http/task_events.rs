//! The event log of a group, and the trace of one event: which webhooks got it, which did not, and why.

use std::collections::HashMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, RawQuery, State};
use bson::oid::ObjectId;
use serde::Serialize;
use utoipa::{IntoParams, ToSchema};

use super::App;
use super::auth::Caller;
use super::error::{ApiError, ApiResult};
use super::page::{ListKey, Page, PageParameters};
use super::query::{Query, show_time};
use crate::model::{
    Delivery, DeliveryId, DeliveryStatus, DocId, EventId, EventKind, NotSent, StreamTime, TaskEvent, Version, Webhook,
};
use crate::store::task_events::{self, Filter};
use crate::store::{deliveries, versions, webhooks};

/// An event as the log shows it.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = TaskEvent)]
pub(super) struct EventAnswer {
    #[schema(example = "evt_d2g3n8o41q00000f5h7j9k1m3p5r7t9v")]
    id: String,
    #[schema(example = "65a0000000000000000000a1")]
    group_id: String,
    #[schema(example = "65a0000000000000000000c3")]
    task_id: String,
    event_type: EventKind,
    /// The change's own time.
    #[schema(format = DateTime)]
    timestamp: String,
    /// This task's event count.
    #[schema(example = 7)]
    sequence: i64,
    /// Who made the change, where it is known.
    #[schema(required = true, example = "65a0000000000000000000d4")]
    actor_id: Option<String>,
    /// The task's status after the change.
    #[schema(required = true, example = "Completed")]
    status: Option<String>,
    /// Names of the fields that changed.
    #[schema(example = json!(["status"]))]
    changed: Vec<String>,
    /// It came in through the inbound endpoint.
    echo: bool,
    /// An operator had muted the group: it was sent to nobody.
    muted: bool,
    /// It was found while recovering a gap.
    recovered: bool,
}

impl From<TaskEvent> for EventAnswer {
    fn from(event: TaskEvent) -> Self {
        Self {
            id: event.id.to_string(),
            group_id: event.group_id.to_string(),
            task_id: event.task_id.to_string(),
            event_type: event.event,
            timestamp: show_time(event.at),
            sequence: event.sequence,
            actor_id: event.actor_id,
            status: event.summary.status,
            changed: event.summary.changed,
            echo: event.echo,
            muted: event.muted,
            recovered: event.recovered,
        }
    }
}

/// What became of an event for one webhook.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) enum TraceOutcome {
    Delivered,
    Queued,
    Failed,
    DeadLetter,
    /// `reason` says why.
    NotSent,
    /// It was for this webhook, and its delivery is past its retention.
    Expired,
}

impl From<DeliveryStatus> for TraceOutcome {
    fn from(status: DeliveryStatus) -> Self {
        match status {
            DeliveryStatus::Delivered => Self::Delivered,
            DeliveryStatus::Queued => Self::Queued,
            DeliveryStatus::Failed => Self::Failed,
            DeliveryStatus::DeadLetter => Self::DeadLetter,
        }
    }
}

/// One webhook in a trace.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct TraceItem {
    #[schema(example = "65a0000000000000000000b2")]
    webhook_id: String,
    #[schema(example = "Our chat")]
    webhook_name: String,
    /// Whether it is deleted now.
    deleted: bool,
    outcome: TraceOutcome,
    /// Why it was not sent.
    #[schema(required = true)]
    reason: Option<NotSent>,
    #[schema(required = true, example = "dlv_d2g3n8o41q00000a9s1t4v6x8z0b2c4d")]
    delivery_id: Option<String>,
    #[schema(required = true, example = 1)]
    attempts: Option<i32>,
    #[schema(required = true, example = 200)]
    response_status: Option<i32>,
    #[schema(required = true, example = json!(null))]
    error_message: Option<String>,
}

/// An event and what became of it.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Trace)]
pub(super) struct TraceAnswer {
    event: EventAnswer,
    /// One for each webhook that the group has or had, newest first; 1,000 at most.
    items: Vec<TraceItem>,
    /// How many older webhooks are left out.
    #[schema(example = 0)]
    items_left_out: u64,
}

const PARAMETERS: [&str; 7] = ["groupId", "taskId", "eventType", "since", "until", "cursor", "limit"];

/// Which events a list shows.
#[derive(IntoParams)]
#[into_params(parameter_in = Query, rename_all = "camelCase")]
#[allow(dead_code, reason = "describes the parameters; `Query` reads them")]
struct ListParameters {
    /// Only those of this group; left out: of every group that the caller administers.
    group_id: Option<String>,
    /// Only those of this task.
    task_id: Option<String>,
    /// Only those of this kind.
    event_type: Option<EventKind>,
    /// Only those of this time or later.
    #[param(format = DateTime)]
    since: Option<String>,
    /// Only those before this time.
    #[param(format = DateTime)]
    until: Option<String>,
}

/// An event in a path.
#[derive(IntoParams)]
#[into_params(parameter_in = Path, rename_all = "camelCase")]
#[allow(dead_code, reason = "describes the parameter; the handler takes the path apart")]
struct EventPath {
    /// The event's id.
    #[param(example = "evt_d2g3n8o41q00000f5h7j9k1m3p5r7t9v")]
    event_id: String,
}

/// `GET /api/integrations/task-events`: newest first, of the group asked for, or of all that the caller administers.
#[utoipa::path(
    get,
    path = "/api/integrations/task-events",
    operation_id = "listTaskEvents",
    tag = "Events",
    summary = "List the events of tasks",
    description = "The event log, newest first.\n\n\
        Permission: an admin of `groupId`; without it, everybody sees those of the groups they administer.",
    params(ListParameters, PageParameters),
    responses((status = 200, description = "One page", body = Page<EventAnswer>)),
)]
pub(super) async fn list(
    caller: Caller,
    State(app): State<Arc<App>>,
    RawQuery(raw): RawQuery,
) -> ApiResult<Json<Page<EventAnswer>>> {
    let mut query = Query::read(raw.as_deref(), &PARAMETERS);
    let filter = Filter {
        task_id: query.text("taskId").map(DocId::parse),
        event_type: query.one_of("eventType", &EventKind::ALL.map(EventKind::name), EventKind::from_name),
        since: query.time("since"),
        until: query.time("until"),
    };
    let limit = query.limit();
    query.finish()?;
    let groups = caller.scope(query.text("groupId"))?;
    let filters: Vec<_> = PARAMETERS[..5].iter().map(|name| (*name, query.text(name))).collect();
    let list = ListKey::new("task-events", &filters);
    let before = query.text("cursor").map(|cursor| list.open::<EventId>(&app.keys, cursor)).transpose()?;
    let found = task_events::list(&app.store, &groups, &filter, before.as_ref(), i64::from(limit) + 1).await?;
    list.page(&app.keys, found, limit, |event| event.id.clone(), |event| Ok(EventAnswer::from(event))).map(Json)
}

/// `GET /api/integrations/task-events/{eventId}/trace`
#[utoipa::path(
    get,
    path = "/api/integrations/task-events/{eventId}/trace",
    operation_id = "traceTaskEvent",
    tag = "Events",
    summary = "Trace an event",
    description = "For each webhook of the group, the newest 1,000: what became of the event, and why.\n\n\
        Permission: an admin of the event's group.",
    params(EventPath),
    responses((status = 200, description = "The event and what became of it", body = TraceAnswer)),
)]
pub(super) async fn trace(
    caller: Caller,
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
) -> ApiResult<Json<TraceAnswer>> {
    let found = task_events::find(&app.store, &caller.groups, &id).await?;
    let event = found.ok_or_else(|| ApiError::not_found("event"))?;
    let (webhooks, items_left_out) = webhooks::all_of_group(&app.store, &event.group_id).await?;
    let ids: Vec<ObjectId> = webhooks.iter().map(|webhook| webhook.id).collect();
    let keys: Vec<DeliveryId> = ids.iter().map(|webhook| DeliveryId::derive(&event.id, *webhook)).collect();
    let rows = deliveries::with_ids(&app.store, &event.group_id, &keys).await?;
    let mut rows: HashMap<ObjectId, Delivery> = rows.into_iter().map(|row| (row.webhook_id, row)).collect();
    let then = versions::as_of(&app.store, &ids, StreamTime::new(event.cluster_time, StreamTime::END)).await?;
    let items = webhooks.iter().map(|webhook| item(webhook, rows.remove(&webhook.id), then.get(&webhook.id), &event));
    let items = items.collect();
    Ok(Json(TraceAnswer { event: event.into(), items, items_left_out }))
}

fn item(webhook: &Webhook, row: Option<Delivery>, then: Option<&Version>, event: &TaskEvent) -> TraceItem {
    let (outcome, reason) = match &row {
        Some(row) => (row.status.into(), None),
        None => match why_not(then, event) {
            Some(reason) => (TraceOutcome::NotSent, Some(reason)),
            None => (TraceOutcome::Expired, None),
        },
    };
    TraceItem {
        webhook_id: webhook.id.to_hex(),
        webhook_name: webhook.name.clone(),
        deleted: webhook.deleted_at.is_some(),
        outcome,
        reason,
        delivery_id: row.as_ref().map(|row| row.id.to_string()),
        attempts: row.as_ref().map(|row| row.attempts),
        response_status: row.as_ref().and_then(|row| row.response_status),
        error_message: row.and_then(|row| row.error_message),
    }
}

/// What fan-out found, by the same functions. A webhook without a version of then came into the stream later.
fn why_not(then: Option<&Version>, event: &TaskEvent) -> Option<NotSent> {
    let Some(then) = then else { return Some(NotSent::CreatedLater) };
    if event.muted {
        return Some(NotSent::Muted);
    }
    then.refuses(event.event, event.echo)
}
