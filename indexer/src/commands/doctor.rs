//! `doctor`: whether Taskwire can work on this database, and what it would cost it. Reads only: it makes no index, no
//! collection and no document, so it can be run by anybody who may read, before anything is decided.

mod documents;
mod oplog;
mod privileges;

use std::io::{self, Write};

use bson::doc;
use serde::Serialize;
use taskwire::mapping::Mapping;
use taskwire::store::{Store, describe};

use self::documents::Documents;
use self::oplog::Oplog;
use super::status::events;
use super::{CommandError, Context, Outcome, print_json};
use crate::lag::cluster_time_of;

/// More than so many seconds between the machine's clock and the server's is worth a look: signatures carry a time.
const CLOCKS_DIFFER: i64 = 5;

/// Under so many hours of oplog, a weekend's outage loses changes.
const HOURS_WANTED: f64 = 72.0;

/// How it is done and printed.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// As a JSON document.
    #[arg(long)]
    json: bool,
    /// Tasks and history rows to look at, each, newest first; else all of them.
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u64).range(1..))]
    newest: Option<u64>,
}

/// What a check found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Verdict {
    /// As it should be.
    Ok,
    /// It works, and there is something to know.
    Note,
    /// It will not work.
    Bad,
}

/// One check.
#[derive(Debug, Serialize)]
struct Check {
    what: &'static str,
    verdict: Verdict,
    /// What was found, and the way out.
    text: String,
}

impl Check {
    fn new(what: &'static str, verdict: Verdict, text: impl Into<String>) -> Self {
        Self { what, verdict, text: text.into() }
    }
}

/// Everything, as `--json` prints it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Report {
    database: String,
    checks: Vec<Check>,
    oplog: Option<Oplog>,
    documents: Vec<Documents>,
    /// By event: what can tell it here; empty: nothing can.
    events: Vec<(&'static str, Vec<&'static str>)>,
}

/// Looks and tells.
///
/// # Errors
/// See [`CommandError`].
pub async fn run(args: &Args, context: &Context) -> Result<Outcome, CommandError> {
    let (store, mapping) = (&context.store, &*context.mapping);
    let mut checks = vec![topology(store).await?, clock(store).await?];
    checks.extend(collections(store, mapping).await?);
    checks.extend(privileges::checks(store, mapping).await?);
    let oplog = oplog::look(store, mapping).await;
    checks.push(match &oplog {
        Ok(oplog) => hours(oplog),
        Err(error) => Check::new(
            "oplog",
            Verdict::Note,
            format!("it cannot be read, so its hours are not known: {}", describe(error)),
        ),
    });
    let documents = documents::look(store, mapping, args.newest).await?;
    checks.extend(documents.iter().map(Documents::check));
    let events = events::producible(context).await?;
    let never: Vec<&str> = events.iter().filter(|(_, by)| by.is_empty()).map(|(name, _)| *name).collect();
    checks.push(if never.is_empty() {
        Check::new("events", Verdict::Ok, "all six can be told here")
    } else {
        Check::new("events", Verdict::Note, format!("nothing here can tell {}", never.join(", ")))
    });
    let report = Report { database: store.db.name().to_owned(), checks, oplog: oplog.ok(), documents, events };
    if args.json {
        print_json(&report)?
    } else {
        print(&report)?
    }
    let bad = report.checks.iter().any(|check| check.verdict == Verdict::Bad);
    Ok(if bad { Outcome::Wrong } else { Outcome::Fine })
}

async fn topology(store: &Store) -> Result<Check, CommandError> {
    let hello = store.db.run_command(doc! { "hello": 1 }).await?;
    let build = store.db.run_command(doc! { "buildInfo": 1 }).await?;
    let version = build.get_str("version").unwrap_or("unknown");
    let Ok(set) = hello.get_str("setName") else {
        let text = format!(
            "a sharded cluster, MongoDB {version}: swaps, and the order between collections, are not promised on it"
        );
        return Ok(Check::new("server", Verdict::Note, text));
    };
    let members = hello.get_array("hosts").map_or(0, Vec::len);
    let found = format!("replica set {set}, MongoDB {version}, {members} member(s) with data");
    Ok(if members < 3 {
        let text = format!("{found}: with fewer than three nothing takes over when the server fails");
        Check::new("server", Verdict::Note, text)
    } else {
        Check::new("server", Verdict::Ok, found)
    })
}

