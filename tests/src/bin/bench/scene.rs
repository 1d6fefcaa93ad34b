//! Where a scene plays: a fresh database with a group and webhooks, and paths of its own at the receiver.

use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::Duration;

use anyhow::{Context, Result};
use bson::DateTime;
use bson::oid::ObjectId;
use serde_json::Value;
use taskwire::model::Ordering;
use taskwire_tests::admin_api::webhook_for_all_events;
use taskwire_tests::process::Launch;
use taskwire_tests::service::Group;
use taskwire_tests::{AdminApi, Db, Process, Profile, Program, free_port, stack};

use crate::Bench;
use crate::remote::SECRET;
use crate::tally::Manner;

/// How long a program may take to stop: longer than its own grace.
const STOP: Duration = Duration::from_secs(40);

/// Where a webhook's deliveries go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Target {
    /// A path of the receiver.
    Path(Manner),
    /// A port that nobody listens on.
    Closed,
}

/// A webhook to be made.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Hook {
    pub(crate) target: Target,
    pub(crate) ordering: Ordering,
    /// Before the second attempt.
    pub(crate) backoff_seconds: u32,
}

impl Hook {
    /// Unordered, with the default backoff.
    pub(crate) const fn to(manner: Manner) -> Self {
        Self { target: Target::Path(manner), ordering: Ordering::None, backoff_seconds: 30 }
    }
}

/// A database with a group and webhooks. Dropping it drops the database.
pub(crate) struct Scene {
    pub(crate) db: Db,
    pub(crate) group: Group,
    pub(crate) webhooks: Vec<(ObjectId, Ordering)>,
    /// When events that are queued in bulk were made: in seconds, an hour before the scene.
    pub(crate) past: i64,
    number: u32,
}

impl Scene {
    /// The beginning of the paths of this scene's webhooks of this manner.
    pub(crate) fn paths(&self, manner: Manner) -> String {
        format!("/{}/{}/", manner.name(), self.number)
    }
}

impl Bench {
    /// A fresh scene with these webhooks; no program runs.
    pub(crate) async fn set_scene(&self, hooks: &[Hook]) -> Result<Scene> {
        static COUNTER: AtomicU32 = AtomicU32::new(1);
        let db = self.mongo.db().await?;
        let group = Group::create(&db).await?;
        let number = COUNTER.fetch_add(1, Relaxed);
        let past = DateTime::now().timestamp_millis() / 1000 - 3600;
        let mut scene = Scene { db, group, webhooks: Vec::new(), past, number };
        let mut api = self.launch(&scene.db, Program::Api)?.start().await?;
        let admin = AdminApi::new(&api.url(), scene.group.admin)?;
        for (place, hook) in hooks.iter().enumerate() {
            let made = admin.create_webhook(&self.webhook(&scene, place, hook)?).await?;
            let id = made.get("id").and_then(Value::as_str).context("the answer holds no id")?;
            scene.webhooks.push((id.parse()?, hook.ordering));
        }
        api.stop(STOP).await?;
        Ok(scene)
    }

    fn webhook(&self, scene: &Scene, place: usize, hook: &Hook) -> Result<Value> {
        let url = match hook.target {
            Target::Path(manner) => self.receiver.url(&format!("{}{place}", scene.paths(manner))),
            Target::Closed => format!("http://127.0.0.1:{}/", free_port()?),
        };
        let mut webhook = webhook_for_all_events(scene.group.id, &url);
        webhook["secret"] = SECRET.into();
        webhook["ordering"] = serde_json::to_value(hook.ordering)?;
        webhook["retryPolicy"]["backoffSeconds"] = hook.backoff_seconds.into();
        Ok(webhook)
    }

    /// A program that logs warnings only, not yet started.
    pub(crate) fn launch(&self, db: &Db, program: Program) -> Result<Launch> {
        let logs = self.arguments.logs.canonicalize()?;
        let launch = stack::launch(program, db.uri(), db.name(), Profile::TasksTracker).log_to(&logs);
        // One admin makes webhooks and calls without a pause.
        Ok(launch.set("RUST_LOG", "warn").set("TASKWIRE_USER_RATE_PER_MINUTE", "0"))
    }

    /// An indexer that does this (`run`, `watch`, `dispatch`), ready.
    pub(crate) async fn indexer(&self, scene: &Scene, work: &str) -> Result<Process> {
        self.launch(&scene.db, Program::Indexer)?.arguments(&[work]).start().await
    }

    /// A first start, which fixes the position in the stream: what is written from now on is told.
    pub(crate) async fn fix_position(&self, scene: &Scene) -> Result<()> {
        self.stop(self.indexer(scene, "run").await?).await
    }

    /// Stops a program in good order.
    #[allow(clippy::unused_self, reason = "reads as a step of the benchmark")]
    pub(crate) async fn stop(&self, mut process: Process) -> Result<()> {
        process.stop(STOP).await?;
        Ok(())
    }

    /// The end of a scene: the receiver forgets it.
    pub(crate) async fn leave(&self, scene: Scene) -> Result<()> {
        for manner in [Manner::Accept, Manner::Flaky, Manner::Slow, Manner::Hang] {
            self.receiver.forget(&scene.paths(manner)).await?;
        }
        drop(scene);
        Ok(())
    }
}
