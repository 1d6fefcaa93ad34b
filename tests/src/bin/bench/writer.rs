//! Writes as the task service makes them, but many at once and without reading first: each task is written four times
//! (created, edited, begun, completed), and each write yields exactly one event.

use std::time::Duration;

use anyhow::Result;
use bson::oid::ObjectId;
use bson::{Document, doc};
use futures::{StreamExt, TryStreamExt, stream};
use mongodb::Database;
use taskwire_tests::service::task::NOBODY;
use taskwire_tests::service::{Action, Group, Status, Task, tracker};
use tokio::time::{Instant, MissedTickBehavior};

/// How many tasks are written side by side.
const SIDE_BY_SIDE: usize = 16;

/// Writes per task.
pub(crate) const WRITES_PER_TASK: usize = 4;

/// A steady run of writes.
#[derive(Debug)]
pub(crate) struct Steady {
    /// Writes a second that were kept.
    pub(crate) rate: f64,
    /// How long each task's write took until it was acknowledged by a majority, in microseconds, sorted.
    pub(crate) micros: Vec<i64>,
}

/// Who writes where.
#[derive(Debug, Clone)]
pub(crate) struct Writer {
    database: Database,
    group: Group,
    with_rows: bool,
}

impl Writer {
    pub(crate) fn new(database: &Database, group: &Group, with_rows: bool) -> Self {
        Self { database: database.clone(), group: group.clone(), with_rows }
    }

    /// A new task; distinct in its name.
    fn task(&self, number: usize) -> Task {
        let now = bson::DateTime::now();
        Task {
            id: ObjectId::new(),
            group: self.group.id,
            template: None,
            assignee: self.group.members.first().copied().unwrap_or(NOBODY),
            name: format!("Task number {number}"),
            description: Some("As long a description as people write for a task of a household.".to_owned()),
            difficulty: 3,
            status: Status::Pending,
            requires_approval: false,
            due_at: now,
            frequency: 0,
            created_at: now,
            created_by: self.group.admin,
            review: None,
        }
    }

    /// The states of a task, in order.
    fn life(&self, number: usize) -> [(Task, Action); WRITES_PER_TASK] {
        let created = self.task(number);
        let edited = Task { difficulty: 5, ..created.clone() };
        let begun = Task { status: Status::InProgress, ..edited.clone() };
        let completed = Task { status: Status::Completed, ..begun.clone() };
        [
            (created, Action::Created),
            (edited, Action::Updated),
            (begun, Action::StatusChanged),
            (completed, Action::StatusChanged),
        ]
    }

    /// Writes the task, then its row. Gives the time that the task's write took.
    async fn write(&self, before: Option<&Task>, after: &Task, action: Action) -> Result<Duration> {
        let tasks = self.database.collection::<Document>("tasks");
        let document = tracker::document(after)?;
        let start = Instant::now();
        let changes = match before {
            None => {
                tasks.insert_one(document).await?;
                tracker::created_changes(after)
            }
            Some(before) => {
                tasks.replace_one(doc! { "_id": after.id }, document).await?;
                tracker::changes(before, after)
            }
        };
        let took = start.elapsed();
        if self.with_rows {
            let row = tracker::history_row(after, action, self.group.admin, changes, None);
            self.database.collection::<Document>("taskHistories").insert_one(row).await?;
        }
        Ok(took)
    }

    /// Makes `writes` writes as fast as the database takes them.
    pub(crate) async fn write_all(&self, writes: usize) -> Result<()> {
        stream::iter(0..writes / WRITES_PER_TASK)
            .map(|number| async move {
                let mut before = None;
                for (after, action) in self.life(number) {
                    self.write(before.as_ref(), &after, action).await?;
                    before = Some(after);
                }
                anyhow::Ok(())
            })
            .buffer_unordered(SIDE_BY_SIDE)
            .try_collect::<()>()
            .await
    }

    /// Makes `writes` writes at an even pace: each begins at its time, whether or not those before have ended. Tasks are
    /// taken in turn, so that one task's writes lie far apart.
    pub(crate) async fn write_steadily(&self, rate: u32, seconds: u32) -> Result<Steady> {
        let tasks = usize::try_from(rate * seconds)?.div_ceil(WRITES_PER_TASK);
        let lives: Vec<_> = (0..tasks).map(|number| self.life(number)).collect();
        let mut ticks = tokio::time::interval(Duration::from_secs(1) / rate);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
        let mut under_way = tokio::task::JoinSet::<Result<Duration>>::new();
        let mut micros = Vec::with_capacity(tasks * WRITES_PER_TASK);
        let start = Instant::now();
        for step in 0..WRITES_PER_TASK {
            // A task's next write must come after its last.
            while let Some(ended) = under_way.join_next().await {
                micros.push(i64::try_from(ended??.as_micros())?);
            }
            for life in &lives {
                ticks.tick().await;
                let (after, action) = life[step].clone();
                let before = step.checked_sub(1).map(|earlier| life[earlier].0.clone());
                let writer = self.clone();
                under_way.spawn(async move { writer.write(before.as_ref(), &after, action).await });
            }
        }
        while let Some(ended) = under_way.join_next().await {
            micros.push(i64::try_from(ended??.as_micros())?);
        }
        micros.sort_unstable();
        Ok(Steady { rate: micros.len() as f64 / start.elapsed().as_secs_f64(), micros })
    }
}
