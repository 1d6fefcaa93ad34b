//! Who changed what in a group's integrations.

use std::sync::Arc;

use axum::Json;
use axum::extract::{RawQuery, State};
use serde::Serialize;
use utoipa::ToSchema;

use super::App;
use super::auth::Caller;
use super::error::ApiResult;
use super::page::{ListKey, Page, PageParameters};
use super::query::{Query, show_time};
use super::settings::GroupParameter;
use crate::model::{AuditAction, AuditEntry, DisabledReason};
use crate::store::audit;

/// One change.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = AuditEntry)]
pub(super) struct AuditAnswer {
    #[schema(example = "65a0000000000000000000e5")]
    id: String,
    #[schema(example = "65a0000000000000000000a1")]
    group_id: String,
    /// Its number in the group: 1, 2, 3 … without holes.
    #[schema(minimum = 1, example = 4)]
    sequence: i64,
    #[schema(format = DateTime)]
    at: String,
    /// The user, or `system`: Taskwire itself.
    #[schema(example = "65a0000000000000000000d4")]
    actor_id: String,
    action: AuditAction,
    #[schema(required = true, example = "65a0000000000000000000b2")]
    webhook_id: Option<String>,
    #[schema(required = true, example = json!(null))]
    delivery_id: Option<String>,
    /// The bulk replay or backfill.
    #[schema(required = true, example = json!(null))]
    replay_id: Option<String>,
    /// Why Taskwire disabled it.
    #[schema(required = true)]
    reason: Option<DisabledReason>,
    /// Names of the fields that were changed.
    #[schema(example = json!(["targetUrl"]))]
    changed: Vec<String>,
}

impl From<AuditEntry> for AuditAnswer {
    fn from(entry: AuditEntry) -> Self {
        Self {
            id: entry.id.to_hex(),
            group_id: entry.group_id.to_string(),
            sequence: entry.sequence,
            at: show_time(entry.at),
            actor_id: entry.actor_id.to_string(),
            action: entry.action,
            webhook_id: entry.webhook_id.map(|id| id.to_hex()),
            delivery_id: entry.delivery_id.map(|id| id.to_string()),
            replay_id: entry.replay_id.map(|id| id.to_hex()),
            reason: entry.reason,
            changed: entry.changed,
        }
    }
}

/// `GET /api/integrations/audit`
#[utoipa::path(
    get,
    path = "/api/integrations/audit",
    operation_id = "listAudit",
    tag = "Settings",
    summary = "List who changed what",
    description = "Newest first. Entries are never changed, and hold no secret.\n\nPermission: an admin of `groupId`.",
    params(GroupParameter, PageParameters),
    responses((status = 200, description = "One page", body = Page<AuditAnswer>)),
)]
pub(super) async fn list(
    caller: Caller,
    State(app): State<Arc<App>>,
    RawQuery(raw): RawQuery,
) -> ApiResult<Json<Page<AuditAnswer>>> {
    let mut query = Query::read(raw.as_deref(), &["groupId", "cursor", "limit"]);
    let limit = query.limit();
    let group = caller.only_group(&mut query)?;
    let list = ListKey::new(&format!("audit/{group}"), &[]);
    let before = query.text("cursor").map(|cursor| list.open::<i64>(&app.keys, cursor)).transpose()?;
    let found = audit::list(&app.store, &group, before, i64::from(limit) + 1).await?;
    list.page(&app.keys, found, limit, |entry| entry.sequence, |entry| Ok(entry.into())).map(Json)
}
