//! The demonstration that `scripts/demo` runs: both programs, a receiver and a task service that keeps writing.

mod show;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use clap::Parser;
use serde_json::{Value, json};
use taskwire_tests::admin_api::{token, webhook_for_all_events};
use taskwire_tests::expected::{Actors, Expected};
use taskwire_tests::process::Launch;
use taskwire_tests::receiver::Receiver;
use taskwire_tests::service::{Edit, NewTask};
use taskwire_tests::{AdminApi, Answer, Db, Process, Profile, Program, TaskService, compare, eventually, stack};

/// Gets everything.
const EVERYTHING: &str = "/everything";
/// Gets approvals and rejections only, and is down for its first request.
const REVIEWS: &str = "/reviews";

/// A task service writes, Taskwire tells, a receiver verifies.
#[derive(Debug, Parser)]
struct Arguments {
    /// The replica set to use; the demonstration makes a database of its own in it and drops it at the end.
    #[arg(long, env = "TASKWIRE_MONGODB_URI")]
    uri: String,
    /// End by itself after one round: 0 if every expected delivery was seen, 1 otherwise.
    #[arg(long)]
    once: bool,
    /// Where the programs' logs go.
    #[arg(long, default_value = ".cache/demo-logs")]
    logs: PathBuf,
    /// How long `--once` waits for the deliveries, in seconds.
    #[arg(long, default_value_t = 60)]
    patience: u64,
}

