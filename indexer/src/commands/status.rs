//! `status`: what an operator asks first. Every part stands for itself: what may not be read says so, and the rest is told.

pub(super) mod events;
mod leader;
mod print;
mod queue;
pub(super) mod stream;
mod webhooks;

use std::io::{self, IsTerminal, Write};
use std::time::Duration;

use bson::{DateTime, Timestamp, doc};
use mongodb::error::{Error, ErrorKind};
use serde::Serialize;
use taskwire::shutdown;
use taskwire::store::{Store, describe, mutes, pauses};

use self::events::Produced;
use self::leader::{Leader, Watch};
use self::queue::{Aside, Queue};
use self::stream::{FirstStart, Gaps, Oplog, Position};
use self::webhooks::Troubled;
use super::{CommandError, Context, Outcome, moment, print_json};

/// How often `--watch` looks again.
const REFRESH: Duration = Duration::from_secs(2);

/// A position so far behind is worth an operator's look; besides, it is stored only now and then while nothing happens.
const LAG_MOST: Duration = Duration::from_secs(60);

/// How it is printed.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// As a JSON document; with --watch one on each line.
    #[arg(long)]
    json: bool,
    /// Again every 2 seconds, until Ctrl-C.
    #[arg(long)]
    watch: bool,
}

/// A part of the report, or why it is missing.
#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Known<T> {
    Known(T),
    Unknown { unknown: String },
}

impl<T> Known<T> {
    const fn get(&self) -> Option<&T> {
        match self {
            Self::Known(part) => Some(part),
            Self::Unknown { .. } => None,
        }
    }

    /// `what` names what must be granted where the user may not read it.
    fn of(result: mongodb::error::Result<T>, what: &str) -> Self {
        match result {
            Ok(part) => Self::Known(part),
            Err(error) if is_refused(&error) => {
                Self::Unknown { unknown: format!("the database user may not read it: grant {what}") }
            }
            Err(error) => Self::Unknown { unknown: describe(&error) },
        }
    }
}

fn is_refused(error: &Error) -> bool {
    matches!(error.kind.as_ref(), ErrorKind::Command(command) if matches!(command.code, 13 | 8000))
}

/// The server's two clocks.
#[derive(Debug, Clone, Copy)]
struct Now {
    cluster: Timestamp,
    date: DateTime,
}

/// Everything, as `--json` prints it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Report {
    database: String,
    /// The server's time.
    at: String,
    leader: Known<Leader>,
    position: Known<Option<Position>>,
    oplog: Known<Oplog>,
    first_start: Known<FirstStart>,
    gaps: Known<Gaps>,
    queue: Known<Queue>,
    webhooks: Known<Troubled>,
    paused: Known<Vec<Paused>>,
    muted: Known<Vec<Muted>>,
    quarantine: Known<Aside>,
    events: Known<Produced>,
    /// What an operator should see to; empty: all is well.
    problems: Vec<String>,
}

/// Prints it once, or again and again.
///
/// # Errors
/// See [`CommandError`].
pub async fn run(args: &Args, context: &Context) -> Result<Outcome, CommandError> {
    let mut watch = Watch::new(context.source.millis("lease_ms", 3000, 500..=60_000)?);
    let lag_most = LAG_MOST + context.source.millis("idle_checkpoint_ms", 5000, 100..=600_000)?;
    if !args.watch {
        let report = look(context, &mut watch, lag_most).await?;
        if args.json {
            print_json(&report)?;
        } else {
            write!(io::stdout(), "{}", print::report(&report))?;
        }
        return Ok(if report.problems.is_empty() { Outcome::Fine } else { Outcome::Wrong });
    }
    let stop = shutdown::on_signals()?;
    while !stop.is_cancelled() {
        tokio::select! {
            () = stop.cancelled() => break,
            report = look(context, &mut watch, lag_most) => match report {
                Ok(report) => again(&report, args.json)?,
                // It may come back.
                Err(error) => tracing::warn!("{error}"),
            },
        }
        tokio::select! {
            () = stop.cancelled() => break,
            () = tokio::time::sleep(REFRESH) => {}
        }
    }
    Ok(Outcome::Fine)
}

fn again(report: &Report, json: bool) -> Result<(), CommandError> {
    let mut out = io::stdout();
    if json {
        writeln!(out, "{}", serde_json::to_string(report)?)?;
    } else {
        // On a terminal each report takes the place of the last.
        let clear = if out.is_terminal() { "\x1b[H\x1b[2J" } else { "" };
        writeln!(out, "{clear}{}", print::report(report))?;
    }
    Ok(out.flush()?)
}

