//! What the service does with one task.

use std::time::Duration;

use anyhow::{Result, ensure};
use bson::oid::ObjectId;
use bson::{DateTime, doc};

use super::oracle::{Write, events_of};
use super::sure::{Statement, What};
use super::task::{NOBODY, Review};
use super::{Action, Edit, Hand, Profile, Status, Task, TaskService, camel, tracker};
use crate::expected::Expected;

/// A task to create. The default is a pending task of difficulty 3 for the group's first member, due in a week.
#[derive(Debug, Clone)]
#[allow(missing_docs, reason = "the task's own names")]
pub struct NewTask {
    pub name: String,
    pub description: Option<String>,
    pub difficulty: i32,
    /// `None`: the group's first regular member.
    pub assignee: Option<ObjectId>,
    pub requires_approval: bool,
    pub due_at: DateTime,
    pub template: Option<ObjectId>,
}

impl Default for NewTask {
    fn default() -> Self {
        Self {
            name: "Water the plants".to_owned(),
            description: Some("Twice, not too much.".to_owned()),
            difficulty: 3,
            assignee: None,
            requires_approval: false,
            due_at: DateTime::from_system_time(std::time::SystemTime::now() + Duration::from_secs(7 * 86_400)),
            template: None,
        }
    }
}

impl NewTask {
    /// The default task with this name.
    #[must_use]
    pub fn named(name: &str) -> Self {
        Self { name: name.to_owned(), ..Self::default() }
    }

    /// The same, completed only with an approval.
    #[must_use]
    pub fn requiring_approval(self) -> Self {
        Self { requires_approval: true, ..self }
    }

    /// The same, given to this member.
    #[must_use]
    pub fn assigned_to(self, assignee: ObjectId) -> Self {
        Self { assignee: Some(assignee), ..self }
    }
}

impl TaskService {
    /// Creates a task; the group's admin does it. Also sets the group's `updatedAt` and adds a notification.
    ///
    /// # Errors
    /// The driver's.
    pub async fn create(&self, new: NewTask) -> Result<(Task, Vec<Expected>)> {
        let task = self.build(new);
        let events = self.insert(&task).await?;
        Ok((task, events))
    }

    /// Inserts this task, with an id that may have been used and deleted before; otherwise like [`Self::create`].
    ///
    /// # Errors
    /// The driver's.
    pub async fn insert(&self, task: &Task) -> Result<Vec<Expected>> {
        let by = self.group.admin;
        let document = match self.profile {
            Profile::TasksTracker => tracker::document(task)?,
            Profile::CamelCase => camel::document(task),
        };
        self.write(Statement { collection: self.tasks(), id: task.id, what: What::Insert(document) }).await?;
        // Who created it stands in the task: no row is needed to tell.
        let write = Write { profile: self.profile, before: None, after: task, actor: Some(by), swapped_with: None };
        let events = self.expect(events_of(&write));
        self.leave_row(task, task, Action::Created, by).await?;
        let notice = doc! { "taskId": task.id, "text": format!("{} was added", task.name), "at": DateTime::now() };
        let update = doc! { "$set": { "updatedAt": DateTime::now() }, "$push": { "notifications": notice } };
        let groups = self.database.collection("groups");
        self.write(Statement { collection: groups, id: self.group.id, what: What::Update(update) }).await?;
        Ok(events)
    }

    /// The task that [`Self::create`] would insert.
    #[must_use]
    pub fn build(&self, new: NewTask) -> Task {
        let review = Review { status: Status::Pending, reviewed_by: None };
        Task {
            id: ObjectId::new(),
            group: self.group.id,
            template: new.template,
            assignee: new.assignee.unwrap_or(self.group.members[0]),
            name: new.name,
            description: new.description,
            difficulty: new.difficulty,
            status: Status::Pending,
            requires_approval: new.requires_approval,
            due_at: new.due_at,
            frequency: 0,
            created_at: DateTime::now(),
            created_by: self.group.admin,
            review: (self.profile == Profile::CamelCase && new.requires_approval).then_some(review),
        }
    }

    /// Changes fields; the group's admin does it.
    ///
    /// # Errors
    /// The driver's, or when there is no such task.
    pub async fn edit(&self, id: ObjectId, edit: &Edit) -> Result<Vec<Expected>> {
        let before = self.task(id).await?;
        let after = edit.applied_to(&before);
        self.change(&before, &after, Action::Updated, self.admin()).await
    }

    /// Writes the task as it is, as the service does for an edit that changes nothing: under `tasks-tracker` a row is
    /// left all the same.
    ///
    /// # Errors
    /// The driver's, or when there is no such task.
    pub async fn save_unchanged(&self, id: ObjectId) -> Result<Vec<Expected>> {
        self.edit(id, &Edit::default()).await
    }

