//! What operators call. A command reads only the settings it needs, logs to standard error and prints to standard output.
//!
//! Exit codes: 0 fine; 1 something is wrong or missing; 2 wrong usage or settings. `dispatch --once` has its own
//! ([`drain`]).

pub mod audit;
pub mod checkpoint;
pub mod doctor;
pub mod drain;
pub mod moment;
pub mod mute;
pub mod pause;
pub mod quarantine;
pub mod rebuild;
mod seat;
pub mod shadow;
pub mod status;

use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;
use std::sync::Arc;

use clap::Subcommand;
use taskwire::config::{CommonSettings, LogFormat, MongoSettings, SettingError, Source};
use taskwire::mapping::Mapping;
use taskwire::store::{ConnectError, Store, connect, describe, describe_document};
use taskwire::telemetry::{TelemetryError, init_logging};

use crate::memory::LoadError;
use taskwire::client::ClientError;

/// The operator's commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Tell who leads, where it stands, what waits, and what an operator should see to (then the exit code is 1).
    Status(status::Args),
    /// Tell whether Taskwire can work on this database, and what it would cost it; reads only (1: it cannot).
    Doctor(doctor::Args),
    /// Show or move the position in the stream.
    #[command(subcommand)]
    Checkpoint(checkpoint::Command),
    /// What could not be understood: list it, read it again, or give it up.
    #[command(subcommand)]
    Quarantine(quarantine::Command),
    /// Make again what is missing.
    #[command(subcommand)]
    Rebuild(rebuild::Command),
    /// Stop sending, for all groups or one, until `resume`; events are still derived and queued.
    Pause(pause::PauseArgs),
    /// End a pause.
    Resume(pause::ResumeArgs),
    /// Tell nobody what changes in a group from now to a time; it is derived and logged all the same.
    Mute(mute::MuteArgs),
    /// End a group's mute.
    Unmute(mute::UnmuteArgs),
    /// Prove that log, deliveries and snapshots agree, or print what is missing.
    Audit(audit::Options),
}

/// How a command ended that did its work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// All is as it should be.
    Fine,
    /// Something is wrong or missing; it was printed.
    Wrong,
}

/// Why a command could not do its work.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// A setting.
    #[error(transparent)]
    Setting(#[from] SettingError),
    /// A setting that only the HTTP client can judge.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// Logging.
    #[error(transparent)]
    Telemetry(#[from] TelemetryError),
    /// The database cannot be used.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The database refused a step.
    #[error("MongoDB: {}", describe(.0))]
    Database(#[from] mongodb::error::Error),
    /// Snapshots cannot be read.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// A stored document is damaged.
    #[error("{}", describe_document(.0))]
    Document(#[from] bson::error::Error),
    /// Used in a way that cannot work. The text names the way that does.
    #[error("{0}")]
    Usage(String),
    /// It would do harm, or there is nothing to do it to. The text names the way out.
    #[error("{0}")]
    Refused(String),
    /// The output cannot be written.
    #[error("the output cannot be written: {0}")]
    Output(#[from] io::Error),
    /// The output cannot be made.
    #[error("the output cannot be written: {0}")]
    Json(#[from] serde_json::Error),
}

impl From<Outcome> for ExitCode {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Fine => Self::SUCCESS,
            Outcome::Wrong => Self::FAILURE,
        }
    }
}

impl CommandError {
    /// Whether usage or settings are wrong.
    #[must_use]
    pub const fn is_usage(&self) -> bool {
        matches!(self, Self::Setting(_) | Self::Client(_) | Self::Telemetry(_) | Self::Usage(_))
    }

    /// The program's exit code.
    #[must_use]
    pub fn exit_code(&self) -> ExitCode {
        match self {
            Self::Setting(_) | Self::Client(_) | Self::Telemetry(_) | Self::Usage(_) => ExitCode::from(2),
            // The reader of a pipe had enough.
            Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
            Self::Connect(_)
            | Self::Database(_)
            | Self::Load(_)
            | Self::Document(_)
            | Self::Refused(_)
            | Self::Output(_)
            | Self::Json(_) => ExitCode::FAILURE,
        }
    }
}

/// What every command works with.
pub struct Context {
    /// The database.
    pub store: Store,
    /// How the service's documents are read.
    pub mapping: Arc<Mapping>,
    /// Where a command reads further settings of its own.
    pub source: Source,
}

/// Begins logging and connects.
async fn open(source: Source) -> Result<Context, CommandError> {
    init_logging(LogFormat::read(&source)?)?;
    let mongo = MongoSettings::read(&source)?;
    let mapping = CommonSettings::read_mapping(&source)?;
    let store = connect(&mongo, "taskwire-indexer").await?;
    Ok(Context { store, mapping, source })
}

/// Runs one command.
///
/// # Errors
/// See [`CommandError`].
pub async fn run(command: Command, source: Source) -> Result<Outcome, CommandError> {
    let context = open(source).await?;
    let store = context.store.clone();
    let done = match command {
        Command::Status(args) => status::run(&args, &context).await,
        Command::Doctor(args) => doctor::run(&args, &context).await,
        Command::Checkpoint(command) => checkpoint::run(command, &context).await,
        Command::Quarantine(command) => quarantine::run(command, &context).await,
        Command::Rebuild(command) => rebuild::run(command, &context).await,
        Command::Pause(args) => pause::pause(args, &context).await,
        Command::Resume(args) => pause::resume(args, &context).await,
        Command::Mute(args) => mute::mute(args, &context).await,
        Command::Unmute(args) => mute::unmute(args, &context).await,
        Command::Audit(options) => audit::run(options, &context).await,
    };
    store.close().await;
    done
}

/// Asks on the terminal. Without one there is nobody to ask.
fn confirm(question: &str) -> Result<(), CommandError> {
    if !io::stdin().is_terminal() {
        return Err(CommandError::Usage(format!("{question} There is no terminal to ask on: add --yes")));
    }
    eprint!("{question} [y/N] ");
    let mut answer = String::new();
    io::stdin().read_line(&mut answer)?;
    match answer.trim().to_lowercase().as_str() {
        "y" | "yes" => Ok(()),
        _ => Err(CommandError::Refused("nothing was changed".to_owned())),
    }
}

/// A number with its thousands set apart.
fn grouped(number: i64) -> String {
    let digits = number.unsigned_abs().to_string();
    let mut text = String::from(if number < 0 { "-" } else { "" });
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Prints a document of a stable form.
fn print_json(document: &impl serde::Serialize) -> Result<(), CommandError> {
    let mut out = io::stdout().lock();
    serde_json::to_writer_pretty(&mut out, document)?;
    Ok(writeln!(out)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_are_set_apart() {
        assert_eq!([0, 999, 1000, -1_234_567].map(grouped), ["0", "999", "1,000", "-1,234,567"]);
    }
}
