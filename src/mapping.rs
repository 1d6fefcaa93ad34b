//! How the task service's documents are read, and written for inbound calls: a profile, as data.
//!
//! Two profiles are built in, `tasks-tracker` and `camel-case`; `TASKWIRE_MAPPING` may name a TOML file of the same form.
//! Reading goes over raw BSON in one pass; a document that does not fit is a [`Misfit`], never a panic.

mod check;
mod path;
mod shape;
mod task;
#[cfg(test)]
mod update_tests;
pub mod value;
mod writer;
mod written;

pub use check::MappingError;
pub use shape::{
    ActorSource, Field, GroupShape, HistoryKey, HistoryShape, Profile, Rule, Show, SwapRequestShape, TaskShape, When,
};
pub use task::{Misfit, TaskState, UpdateDescription};
pub use value::{FieldType, Value};
pub use writer::{Deed, Review, Writer};
pub use written::{
    CategoryWriter, CreatedKey, Deeds, GroupWriter, JournalWriter, ReviewWriter, Source, TemplateShape, WriterShape,
    Written,
};

use path::Targets;

const TASKS_TRACKER: &str = include_str!("mapping/profiles/tasks-tracker.toml");
const CAMEL_CASE: &str = include_str!("mapping/profiles/camel-case.toml");

/// A checked profile, ready to read with.
#[derive(Debug, Clone)]
pub struct Mapping {
    /// Name of the profile.
    pub name: String,
    /// Tasks; `fields` are what [`TaskState::values`] holds, in this order.
    pub task: TaskShape,
    /// When specific events are told.
    pub rules: Vec<Rule>,
    /// History rows, if the service keeps them in a collection.
    pub history: Option<HistoryShape>,
    /// Swap requests.
    pub swap_requests: Option<SwapRequestShape>,
    /// Groups and their admins.
    pub groups: GroupShape,
    /// How inbound calls write for the service; without it there are none.
    pub writer: Option<WriterShape>,
    status: usize,
    assignee: usize,
    targets: Targets,
}

impl Mapping {
    /// Loads a built-in profile by name, or a TOML file.
    ///
    /// # Errors
    /// [`MappingError`]: the file cannot be read, or a key (named by its path) is missing, unknown or wrong.
    pub fn load(name: &str) -> Result<Self, MappingError> {
        match name {
            "tasks-tracker" => Self::from_toml(TASKS_TRACKER),
            "camel-case" => Self::from_toml(CAMEL_CASE),
            path => {
                let text = std::fs::read_to_string(path)
                    .map_err(|error| MappingError::Unreadable { path: path.to_owned(), why: error.to_string() })?;
                Self::from_toml(&text)
            }
        }
    }

    /// Reads a profile from TOML text.
    ///
    /// # Errors
    /// [`MappingError`], naming the key's path.
    pub fn from_toml(text: &str) -> Result<Self, MappingError> {
        let profile = check::parse(text)?;
        check::validate(&profile)?;
        let place = |name: &str| profile.task.fields.iter().position(|field| field.name == name).unwrap_or(0);
        Ok(Self {
            status: place(&profile.task.status),
            assignee: place(&profile.task.assignee),
            targets: Targets::of(&profile.task),
            name: profile.name,
            task: profile.task,
            rules: profile.rules,
            history: profile.history,
            swap_requests: profile.swap_requests,
            groups: profile.groups,
            writer: profile.writer,
        })
    }

    /// The place of a tracked field in [`TaskState::values`].
    #[must_use]
    pub fn field(&self, name: &str) -> Option<usize> {
        self.task.fields.iter().position(|field| field.name == name)
    }

    /// The place of the status.
    #[must_use]
    pub const fn status(&self) -> usize {
        self.status
    }

    /// The place of the assignee.
    #[must_use]
    pub const fn assignee(&self) -> usize {
        self.assignee
    }

    /// The arrays whose newest entries are read, as dotted paths; [`TaskState::lengths`] has their lengths.
    #[must_use]
    pub fn arrays(&self) -> &[String] {
        &self.targets.arrays
    }

    /// The collections whose changes matter to this mapping.
    #[must_use]
    pub fn collections(&self) -> Vec<&str> {
        let history = self.history.as_ref().map(|shape| shape.collection.as_str());
        let swaps = self.swap_requests.as_ref().map(|shape| shape.collection.as_str());
        [Some(self.task.collection.as_str()), history, swaps].into_iter().flatten().collect()
    }
}