    /// Sets any status; the assignee does it.
    ///
    /// # Errors
    /// The driver's, or when there is no such task or status.
    pub async fn set_status(&self, id: ObjectId, status: Status) -> Result<Vec<Expected>> {
        let before = self.task(id).await?;
        let after = Task { status, ..before.clone() };
        self.change(&before, &after, Action::StatusChanged, Self::by(before.assignee)).await
    }

    /// The assignee completes it, no approval asked.
    ///
    /// # Errors
    /// The driver's, or when there is no such task.
    pub async fn complete(&self, id: ObjectId) -> Result<Vec<Expected>> {
        self.set_status(id, Status::Completed).await
    }

    /// The assignee says it is done, and an admin is to look: `WaitingForApproval`, under `camel-case` `Completed`.
    ///
    /// # Errors
    /// The driver's, or when there is no such task.
    pub async fn request_approval(&self, id: ObjectId) -> Result<Vec<Expected>> {
        match self.profile {
            Profile::TasksTracker => self.set_status(id, Status::WaitingForApproval).await,
            Profile::CamelCase => self.set_status(id, Status::Completed).await,
        }
    }

    /// The admin approves what waits.
    ///
    /// # Errors
    /// The driver's, or when nothing waits.
    pub async fn approve(&self, id: ObjectId) -> Result<Vec<Expected>> {
        let before = self.waiting(id).await?;
        let after = match self.profile {
            Profile::TasksTracker => Task { status: Status::Completed, ..before.clone() },
            Profile::CamelCase => {
                Task { status: Status::Approved, review: self.review(Status::Approved), ..before.clone() }
            }
        };
        self.change(&before, &after, Action::CompletionApproved, self.admin()).await
    }

    /// The admin rejects what waits; it goes back to `InProgress`, under `camel-case` to `Pending`.
    ///
    /// # Errors
    /// The driver's, or when nothing waits.
    pub async fn reject(&self, id: ObjectId) -> Result<Vec<Expected>> {
        let before = self.waiting(id).await?;
        let after = match self.profile {
            Profile::TasksTracker => Task { status: Status::InProgress, ..before.clone() },
            Profile::CamelCase => {
                Task { status: Status::Pending, review: self.review(Status::Rejected), ..before.clone() }
            }
        };
        self.change(&before, &after, Action::CompletionRejected, self.admin()).await
    }

    async fn waiting(&self, id: ObjectId) -> Result<Task> {
        let task = self.task(id).await?;
        let waits = match self.profile {
            Profile::TasksTracker => Status::WaitingForApproval,
            Profile::CamelCase => Status::Completed,
        };
        ensure!(task.status == waits, "task {id} is {}: nothing waits for approval", task.status.name());
        Ok(task)
    }

    const fn review(&self, status: Status) -> Option<Review> {
        Some(Review { status, reviewed_by: Some(self.group.admin) })
    }

    /// The admin gives it to another member.
    ///
    /// # Errors
    /// The driver's, or when there is no such task.
    pub async fn reassign(&self, id: ObjectId, assignee: ObjectId) -> Result<Vec<Expected>> {
        let before = self.task(id).await?;
        let after = Task { assignee, ..before.clone() };
        self.change(&before, &after, Action::Reassigned, self.admin()).await
    }

    /// Takes it from its assignee. Leaves no history row.
    ///
    /// # Errors
    /// The driver's, or when there is no such task.
    pub async fn unassign(&self, id: ObjectId) -> Result<Vec<Expected>> {
        let before = self.task(id).await?;
        let after = Task { assignee: NOBODY, ..before.clone() };
        self.change(&before, &after, Action::Reassigned, self.without_row()).await
    }

    /// Gives tasks to the group's members in turn and sets them `InProgress`, whatever they were. Leaves no rows.
    ///
    /// # Errors
    /// The driver's, or when a task is not there; at most 100 are taken.
    pub async fn distribute(&self, ids: &[ObjectId]) -> Result<Vec<Expected>> {
        ensure!(ids.len() <= 100, "the service distributes at most 100 tasks at once, not {}", ids.len());
        let mut events = Vec::new();
        for (id, member) in ids.iter().zip(self.group.members.iter().cycle()) {
            let before = self.task(*id).await?;
            let after = Task { assignee: *member, status: Status::InProgress, ..before.clone() };
            events.extend(self.change(&before, &after, Action::Reassigned, self.without_row()).await?);
        }
        Ok(events)
    }

    /// Deletes it and leaves the row; no event follows.
    ///
    /// # Errors
    /// The driver's, or when there is no such task.
    pub async fn delete(&self, id: ObjectId) -> Result<()> {
        let task = self.task(id).await?;
        self.write(Statement { collection: self.tasks(), id, what: What::Delete }).await?;
        self.leave_row(&task, &task, Action::Deleted, self.group.admin).await?;
        Ok(())
    }

    const fn admin(&self) -> Hand {
        Self::by(self.group.admin)
    }

    const fn by(by: ObjectId) -> Hand {
        Hand { by, leaves_row: true }
    }

    const fn without_row(&self) -> Hand {
        Hand { by: self.group.admin, leaves_row: false }
    }
}
