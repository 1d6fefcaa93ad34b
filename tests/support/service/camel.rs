//! Documents of the profile `camel-case`: partial updates, embedded review and history.

use anyhow::{Context, Result};
use bson::oid::ObjectId;
use bson::{Bson, DateTime, Document, doc};

use super::task::{Review, Status, Task, frequency_name, frequency_number};

/// The document of a new task.
#[must_use]
pub fn document(task: &Task) -> Document {
    let mut document = doc! {
        "_id": task.id,
        "groupId": task.group,
        "templateId": task.template.map_or(Bson::Null, Bson::ObjectId),
        "assignedTo": task.assignee,
        "name": &task.name,
        "description": task.description.clone().map_or(Bson::Null, Bson::String),
        "difficulty": task.difficulty,
        "status": task.status.name(),
        "requiresApproval": task.requires_approval,
        "dueAt": task.due_at,
        "frequency": frequency_name(task.frequency),
        "createdAt": task.created_at,
        "createdBy": task.created_by,
        "updatedAt": task.created_at,
        "updatedBy": task.created_by,
        "history": [entry("created", task.created_by, task.created_at)],
    };
    if let Some(review) = task.review {
        let by = review.reviewed_by.map_or(Bson::Null, Bson::ObjectId);
        document.insert("approval", doc! { "status": review.status.name(), "reviewedBy": by });
    }
    document
}

fn entry(action: &str, by: ObjectId, at: DateTime) -> Document {
    doc! { "action": action, "userId": by, "at": at }
}

/// Reads a task's document back.
///
/// # Errors
/// When a field is missing or of another type.
pub fn task(document: &Document) -> Result<Task> {
    let status = |text: &str| {
        let found = Status::ALL.into_iter().find(|status| status.name() == text);
        found.with_context(|| format!("no status {text}"))
    };
    let review = match document.get_document("approval") {
        Ok(review) => Some(Review {
            status: status(review.get_str("status")?)?,
            reviewed_by: review.get_object_id("reviewedBy").ok(),
        }),
        Err(_) => None,
    };
    Ok(Task {
        id: document.get_object_id("_id")?,
        group: document.get_object_id("groupId")?,
        template: document.get_object_id("templateId").ok(),
        assignee: document.get_object_id("assignedTo")?,
        name: document.get_str("name")?.to_owned(),
        description: document.get_str("description").ok().map(str::to_owned),
        difficulty: document.get_i32("difficulty")?,
        status: status(document.get_str("status")?)?,
        requires_approval: document.get_bool("requiresApproval")?,
        due_at: *document.get_datetime("dueAt")?,
        frequency: frequency_number(document.get_str("frequency")?)?,
        created_at: *document.get_datetime("createdAt")?,
        created_by: document.get_object_id("createdBy")?,
        review,
    })
}

/// The update from one state to the next: only what differs, by nested paths, and who did it.
#[must_use]
pub fn update(before: &Task, after: &Task, action: &str, by: ObjectId) -> Document {
    let now = DateTime::now();
    let mut set = doc! { "updatedAt": now, "updatedBy": by };
    let (old, new) = (document(before), document(after));
    let apart = ["updatedAt", "updatedBy", "history", "approval"];
    for (name, value) in &new {
        if !apart.contains(&name.as_str()) && old.get(name) != Some(value) {
            set.insert(name, value.clone());
        }
    }
    if let Some(review) = after.review.filter(|review| before.review != Some(*review)) {
        set.insert("approval.status", review.status.name());
        set.insert("approval.reviewedBy", review.reviewed_by.map_or(Bson::Null, Bson::ObjectId));
    }
    doc! { "$set": set, "$push": { "history": entry(action, by, now) } }
}
