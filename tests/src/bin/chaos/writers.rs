//! The writers: each does what people do with its own tasks, one write after the other, and knows what must follow.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use bson::DateTime;
use bson::oid::ObjectId;
use rand::Rng;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use taskwire_tests::service::task::NOBODY;
use taskwire_tests::service::{Edit, NewTask, Profile, Status, Task};
use taskwire_tests::{Expected, TaskService};
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use crate::hooks::Hooks;
use crate::stage::{Stage, client};
use crate::{Plan, any_of};

/// Tasks of a writer that exist at once.
const TASKS: usize = 25;
/// Deleted tasks that may come back.
const GRAVES: usize = 10;

/// Begins the name of a task that was edited.
pub(crate) const RENAMED: &str = "Renamed by a person";

/// An event that must be told.
#[derive(Debug)]
pub(crate) struct Told {
    pub(crate) expected: Expected,
    /// A place in the groups.
    pub(crate) group: usize,
    /// Which configuration of its group's webhooks it met.
    pub(crate) generation: usize,
}

/// What all writers know.
#[derive(Debug, Default)]
pub(crate) struct Model {
    /// For each task in the order of its writes.
    pub(crate) told: Vec<Told>,
    pub(crate) writes: u64,
    /// Writes whose outcome was not known at once.
    pub(crate) doubts: u64,
}

struct Writer {
    service: TaskService,
    hooks: Arc<Hooks>,
    group: usize,
    rng: StdRng,
    alive: Vec<ObjectId>,
    graves: Vec<Task>,
    model: Model,
}

/// Starts them.
pub(crate) async fn start(
    plan: &Plan,
    stage: &Stage,
    hooks: &Arc<Hooks>,
    stop: &CancellationToken,
) -> Result<JoinSet<Result<Model>>> {
    let database = client(&stage.mongo.uri()).await?.database(stage.database.name());
    let mut writing = JoinSet::new();
    for number in 0..plan.writers {
        let group = number % hooks.groups.len();
        let service = TaskService::for_group(&database, plan.profile, hooks.groups[group].group.clone());
        let writer = Writer {
            service: service.surely().await?,
            hooks: Arc::clone(hooks),
            group,
            rng: plan.rng(100 + u64::try_from(number)?),
            alive: Vec::new(),
            graves: Vec::new(),
            model: Model::default(),
        };
        let every = Duration::from_secs(1).mul_f64(plan.writers as f64 / f64::from(plan.rate));
        writing.spawn(writer.run(every, stop.clone()));
    }
    Ok(writing)
}

/// Waits until all have ended, and puts together what they know.
pub(crate) async fn finish(mut writing: JoinSet<Result<Model>>) -> Result<Model> {
    let mut all = Model::default();
    while let Some(ended) = writing.join_next().await {
        let model = ended.context("a writer broke")??;
        all.told.extend(model.told);
        all.writes += model.writes;
        all.doubts += model.doubts;
    }
    Ok(all)
}

impl Writer {
    async fn run(mut self, every: Duration, stop: CancellationToken) -> Result<Model> {
        let mut ticks = tokio::time::interval(every);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while !stop.is_cancelled() {
            tokio::select! {
                () = stop.cancelled() => break,
                _ = ticks.tick() => {}
            }
            let hooks = Arc::clone(&self.hooks);
            let (_held, generation) = hooks.groups[self.group].write().await;
            let events = self.act().await?;
            let group = self.group;
            self.model.told.extend(events.into_iter().map(|expected| Told { expected, group, generation }));
            self.service.forget_expected();
        }
        self.model.doubts = self.service.doubts().await;
        Ok(self.model)
    }

    /// One thing that people do.
    async fn act(&mut self) -> Result<Vec<Expected>> {
        self.model.writes += 1;
        let pick = self.rng.random_range(0..100u8);
        if self.alive.len() < 4 || (pick < 10 && self.alive.len() < TASKS) {
            return self.create().await;
        }
        let at = any_of(&mut self.rng, self.alive.len());
        let task = self.service.task(self.alive[at]).await?;
        match pick {
            0..10 => self.delete(at, task).await,
            10..13 if !self.graves.is_empty() => self.insert_again().await,
            13..22 => self.swap().await,
            22..27 => {
                let some = self.rng.random_range(1..4);
                let tasks: Vec<ObjectId> = self.alive.choose_multiple(&mut self.rng, some).copied().collect();
                self.model.writes += tasks.len() as u64 - 1;
                self.service.distribute(&tasks).await
            }
            27..32 => self.service.save_unchanged(task.id).await,
            32..40 => {
                let members = &self.service.group().members;
                let to = members[any_of(&mut self.rng, members.len())];
                self.service.reassign(task.id, to).await
            }
            40..43 => self.service.unassign(task.id).await,
            43..62 => {
                let edit = self.edit();
                self.service.edit(task.id, &edit).await
            }
            _ => self.move_on(&task).await,
        }
    }

