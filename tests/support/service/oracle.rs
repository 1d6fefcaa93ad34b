//! Which events must follow from a write: contract rules, written down a second time and independently of the mapping.

use std::collections::BTreeMap;

use bson::oid::ObjectId;
use serde_json::{Value, json};
use taskwire::model::EventKind;

use super::task::{Profile, Status, Task, payload_time};
use crate::expected::Expected;

/// A write, as the service knows it.
pub(super) struct Write<'a> {
    pub(super) profile: Profile,
    /// `None`: the task was not there.
    pub(super) before: Option<&'a Task>,
    pub(super) after: &'a Task,
    /// Who is told to have done it.
    pub(super) actor: Option<ObjectId>,
    /// The task whose old assignee this one received, in a swap.
    pub(super) swapped_with: Option<ObjectId>,
}

/// The events that must follow, in the order in which they are told.
pub(super) fn events_of(write: &Write<'_>) -> Vec<Expected> {
    let after = write.after;
    let event = |event, changes| Expected {
        event,
        task: after.id,
        group: after.group,
        actor: write.actor.map(|actor| actor.to_hex()),
        changes,
        swapped_with: write.swapped_with.filter(|_| event == EventKind::Swapped),
    };
    let Some(before) = write.before else { return vec![event(EventKind::Created, BTreeMap::new())] };
    let changes = shown_changes(before, after);
    let mut kinds = status_events(write.profile, before, after);
    let status_is_explained = !kinds.is_empty();
    if write.swapped_with.is_some() {
        kinds.push(EventKind::Swapped);
    }
    if unexplained(before, after, status_is_explained, write.swapped_with.is_some()) {
        kinds.push(EventKind::Updated);
    }
    kinds.into_iter().map(|kind| event(kind, shown_by(kind, &changes))).collect()
}

fn status_events(profile: Profile, before: &Task, after: &Task) -> Vec<EventKind> {
    let becomes = |status| before.status != status && after.status == status;
    let review_becomes = |status| {
        let stands = |task: &Task| task.review.is_some_and(|review| review.status == status);
        !stands(before) && stands(after)
    };
    let (completed, approved, rejected) = match profile {
        Profile::TasksTracker => {
            let was_waiting = before.status == Status::WaitingForApproval;
            let goes_back = matches!(after.status, Status::Pending | Status::InProgress);
            (
                becomes(Status::Completed),
                was_waiting && after.status == Status::Completed,
                was_waiting && goes_back && before.assignee == after.assignee,
            )
        }
        Profile::CamelCase => {
            let goes_back = before.status == Status::Completed && after.status == Status::Pending;
            (
                becomes(Status::Completed),
                becomes(Status::Approved) || review_becomes(Status::Approved),
                review_becomes(Status::Rejected) || becomes(Status::Rejected) || goes_back,
            )
        }
    };
    [(completed, EventKind::Completed), (approved, EventKind::Approved), (rejected, EventKind::Rejected)]
        .into_iter()
        .filter_map(|(holds, kind)| holds.then_some(kind))
        .collect()
}

/// Whether a tracked field changed that no specific event explains.
fn unexplained(before: &Task, after: &Task, status_is_explained: bool, swapped: bool) -> bool {
    let review = |task: &Task| task.review.map(|review| review.status);
    let status_changed = before.status != after.status || review(before) != review(after);
    (status_changed && !status_is_explained)
        || (before.assignee != after.assignee && !swapped)
        || before.name != after.name
        || before.description != after.description
        || before.difficulty != after.difficulty
        || before.due_at != after.due_at
        || before.frequency != after.frequency
        || before.requires_approval != after.requires_approval
        || before.template != after.template
}

/// Changes of the fields that a payload shows by name.
fn shown_changes(before: &Task, after: &Task) -> BTreeMap<&'static str, (Value, Value)> {
    let fields = |task: &Task| {
        [
            ("name", json!(task.name)),
            ("status", json!(task.status.name())),
            ("assignedUserId", json!(task.assignee.to_hex())),
            ("difficulty", json!(task.difficulty)),
            ("dueAt", json!(payload_time(task.due_at))),
            ("requiresApproval", json!(task.requires_approval)),
        ]
    };
    fields(before)
        .into_iter()
        .zip(fields(after))
        .filter(|((_, from), (_, to))| from != to)
        .map(|((name, from), (_, to))| (name, (from, to)))
        .collect()
}

/// What an event of this kind must at least show.
fn shown_by(
    kind: EventKind,
    changes: &BTreeMap<&'static str, (Value, Value)>,
) -> BTreeMap<&'static str, (Value, Value)> {
    let shown = |name: &str| match kind {
        EventKind::Created => false,
        EventKind::Completed | EventKind::Approved | EventKind::Rejected => name == "status",
        EventKind::Swapped => name == "assignedUserId",
        EventKind::Updated => true,
        // No change of a task gives these.
        EventKind::WebhookFailing
        | EventKind::WebhookDisabled
        | EventKind::WebhookRecovered
        | EventKind::DeadLetter => false,
    };
    changes.iter().filter(|(name, _)| shown(name)).map(|(name, change)| (*name, change.clone())).collect()
}
