//! `taskwire-api`: the admin REST and the page.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use axum::extract::Request;
use axum::middleware::{Next, from_fn};
use clap::{Parser, Subcommand};
use metrics_exporter_prometheus::PrometheusHandle;
use taskwire::config::{ApiSettings, CommonSettings, JwtSettings, LogFormat, SettingError, Source};
use taskwire::healthcheck::{self, Question};
use taskwire::http::{App, AppError, dev_token, openapi, router};
use taskwire::listen::{BoundedListener, Peer};
use taskwire::rekey::rekey;
use taskwire::store::{ServerClock, Store, connect, prepare};
use taskwire::telemetry::{self, Readiness, StatusBoard, TelemetryError, status_routes};
use taskwire::{VERSION, shutdown};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// How long a stop waits for requests that are under way.
const GRACE: Duration = Duration::from_secs(35);
/// How long a stop waits for answers to leave, once their requests are worked off.
const FLUSH: Duration = Duration::from_secs(1);
/// How often the database is asked whether it is there, and what time it has.
const PULSE: Duration = Duration::from_secs(5);

/// The admin REST of Taskwire: webhooks, their deliveries, replays. Settings come from the environment or taskwire.toml.
#[derive(Parser)]
#[command(name = "taskwire-api", version = VERSION)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Serve (the default).
    Serve,
    /// Ask the process that listens at TASKWIRE_API_LISTEN whether it is ready (/readyz); exit 0 if it is, else 1, with one line
    /// that says why.
    Healthcheck,
    /// Print the API's description in OpenAPI 3.1, as docs/openapi.json holds it.
    Openapi,
    /// Seal webhooks' and integrations' secrets anew with the first key of TASKWIRE_MASTER_KEY (answers kept for a day under an
    /// Idempotency-Key are not). May be stopped and begun again, beside running programs.
    Rekey,
    /// Print a token for development, as the task service issues it. Needs TASKWIRE_DEV=true.
    Token {
        /// The user's id, the token's `sub`.
        #[arg(long)]
        user: String,
        /// How long it is good for, in minutes (1 to 10080).
        #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=10_080))]
        minutes: u64,
    },
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("taskwire-api: the runtime cannot start: {error}");
            return ExitCode::FAILURE;
        }
    };
    let ended = runtime.block_on(async {
        match arguments.command.unwrap_or(Command::Serve) {
            Command::Serve => serve().await,
            Command::Healthcheck => healthcheck().await,
            Command::Rekey => rekey_all().await,
            Command::Openapi => {
                print!("{}", openapi::text());
                Ok(())
            }
            Command::Token { user, minutes } => token(&user, minutes),
        }
    });
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("taskwire-api: {error:#}");
            let settings = error.is::<SettingError>() || error.is::<TelemetryError>() || error.is::<AppError>();
            if settings { ExitCode::from(2) } else { ExitCode::FAILURE }
        }
    }
}

async fn serve() -> anyhow::Result<()> {
    let source = Source::load()?;
    telemetry::init_logging(LogFormat::read(&source)?)?;
    let settings = ApiSettings::read(&source)?;
    let stop = shutdown::on_signals().context("signals cannot be listened for")?;
    let metrics = telemetry::install_metrics("taskwire-api")?;
    let traces = telemetry::traces::init(&settings.common.traces, "taskwire-api")?;
    let store = connect(&settings.common.mongo, "taskwire-api").await?;
    let done = serve_store(store.clone(), &settings, metrics, stop).await;
    traces.close().await;
    store.close().await;
    done
}

async fn serve_store(
    store: Store,
    settings: &ApiSettings,
    metrics: PrometheusHandle,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    prepare(&store).await.context("Taskwire's collections cannot be made ready")?;
    let clock = ServerClock::calibrated(&store.db).await.context("MongoDB does not tell its time")?;
    let app = App::new(settings, store, clock)?;

    let listener = BoundedListener::bind(settings.listen)
        .await
        .with_context(|| format!("TASKWIRE_API_LISTEN: {} cannot be listened on", settings.listen))?;
    let board = StatusBoard::not_ready("starting");
    board.set(Readiness::Ready);
    tokio::spawn(pulse(app.clone(), board.clone(), stop.clone()));
    let routes = router(app, status_routes(board, metrics));
    tracing::info!(listen = %axum::serve::Listener::local_addr(&listener)?, version = VERSION, "serving");
    serve_until(listener, routes, stop).await?;
    tracing::info!("stopped");
    Ok(())
}

/// Serves until `stop`, then lets requests under way end, for [`GRACE`] at most. Connections without one are not waited for.
async fn serve_until(listener: BoundedListener, routes: axum::Router, stop: CancellationToken) -> anyhow::Result<()> {
    let under_way = TaskTracker::new();
    let counted = under_way.clone();
    let routes = routes.layer(from_fn(move |request: Request, next: Next| counted.track_future(next.run(request))));
    let asked = stop.clone();
    let served = axum::serve(listener, routes.into_make_service_with_connect_info::<Peer>())
        .with_graceful_shutdown(async move { asked.cancelled().await });
    let worked_off = async {
        stop.cancelled().await;
        under_way.close();
        if tokio::time::timeout(GRACE, under_way.wait()).await.is_err() {
            tracing::warn!("requests were still under way after {GRACE:?}");
        }
        tokio::time::sleep(FLUSH).await;
    };
    tokio::select! {
        ended = async { served.await } => ended.context("serving ended")?,
        () = worked_off => {}
    }
    Ok(())
}

/// Keeps `/readyz` and the estimate of the server's clock up to date.
async fn pulse(app: Arc<App>, board: StatusBoard, stop: CancellationToken) {
    let mut every = tokio::time::interval(PULSE);
    loop {
        tokio::select! {
            () = stop.cancelled() => return board.set(Readiness::NotReady("stopping".to_owned())),
            _ = every.tick() => {}
        }
        let answered = app.clock.calibrate(&app.store.db).await;
        let readiness = match answered {
            Ok(()) => Readiness::Ready,
            Err(_) => Readiness::NotReady("MongoDB does not answer".to_owned()),
        };
        if readiness != board.get() {
            tracing::info!(?readiness, "readiness changed");
        }
        board.set(readiness);
    }
}

/// Asks `/readyz` of the process beside this one.
async fn healthcheck() -> anyhow::Result<()> {
    let listen = ApiSettings::read_listen(&Source::load()?)?;
    println!("{}", healthcheck::ask(listen, Question::Ready).await?);
    Ok(())
}

async fn rekey_all() -> anyhow::Result<()> {
    let source = Source::load()?;
    telemetry::init_logging(LogFormat::read(&source)?)?;
    let settings = CommonSettings::read(&source)?;
    let store = connect(&settings.mongo, "taskwire-api").await?;
    let done = rekey(&store, &settings.master_keys, |so_far| {
        tracing::info!(sealed = so_far.sealed, passed_over = so_far.passed_over, "sealing anew");
    })
    .await;
    store.close().await;
    let done = done?;
    println!("{} documents sealed anew, {} passed over", done.sealed, done.passed_over);
    Ok(())
}

fn token(user: &str, minutes: u64) -> anyhow::Result<()> {
    let source = Source::load()?;
    if !source.flag("dev", false)? {
        bail!("tokens are made for development only: set TASKWIRE_DEV=true if this is no production system");
    }
    let settings = JwtSettings::read(&source)?;
    println!("{}", dev_token::issue(&settings, user, Duration::from_secs(minutes * 60))?);
    Ok(())
}