struct Demo {
    receiver: Receiver,
    service: TaskService,
    api: Process,
    indexer: Process,
    db: Db,
}

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    taskwire_tests::init();
    let ended = tokio::select! {
        ended = run(&arguments) => ended,
        // What it started is killed as it is dropped; ended by the signal itself, it would leave that behind.
        () = terminated() => Err(anyhow!("ended by SIGTERM")),
    };
    match ended {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("demo: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Resolves at SIGTERM.
async fn terminated() {
    match tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
        Ok(mut signals) => drop(signals.recv().await),
        Err(_) => std::future::pending().await,
    }
}

async fn run(arguments: &Arguments) -> Result<bool> {
    let mut demo = Demo::start(arguments).await?;
    demo.register_webhooks().await?;
    demo.introduce(arguments)?;
    let printer = show::Printer::default();
    let all_seen = if arguments.once {
        demo.play_once(printer, Duration::from_secs(arguments.patience)).await?
    } else {
        demo.play_on(printer).await?
    };
    demo.stop().await?;
    Ok(all_seen)
}

impl Demo {
    async fn start(arguments: &Arguments) -> Result<Self> {
        std::fs::create_dir_all(&arguments.logs)?;
        let logs = arguments.logs.canonicalize()?;
        let name = format!("taskwire_demo_{}", std::process::id());
        let db = Db::named(&arguments.uri, &name).await?;
        let service = TaskService::new(&db, Profile::TasksTracker)
            .await
            .with_context(|| format!("MongoDB at {} does not take a write", arguments.uri))?;
        let receiver = Receiver::listen(SocketAddr::from(([127, 0, 0, 1], 0))).await?;
        let launch = |program| -> Launch {
            stack::launch(program, db.uri(), db.name(), Profile::TasksTracker).log_to(&logs).in_own_process_group()
        };
        // The usual port, where nothing else has it.
        let usual = std::net::TcpListener::bind("127.0.0.1:8080").is_ok();
        let api = launch(Program::Api);
        let api = if usual { api.set("TASKWIRE_API_LISTEN", "127.0.0.1:8080") } else { api };
        println!("Starting taskwire-api and taskwire-indexer (logs in {})", logs.display());
        let api = api.start().await?;
        let indexer = launch(Program::Indexer).start().await?;
        Ok(Self { receiver, service, api, indexer, db })
    }

    /// Two webhooks, made through the API as an admin of the group would.
    async fn register_webhooks(&self) -> Result<()> {
        let group = self.service.group();
        let api = AdminApi::new(&self.api.url(), group.admin)?;
        let everything = webhook_for_all_events(group.id, &self.receiver.url(EVERYTHING));
        let mut reviews = webhook_for_all_events(group.id, &self.receiver.url(REVIEWS));
        reviews["name"] = json!("Reviews");
        reviews["events"] = json!({ "taskApproved": true, "taskRejected": true });
        reviews["retryPolicy"] = json!({ "maxAttempts": 5, "backoffSeconds": 1 });
        for (path, webhook) in [(EVERYTHING, everything), (REVIEWS, reviews)] {
            let made = api.create_webhook(&webhook).await?;
            let secret = made.get("secret").and_then(Value::as_str).context("the answer holds no secret")?;
            self.receiver.set_secret(path, secret);
        }
        self.receiver.script(REVIEWS, [Answer::Status(503)]);
        Ok(())
    }

    fn introduce(&self, arguments: &Arguments) -> Result<()> {
        println!("\nAdmin page  {}/admin/", self.api.url());
        println!("Token       {}", token(self.service.group().admin)?);
        println!("Group       {}", self.service.group().id);
        println!("Database    {} at {}", self.db.name(), arguments.uri);
        println!("Receiver    {EVERYTHING} gets all events; {REVIEWS} approvals and rejections, and is down at first");
        println!("\nThe task service writes; this is what the receiver gets and verifies:\n");
        Ok(())
    }

    /// One round of what people do with tasks. `pause` lies between two writes.
    async fn play_round(&self, number: usize, pause: Duration) -> Result<()> {
        let service = &self.service;
        let members = &service.group().members;
        let rest = || tokio::time::sleep(pause);
        let plants = NewTask::named(&format!("Water the plants ({number})")).assigned_to(members[0]);
        let kitchen = NewTask::named(&format!("Clean the kitchen ({number})")).assigned_to(members[1]);
        let (plants, _) = service.create(plants).await?;
        rest().await;
        let (kitchen, _) = service.create(kitchen.requiring_approval()).await?;
        rest().await;
        service.edit(plants.id, &Edit::difficulty(5)).await?;
        rest().await;
        service.swap(plants.id, kitchen.id).await?;
        rest().await;
        service.complete(plants.id).await?;
        rest().await;
        service.request_approval(kitchen.id).await?;
        rest().await;
        service.reject(kitchen.id).await?;
        rest().await;
        service.request_approval(kitchen.id).await?;
        rest().await;
        service.approve(kitchen.id).await?;
        rest().await;
        Ok(())
    }

    async fn play_once(&mut self, mut printer: show::Printer, patience: Duration) -> Result<bool> {
        self.play_round(1, Duration::from_millis(150)).await?;
        let everything_came = eventually("every expected delivery", patience, async || {
            printer.print_new(&self.receiver.received());
            if let Ok(Some(end)) = self.indexer.ended() {
                // Waiting on would help nothing; the differences below say what is missing.
                return Ok(Some(end));
            }
            let missing = self.differences();
            if missing.is_empty() { Ok(None) } else { Err(format!("{} differences", missing.len())) }
        })
        .await;
        if let Ok(Some(end)) = &everything_came {
            eprintln!("demo: {end}");
        }
        let differences = self.differences();
        for difference in &differences {
            eprintln!("demo: {difference}");
        }
        let complaints = self.receiver.complaints();
        for complaint in &complaints {
            eprintln!("demo: not verified: {complaint}");
        }
        let all_seen = differences.is_empty() && complaints.is_empty();
        if all_seen {
            let totals = self.receiver.totals();
            println!(
                "\nEvery expected delivery was seen: {} events, {} accepted deliveries of {} attempts, all verified.",
                totals.distinct_events, totals.accepted, totals.requests
            );
        } else {
            eprintln!("demo: logs: {} and {}", self.api.log_path().display(), self.indexer.log_path().display());
        }
        Ok(all_seen)
    }

    /// What is missing, doubled or different at either path.
    fn differences(&self) -> Vec<String> {
        let expected = self.service.expected();
        let wanted_by_reviews = |event: &&Expected| matches!(event.event.name(), "task.approved" | "task.rejected");
        let reviews: Vec<Expected> = expected.iter().filter(wanted_by_reviews).cloned().collect();
        let mut differences = Vec::new();
        for (path, wanted) in [(EVERYTHING, expected), (REVIEWS, reviews)] {
            let different = compare(&wanted, &self.receiver.accepted(path), Actors::MayBeMissing);
            differences.extend(different.into_iter().map(|difference| format!("{path}: {difference}")));
        }
        differences
    }

    /// Round after round until Ctrl-C.
    async fn play_on(&mut self, mut printer: show::Printer) -> Result<bool> {
        let shared = &*self;
        let writing = async {
            for number in 1.. {
                shared.play_round(number, Duration::from_millis(700)).await?;
            }
            anyhow::Ok(())
        };
        let printing = async {
            loop {
                printer.print_new(&shared.receiver.received());
                // Otherwise memory would grow for as long as somebody watches.
                if printer.is_full() {
                    shared.receiver.forget();
                    shared.service.forget_expected();
                    printer = show::Printer::default();
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        let interrupted = tokio::select! {
            ended = writing => ended.map(|()| false),
            () = printing => Ok(false),
            signal = tokio::signal::ctrl_c() => signal.map(|()| true).map_err(Into::into),
        };
        for process in [&mut self.api, &mut self.indexer] {
            if let Some(end) = process.ended()? {
                bail!("{end}");
            }
        }
        interrupted?;
        println!("\nStopping.");
        Ok(true)
    }

    async fn stop(&mut self) -> Result<()> {
        for process in [&mut self.indexer, &mut self.api] {
            process.stop(Duration::from_secs(40)).await?;
        }
        Ok(())
    }
}
