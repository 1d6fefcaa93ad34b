//! Looking up what stands, as far as a call is about it: a few queries, however many items it has.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use bson::{Bson, Document, RawDocumentBuf, doc, oid::ObjectId};
use futures::TryStreamExt;
use mongodb::options::{Collation, CollationStrength};

use super::categories::{CategoryInput, PresentCategories};
use super::door::Pass;
use super::plan::{Present, Stored, doc_id};
use super::task_input::{Target, TaskInput};
use crate::http::App;
use crate::http::error::{ApiError, ApiResult};
use crate::mapping::{CategoryWriter, GroupShape, TemplateShape, WriterShape};
use crate::model::{DocId, InboundKind};
use crate::store::{external_refs, inbound_writes};

/// How long a read may take.
const READ_MAX: Duration = Duration::from_secs(10);

/// What a call's tasks are about.
///
/// # Errors
/// 409 where the integration's user administers the group no more; the driver's.
pub(super) async fn tasks(app: &App, pass: &Pass, shape: &WriterShape, inputs: &[TaskInput]) -> ApiResult<Present> {
    let mapping = &app.mapping;
    let externals = inputs.iter().filter_map(|input| input.target.external());
    let template = mapping.field("templateId");
    let templates: Vec<DocId> = inputs.iter().filter_map(|input| doc_id(input.carried(template)?)).collect();
    let (refs, members, templates) = tokio::try_join!(
        async { Ok(external_refs::find(&app.store, &pass.group, InboundKind::Tasks, externals).await?) },
        members(app, pass, &mapping.groups),
        usable_templates(app, &pass.group, &shape.templates, templates),
    )?;
    let own = inputs.iter().filter_map(|input| match input.target {
        Target::Own(id) => Some(id),
        Target::External(_) => None,
    });
    let ids: Vec<ObjectId> = refs.values().copied().chain(own).collect();
    let tasks = stored_tasks(app, &pass.group, &ids).await?;
    Ok(Present { refs, tasks, members, templates })
}

/// The group's tasks of these ids, whole.
///
/// # Errors
/// The driver's.
pub(super) async fn stored_tasks(app: &App, group: &DocId, ids: &[ObjectId]) -> ApiResult<HashMap<ObjectId, Stored>> {
    let mapping = &app.mapping;
    let mut tasks = HashMap::new();
    if ids.is_empty() {
        return Ok(tasks);
    }
    let filter = doc! { "_id": { "$in": ids.to_vec() }, &mapping.task.group: group.clone() };
    let collection = app.store.collection::<RawDocumentBuf>(&mapping.task.collection);
    let mut found = collection.find(filter).max_time(READ_MAX).await?;
    while let Some(raw) = found.try_next().await? {
        let document = Document::try_from(&*raw).map_err(|error| {
            tracing::error!(%error, "a stored task is broken BSON");
            ApiError::internal()
        })?;
        if let Ok(id) = raw.get_object_id("_id") {
            let values = mapping.read_task(&raw).map(|state| state.values);
            tasks.insert(id, Stored { document, values });
        }
    }
    Ok(tasks)
}

/// The group's members, after checking that the integration's user is still an admin among them.
async fn members(app: &App, pass: &Pass, shape: &GroupShape) -> ApiResult<HashSet<DocId>> {
    let groups = app.store.collection::<Document>(&shape.collection);
    let found = groups.find_one(doc! { "_id": pass.group.clone() }).projection(doc! { &shape.members: 1 });
    let group = found.max_time(READ_MAX).await?;
    let members = group.as_ref().and_then(|group| group.get_array(&shape.members).ok());
    let members: Vec<_> = members.into_iter().flatten().filter_map(|member| member_of(member, shape)).collect();
    let user = &pass.integration.user_id;
    if !members.iter().any(|(member, is_admin)| *is_admin && member == user) {
        let detail = "the user in whose name this integration writes no longer administers the group: an admin of the \
                      group must PUT another userId to its settings";
        return Err(ApiError::conflict(detail));
    }
    Ok(members.into_iter().map(|(member, _)| member).collect())
}

/// A member's id, and whether it is an admin.
fn member_of(member: &Bson, shape: &GroupShape) -> Option<(DocId, bool)> {
    let member = member.as_document()?;
    let id = match member.get(&shape.user)? {
        Bson::ObjectId(oid) => DocId::Oid(*oid),
        Bson::String(text) => DocId::parse(text),
        _ => return None,
    };
    let role = member.get_str(&shape.role).unwrap_or_default();
    Some((id, shape.admin_roles.iter().any(|admin| admin.to_lowercase() == role.to_lowercase())))
}

/// Which of these templates the group may use: its own and the system's, if they are not deleted.
async fn usable_templates(
    app: &App,
    group: &DocId,
    shape: &TemplateShape,
    ids: Vec<DocId>,
) -> ApiResult<HashSet<DocId>> {
    if ids.is_empty() {
        return Ok(HashSet::new());
    }
    let ids: Vec<Bson> = ids.into_iter().map(Bson::from).collect();
    let filter = doc! {
        "_id": { "$in": ids }, &shape.deleted: { "$ne": true },
        &shape.group: { "$in": [Bson::from(group.clone()), Bson::Null] },
    };
    let templates = app.store.collection::<Document>(&shape.collection);
    let found = templates.find(filter).projection(doc! { "_id": 1 }).max_time(READ_MAX).await?;
    let found: Vec<Document> = found.try_collect().await?;
    let id = |template: &Document| match template.get("_id")? {
        Bson::ObjectId(oid) => Some(DocId::Oid(*oid)),
        Bson::String(text) => Some(DocId::parse(text)),
        _ => None,
    };
    Ok(found.iter().filter_map(id).collect())
}

/// What a call's categories are about, and how often names had been written before they were looked at.
///
/// # Errors
/// As for [`tasks`].
pub(super) async fn categories(
    app: &App,
    pass: &Pass,
    shape: &CategoryWriter,
    inputs: &[CategoryInput],
) -> ApiResult<(PresentCategories, i64)> {
    // First of all: a name written after this makes the plan stale.
    let seen = inbound_writes::names_written(&app.store, &pass.group).await?;
    let externals = inputs.iter().map(|input| input.external_id.as_str());
    let (refs, _) = tokio::try_join!(
        async { Ok(external_refs::find(&app.store, &pass.group, InboundKind::Categories, externals).await?) },
        members(app, pass, &app.mapping.groups),
    )?;
    let ids: Vec<ObjectId> = refs.values().copied().collect();
    let names: Vec<&str> = inputs.iter().filter_map(|input| input.name.as_deref()).collect();
    let filter = doc! {
        &shape.group: pass.group.clone(), "$or": [{ "_id": { "$in": ids } }, { &shape.name: { "$in": names } }],
    };
    let any_case = Collation::builder().locale("en").strength(CollationStrength::Secondary).build();
    let collection = app.store.collection::<Document>(&shape.collection);
    let found = collection.find(filter).collation(any_case).max_time(READ_MAX).await?;
    let found: Vec<Document> = found.try_collect().await?;
    let categories = found.into_iter().filter_map(|category| Some((category.get_object_id("_id").ok()?, category)));
    Ok((PresentCategories { refs, categories: categories.collect() }, seen))
}
