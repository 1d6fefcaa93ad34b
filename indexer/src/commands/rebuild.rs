//! `rebuild`: what can be made again from what is recorded.

mod deliveries;
mod snapshots;

use clap::Subcommand;

use super::{CommandError, Context, Outcome};

/// What to make again.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Deliveries that are missing: for each event of the log, to the webhooks that wanted it then. What is there stays as
    /// it is.
    Deliveries(deliveries::Args),
    /// Snapshots: every task is compared with its last known state, and differences are told as recovered. Done by the
    /// indexer that leads.
    Snapshots(snapshots::Args),
}

/// Runs it.
///
/// # Errors
/// See [`CommandError`].
pub async fn run(command: Command, context: &Context) -> Result<Outcome, CommandError> {
    match command {
        Command::Deliveries(args) => deliveries::run(&args, context).await,
        Command::Snapshots(args) => snapshots::run(&args, context).await,
    }
}
