//! What a run plays on: the replica set, the programs, the receiver, and where their logs go.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use mongodb::options::{Acknowledgment, ClientOptions, ReadConcern, WriteConcern};
use mongodb::{Client, Database};
use taskwire_tests::mongo::MongoOptions;
use taskwire_tests::process::Launch;
use taskwire_tests::{Mongo, Process, Profile, Program, Receiver, stack};
use tokio::sync::Mutex;

use crate::Plan;

/// Short, so that a run sees many takeovers.
pub(crate) const LEASE: Duration = Duration::from_millis(1000);
const DATABASE: &str = "TasksTrackerDb";

/// Where logs go; a directory of our own vanishes unless something is wrong.
#[derive(Debug)]
enum Logs {
    Given(PathBuf),
    Own(Option<tempfile::TempDir>),
}

/// Everything that was started. Fields are dropped in this order.
#[derive(Debug)]
pub(crate) struct Stage {
    pub(crate) indexers: Vec<Process>,
    pub(crate) api: Process,
    /// Shared with those who count arrivals and change webhooks.
    pub(crate) receiver: Arc<Mutex<Receiver>>,
    pub(crate) mongo: Mongo,
    /// As the task service sees it: majority in reads and writes.
    pub(crate) database: Database,
    pub(crate) profile: Profile,
    logs: Logs,
    log_directory: PathBuf,
}

impl Stage {
    pub(crate) async fn start(plan: &Plan, keep_logs: Option<&Path>) -> Result<Self> {
        let logs = match keep_logs {
            Some(directory) => {
                std::fs::create_dir_all(directory).with_context(|| format!("cannot make {}", directory.display()))?;
                Logs::Given(directory.canonicalize()?)
            }
            None => Logs::Own(Some(tempfile::Builder::new().prefix("taskwire-chaos-").tempdir()?)),
        };
        let log_directory = match &logs {
            Logs::Given(directory) => directory.clone(),
            Logs::Own(directory) => directory.as_ref().context("the directory was just made")?.path().to_owned(),
        };
        let options = MongoOptions {
            nodes: 3,
            oplog_mb: 990,
            cache_gb: 0.25,
            own_process_group: true,
            arguments: ["--setParameter", "diagnosticDataCollectionEnabled=false"].map(str::to_owned).to_vec(),
            ..MongoOptions::default()
        };
        let mongo = Mongo::start(&options).await?;
        let database = client(&mongo.uri()).await?.database(DATABASE);
        let receiver = Receiver::listen(([127, 0, 0, 1], 0).into()).await?;
        let receiver = Arc::new(Mutex::new(receiver));
        let (uri, profile) = (mongo.uri(), plan.profile);
        let api = launch(Program::Api, &uri, profile, &log_directory).start().await?;
        let mut indexers = Vec::new();
        for _ in 0..2 {
            indexers.push(launch(Program::Indexer, &uri, profile, &log_directory).start().await?);
        }
        Ok(Self { indexers, api, receiver, mongo, database, profile, logs, log_directory })
    }

    /// An indexer with this run's settings, not started.
    pub(crate) fn indexer(&self) -> Launch {
        launch(Program::Indexer, &self.mongo.uri(), self.profile, &self.log_directory)
    }

    /// Where the logs are; they stay there.
    pub(crate) fn keep_logs(&mut self) -> Result<PathBuf> {
        if let Logs::Own(directory) = &mut self.logs
            && let Some(directory) = directory.take()
        {
            let _kept = directory.keep();
        }
        for number in 0..self.mongo.len() {
            let target = self.log_directory.join(format!("mongod-{number}.log"));
            std::fs::copy(self.mongo.node(number).log(), target).context("mongod's log cannot be copied")?;
        }
        Ok(self.log_directory.clone())
    }

    /// Where logs and evidence go.
    pub(crate) fn log_directory(&self) -> &Path {
        &self.log_directory
    }
}

fn launch(program: Program, uri: &str, profile: Profile, logs: &Path) -> Launch {
    stack::launch(program, uri, DATABASE, profile)
        .set("TASKWIRE_LEASE_MS", &LEASE.as_millis().to_string())
        .set("TASKWIRE_IDLE_CHECKPOINT_MS", "1000")
        .log_to(logs)
        .in_own_process_group()
}

/// A client as a careful service would have one: what is acknowledged survives a failover.
pub(crate) async fn client(uri: &str) -> Result<Client> {
    let mut options = ClientOptions::parse(uri).await?;
    options.app_name = Some("task-service".to_owned());
    options.server_selection_timeout = Some(Duration::from_secs(10));
    options.connect_timeout = Some(Duration::from_secs(2));
    options.max_pool_size = Some(64);
    options.read_concern = Some(ReadConcern::majority());
    options.write_concern = Some(WriteConcern::builder().w(Acknowledgment::Majority).journal(true).build());
    Ok(Client::with_options(options)?)
}
