//! The part of a profile that says how inbound calls write for the service: whole documents, field by field.

use serde::Deserialize;

/// What stands in a written field.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub enum Source {
    /// `$id`: the new document's own id.
    Id,
    /// `$group`: the group's id.
    Group,
    /// `$user`: the id of the user in whose name it is written.
    User,
    /// `$userText`: the same id as text.
    UserText,
    /// `$now`: the time of the write.
    Now,
    /// `$null`
    Null,
    /// `$task`, rows only: the task's id.
    Task,
    /// `$action`, rows: the action's place in the history's list; entries of a journal: its name.
    Action,
    /// `$changes`, rows only: the values before and after, as texts.
    Changes,
    /// `$journal`, tasks only: the journal with its first entry.
    Journal,
    /// A field that the caller gave, by its name.
    Field(String),
}

impl TryFrom<String> for Source {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        Ok(match text.as_str() {
            "$id" => Self::Id,
            "$group" => Self::Group,
            "$user" => Self::User,
            "$userText" => Self::UserText,
            "$now" => Self::Now,
            "$null" => Self::Null,
            "$task" => Self::Task,
            "$action" => Self::Action,
            "$changes" => Self::Changes,
            "$journal" => Self::Journal,
            name if name.starts_with('$') => return Err(format!("{name:?} is no source")),
            _ => Self::Field(text),
        })
    }
}

/// A value that is always the same.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub enum Constant {
    /// A bool.
    Bool(bool),
    /// An int32.
    Int(i32),
    /// A string.
    Text(String),
}

/// One field of a written document; one of `from` and `constant` is there.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Written {
    /// Its place in the document.
    pub path: String,
    /// Where its value comes from.
    pub from: Option<Source>,
    /// Its value.
    pub constant: Option<Constant>,
}

/// What the service calls each kind of action.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs, reason = "the names say it")]
pub struct Deeds {
    pub created: String,
    pub edited: String,
    pub status: String,
    pub assignee: String,
    pub approved: String,
    pub rejected: String,
}

/// A key of the row that tells a task's creation.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CreatedKey {
    /// The tracked field.
    pub field: String,
    /// The key.
    pub key: String,
}

/// An array in the task to which each action adds an entry.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JournalWriter {
    /// The array.
    pub path: String,
    /// One entry.
    pub entry: Vec<Written>,
}

/// A review in the task itself.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReviewWriter {
    /// Where its status stands.
    pub status: String,
    /// Where the reviewer stands; null as long as there is none.
    pub by: String,
    /// The status of a new task that requires an approval.
    pub waiting: String,
    /// The status after an approval.
    pub approved: String,
    /// The status after a rejection.
    pub rejected: String,
}

/// What a write of tasks leaves in their group: only ever `$inc` and `$set`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GroupWriter {
    /// Counts its tasks.
    pub task_count: String,
    /// Set to the time of the write.
    pub times: Vec<String>,
}

/// The collection of templates that a task may name.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TemplateShape {
    /// Its name.
    pub collection: String,
    /// The group's id; null or missing: the system's.
    pub group: String,
    /// True: deleted.
    pub deleted: String,
}

/// The collection of categories.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CategoryWriter {
    /// Its name.
    pub collection: String,
    /// Where the group's id stands.
    pub group: String,
    /// Where the name stands.
    pub name: String,
    /// Where the icon stands.
    pub icon: String,
    /// Where the colour stands.
    pub color: String,
    /// The icons the service knows; empty: any plain name.
    #[serde(default)]
    pub icons: Vec<String>,
    /// The icon where none is given.
    pub default_icon: String,
    /// The colour where none is given.
    pub default_color: String,
    /// A new category, in the order of its fields.
    pub fields: Vec<Written>,
}

/// How inbound calls write for the service.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WriterShape {
    /// A new task, in the order of its fields.
    pub task: Vec<Written>,
    /// What a later write of a task sets besides what changed.
    #[serde(default)]
    pub touch: Vec<Written>,
    /// A history row, in the order of its fields; goes with `[history]`.
    #[serde(default)]
    pub row: Vec<Written>,
    /// What the row of a creation tells.
    #[serde(default)]
    pub created: Vec<CreatedKey>,
    /// What the service calls each kind of action.
    pub deeds: Deeds,
    /// The history in the task itself.
    pub journal: Option<JournalWriter>,
    /// The review in the task itself.
    pub review: Option<ReviewWriter>,
    /// The group.
    pub group: GroupWriter,
    /// Templates.
    pub templates: TemplateShape,
    /// Categories.
    pub categories: CategoryWriter,
}

impl WriterShape {
    /// Every list of written fields, with its key in the profile.
    pub(super) fn lists(&self) -> impl Iterator<Item = (&'static str, &Vec<Written>)> {
        let journal = self.journal.as_ref().map(|journal| ("writer.journal.entry", &journal.entry));
        [
            ("writer.task", &self.task),
            ("writer.touch", &self.touch),
            ("writer.row", &self.row),
            ("writer.categories.fields", &self.categories.fields),
        ]
        .into_iter()
        .chain(journal)
    }
}
