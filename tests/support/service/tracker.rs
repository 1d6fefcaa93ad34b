//! Documents of the profile `tasks-tracker`: exactly the service's fields and types.

use anyhow::{Context, Result};
use bson::oid::ObjectId;
use bson::{Bson, DateTime, Document, doc};

use super::task::{Status, Task, frequency_name, round_trip_time};

/// What a history row says was done, by the service's numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "the service's own names")]
pub enum Action {
    Created = 0,
    Updated = 1,
    StatusChanged = 2,
    Reassigned = 3,
    Deleted = 4,
    CompletionApproved = 5,
    CompletionRejected = 6,
}

/// The task's document.
///
/// # Errors
/// When its status is not one of this profile's.
pub fn document(task: &Task) -> Result<Document> {
    Ok(doc! {
        "_id": task.id,
        "GroupId": task.group,
        "TemplateId": task.template.map_or(Bson::Null, Bson::ObjectId),
        "AssignedUserId": task.assignee,
        "Name": &task.name,
        "Description": task.description.clone().map_or(Bson::Null, Bson::String),
        "Difficulty": task.difficulty,
        "Status": status_number(task.status)?,
        "RequiresApproval": task.requires_approval,
        "DueAt": task.due_at,
        "Frequency": task.frequency,
        "CreatedAt": task.created_at,
        "CreatedByUserId": task.created_by.to_hex(),
    })
}

fn status_number(status: Status) -> Result<i32> {
    let at = Status::ALL[..5].iter().position(|known| *known == status);
    Ok(i32::try_from(at.with_context(|| format!("tasks-tracker has no status {}", status.name()))?)?)
}

/// Reads a task's document back.
///
/// # Errors
/// When a field is missing or of another type.
pub fn task(document: &Document) -> Result<Task> {
    let status = usize::try_from(document.get_i32("Status")?)?;
    Ok(Task {
        id: document.get_object_id("_id")?,
        group: document.get_object_id("GroupId")?,
        template: document.get_object_id("TemplateId").ok(),
        assignee: document.get_object_id("AssignedUserId")?,
        name: document.get_str("Name")?.to_owned(),
        description: document.get_str("Description").ok().map(str::to_owned),
        difficulty: document.get_i32("Difficulty")?,
        status: *Status::ALL[..5].get(status).context("no such status")?,
        requires_approval: document.get_bool("RequiresApproval")?,
        due_at: *document.get_datetime("DueAt")?,
        frequency: document.get_i32("Frequency")?,
        created_at: *document.get_datetime("CreatedAt")?,
        created_by: document.get_str("CreatedByUserId")?.parse()?,
        review: None,
    })
}

/// A row of `taskHistories`.
#[must_use]
pub fn history_row(task: &Task, action: Action, by: ObjectId, changes: Document, notes: Option<&str>) -> Document {
    doc! {
        "_id": ObjectId::new(),
        "TaskId": task.id,
        "GroupId": task.group,
        "ChangedByUserId": by,
        "Action": action as i32,
        "ChangedAt": DateTime::now(),
        "Changes": changes,
        "Notes": notes.map_or(Bson::Null, |notes| Bson::String(notes.to_owned())),
    }
}

/// `Changes` of a Created row.
#[must_use]
pub fn created_changes(task: &Task) -> Document {
    doc! {
        "Name": &task.name,
        "AssignedTo": task.assignee.to_hex(),
        "Difficulty": task.difficulty.to_string(),
        "DueAt": round_trip_time(task.due_at),
        "Status": task.status.name(),
    }
}

/// `Changes` of any other row: `Old…` and `New…` of what differs.
#[must_use]
pub fn changes(before: &Task, after: &Task) -> Document {
    // .NET writes booleans with a capital.
    let flag = |value: bool| if value { "True" } else { "False" }.to_owned();
    let mut changes = Document::new();
    let mut note = |name: &str, from: String, to: String| {
        if from != to {
            changes.insert(format!("Old{name}"), from);
            changes.insert(format!("New{name}"), to);
        }
    };
    note("Status", before.status.name().to_owned(), after.status.name().to_owned());
    note("Assignee", before.assignee.to_hex(), after.assignee.to_hex());
    note("Name", before.name.clone(), after.name.clone());
    note("Description", before.description.clone().unwrap_or_default(), after.description.clone().unwrap_or_default());
    note("Difficulty", before.difficulty.to_string(), after.difficulty.to_string());
    note("DueAt", round_trip_time(before.due_at), round_trip_time(after.due_at));
    note("Frequency", frequency_name(before.frequency).to_owned(), frequency_name(after.frequency).to_owned());
    note("RequiresApproval", flag(before.requires_approval), flag(after.requires_approval));
    changes
}
