//! Swaps: tasks of a group pass their assignees among each other, in one transaction.

use anyhow::{Context, Result, ensure};
use bson::oid::ObjectId;
use bson::{Bson, DateTime, Document, doc};
use mongodb::error::TRANSIENT_TRANSACTION_ERROR;
use mongodb::{ClientSession, Collection};

use super::oracle::{Write, events_of};
use super::sure::{Statement, What};
use super::{Action, Profile, Task, TaskService};
use crate::expected::Expected;

/// How often a transaction that met another is tried again.
const TRIES: usize = 20;

impl TaskService {
    /// Two tasks exchange their assignees; the group's admin approves it. Both writes are in one transaction, the
    /// history rows come after. Under `camel-case` the transaction also moves a request of `swapRequests` to
    /// `Approved`.
    ///
    /// # Errors
    /// The driver's, or when the two have the same assignee.
    pub async fn swap(&self, first: ObjectId, second: ObjectId) -> Result<Vec<Expected>> {
        self.swap_ring(&[first, second]).await
    }

    /// Each task receives the assignee of the next, the last that of the first.
    ///
    /// # Errors
    /// The driver's, or when two of them have the same assignee.
    pub async fn swap_ring(&self, ids: &[ObjectId]) -> Result<Vec<Expected>> {
        let approver = self.group.admin;
        let before = self.distinct_assignees(ids).await?;
        let givers: Vec<&Task> = before.iter().skip(1).chain(before.first()).collect();
        let after: Vec<Task> =
            before.iter().zip(&givers).map(|(task, giver)| Task { assignee: giver.assignee, ..task.clone() }).collect();
        let request = self.open_request(&before).await?;
        self.swap_in_transaction(&before, &after, request).await?;
        let mut events = Vec::new();
        for ((before, after), giver) in before.iter().zip(&after).zip(&givers) {
            let swapped_with = Some(giver.id);
            let write =
                Write { profile: self.profile, before: Some(before), after, actor: Some(approver), swapped_with };
            events.extend(self.expect(events_of(&write)));
        }
        for (before, after) in before.iter().zip(&after) {
            self.leave_row(before, after, Action::Reassigned, approver).await?;
        }
        Ok(events)
    }

    async fn distinct_assignees(&self, ids: &[ObjectId]) -> Result<Vec<Task>> {
        ensure!(ids.len() >= 2, "a swap takes two tasks or more");
        let mut tasks: Vec<Task> = Vec::new();
        for id in ids {
            let task = self.task(*id).await?;
            let other = tasks.iter().find(|other| other.assignee == task.assignee);
            ensure!(other.is_none(), "task {id} has the assignee of another: nothing would be swapped");
            tasks.push(task);
        }
        Ok(tasks)
    }

    fn requests(&self) -> Collection<Document> {
        self.database.collection("swapRequests")
    }

    /// Under `camel-case` a member asks for the swap before an admin grants it.
    async fn open_request(&self, tasks: &[Task]) -> Result<Option<ObjectId>> {
        let (Profile::CamelCase, [requester, target]) = (self.profile, tasks) else { return Ok(None) };
        let id = ObjectId::new();
        let side = |task: &Task| doc! { "userId": task.assignee, "taskId": task.id };
        let request = doc! {
            "_id": id,
            "groupId": self.group.id,
            "requester": side(requester),
            "target": side(target),
            "status": "Pending",
            "approvedBy": Bson::Null,
            "createdAt": DateTime::now(),
        };
        self.write(Statement { collection: self.requests(), id, what: What::Insert(request) }).await?;
        Ok(Some(id))
    }

    async fn swap_in_transaction(&self, before: &[Task], after: &[Task], request: Option<ObjectId>) -> Result<()> {
        let approver = self.group.admin;
        let tasks = before.iter().zip(after);
        let moves = tasks.map(|(before, after)| self.next_state(before, after, Action::Reassigned, approver));
        let mut statements: Vec<Statement> = moves.collect::<Result<_>>()?;
        if let Some(id) = request {
            let granted = doc! { "$set": { "status": "Approved", "approvedBy": approver } };
            statements.push(Statement { collection: self.requests(), id, what: What::Update(granted) });
        }
        if let Some(sure) = &self.sure {
            return sure.lock().await.write_together(&statements).await;
        }
        let mut session = self.client().start_session().await?;
        let mut tries = 0;
        while let Err(error) = swap_once(&mut session, &statements).await {
            tries += 1;
            if tries == TRIES || !error.contains_label(TRANSIENT_TRANSACTION_ERROR) {
                return Err(error).context("the swap's transaction failed");
            }
            session.abort_transaction().await.ok();
        }
        Ok(())
    }
}

async fn swap_once(session: &mut ClientSession, statements: &[Statement]) -> Result<(), mongodb::error::Error> {
    session.start_transaction().await?;
    for statement in statements {
        statement.run(Some(&mut *session)).await?;
    }
    session.commit_transaction().await
}
