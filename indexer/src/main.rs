//! `taskwire-indexer`: tails the change stream and delivers what it derives.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use clap::{Parser, Subcommand};
use taskwire::config::{IndexerSettings, LogFormat, Source};
use taskwire::shutdown;
use taskwire::store::{ServerClock, connect, ensure_indexes};
use taskwire::telemetry::{Readiness, StatusBoard, init_logging, install_metrics, status_routes};
use taskwire_indexer::dispatch;
use taskwire_indexer::lag::{self, Tracker};
use taskwire_indexer::leader::Leader;
use tokio_util::sync::CancellationToken;

/// Tails MongoDB's change stream, derives each task's events exactly once, and delivers them as signed webhooks.
#[derive(Parser)]
#[command(name = "taskwire-indexer", version)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand, Clone, Copy)]
enum Command {
    /// Watch and dispatch (the default).
    Run,
    /// Watch only: derive and record, deliver nothing.
    Watch,
    /// Dispatch only: deliver what is queued, derive nothing.
    Dispatch,
}

fn main() -> ExitCode {
    let command = Cli::parse().command.unwrap_or(Command::Run);
    let settings =
        match Source::load().and_then(|source| Ok((IndexerSettings::read(&source)?, LogFormat::read(&source)?))) {
            Ok(settings) => settings,
            Err(error) => {
                eprintln!("taskwire-indexer: {error}");
                return ExitCode::from(2);
            }
        };
    // An error says that a provider is installed already, which is what is wanted.
    let _installed = rustls::crypto::ring::default_provider().install_default();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let result = runtime.context("no runtime").and_then(|runtime| runtime.block_on(serve(command, settings)));
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("taskwire-indexer: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn serve(command: Command, (settings, format): (IndexerSettings, LogFormat)) -> anyhow::Result<()> {
    init_logging(format)?;
    let metrics = install_metrics("taskwire-indexer")?;
    let stop = shutdown::on_signals()?;
    let settings = Arc::new(settings);
    let status = StatusBoard::not_ready("starting");
    let listener = tokio::net::TcpListener::bind(settings.listen)
        .await
        .with_context(|| format!("TASKWIRE_INDEXER_LISTEN: {} cannot be listened on", settings.listen))?;
    let serving = CancellationToken::new();
    let until = serving.clone().cancelled_owned();
    let routes = status_routes(status.clone(), metrics);
    let server = tokio::spawn(axum::serve(listener, routes).with_graceful_shutdown(until).into_future());
    let store = connect(&settings.common.mongo, "taskwire-indexer").await?;
    let closing = store.clone();
    ensure_indexes(&store).await.context("the indexes cannot be made")?;
    let clock = ServerClock::calibrated(&store.db).await?;
    let tracker = Tracker::default();
    tokio::spawn(lag::report(store.clone(), tracker.clone(), stop.clone()));
    // The dispatcher stops after the watcher, which may hand over until its end.
    let no_more = CancellationToken::new();
    let (dispatcher, delivering) = match command {
        Command::Run | Command::Dispatch => {
            let (handle, task) = dispatch::start(&store, &settings, clock.clone(), no_more.clone())?;
            (Some(handle), Some(task))
        }
        Command::Watch => (None, None),
    };
    match command {
        Command::Run | Command::Watch => {
            let settings = Arc::clone(&settings);
            Leader { store, settings, clock, owner: owner(), status, tracker, dispatcher }.run(stop).await;
        }
        Command::Dispatch => {
            status.set(Readiness::Ready);
            stop.cancelled().await;
        }
    }
    no_more.cancel();
    if let Some(task) = delivering {
        task.await.context("the dispatcher broke")?;
    }
    serving.cancel();
    // What still reads from the health routes is not waited for longer than this.
    let _closed = tokio::time::timeout(Duration::from_secs(1), server).await;
    closing.close().await;
    Ok(())
}

/// This process's name in the lease: for people, and different from every other's.
fn owner() -> String {
    let host = std::fs::read_to_string("/etc/hostname").unwrap_or_default();
    format!("{}/{}/{:08x}", host.trim(), std::process::id(), rand::random::<u32>())
}
