//! `taskwire-indexer`: tails the change stream and delivers what it derives.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use clap::{Parser, Subcommand};
use taskwire::client::ClientError;
use taskwire::config::{IndexerSettings, LogFormat, Source};
use taskwire::healthcheck::{self, Question};
use taskwire::listen::BoundedListener;
use taskwire::model::DocId;
use taskwire::shutdown;
use taskwire::store::{ServerClock, Store, connect, prepare};
use taskwire::telemetry::{
    Readiness, StatusBoard, TelemetryError, init_logging, install_metrics, status_routes, traces,
};
use taskwire_indexer::commands::{self, CommandError, drain, shadow};
use taskwire_indexer::dispatch;
use taskwire_indexer::lag::{self, Tracker};
use taskwire_indexer::leader::Leader;
use taskwire_indexer::replay;
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;

/// A change and a delivery take some hundred small allocations each, across threads: measured, a sixth of the process's time
/// under the system's allocator.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Tails MongoDB's change stream, derives each task's events exactly once, and delivers them as signed webhooks.
#[derive(Parser)]
#[command(name = "taskwire-indexer", version)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Watch and dispatch (the default).
    Run,
    /// Watch only: derive and record, deliver nothing; with --shadow, derive and print, and write nothing anywhere.
    Watch(shadow::Args),
    /// Dispatch only: deliver what is queued, derive nothing.
    Dispatch(drain::Args),
    /// Ask the process that listens at TASKWIRE_INDEXER_LISTEN whether it serves; exit 0 if it does, else 1, with one line that
    /// says why.
    Healthcheck {
        /// Ask whether it is ready (/readyz): it tails, stands by, or dispatches. A first start's scan, or MongoDB's absence, is
        /// not.
        #[arg(long)]
        ready: bool,
    },
    #[command(flatten)]
    Operator(commands::Command),
}

/// What a serving process does.
enum Work {
    Both,
    Watch,
    /// For one group's webhooks, or all.
    Dispatch(Option<DocId>),
}

fn main() -> ExitCode {
    let command = match Cli::try_parse() {
        Ok(cli) => cli.command.unwrap_or(Command::Run),
        Err(error) => {
            let code = drain::usage_code(&std::env::args().collect::<Vec<_>>()).filter(|_| error.use_stderr());
            let Some(code) = code else { error.exit() };
            let _printed = error.print();
            return ExitCode::from(code);
        }
    };
    // An error says that a provider is installed already, which is what is wanted.
    let _installed = rustls::crypto::ring::default_provider().install_default();
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("taskwire-indexer: the runtime cannot start: {error}");
            return ExitCode::FAILURE;
        }
    };
    match command {
        Command::Run => start(&runtime, Work::Both),
        Command::Watch(args) if args.shadow => end(Source::load()
            .map_err(CommandError::from)
            .and_then(|source| runtime.block_on(shadow::run(&args, source)))),
        Command::Watch(_) => start(&runtime, Work::Watch),
        Command::Dispatch(drain::Args { group: Some(group), once: true, json }) => drain_once(&runtime, &group, json),
        Command::Dispatch(args) => start(&runtime, Work::Dispatch(args.group.as_deref().map(DocId::parse))),
        Command::Healthcheck { ready } => {
            runtime.block_on(health(if ready { Question::Ready } else { Question::Serves }))
        }
        Command::Operator(command) => operate(&runtime, command),
    }
}

async fn health(question: Question) -> ExitCode {
    let listen = match Source::load().and_then(|source| IndexerSettings::read_listen(&source)) {
        Ok(listen) => listen,
        Err(error) => return end(Err(error.into())),
    };
    match healthcheck::ask(listen, question).await {
        Ok(said) => {
            println!("{said}");
            ExitCode::SUCCESS
        }
        Err(unhealthy) => {
            eprintln!("taskwire-indexer: {unhealthy}");
            ExitCode::FAILURE
        }
    }
}

fn operate(runtime: &Runtime, command: commands::Command) -> ExitCode {
    end(Source::load().map_err(CommandError::from).and_then(|source| runtime.block_on(commands::run(command, source))))
}

fn end(done: Result<commands::Outcome, CommandError>) -> ExitCode {
    match done {
        Ok(outcome) => outcome.into(),
        Err(error) => {
            eprintln!("taskwire-indexer: {error}");
            error.exit_code()
        }
    }
}

