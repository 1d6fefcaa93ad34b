//! The groups that the caller administers, by name.

use std::sync::Arc;

use axum::Json;
use axum::extract::{RawQuery, State};
use bson::{Bson, Document, doc};
use futures::TryStreamExt;
use serde::Serialize;
use utoipa::ToSchema;

use super::App;
use super::auth::Caller;
use super::error::ApiResult;
use super::group_admins::{READ_MAX, group_id};
use super::query::Query;
use crate::mapping::GroupShape;

/// How many groups are listed.
const LISTED_MAX: usize = 200;

/// One group.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Group)]
pub(super) struct GroupAnswer {
    #[schema(example = "65a0000000000000000000a1")]
    id: String,
    /// Its name in the task service, as it stands there: plain text, never HTML. Null where the service keeps none.
    #[schema(required = true, example = "Household")]
    name: Option<String>,
}

/// The caller's groups: a list in one page.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Groups {
    #[schema(max_items = 200)]
    items: Vec<GroupAnswer>,
    /// Always null: there is one page.
    #[schema(required = true, value_type = Option<String>, example = json!(null))]
    next_cursor: Option<String>,
}

/// `GET /api/integrations/groups`
#[utoipa::path(
    get,
    path = "/api/integrations/groups",
    operation_id = "listGroups",
    tag = "Groups",
    summary = "List the groups that one administers",
    description = "By name, without regard to case; those without a name come last. Of somebody who administers more than \
        200, the first 200.\n\nPermission: anybody with a token; who administers no group gets an empty list.",
    responses((status = 200, description = "The groups", body = Groups)),
)]
pub(super) async fn list(
    caller: Caller,
    State(app): State<Arc<App>>,
    RawQuery(raw): RawQuery,
) -> ApiResult<Json<Groups>> {
    Query::read(raw.as_deref(), &[]).finish()?;
    let mut items = named(&app, &caller).await?;
    items.sort_by_cached_key(|group| {
        (group.name.is_none(), group.name.as_deref().map(str::to_lowercase), group.id.clone())
    });
    items.truncate(LISTED_MAX);
    Ok(Json(Groups { items, next_cursor: None }))
}

/// The caller's groups with their names.
///
/// Which groups these are, the caller brings along, so this list and every other route agree on it. That look-up, remembered
/// for a few seconds, is the expensive part: the collection is the service's, no index is made here, and where the service
/// has none on its members' ids it reads all groups. What is asked here is over `_id` alone: one fetch for each of the
/// caller's groups. The order is made here, because the server's without regard to case (a collation) would compare ids so too.
async fn named(app: &App, caller: &Caller) -> ApiResult<Vec<GroupAnswer>> {
    if caller.groups.is_empty() {
        return Ok(Vec::new());
    }
    let shape = &app.mapping.groups;
    let ids: Vec<Bson> = caller.groups.iter().cloned().map(Bson::from).collect();
    let mut fields = doc! { "_id": 1 };
    if let Some(path) = &shape.name {
        fields.insert(path, 1);
    }
    let groups = app.store.collection::<Document>(&shape.collection);
    let found = groups.find(doc! { "_id": { "$in": ids } }).projection(fields).max_time(READ_MAX).await?;
    let found: Vec<Document> = found.try_collect().await?;
    Ok(found.iter().filter_map(|group| answer(group, shape)).collect())
}

fn answer(group: &Document, shape: &GroupShape) -> Option<GroupAnswer> {
    let id = group_id(group.get("_id")?)?;
    let name = shape.name.as_deref().and_then(|path| text_at(group, path)).filter(|name| !name.trim().is_empty());
    Some(GroupAnswer { id: id.to_string(), name: name.map(str::to_owned) })
}

/// The text at a dotted path.
fn text_at<'a>(document: &'a Document, path: &str) -> Option<&'a str> {
    match path.split_once('.') {
        None => document.get_str(path).ok(),
        Some((first, rest)) => text_at(document.get_document(first).ok()?, rest),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_read_at_its_path_and_what_is_no_text_is_none() {
        let group = doc! { "name": "a", "about": { "title": { "text": "b" } }, "count": 3 };
        let at = |path| text_at(&group, path);
        assert_eq!([at("name"), at("about.title.text")], [Some("a"), Some("b")]);
        assert_eq!([at("count"), at("about"), at("about.title.none"), at("name.text"), at("")], [None; 5]);
    }
}