    /// The next step of a task's life.
    async fn move_on(&mut self, task: &Task) -> Result<Vec<Expected>> {
        let (service, luck) = (&self.service, self.rng.random_range(0..10u8));
        let waits = match service.profile() {
            Profile::TasksTracker => Status::WaitingForApproval,
            Profile::CamelCase => Status::Completed,
        };
        if task.status == waits && luck < 8 {
            return if luck < 5 { service.approve(task.id).await } else { service.reject(task.id).await };
        }
        let next = match luck {
            0..3 => Status::InProgress,
            3..5 => Status::Completed,
            5..8 => waits,
            8 if service.profile() == Profile::TasksTracker => Status::Overdue,
            _ => Status::Pending,
        };
        // Nobody moves a task to where it stands; and a row that tells of no change could be taken for another's.
        if next == task.status {
            let edit = self.edit();
            return self.service.edit(task.id, &edit).await;
        }
        // Back to the start from there is a rejection, which is an admin's to make.
        if task.status == waits && next == Status::Pending {
            return service.reject(task.id).await;
        }
        service.set_status(task.id, next).await
    }

    async fn create(&mut self) -> Result<Vec<Expected>> {
        let members = self.service.group().members.clone();
        let name = format!("Task {}", self.rng.random_range(0..100_000));
        let new = NewTask::named(&name).assigned_to(members[any_of(&mut self.rng, members.len())]);
        let new = if self.rng.random_ratio(1, 3) { new.requiring_approval() } else { new };
        let (task, events) = self.service.create(new).await?;
        self.alive.push(task.id);
        Ok(events)
    }

    async fn delete(&mut self, at: usize, task: Task) -> Result<Vec<Expected>> {
        self.service.delete(task.id).await?;
        self.alive.swap_remove(at);
        if self.graves.len() == GRAVES {
            self.graves.remove(0);
        }
        self.graves.push(task);
        Ok(Vec::new())
    }

    /// A deleted task comes back under its id: a new life.
    async fn insert_again(&mut self) -> Result<Vec<Expected>> {
        let task = self.graves.swap_remove(any_of(&mut self.rng, self.graves.len()));
        let task = Task { created_at: DateTime::now(), created_by: self.service.group().admin, ..task };
        self.alive.push(task.id);
        self.service.insert(&task).await
    }

    /// Two or three tasks with different assignees pass them on.
    async fn swap(&mut self) -> Result<Vec<Expected>> {
        let wanted = self.rng.random_range(2..=3);
        let mut ring: Vec<Task> = Vec::new();
        let candidates: Vec<ObjectId> = self.alive.choose_multiple(&mut self.rng, 8).copied().collect();
        for id in candidates {
            let task = self.service.task(id).await?;
            if ring.len() < wanted && task.assignee != NOBODY && ring.iter().all(|one| one.assignee != task.assignee) {
                ring.push(task);
            }
        }
        if ring.len() < 2 {
            return self.create().await;
        }
        self.model.writes += ring.len() as u64 - 1;
        let ids: Vec<ObjectId> = ring.iter().map(|task| task.id).collect();
        self.service.swap_ring(&ids).await
    }

    fn edit(&mut self) -> Edit {
        let rng = &mut self.rng;
        match rng.random_range(0..6u8) {
            0 => Edit::name(&format!("{RENAMED} {}", rng.random_range(0..100_000))),
            1 => Edit {
                description: Some(rng.random_ratio(1, 2).then(|| "Another text.".to_owned())),
                ..Edit::default()
            },
            2 => {
                let days = rng.random_range(1..30);
                let due = DateTime::from_millis(DateTime::now().timestamp_millis() + days * 86_400_000);
                Edit { due_at: Some(due), ..Edit::default() }
            }
            3 => Edit { frequency: Some(rng.random_range(0..7)), ..Edit::default() },
            4 => Edit { requires_approval: Some(rng.random_ratio(1, 2)), ..Edit::default() },
            _ => Edit { difficulty: Some(rng.random_range(1..=10)), name: None, ..Edit::default() },
        }
    }
}