fn drain_once(runtime: &Runtime, group: &str, json: bool) -> ExitCode {
    let done = Source::load()
        .map_err(CommandError::from)
        .and_then(|source| runtime.block_on(drain::run(group, json, &source)));
    if let Err(error) = &done {
        eprintln!("taskwire-indexer: {error}");
    }
    drain::exit_code(&done)
}

fn start(runtime: &Runtime, work: Work) -> ExitCode {
    let settings =
        match Source::load().and_then(|source| Ok((IndexerSettings::read(&source)?, LogFormat::read(&source)?))) {
            Ok(settings) => settings,
            Err(error) => {
                eprintln!("taskwire-indexer: {error}");
                return ExitCode::from(2);
            }
        };
    match runtime.block_on(serve(work, settings)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("taskwire-indexer: {error:#}");
            let settings = error.is::<TelemetryError>() || error.is::<ClientError>();
            if settings { ExitCode::from(2) } else { ExitCode::FAILURE }
        }
    }
}

async fn serve(work: Work, (settings, format): (IndexerSettings, LogFormat)) -> anyhow::Result<()> {
    init_logging(format)?;
    let metrics = install_metrics("taskwire-indexer")?;
    let traces = traces::init(&settings.common.traces, "taskwire-indexer")?;
    let stop = shutdown::on_signals()?;
    let settings = Arc::new(settings);
    let status = StatusBoard::not_ready("starting");
    let listener = BoundedListener::bind(settings.listen)
        .await
        .with_context(|| format!("TASKWIRE_INDEXER_LISTEN: {} cannot be listened on", settings.listen))?;
    let serving = CancellationToken::new();
    let until = serving.clone().cancelled_owned();
    let routes = status_routes(status.clone(), metrics);
    let server = tokio::spawn(axum::serve(listener, routes).with_graceful_shutdown(until).into_future());
    let store = connect(&settings.common.mongo, "taskwire-indexer").await?;
    let done = work_on(store.clone(), work, settings, status, stop).await;
    serving.cancel();
    traces.close().await;
    // What still reads from the health routes is not waited for longer than this.
    let _closed = tokio::time::timeout(Duration::from_secs(1), server).await;
    store.close().await;
    done
}

async fn work_on(
    store: Store,
    work: Work,
    settings: Arc<IndexerSettings>,
    status: StatusBoard,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    prepare(&store).await.context("Taskwire's collections cannot be made ready")?;
    let clock = ServerClock::calibrated(&store.db).await?;
    let tracker = Tracker::default();
    tokio::spawn(lag::report(store.clone(), clock.clone(), tracker.clone(), stop.clone()));
    // The dispatcher stops after the watcher, which may hand over until its end.
    let no_more = CancellationToken::new();
    let group = match &work {
        Work::Both => Some(None),
        Work::Dispatch(group) => Some(group.clone()),
        Work::Watch => None,
    };
    let (dispatcher, delivering) = match group {
        Some(group) => {
            let (handle, task) = dispatch::start_for(&store, &settings, clock.clone(), group, no_more.clone())?;
            let replaying = tokio::spawn(replay::run(store.clone(), clock.clone(), handle.clone(), stop.clone()));
            (Some(handle), Some((task, replaying)))
        }
        None => (None, None),
    };
    match work {
        Work::Both | Work::Watch => {
            Leader { store, settings, clock, owner: owner(), status, tracker, dispatcher }.run(stop).await;
        }
        Work::Dispatch(_) => {
            status.set(Readiness::Ready);
            stop.cancelled().await;
        }
    }
    no_more.cancel();
    if let Some((task, replaying)) = delivering {
        task.await.context("the dispatcher broke")?;
        // At most a page's transaction is under way; left alone, its rows would be blocked for a minute.
        let _ended = tokio::time::timeout(Duration::from_secs(5), replaying).await;
    }
    Ok(())
}

/// This process's name in the lease: for people, and different from every other's.
fn owner() -> String {
    let host = std::fs::read_to_string("/etc/hostname").unwrap_or_default();
    format!("{}/{}/{:08x}", host.trim(), std::process::id(), rand::random::<u32>())
}
