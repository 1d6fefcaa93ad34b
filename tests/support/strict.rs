//! A reader as strict as the service's own classes: it refuses unknown and missing fields, and other types. Written down a
//! second time and independently of the mapping.

use anyhow::{Context, Result, ensure};
use bson::spec::ElementType::{self, Boolean, DateTime, EmbeddedDocument, Int32, Null, ObjectId, String as Text};
use bson::{Bson, Document, doc};
use futures::TryStreamExt;
use mongodb::Database;

use crate::Profile;

type Fields = &'static [(&'static str, &'static [ElementType])];

const TRACKER_TASK: Fields = &[
    ("_id", &[ObjectId]),
    ("GroupId", &[ObjectId]),
    ("TemplateId", &[ObjectId, Null]),
    ("AssignedUserId", &[ObjectId]),
    ("Name", &[Text]),
    ("Description", &[Text, Null]),
    ("Difficulty", &[Int32]),
    ("Status", &[Int32]),
    ("RequiresApproval", &[Boolean]),
    ("DueAt", &[DateTime]),
    ("Frequency", &[Int32]),
    ("CreatedAt", &[DateTime]),
    ("CreatedByUserId", &[Text]),
];

const CAMEL_TASK: Fields = &[
    ("_id", &[ObjectId]),
    ("groupId", &[ObjectId]),
    ("templateId", &[ObjectId, Null]),
    ("assignedTo", &[ObjectId]),
    ("name", &[Text]),
    ("description", &[Text, Null]),
    ("difficulty", &[Int32]),
    ("status", &[Text]),
    ("requiresApproval", &[Boolean]),
    ("dueAt", &[DateTime]),
    ("frequency", &[Text]),
    ("createdAt", &[DateTime]),
    ("createdBy", &[ObjectId]),
    ("updatedAt", &[DateTime]),
    ("updatedBy", &[ObjectId]),
    ("history", &[ElementType::Array]),
];

const ROW: Fields = &[
    ("_id", &[ObjectId]),
    ("TaskId", &[ObjectId]),
    ("GroupId", &[ObjectId]),
    ("ChangedByUserId", &[ObjectId]),
    ("Action", &[Int32]),
    ("ChangedAt", &[DateTime]),
    ("Changes", &[EmbeddedDocument]),
    ("Notes", &[Text, Null]),
];

const CATEGORY: Fields = &[
    ("_id", &[ObjectId]),
    ("groupId", &[ObjectId]),
    ("name", &[Text]),
    ("icon", &[Text]),
    ("color", &[Text]),
    ("isSystemCategory", &[Boolean]),
    ("createdAt", &[DateTime]),
    ("createdBy", &[ObjectId]),
    ("schemaVersion", &[Int32]),
];

const GROUP: Fields = &[
    ("_id", &[ObjectId]),
    ("name", &[Text]),
    ("createdBy", &[ObjectId]),
    ("members", &[ElementType::Array]),
    ("taskCount", &[Int32]),
    ("lastActivity", &[DateTime]),
    ("createdAt", &[DateTime]),
    ("updatedAt", &[DateTime]),
    ("notifications", &[ElementType::Array]),
];

/// Reads every document of the service's in a database; how many tasks there are.
///
/// # Errors
/// Names the first document that the service could not read, and why.
pub async fn read_everything(database: &Database, profile: Profile) -> Result<usize> {
    let tasks = all(database, "tasks").await?;
    for task in &tasks {
        match profile {
            Profile::TasksTracker => tracker_task(task),
            Profile::CamelCase => camel_task(task),
        }
        .with_context(|| format!("{task}"))?;
    }
    for row in all(database, "taskHistories").await? {
        history_row(&row).with_context(|| format!("{row}"))?;
    }
    for category in all(database, "categories").await? {
        exactly(&category, CATEGORY)?;
        length(&category, "name", 2..=50)?;
        ensure!(category.get_i32("schemaVersion")? == 1, "schemaVersion is not 1");
    }
    for group in all(database, "groups").await? {
        exactly(&group, GROUP).with_context(|| format!("{group}"))?;
    }
    Ok(tasks.len())
}

async fn all(database: &Database, name: &str) -> Result<Vec<Document>> {
    Ok(database.collection(name).find(doc! {}).await?.try_collect().await?)
}

fn tracker_task(task: &Document) -> Result<()> {
    exactly(task, TRACKER_TASK)?;
    length(task, "Name", 1..=200)?;
    for (field, range) in [("Difficulty", 1..=10), ("Status", 0..=4), ("Frequency", 0..=6)] {
        ensure!(range.contains(&task.get_i32(field)?), "{field} is out of range");
    }
    task.get_str("CreatedByUserId")?.parse::<bson::oid::ObjectId>().context("CreatedByUserId")?;
    Ok(())
}

fn camel_task(task: &Document) -> Result<()> {
    let mut task = task.clone();
    if let Some(review) = task.remove("approval") {
        let review = review.as_document().context("approval is no document")?;
        exactly(review, &[("status", &[Text]), ("reviewedBy", &[ObjectId, Null])])?;
    }
    exactly(&task, CAMEL_TASK)?;
    for entry in task.get_array("history")? {
        let entry = entry.as_document().context("an entry of history is no document")?;
        exactly(entry, &[("action", &[Text]), ("userId", &[ObjectId]), ("at", &[DateTime])])?;
    }
    length(&task, "name", 1..=200)
}

fn history_row(row: &Document) -> Result<()> {
    exactly(row, ROW)?;
    ensure!((0..=6).contains(&row.get_i32("Action")?), "Action is out of range");
    let texts = row.get_document("Changes")?.values().all(|value| matches!(value, Bson::String(_)));
    ensure!(texts, "Changes holds something else than texts");
    Ok(())
}

fn exactly(document: &Document, fields: Fields) -> Result<()> {
    for name in document.keys() {
        ensure!(fields.iter().any(|(known, _)| known == name), "unknown field {name}");
    }
    for (name, types) in fields {
        let value = document.get(name).with_context(|| format!("missing field {name}"))?;
        ensure!(types.contains(&value.element_type()), "{name} is {:?}, not {types:?}", value.element_type());
    }
    Ok(())
}

fn length(document: &Document, field: &str, range: std::ops::RangeInclusive<usize>) -> Result<()> {
    let length = document.get_str(field)?.encode_utf16().count();
    ensure!(range.contains(&length), "{field} has {length} characters");
    Ok(())
}
