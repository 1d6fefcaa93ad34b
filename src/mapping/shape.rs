//! The profile as it is written in TOML: shapes of collections, and rules as data.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::value::FieldType;
use super::written::WriterShape;
use crate::model::EventKind;

/// Where a tracked field may be shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Show {
    /// In every payload, and in `changes`.
    Data,
    /// In `changes` only.
    Changes,
    /// Not at all: a change of it counts, its text is not sent.
    Never,
}

/// How an enum is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stored {
    /// As the name.
    #[default]
    Text,
    /// As the name's place in the list, from 0.
    Int,
}

/// A tracked field of a task.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Field {
    /// Its name in payloads and rules.
    pub name: String,
    /// Its place in the document, segments joined by dots.
    pub path: String,
    /// What its values are.
    #[serde(rename = "type")]
    pub kind: FieldType,
    /// Enums only: how they are stored.
    #[serde(default)]
    pub stored: Stored,
    /// Enums only: the names.
    #[serde(default)]
    pub names: Vec<String>,
    /// A document without it does not fit.
    #[serde(default)]
    pub required: bool,
    /// Where it may be shown.
    pub show: Show,
}

/// A place in the task that names who changed it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ActorSource {
    /// A path; `array[].field` is the newest (last) entry's.
    pub path: String,
    /// Only for these events; empty: for all.
    #[serde(default)]
    pub only: Vec<EventKind>,
}

/// The collection of tasks.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TaskShape {
    /// Its name.
    pub collection: String,
    /// Path of the group's id.
    pub group: String,
    /// The tracked field that is the status.
    pub status: String,
    /// The tracked field that is the assignee.
    pub assignee: String,
    /// Paths that may name the creator: the first that is there.
    #[serde(default)]
    pub created_by: Vec<String>,
    /// Who made a change, where the task itself says so.
    #[serde(default)]
    pub actors: Vec<ActorSource>,
    /// The tracked fields.
    pub fields: Vec<Field>,
}

/// One alternative of a rule: a field's move.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct When {
    /// The tracked field that must have changed.
    pub field: String,
    /// Its value before; empty: any.
    #[serde(default)]
    pub from: Vec<String>,
    /// Its value after.
    pub to: Vec<String>,
    /// Fields that must not have changed.
    #[serde(default)]
    pub same: Vec<String>,
}

/// When a specific event is told.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// The event: `task.completed`, `task.approved` or `task.rejected`.
    pub event: EventKind,
    /// Alternatives: one must hold.
    pub when: Vec<When>,
    /// The fields whose change this event explains.
    pub explains: Vec<String>,
}

/// The history's keys for one field's values before and after.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HistoryKey {
    /// The tracked field.
    pub field: String,
    /// The key of the value before.
    pub old: String,
    /// The key of the value after.
    pub new: String,
}

/// The collection of history rows.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HistoryShape {
    /// Its name.
    pub collection: String,
    /// The task's id.
    pub task: String,
    /// What was done: an int, the place in `actions`.
    pub action: String,
    /// Who did it.
    pub actor: String,
    /// When, by the service's clock: a date. Without it rows tell nothing of a gap.
    pub time: Option<String>,
    /// A map of text to text.
    pub changes: String,
    /// Names of the actions.
    pub actions: Vec<String>,
    /// Action → tracked fields, one of which a transition must have changed for the row to belong to it; `*`: any.
    pub fits: BTreeMap<String, Vec<String>>,
    /// Action → the event that such a row tells if nothing told it before.
    #[serde(default)]
    pub tells: BTreeMap<String, EventKind>,
    /// Keys of `changes` by field.
    #[serde(default)]
    pub keys: Vec<HistoryKey>,
}

/// The collection of swap requests.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SwapRequestShape {
    /// Its name.
    pub collection: String,
    /// Path of its status.
    pub status: String,
    /// The status that names a swap.
    pub approved: String,
    /// Paths of the two tasks' ids.
    pub tasks: [String; 2],
    /// Path of the approver's id.
    pub approver: String,
}

/// How groups and their admins are read.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GroupShape {
    /// The collection.
    pub collection: String,
    /// Path of the group's name; without it groups are told apart by their ids alone.
    pub name: Option<String>,
    /// The array of members.
    pub members: String,
    /// In a member: the user's id.
    pub user: String,
    /// In a member: the role's name.
    pub role: String,
    /// The roles that administer the group, compared without regard to case.
    pub admin_roles: Vec<String>,
}

/// A profile, as written.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Profile {
    /// Its name.
    pub name: String,
    /// Tasks.
    pub task: TaskShape,
    /// When specific events are told.
    pub rules: Vec<Rule>,
    /// History rows, if the service keeps any in a collection.
    pub history: Option<HistoryShape>,
    /// Swap requests, if the service has them.
    pub swap_requests: Option<SwapRequestShape>,
    /// Groups.
    pub groups: GroupShape,
    /// How inbound calls write for the service; without it there are none.
    pub writer: Option<WriterShape>,
}
