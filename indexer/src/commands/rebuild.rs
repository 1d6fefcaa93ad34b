//! `rebuild`: what can be made again from what is recorded.

mod deliveries;

use clap::Subcommand;

use super::{CommandError, Context, Outcome};

/// What to make again.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Deliveries that are missing: for each event of the log, to the webhooks that wanted it then. What is there stays as
    /// it is.
    Deliveries(deliveries::Args),
}

/// Runs it.
///
/// # Errors
/// See [`CommandError`].
pub async fn run(command: Command, context: &Context) -> Result<Outcome, CommandError> {
    match command {
        Command::Deliveries(args) => deliveries::run(&args, context).await,
    }
}
