//! `mute` and `unmute`: a group's events of a time are derived and stay in the log, and are sent to nobody. For bulk fixes of
//! data that are no partner's business.

use std::io::{self, Write};

use bson::{DateTime, Timestamp};
use taskwire::model::DocId;
use taskwire::store::ServerClock;
use taskwire::store::mutes::{self, Mute};

use super::pause::{group_id, must_exist, note, operator};
use super::{CommandError, Context, Outcome, moment};

/// What to mute.
#[derive(Debug, clap::Args)]
pub struct MuteArgs {
    /// Whose events.
    #[arg(long, value_parser = group_id)]
    group: DocId,
    /// Changes before this time: RFC 3339, or seconds of the clock.
    #[arg(long, value_name = "TIMESTAMP", value_parser = moment::parse)]
    until: Timestamp,
    /// Why, for whoever looks at `status`.
    #[arg(long, value_parser = note)]
    note: Option<String>,
}

/// What to unmute.
#[derive(Debug, clap::Args)]
pub struct UnmuteArgs {
    /// Whose events.
    #[arg(long, value_parser = group_id)]
    group: DocId,
}

/// Mutes.
///
/// # Errors
/// See [`CommandError`].
pub async fn mute(args: MuteArgs, context: &Context) -> Result<Outcome, CommandError> {
    let MuteArgs { group, until, note } = args;
    must_exist(context, &group).await?;
    let now = ServerClock::calibrated(&context.store.db).await?.now();
    let until = DateTime::from_millis(i64::from(until.time) * 1000);
    if until <= now {
        return Err(CommandError::Usage(format!(
            "--until {} is past: name a time to come, or call unmute to end a mute",
            moment::shown_date(until)
        )));
    }
    mutes::add(&context.store, &Mute::new(group.clone(), until, now, operator(), note)).await?;
    writeln!(
        io::stdout(),
        "group {group} is muted: what changes from now on and before {} is derived and logged, and sent to nobody, now or \
         later; what was queued before is sent",
        moment::shown_date(until)
    )?;
    Ok(Outcome::Fine)
}

/// Ends a mute.
///
/// # Errors
/// See [`CommandError`].
pub async fn unmute(args: UnmuteArgs, context: &Context) -> Result<Outcome, CommandError> {
    let now = ServerClock::calibrated(&context.store.db).await?.now();
    let in_force = mutes::in_force(&context.store, now).await?;
    let Some(ended) = in_force.into_iter().find(|mute| mute.group_id == args.group) else {
        writeln!(io::stdout(), "group {} is not muted: nothing was changed", args.group)?;
        return Ok(Outcome::Fine);
    };
    mutes::add(&context.store, &Mute::new(args.group, now, now, operator(), None)).await?;
    writeln!(
        io::stdout(),
        "group {} is muted no longer, after {}; what changed meanwhile stays unsent",
        ended.group_id,
        moment::span(now.timestamp_millis().saturating_sub(ended.at.timestamp_millis()).unsigned_abs() / 1000)
    )?;
    Ok(Outcome::Fine)
}
