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
mod sure;
mod swap;
pub mod task;
pub mod tracker;

use std::sync::{Mutex, PoisonError};

use anyhow::{Context, Result};
use bson::oid::ObjectId;
use bson::{Document, doc};
use mongodb::{Client, Collection, Database};

pub use group::Group;
pub use operations::NewTask;
pub use task::{Edit, Profile, Status, Task};
pub use tracker::Action;

use crate::expected::Expected;
use oracle::{Write, events_of};
use sure::{Statement, Sure, What};

/// The service, writing for one group.
#[derive(Debug)]
pub struct TaskService {
    database: Database,
    profile: Profile,
    group: Group,
    expected: Mutex<Vec<Expected>>,
    sure: Option<tokio::sync::Mutex<Sure>>,
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
        Self { database: database.clone(), profile, group, expected: Mutex::default(), sure: None }
    }

    /// The same, where each write goes on until it is known to stand, however often the database fails over: then what
    /// must follow is known too. An event's expected actor is who really did the write, whether or not a row tells. The
    /// database's client must ask for majority in reads and writes.
    ///
    /// # Errors
    /// The driver's.
    pub async fn surely(self) -> Result<Self> {
        let sure = Sure::new(self.client()).await?;
        Ok(Self { sure: Some(tokio::sync::Mutex::new(sure)), ..self })
    }

    /// How many writes met an error and had to be looked for.
    pub async fn doubts(&self) -> u64 {
        match &self.sure {
            Some(sure) => sure.lock().await.doubts(),
            None => 0,
        }
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
        let document = match &self.sure {
            Some(sure) => sure.lock().await.find(&self.tasks(), doc! { "_id": id }).await?,
            None => self.tasks().find_one(doc! { "_id": id }).await?,
        };
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

    /// Makes one write; surely, where the service writes so.
    async fn write(&self, statement: Statement) -> Result<()> {
        match &self.sure {
            Some(sure) => sure.lock().await.write(&statement).await,
            None => Ok(statement.run(None).await?),
        }
    }

    /// Writes a task's next state and then its history row, and notes what must follow.
    async fn change(&self, before: &Task, after: &Task, action: Action, hand: Hand) -> Result<Vec<Expected>> {
        self.write(self.next_state(before, after, action, hand.by)?).await?;
        let row = if hand.leaves_row { self.leave_row(before, after, action, hand.by).await } else { Ok(false) };
        // The task's write stands even if the row's failed: then nobody is told to have done it.
        let is_told = self.profile == Profile::CamelCase || self.sure.is_some() || *row.as_ref().unwrap_or(&false);
        let actor = is_told.then_some(hand.by);
        let write = Write { profile: self.profile, before: Some(before), after, actor, swapped_with: None };
        let events = self.expect(events_of(&write));
        row.context("the history row was not written")?;
        Ok(events)
    }

    /// The write that brings a task to its next state.
    fn next_state(&self, before: &Task, after: &Task, action: Action, by: ObjectId) -> Result<Statement> {
        let what = match self.profile {
            Profile::TasksTracker => What::Replace(tracker::document(after)?),
            Profile::CamelCase => What::Update(camel::update(before, after, action_name(action), by)),
        };
        Ok(Statement { collection: self.tasks(), id: after.id, what })
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
        let row = tracker::history_row(after, action, by, changes, notes);
        self.write(Statement { collection: self.histories(), id: row.get_object_id("_id")?, what: What::Insert(row) })
            .await?;
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
