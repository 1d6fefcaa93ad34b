//! `checkpoint`: the position in the stream.

use std::io::Write;

use clap::Subcommand;
use serde::Serialize;

use super::{CommandError, Context, Outcome, moment, print_json};
use crate::checkpoint::Checkpoint;

/// What to do with the position.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Print the stored position.
    Show {
        /// As a JSON document.
        #[arg(long)]
        json: bool,
    },
}

/// The position as it is printed.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Shown {
    epoch: i64,
    batch: i64,
    bootstrapped: bool,
    time: Option<String>,
    cluster_time: Option<String>,
    token: bool,
    pipeline: Option<String>,
}

/// Runs it.
///
/// # Errors
/// See [`CommandError`].
pub async fn run(command: Command, context: &Context) -> Result<Outcome, CommandError> {
    match command {
        Command::Show { json } => show(context, json).await,
    }
}

/// The stored position, or the way to one.
async fn stored(context: &Context) -> Result<Checkpoint, CommandError> {
    let missing = || {
        let database = context.store.db.name();
        CommandError::Refused(format!(
            "no position is stored in {database}: start taskwire-indexer once, or check TASKWIRE_DATABASE"
        ))
    };
    Checkpoint::read(&context.store).await?.ok_or_else(missing)
}

async fn show(context: &Context, json: bool) -> Result<Outcome, CommandError> {
    let checkpoint = stored(context).await?;
    let shown = Shown {
        epoch: checkpoint.epoch,
        batch: checkpoint.batch,
        bootstrapped: checkpoint.bootstrapped,
        time: checkpoint.time.map(moment::shown),
        cluster_time: checkpoint.time.map(moment::exact),
        token: checkpoint.token.is_some(),
        pipeline: checkpoint.pipeline,
    };
    if json {
        print_json(&shown)?;
        return Ok(Outcome::Fine);
    }
    let mut out = std::io::stdout().lock();
    let position = match (&shown.time, &shown.cluster_time) {
        (Some(time), Some(exact)) => format!("{time} (cluster time {exact})"),
        _ => "none yet: the first start has not fixed one".to_owned(),
    };
    writeln!(out, "position     {position}")?;
    let behind = if shown.token { "after the stored resume token" } else { "by its time" };
    writeln!(out, "goes on      {behind}")?;
    writeln!(out, "first start  {}", if shown.bootstrapped { "complete" } else { "not complete" })?;
    writeln!(out, "epoch        {} (takeovers so far), batch {}", shown.epoch, shown.batch)?;
    Ok(Outcome::Fine)
}
