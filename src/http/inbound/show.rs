//! `GET …/tasks/{externalId}`: a task as the service has it.

use serde_json::{Map, Value as Json, json};

use super::present::stored_tasks;
use crate::http::App;
use crate::http::error::{ApiError, ApiResult};
use crate::model::{DocId, InboundKind};
use crate::store::external_refs;

/// The task that the partner's id names: its ids, and every field by the name that calls give it.
///
/// # Errors
/// 404 if it names nothing, or the service has deleted it.
pub(super) async fn task(app: &App, group: &DocId, external_id: &str) -> ApiResult<Map<String, Json>> {
    let mapping = &app.mapping;
    let named = external_refs::find(&app.store, group, InboundKind::Tasks, std::iter::once(external_id)).await?;
    let id = *named.get(external_id).ok_or_else(|| ApiError::nothing_there("this externalId names no task"))?;
    let found = stored_tasks(app, group, &[id]).await?.remove(&id);
    let stored = found.ok_or_else(|| ApiError::nothing_there("the service has deleted the task of this externalId"))?;
    let values = stored.values.map_err(|misfit| {
        ApiError::conflict(format!("the service stores this task in another form than is known ({misfit})"))
    })?;
    let mut shown = Map::new();
    shown.insert("externalId".to_owned(), json!(external_id));
    shown.insert("id".to_owned(), json!(id.to_hex()));
    shown.insert("groupId".to_owned(), json!(group.to_string()));
    for (field, value) in mapping.task.fields.iter().zip(&values) {
        shown.insert(field.name.clone(), json!(value));
    }
    Ok(shown)
}