async fn clock(store: &Store) -> Result<Check, CommandError> {
    let before = bson::DateTime::now().timestamp_millis();
    let hello = store.db.run_command(doc! { "hello": 1 }).await?;
    let here = i64::midpoint(before, bson::DateTime::now().timestamp_millis());
    let there = hello.get_datetime("localTime").map_or(here, |time| time.timestamp_millis());
    let apart = (here - there) / 1000;
    let cluster = cluster_time_of(&hello)?;
    let ahead = i64::from(cluster.time) - there / 1000;
    Ok(if apart.abs() > CLOCKS_DIFFER {
        let text = format!(
            "this machine's clock and the server's are {} s apart: partners refuse signatures of another time; keep both in \
             time by NTP",
            apart.abs()
        );
        Check::new("clock", Verdict::Bad, text)
    } else if ahead > CLOCKS_DIFFER {
        let text = format!("the cluster's time is {ahead} s ahead of the server's clock, which was set back once");
        Check::new("clock", Verdict::Note, text)
    } else {
        Check::new("clock", Verdict::Ok, "this machine and the server agree to within seconds")
    })
}

/// Whether the service's collections are there, and none stands where one of ours will be.
async fn collections(store: &Store, mapping: &Mapping) -> Result<Vec<Check>, CommandError> {
    let there = store.db.list_collection_names().authorized_collections(true).await?;
    let is_there = |name: &str| there.iter().any(|known| known == name);
    let mut checks = Vec::new();
    let missing: Vec<&str> = mapping.collections().into_iter().filter(|name| !is_there(name)).collect();
    if !is_there(&mapping.task.collection) {
        let text = format!(
            "there is no {} in this database: check TASKWIRE_DATABASE and TASKWIRE_MAPPING",
            mapping.task.collection
        );
        checks.push(Check::new("collections", Verdict::Bad, text));
    } else if missing.is_empty() {
        checks.push(Check::new("collections", Verdict::Ok, format!("found: {}", mapping.collections().join(", "))));
    } else {
        let text = format!("not there (yet): {}; what they would tell is not told", missing.join(", "));
        checks.push(Check::new("collections", Verdict::Note, text));
    }
    Ok(checks)
}

fn hours(oplog: &Oplog) -> Check {
    let (now, then) = (oplog.hours, oplog.hours_with_us);
    let text = format!(
        "it holds {now:.1} h of changes{}; with Taskwire's own writes, about {then:.1} h at the present rate ({:.0} \
         changes an hour, {} bytes of ours for each and {} more for each webhook that gets it)",
        if oplog.is_full { "" } else { " and is not full yet" },
        oplog.changes_an_hour,
        oplog::BYTES_A_CHANGE,
        oplog::BYTES_A_DELIVERY,
    );
    if oplog.is_full && then < HOURS_WANTED {
        let text =
            format!("{text}: an outage of Taskwire longer than that is a gap; make it larger (replSetResizeOplog)");
        Check::new("oplog", Verdict::Note, text)
    } else {
        Check::new("oplog", Verdict::Ok, text)
    }
}

fn print(report: &Report) -> Result<(), CommandError> {
    let mut out = io::stdout();
    writeln!(out, "database {}", report.database)?;
    for Check { what, verdict, text } in &report.checks {
        let verdict = match verdict {
            Verdict::Ok => "ok  ",
            Verdict::Note => "note",
            Verdict::Bad => "BAD ",
        };
        writeln!(out, "{verdict}  {what:<12} {text}")?;
    }
    for documents in report.documents.iter().filter(|documents| !documents.misfits.is_empty()) {
        writeln!(out, "\n{}: what does not fit the mapping", documents.collection)?;
        for misfit in &documents.misfits {
            writeln!(out, "  {:>9}  {}  (such as {})", misfit.count, misfit.reason, misfit.example)?;
        }
    }
    writeln!(out, "\nevents, and what can tell them here")?;
    for (name, by) in &report.events {
        writeln!(out, "  {name:<15} {}", if by.is_empty() { "nothing".to_owned() } else { by.join(", ") })?;
    }
    Ok(())
}