async fn look(context: &Context, watch: &mut Watch, lag_most: Duration) -> Result<Report, CommandError> {
    let store = &context.store;
    let now = server_time(store).await?;
    let here = "find on Taskwire's collections";
    let watcher = stream::watcher(store).await;
    let oplog = stream::oplog(store, watcher.as_ref().ok().and_then(Option::as_ref)).await;
    let mut report = Report {
        database: store.db.name().to_owned(),
        at: moment::shown_date(now.date),
        first_start: Known::of(FirstStart::of(&watcher, now.date), here),
        position: Known::of(Position::of(&watcher, now.cluster), here),
        oplog: Known::of(oplog, "find and collStats on local.oplog.rs"),
        leader: Known::of(watch.leader(store).await, here),
        gaps: Known::of(stream::gaps(store).await, here),
        queue: Known::of(queue::queue(store, now.date).await, here),
        webhooks: Known::of(webhooks::troubled(store).await, here),
        paused: Known::of(paused(store).await, here),
        muted: Known::of(muted(store, now.date).await, here),
        quarantine: Known::of(queue::aside(store).await, here),
        events: Known::of(events::produced(context).await, "find on the service's collections"),
        problems: Vec::new(),
    };
    report.problems = problems(&report, lag_most);
    Ok(report)
}

/// A pause in force.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Paused {
    /// `null`: all groups.
    group_id: Option<String>,
    since: String,
    by: String,
    note: Option<String>,
}

async fn paused(store: &Store) -> mongodb::error::Result<Vec<Paused>> {
    let shown = |pause: pauses::Pause| Paused {
        group_id: pause.group_id.map(|group| group.to_string()),
        since: moment::shown_date(pause.since),
        by: pause.by,
        note: pause.note,
    };
    Ok(pauses::list(store).await?.into_iter().map(shown).collect())
}

/// A mute in force.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Muted {
    group_id: String,
    since: String,
    until: String,
    by: String,
    note: Option<String>,
}

async fn muted(store: &Store, now: DateTime) -> mongodb::error::Result<Vec<Muted>> {
    let shown = |mute: mutes::Mute| Muted {
        group_id: mute.group_id.to_string(),
        since: moment::shown_date(mute.at),
        until: moment::shown_date(mute.until),
        by: mute.by,
        note: mute.note,
    };
    Ok(mutes::in_force(store, now).await?.into_iter().map(shown).collect())
}

async fn server_time(store: &Store) -> Result<Now, CommandError> {
    let hello = store.db.run_command(doc! { "hello": 1 }).await?;
    let date = hello.get_datetime("localTime").copied().unwrap_or_else(|_| DateTime::now());
    Ok(Now { cluster: crate::lag::cluster_time_of(&hello)?, date })
}

/// What an operator should see to.
fn problems(report: &Report, lag_most: Duration) -> Vec<String> {
    let mut problems = Vec::new();
    match report.leader.get() {
        Some(Leader::Alive { .. }) | None => {}
        Some(Leader::None) => problems.push("nobody has led yet: start taskwire-indexer".to_owned()),
        Some(Leader::Released { .. }) => problems
            .push("nobody leads: a running taskwire-indexer takes over within a second, else start one".to_owned()),
        Some(Leader::Silent { .. }) => {
            problems.push("the leader shows no life, and nobody has taken over: start taskwire-indexer".to_owned());
        }
    }
    if let Some(behind) = report.position.get().and_then(Option::as_ref).and_then(|position| position.lag_seconds)
        && u64::from(behind) > lag_most.as_secs()
    {
        let behind = moment::span(u64::from(behind));
        problems.push(format!("the position is {behind} behind: events come late, see the indexer's log and /readyz"));
    }
    if report.oplog.get().is_some_and(Oplog::has_lost) {
        problems.push(
            "the position has left the oplog: changes are lost to the stream; what they changed is found by comparing, \
             see TASKWIRE_ON_GAP"
                .to_owned(),
        );
    }
    if report.gaps.get().is_some_and(|gaps| gaps.open > 0) {
        problems.push("a gap is open and nothing is recorded: see TASKWIRE_ON_GAP and `checkpoint reset`".to_owned());
    }
    if let Some(aside) = report.quarantine.get().map(|entries| entries.aside).filter(|aside| *aside > 0) {
        problems.push(format!("{aside} changes are aside: see `quarantine list`"));
    }
    problems
}
