//! What partners may receive: each type's meaning, the JSON Schema of its body and a sample. Made of the mapping, so that it
//! tells what this installation sends. Pure.

mod sample;
mod schema;

use std::fmt;

use bson::DateTime;
use serde_json::Value;

use crate::mapping::Mapping;
use crate::model::{EventId, EventKind, Webhook};

/// What a body tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum BodyKind {
    /// An event of a task, or a notice about a webhook.
    Event(EventKind),
    /// A test that an admin asked for.
    Test,
}

/// One type of the catalogue.
#[derive(Debug, Clone)]
pub struct Entry {
    /// What it tells.
    pub kind: BodyKind,
    /// The schema of its body.
    pub schema: Value,
    /// A body that fits it.
    pub sample: Value,
}

impl BodyKind {
    /// All kinds, in the catalogue's order.
    pub fn all() -> impl Iterator<Item = Self> {
        EventKind::ALL.into_iter().chain(EventKind::NOTICES).map(Self::Event).chain([Self::Test])
    }

    /// The kind with this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::all().find(|kind| kind.name() == name)
    }

    /// The name partners see.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Event(kind) => kind.name(),
            Self::Test => "webhook.test",
        }
    }

    /// What it means, in a sentence.
    #[must_use]
    pub const fn meaning(self) -> &'static str {
        match self {
            Self::Event(EventKind::Created) => "A task was created.",
            Self::Event(EventKind::Completed) => "A task was completed: its status became so, approved or not.",
            Self::Event(EventKind::Approved) => {
                "A task's completion was approved. Where approving completes it, task.completed comes too."
            }
            Self::Event(EventKind::Rejected) => "A task's completion was rejected.",
            Self::Event(EventKind::Swapped) => {
                "Tasks passed their assignees among each other: one event for each task, which names the task whose \
                 assignee it received."
            }
            Self::Event(EventKind::Updated) => {
                "Something else about a task was changed; two separate re-assignments are two of these, and no swap."
            }
            Self::Event(EventKind::WebhookFailing) => {
                "Deliveries of a webhook have been failing for some minutes. They are tried again by themselves."
            }
            Self::Event(EventKind::WebhookDisabled) => {
                "Taskwire disabled a webhook: its target answered 410, or nothing succeeded for too long."
            }
            Self::Event(EventKind::WebhookRecovered) => "A webhook that was told to be failing works again.",
            Self::Event(EventKind::DeadLetter) => {
                "Deliveries of a webhook were given up; gathered, one notice for all of some minutes."
            }
            Self::Test => "A test that an admin asked for. It tells of nothing that happened.",
        }
    }
}

impl fmt::Display for BodyKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Every type, with schema and sample.
#[must_use]
pub fn entries(mapping: &Mapping) -> Vec<Entry> {
    BodyKind::all().map(|kind| entry(mapping, kind)).collect()
}

/// One type.
#[must_use]
pub fn entry(mapping: &Mapping, kind: BodyKind) -> Entry {
    Entry { kind, schema: schema::of(mapping, kind), sample: sample::of(mapping, kind) }
}

/// The body of a test: the sample of this kind as of now, of this webhook and its group, marked as a test.
#[must_use]
pub fn test_body(mapping: &Mapping, kind: BodyKind, id: &EventId, webhook: &Webhook, now: DateTime) -> String {
    let mut body = sample::of(mapping, kind);
    if body["data"]["webhookId"].is_string() {
        let data = &mut body["data"];
        data["webhookId"] = webhook.id.to_hex().into();
        data["webhookName"] = webhook.name.as_str().into();
        if let Some(path) = data["mend"]["path"].as_str() {
            data["mend"]["path"] = path.replace(sample::WEBHOOK, &webhook.id.to_hex()).into();
        }
    }
    body["id"] = id.as_str().into();
    body["groupId"] = webhook.group_id.to_string().into();
    body["timestamp"] = crate::mapping::value::rfc3339(now.timestamp_millis()).into();
    body["test"] = true.into();
    body.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_has_its_own_name_and_is_found_by_it() {
        let names: std::collections::BTreeSet<_> = BodyKind::all().map(BodyKind::name).collect();
        assert_eq!(names.len(), 11);
        assert!(BodyKind::all().all(|kind| BodyKind::from_name(kind.name()) == Some(kind)));
        assert_eq!(BodyKind::from_name("task.lost"), None);
    }

    #[test]
    fn a_sample_shows_a_change_that_gives_its_event() {
        let mapping = Mapping::load("tasks-tracker").unwrap();
        let sample = |kind| entry(&mapping, BodyKind::Event(kind)).sample;
        let approved = sample(EventKind::Approved);
        assert_eq!(approved["data"]["status"], "Completed");
        let change = serde_json::json!({"from": "WaitingForApproval", "to": "Completed"});
        assert_eq!(approved["data"]["changes"]["status"], change);
        assert_eq!(sample(EventKind::Created)["data"]["changes"], serde_json::json!({}));
        assert!(sample(EventKind::Swapped)["data"]["swappedWithTaskId"].is_string());
        assert!(sample(EventKind::Updated)["data"]["changes"].as_object().unwrap().len() == 1);
    }
}
