//! The whole of it for one test: a database, the task service, a receiver, and settings for the programs.

use anyhow::{Context, Result};
use serde_json::Value;

use crate::admin_api::{JWT_SECRET, webhook_for_all_events};
use crate::process::Launch;
use crate::{AdminApi, Db, Profile, Program, Receiver, TaskService};

/// The base64 of 32 bytes: the master key of tests, demo and benchmark.
pub const MASTER_KEY: &str = "dGFza3dpcmUtdGVzdC1tYXN0ZXIta2V5LTMyLWJ5dGU=";

/// Everything but the programs, which a test starts and kills as it needs. Fields are dropped in this order.
#[derive(Debug)]
pub struct Stack {
    /// Where deliveries go; path `/hook`.
    pub receiver: Receiver,
    /// Who writes.
    pub service: TaskService,
    /// The service's database, dropped last.
    pub db: Db,
}

/// The path of the receiver that [`Stack::webhook`] registers.
pub const HOOK: &str = "/hook";

impl Stack {
    /// A fresh database with a group, and a receiver.
    ///
    /// # Errors
    /// When there is no MongoDB.
    pub async fn new(profile: Profile) -> Result<Self> {
        Self::on(Db::fresh().await?, profile).await
    }

    /// The same in a given database.
    ///
    /// # Errors
    /// The driver's.
    pub async fn on(db: Db, profile: Profile) -> Result<Self> {
        crate::init();
        let service = TaskService::new(&db, profile).await?;
        Ok(Self { receiver: Receiver::start().await?, service, db })
    }

    /// A program with the settings of this stack.
    #[must_use]
    pub fn launch(&self, program: Program) -> Launch {
        // On a busy machine a history row may come later than the default allows, and its actor would rightly be missing.
        launch(program, self.db.uri(), self.db.name(), self.service.profile()).set("TASKWIRE_ACTOR_WAIT_MS", "1000")
    }

    /// A client of the API at this base URL, as the group's admin.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn admin(&self, base: &str) -> Result<AdminApi> {
        AdminApi::new(base, self.service.group().admin)
    }

    /// Registers a webhook for all events at the receiver's `/hook` and tells the receiver its secret.
    ///
    /// # Errors
    /// When the API refuses.
    pub async fn webhook(&self, api: &AdminApi) -> Result<Value> {
        let wanted = webhook_for_all_events(self.service.group().id, &self.receiver.url(HOOK));
        let webhook = api.create_webhook(&wanted).await?;
        let secret = webhook.get("secret").and_then(Value::as_str).context("the answer holds no secret")?;
        self.receiver.set_secret(HOOK, secret);
        Ok(webhook)
    }
}

/// A program with settings for this database and targets on this machine.
#[must_use]
pub fn launch(program: Program, uri: &str, database: &str, profile: Profile) -> Launch {
    let with = |launch: Launch, (variable, value): (&str, String)| launch.set(variable, &value);
    settings(uri, database, profile).into_iter().fold(Launch::new(program), with)
}

/// Settings for this database and targets on this machine, for any program or command.
#[must_use]
pub fn settings(uri: &str, database: &str, profile: Profile) -> [(&'static str, String); 7] {
    [
        ("TASKWIRE_MONGODB_URI", uri.to_owned()),
        ("TASKWIRE_DATABASE", database.to_owned()),
        ("TASKWIRE_MAPPING", profile.name().to_owned()),
        ("TASKWIRE_MASTER_KEY", MASTER_KEY.to_owned()),
        ("TASKWIRE_JWT_SECRET", JWT_SECRET.to_owned()),
        ("TASKWIRE_TARGET_ALLOWLIST", "127.0.0.0/8,::1/128".to_owned()),
        ("TASKWIRE_ALLOW_HTTP_TARGETS", "true".to_owned()),
    ]
}
