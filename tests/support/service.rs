//! A stand-in for the task service: it writes what the real one writes, in the same steps and with the same fields, and
//! keeps the list of events that must follow.
//!
//! Every change but the first is a whole-document replace by `_id`, read before, with a history row inserted just
//! after and not in a transaction; only a swap replaces its tasks in one transaction. The variant
//! [`Profile::CamelCase`] makes partial updates with an embedded history instead.

pub mod camel;
mod group;
mod operations;
mod oracle;
mod swap;
pub mod task;
pub mod tracker;

use std::sync::{Mutex, PoisonError};

use anyhow::{Context, Result};
use bson::oid::ObjectId;
use bson::{Document, doc};
use mongodb::{Client, ClientSession, Collection, Database};

pub use group::Group;
pub use operations::NewTask;
pub use task::{Edit, Profile, Status, Task};
pub use tracker::Action;

use crate::expected::Expected;
use oracle::{Write, events_of};

/// The service, writing for one group.
#[derive(Debug)]
pub struct TaskService {
    database: Database,
    profile: Profile,
    group: Group,
    expected: Mutex<Vec<Expected>>,
}

/// Who did a write, and whether a history row says so.
#[derive(Debug, Clone, Copy)]
struct Hand {
    by: ObjectId,
    leaves_row: bool,
}

impl TaskService {
    /// A service with a group of its own (see [`Group::create`]) in this database.
    ///
    /// # Errors
    /// The driver's.
    pub async fn new(database: &Database, profile: Profile) -> Result<Self> {
        let group = Group::create(database).await?;
        Ok(Self::for_group(database, profile, group))
    }

    /// A service that writes for a group that exists.
    #[must_use]
    pub fn for_group(database: &Database, profile: Profile, group: Group) -> Self {
        Self { database: database.clone(), profile, group, expected: Mutex::default() }
    }

    /// The group and its people.
    #[must_use]
    pub const fn group(&self) -> &Group {
        &self.group
    }

    /// How it writes.
    #[must_use]
    pub const fn profile(&self) -> Profile {
        self.profile
    }

    /// Every event that must have followed from the writes so far, in their order.
    #[must_use]
    pub fn expected(&self) -> Vec<Expected> {
        self.expected.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Forgets the events expected so far, for instance those from before a webhook was there.
    pub fn forget_expected(&self) {
        self.expected.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// The collection `tasks`.
    #[must_use]
    pub fn tasks(&self) -> Collection<Document> {
        self.database.collection("tasks")
    }

    /// The collection `taskHistories`.
    #[must_use]
    pub fn histories(&self) -> Collection<Document> {
        self.database.collection("taskHistories")
    }

    /// The task as it is stored now.
    ///
    /// # Errors
    /// When it is not there or not in the profile's form.
    pub async fn task(&self, id: ObjectId) -> Result<Task> {
        let document = self.tasks().find_one(doc! { "_id": id }).await?;
        let document = document.with_context(|| format!("there is no task {id}"))?;
        match self.profile {
            Profile::TasksTracker => tracker::task(&document),
            Profile::CamelCase => camel::task(&document),
        }
        .with_context(|| format!("task {id} is not in the form of {}", self.profile.name()))
    }

    fn client(&self) -> &Client {
        self.database.client()
    }

    /// Writes a task's next state and then its history row, and notes what must follow.
    async fn change(&self, before: &Task, after: &Task, action: Action, hand: Hand) -> Result<Vec<Expected>> {
        self.store(before, after, action, hand.by, None).await?;
        let row = if hand.leaves_row { self.leave_row(before, after, action, hand.by).await } else { Ok(false) };
        // The task's write stands even if the row's failed: then nobody is told to have done it.
        let is_told = self.profile == Profile::CamelCase || *row.as_ref().unwrap_or(&false);
        let actor = is_told.then_some(hand.by);
        let write = Write { profile: self.profile, before: Some(before), after, actor, swapped_with: None };
        let events = self.expect(events_of(&write));
        row.context("the history row was not written")?;
        Ok(events)
    }

    /// The task's own write, in a transaction if a session is given.
    async fn store(
        &self,
        before: &Task,
        after: &Task,
        action: Action,
        by: ObjectId,
        session: Option<&mut ClientSession>,
    ) -> Result<(), mongodb::error::Error> {
        let (tasks, filter) = (self.tasks(), doc! { "_id": after.id });
        match self.profile {
            Profile::TasksTracker => {
                let document = tracker::document(after).map_err(mongodb::error::Error::custom)?;
                let write = tasks.replace_one(filter, document);
                match session {
                    Some(session) => write.session(session).await,
                    None => write.await,
                }
            }
            Profile::CamelCase => {
                let write = tasks.update_one(filter, camel::update(before, after, action_name(action), by));
                match session {
                    Some(session) => write.session(session).await,
                    None => write.await,
                }
            }
        }
        .map(drop)
    }

    /// Inserts the history row; false where the profile has none.
    async fn leave_row(&self, before: &Task, after: &Task, action: Action, by: ObjectId) -> Result<bool> {
        if self.profile == Profile::CamelCase {
            return Ok(false);
        }
        let changes = match action {
            Action::Created | Action::Deleted => tracker::created_changes(after),
            _ => tracker::changes(before, after),
        };
        let notes = (action == Action::CompletionRejected).then_some("Please look at it again.");
        self.histories().insert_one(tracker::history_row(after, action, by, changes, notes)).await?;
        Ok(true)
    }

    fn expect(&self, events: Vec<Expected>) -> Vec<Expected> {
        self.expected.lock().unwrap_or_else(PoisonError::into_inner).extend(events.iter().cloned());
        events
    }
}

const fn action_name(action: Action) -> &'static str {
    match action {
        Action::Created => "created",
        Action::Updated => "updated",
        Action::StatusChanged => "statusChanged",
        Action::Reassigned => "reassigned",
        Action::Deleted => "deleted",
        Action::CompletionApproved => "approved",
        Action::CompletionRejected => "rejected",
    }
}

#[cfg(test)]
mod tests;
