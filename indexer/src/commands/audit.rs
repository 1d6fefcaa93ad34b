//! `audit`: proves that log, deliveries and snapshots agree, or prints what is missing.

use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use bson::Timestamp;
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use taskwire::config::Retention;

use super::{CommandError, Context, Outcome, moment, print_json};
use crate::audit::{Audit, AuditError, Period, Report};

/// What to audit.
#[derive(Debug, Args)]
pub struct Options {
    /// Only events from this time on: RFC 3339, or seconds[.increment] of cluster time.
    #[arg(long, value_parser = moment::parse)]
    since: Option<Timestamp>,
    /// Only events before this time.
    #[arg(long, value_parser = moment::parse)]
    until: Option<Timestamp>,
    /// As a JSON document.
    #[arg(long)]
    json: bool,
    /// Seconds that the watcher may take to pass what was read.
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u64).range(0..=3600))]
    wait: u64,
}

/// Runs it.
///
/// # Errors
/// See [`CommandError`].
pub async fn run(options: Options, context: &Context) -> Result<Outcome, CommandError> {
    if options.since.zip(options.until).is_some_and(|(since, until)| since >= until) {
        return Err(CommandError::Refused("--since does not lie before --until: there is nothing to audit".to_owned()));
    }
    // Drawn on a terminal only.
    let bar = ProgressBar::new(0);
    if let Ok(style) = ProgressStyle::with_template("auditing {wide_bar} {percent} %, {per_sec}, {eta} left") {
        bar.set_style(style);
    }
    let audit = Audit {
        store: context.store.clone(),
        mapping: Arc::clone(&context.mapping),
        retention: Retention::read(&context.source)?,
        period: Period { since: options.since, until: options.until },
        patience: Duration::from_secs(options.wait),
        bar,
    };
    let report = audit.run().await.map_err(|error| match error {
        AuditError::Database(error) => error.into(),
        AuditError::NoPosition | AuditError::TooOld | AuditError::Version(_) => {
            CommandError::Refused(error.to_string())
        }
    })?;
    if options.json {
        print_json(&report)?
    } else {
        print(&report)?
    }
    Ok(if report.is_clean() { Outcome::Fine } else { Outcome::Wrong })
}

fn print(report: &Report) -> Result<(), CommandError> {
    let mut out = std::io::stdout().lock();
    let (from, until) = report.period();
    let from = if from.time == 0 { "the beginning of the log".to_owned() } else { moment::shown(from) };
    writeln!(out, "audited from {from} up to {}", moment::shown(until))?;
    let checked = report.checked;
    writeln!(
        out,
        "{} events and {} deliveries, the sequences of {} tasks, {} tasks against their snapshots",
        checked.events, checked.deliveries, checked.sequences, checked.tasks
    )?;
    for (kind, count, shown) in report.findings() {
        writeln!(out, "\n{count} × {}", kind.describe())?;
        for finding in shown {
            writeln!(out, "  {finding}")?;
        }
        if count > shown.len() as u64 {
            writeln!(out, "  …")?;
        }
        writeln!(out, "  what to do: {}", kind.remedy())?;
    }
    if report.is_clean() {
        writeln!(out, "clean: nothing is missing")?;
    }
    Ok(())
}
