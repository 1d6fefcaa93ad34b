//! The chaos run that `scripts/chaos` starts: a replica set of three, two indexers, an API and a receiver that fails a share
//! of all attempts; writers in all the service's styles, and every few seconds a fault. Then it waits for quiet and compares
//! what was told with what the writers know.
//!
//! Everything is on 127.0.0.1 and ends with this process.

mod arrivals;
mod compare;
mod deliveries;
mod evidence;
mod faults;
mod findings;
mod hooks;
mod quiet;
mod report;
mod stage;
mod writers;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, ensure};
use clap::{Parser, ValueEnum};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use taskwire_tests::Profile;
use tokio_util::sync::CancellationToken;

use faults::Fault;
use findings::Findings;
use report::Report;
use stage::Stage;

/// Pulls plugs while the task service writes, then compares what was told with what must have been.
#[derive(Debug, Clone, Parser)]
struct Arguments {
    /// What the faults, writes and answers are drawn from; a random one if left out. Timing is the machine's all the same.
    #[arg(long)]
    seed: Option<u64>,
    /// How long writes and faults go on; waiting for quiet comes after.
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// How many writers there are; each writes its own tasks, one write after the other.
    #[arg(long, default_value_t = 12)]
    writers: usize,
    /// The kinds of fault to play.
    #[arg(long, value_delimiter = ',', value_enum)]
    faults: Vec<Fault>,
    /// How the service writes.
    #[arg(long, value_enum, default_value_t = Style::TasksTracker)]
    profile: Style,
    /// Writes of tasks a second, over all writers, at most.
    #[arg(long, default_value_t = 120)]
    rate: u32,
    /// How long quiet may take to come after the last write, in seconds.
    #[arg(long, default_value_t = 240)]
    patience: u64,
    /// Keep all logs, in this directory; without it they are kept only where something is wrong.
    #[arg(long, value_name = "DIR")]
    keep_logs: Option<PathBuf>,
    /// Print JSON instead of a table.
    #[arg(long)]
    json: bool,
}

/// The values of `--profile`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Style {
    TasksTracker,
    CamelCase,
}

impl Style {
    const fn profile(self) -> Profile {
        match self {
            Self::TasksTracker => Profile::TasksTracker,
            Self::CamelCase => Profile::CamelCase,
        }
    }
}

/// What everybody in a run goes by.
#[derive(Debug, Clone)]
struct Plan {
    seed: u64,
    duration: Duration,
    writers: usize,
    rate: u32,
    faults: Vec<Fault>,
    profile: Profile,
    patience: Duration,
}

impl Plan {
    fn new(arguments: &Arguments) -> Result<Self> {
        ensure!((1..=64).contains(&arguments.writers), "--writers takes a number from 1 to 64");
        ensure!((1..=2000).contains(&arguments.rate), "--rate takes a number from 1 to 2000");
        ensure!((1..=14_400).contains(&arguments.seconds), "--seconds takes a number from 1 to 14400");
        let all = || Fault::value_variants().to_vec();
        Ok(Self {
            seed: arguments.seed.unwrap_or_else(|| u64::from(rand::random::<u32>())),
            duration: Duration::from_secs(arguments.seconds),
            writers: arguments.writers,
            rate: arguments.rate,
            faults: if arguments.faults.is_empty() { all() } else { arguments.faults.clone() },
            profile: arguments.profile.profile(),
            patience: Duration::from_secs(arguments.patience),
        })
    }

    /// A stream of random numbers for one use, the same for the same seed.
    fn rng(&self, purpose: u64) -> StdRng {
        StdRng::seed_from_u64(self.seed ^ purpose.wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }
}

/// Progress goes to standard error, so that the result can be piped.
fn say(what: &str) {
    eprintln!("chaos: {what}");
}

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let plan = match Plan::new(&arguments) {
        Ok(plan) => plan,
        Err(error) => {
            eprintln!("chaos: {error}");
            return ExitCode::from(2);
        }
    };
    taskwire_tests::init();
    say(&format!("seed {}", plan.seed));
    let seed = plan.seed;
    let ended = tokio::select! {
        ended = run(plan, &arguments) => ended,
        // What it started is killed as it is dropped; ended by the signal itself, it would leave that behind.
        signal = interrupted() => Err(anyhow!("ended by {signal}")),
    };
    match ended {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("chaos: {error:#} (seed {seed})");
            ExitCode::FAILURE
        }
    }
}

/// Resolves at SIGINT or SIGTERM.
async fn interrupted() -> &'static str {
    use tokio::signal::unix::{SignalKind, signal};
    let (Ok(mut interrupt), Ok(mut terminate)) = (signal(SignalKind::interrupt()), signal(SignalKind::terminate()))
    else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = interrupt.recv() => "SIGINT",
        _ = terminate.recv() => "SIGTERM",
    }
}

/// Whether nothing was wrong.
async fn run(plan: Plan, arguments: &Arguments) -> Result<bool> {
    let mut stage = Stage::start(&plan, arguments.keep_logs.as_deref()).await?;
    match play(&plan, &mut stage).await {
        Ok((report, findings)) => {
            if arguments.json {
                println!("{}", serde_json::to_string_pretty(&report)?);
            } else {
                print!("{report}");
            }
            if findings.is_empty() {
                return Ok(true);
            }
            eprint!("{findings}");
            let logs = stage.keep_logs()?;
            eprintln!("chaos: seed {} FAILED; logs and evidence: {}", plan.seed, logs.display());
            Ok(false)
        }
        Err(error) => {
            let logs = stage.keep_logs()?;
            Err(error.context(format!("the run broke off; logs: {}", logs.display())))
        }
    }
}

async fn play(plan: &Plan, stage: &mut Stage) -> Result<(Report, Findings)> {
    let hooks = Arc::new(hooks::set_up(plan, stage).await?);
    let (stop, stop_counting) = (CancellationToken::new(), CancellationToken::new());
    let counting = tokio::spawn(arrivals::count(Arc::clone(&stage.receiver), stop_counting.clone()));
    let changing = tokio::spawn(hooks::keep_changing(Arc::clone(&hooks), plan.rng(1), stop.clone()));
    let writing = writers::start(plan, stage, &hooks, &stop).await?;
    say(&format!("{} writers at {} writes a second for {:?}", plan.writers, plan.rate, plan.duration));
    let mut findings = Findings::default();
    let mut writing = std::pin::pin!(writers::finish(writing));
    let played = tokio::select! {
        played = faults::play(plan, stage, &mut findings) => played?,
        // Before they are told to, writers end by an error only.
        early = &mut writing => return Err(early.err().unwrap_or_else(|| anyhow!("the writers ended early"))),
    };
    stop.cancel();
    let model = writing.await?;
    changing.await.context("changing webhooks broke")??;
    say(&format!("{} writes; waiting for quiet", model.writes));
    quiet::heal(stage, &hooks, &mut findings).await?;
    let calm = quiet::wait(plan, stage, &mut findings).await?;
    stop_counting.cancel();
    let arrivals = counting.await.context("counting arrivals broke")?;
    quiet::audit(stage, &mut findings).await?;
    let mut report = Report::new(plan, played, &model, calm);
    compare::all(stage, &hooks, &model, &arrivals, &mut report, &mut findings).await?;
    quiet::stop_programs(stage, &mut findings).await?;
    quiet::read_logs(stage, &mut findings)?;
    report.findings = findings.count();
    Ok((report, findings))
}

/// One of `0..count`, or 0.
fn any_of(rng: &mut StdRng, count: usize) -> usize {
    if count == 0 { 0 } else { rng.random_range(0..count) }
}
