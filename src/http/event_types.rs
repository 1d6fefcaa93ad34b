//! The catalogue of what partners may receive.

use std::sync::Arc;

use axum::Json;
use axum::extract::{RawQuery, State};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::App;
use super::auth::Caller;
use super::error::ApiResult;
use super::query::Query;
use crate::catalogue::{self, BodyKind, Entry};
use crate::model::EventKind;

/// One type of event.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = EventType)]
pub(super) struct EventTypeAnswer {
    /// Its name: the body's `event`, and `X-Event`.
    #[schema(example = "task.completed")]
    event_type: &'static str,
    category: Category,
    /// The switch of a webhook's `events` that lets it through; null for what is no task's.
    #[schema(required = true, example = "taskCompleted")]
    filter_key: Option<&'static str>,
    /// What it means.
    #[schema(example = "A task was completed: its status became so, approved or not.")]
    description: &'static str,
    /// The JSON Schema (draft 2020-12) of its body.
    #[schema(value_type = Object, example = json!({"type": "object", "required": ["id", "event"]}))]
    schema: Value,
    /// A body that fits it.
    #[schema(value_type = Object, example = json!({"id": "evt_d2g3n8o41q00000f5h7j9k1m3p5r7t9v", "event": "task.completed"}))]
    sample: Value,
}

/// Whom it goes to: task events to webhooks, notices to the group's alert address, tests where they were asked for.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = EventCategory)]
enum Category {
    Task,
    Notice,
    Test,
}

/// The catalogue: a list in one page.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct EventTypes {
    items: Vec<EventTypeAnswer>,
    /// Always null: there is one page.
    #[schema(required = true, value_type = Option<String>, example = json!(null))]
    next_cursor: Option<String>,
}

impl From<Entry> for EventTypeAnswer {
    fn from(entry: Entry) -> Self {
        let (category, filter_key) = match entry.kind {
            BodyKind::Test => (Category::Test, None),
            BodyKind::Event(kind) if EventKind::NOTICES.contains(&kind) => (Category::Notice, None),
            BodyKind::Event(kind) => (Category::Task, kind.filter_key()),
        };
        Self {
            event_type: entry.kind.name(),
            category,
            filter_key,
            description: entry.kind.meaning(),
            schema: entry.schema,
            sample: entry.sample,
        }
    }
}

/// `GET /api/integrations/event-types`
#[utoipa::path(
    get,
    path = "/api/integrations/event-types",
    operation_id = "listEventTypes",
    tag = "Events",
    summary = "List the types of events",
    description = "What each means, the JSON Schema that its bodies keep to in this installation, and a sample.\n\n\
        Permission: anybody with a token.",
    responses((status = 200, description = "All of them", body = EventTypes)),
)]
pub(super) async fn list(
    _: Caller,
    State(app): State<Arc<App>>,
    RawQuery(raw): RawQuery,
) -> ApiResult<Json<EventTypes>> {
    Query::read(raw.as_deref(), &[]).finish()?;
    let items = catalogue::entries(&app.mapping).into_iter().map(EventTypeAnswer::from).collect();
    Ok(Json(EventTypes { items, next_cursor: None }))
}
