//! The benchmark that `scripts/bench` runs: deliveries a second over a backlog, and the time from commit to receipt, beside
//! what the same machine can do at most.
//!
//! Everything runs on one machine: MongoDB, both programs, the receiver (a process of its own), and this writer.

mod backlog;
mod ceilings;
mod latency;
mod remote;
mod report;
mod writer;

use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use clap::Parser;
use taskwire_tests::admin_api::webhook_for_all_events;
use taskwire_tests::mongo::MongoOptions;
use taskwire_tests::process::Launch;
use taskwire_tests::service::Group;
use taskwire_tests::{AdminApi, Db, Mongo, Process, Profile, Program, stack};

use remote::RemoteReceiver;
use report::Report;

/// Measures throughput over a backlog, latency under a steady load, and the machine's ceilings.
#[derive(Debug, Clone, Parser)]
struct Arguments {
    /// Print JSON instead of a table.
    #[arg(long)]
    json: bool,
    /// A short form that only shows that everything runs: its figures mean little.
    #[arg(long)]
    smoke: bool,
    /// Task writes in the backlog; a multiple of 4.
    #[arg(long, default_value_t = 20_000)]
    writes: usize,
    /// Writes a second while latency is measured.
    #[arg(long, default_value_t = 300)]
    rate: u32,
    /// How long latency is measured for each setting, in seconds.
    #[arg(long, default_value_t = 20)]
    seconds: u32,
    /// Leave out the history rows that the task service writes beside each task.
    #[arg(long)]
    without_rows: bool,
    /// Only the ceilings, which need neither program.
    #[arg(long)]
    ceilings_only: bool,
    /// Where the programs' logs go.
    #[arg(long, default_value = ".cache/bench-logs")]
    logs: PathBuf,
}

/// What every part of the benchmark uses.
struct Bench {
    arguments: Arguments,
    mongo: Mongo,
    receiver: RemoteReceiver,
}

/// A database with a group and a webhook, and the API that made it.
struct Scene {
    db: Db,
    group: Group,
    _api: Process,
}

#[tokio::main]
async fn main() -> Result<()> {
    let mut arguments = Arguments::parse();
    if arguments.smoke {
        (arguments.writes, arguments.rate, arguments.seconds) = (2_000, 100, 3);
    }
    ensure!(arguments.writes.is_multiple_of(4) && arguments.writes > 0, "--writes takes a multiple of 4");
    taskwire_tests::init();
    let report = run(arguments.clone()).await?;
    if arguments.json {
        println!("{}", serde_json::to_string_pretty(&report)?);
    } else {
        print!("{report}");
    }
    Ok(())
}

async fn run(arguments: Arguments) -> Result<Report> {
    std::fs::create_dir_all(&arguments.logs)?;
    let options = MongoOptions { test_commands: false, oplog_mb: 2048, cache_gb: 1.0, ..MongoOptions::default() };
    let mongo = Mongo::start(&options).await?;
    let receiver = RemoteReceiver::start(&arguments.logs).await?;
    let bench = Bench { arguments, mongo, receiver };
    let mut report = Report::new(&bench.arguments);
    bench.measure_ceilings(&mut report).await?;
    if !bench.arguments.ceilings_only {
        bench.measure_backlog(&mut report).await?;
        for (name, actor_wait_ms) in [("actor wait 0", Some(0)), ("actor wait at its default", None)] {
            bench.measure_latency(&mut report, name, actor_wait_ms).await?;
        }
    }
    Ok(report)
}

impl Bench {
    /// Progress goes to standard error, so that the result can be piped.
    #[allow(clippy::unused_self, reason = "reads as a step of the benchmark")]
    fn say(&self, what: &str) {
        eprintln!("bench: {what}");
    }

    /// A fresh database, group and webhook; the receiver counts from zero.
    async fn set_scene(&self) -> Result<Scene> {
        let db = self.mongo.db().await?;
        let group = Group::create(&db).await?;
        let api = self.launch(&db, Program::Api)?.start().await?;
        let admin = AdminApi::new(&api.url(), group.admin)?;
        let mut webhook = webhook_for_all_events(group.id, &self.receiver.hook_url());
        webhook["secret"] = remote::SECRET.into();
        admin.create_webhook(&webhook).await.context("the benchmark's webhook")?;
        Ok(Scene { db, group, _api: api })
    }

    fn launch(&self, db: &Db, program: Program) -> Result<Launch> {
        let logs = self.arguments.logs.canonicalize()?;
        let launch = stack::launch(program, db.uri(), db.name(), Profile::TasksTracker).log_to(&logs);
        Ok(launch.set("RUST_LOG", "warn"))
    }
}
