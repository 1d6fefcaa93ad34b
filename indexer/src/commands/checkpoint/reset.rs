//! `checkpoint reset`: the position is taken over as a leader would, and moved.

use std::io::Write;

use bson::{Bson, Document, Timestamp, doc};
use taskwire::store::{Store, names};

use super::stored;
use crate::checkpoint::{Checkpoint, WATCHER};
use crate::commands::seat::Seat;
use crate::commands::{CommandError, Context, Outcome, confirm, moment};
use crate::lag::{cluster_time, oldest_oplog_entry};

/// Where to, and whether to ask.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// `now`, or a time: RFC 3339, or seconds[.increment] of cluster time.
    #[arg(long, value_name = "now|TIMESTAMP", value_parser = target)]
    to: Target,
    /// Do not ask.
    #[arg(long)]
    yes: bool,
}

#[derive(Debug, Clone, Copy)]
enum Target {
    Now,
    At(Timestamp),
}

fn target(text: &str) -> Result<Target, String> {
    if text == "now" {
        return Ok(Target::Now);
    }
    moment::parse(text).map(Target::At).map_err(|why| format!("neither now nor a time: {why}"))
}

/// What a reset does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Plan {
    /// Everything from `to` on is read (again): nothing is left out.
    Again { to: Timestamp },
    /// What lies between is not read.
    LeaveOut { from: Timestamp, to: Timestamp },
}

/// What the stream still has, as far as may be known.
#[derive(Debug, Clone, Copy)]
struct Reach {
    oldest: Option<Timestamp>,
    now: Timestamp,
}

/// The way from where everything was told (`told`) to `to`.
fn plan(told: Timestamp, to: Timestamp, reach: Reach) -> Result<Plan, String> {
    if reach.now < to {
        let now = moment::shown(reach.now);
        return Err(format!("the cluster's time is {now}, and the stream has nothing later: say --to now"));
    }
    if let Some(oldest) = reach.oldest.filter(|oldest| to < *oldest) {
        return Err(format!(
            "the oplog begins at {} (cluster time {}), and what came before cannot be read again: name that or a later \
             time, or --to now; what is left out is found by comparing the tasks, and told as recovered",
            moment::shown(oldest),
            moment::exact(oldest),
        ));
    }
    Ok(if told < to { Plan::LeaveOut { from: told, to } } else { Plan::Again { to } })
}

impl Plan {
    fn describe(self, stored: Timestamp) -> String {
        let place = |time| format!("{} (cluster time {})", moment::shown(time), moment::exact(time));
        let apart = |one: Timestamp, other: Timestamp| moment::span(u64::from(one.time.abs_diff(other.time)));
        match self {
            Self::Again { to } => format!(
                "The position goes from {} to {}, {} back. Everything from there on is read again; what was told is not \
                 told again.",
                place(stored),
                place(to),
                apart(stored, to)
            ),
            Self::LeaveOut { from, to } => format!(
                "The position goes from {} to {}. The changes of {} are left out: this is a gap. The indexer that leads \
                 next compares all tasks with their last known state and tells the differences as recovered; what \
                 happened in between is not told.",
                place(from),
                place(to),
                apart(from, to)
            ),
        }
    }

    /// The position's fields. A recovery that was asked for before is asked for from its own beginning, or not at all
    /// where everything is read again.
    fn fields(self) -> Document {
        match self {
            Self::Again { to } => doc! { "time": to, "token": Bson::Null, "gap": Bson::Null },
            Self::LeaveOut { from, to } => {
                doc! { "time": to, "token": Bson::Null, "gap": { "requested": "reset", "from": from } }
            }
        }
    }
}

/// Moves the position.
///
/// # Errors
/// See [`CommandError`].
pub(super) async fn run(args: &Args, context: &Context) -> Result<Outcome, CommandError> {
    let store = &context.store;
    let before = stored(context).await?;
    let oldest = oldest_oplog_entry(store).await;
    if oldest.is_none() {
        tracing::warn!(
            "the oplog's beginning cannot be read (grant find on local.oplog.rs): a time that has left it becomes a gap"
        );
    }
    let (stored, planned) = decide(store, args.to, &before, oldest).await?;
    let mut out = std::io::stdout();
    writeln!(out, "{}", planned.describe(stored))?;
    if !args.yes {
        confirm("Move the position?")?;
    }
    let seat = Seat::take(store, "checkpoint reset").await?;
    let moved = move_it(store, args.to, &seat, oldest).await;
    let epoch = seat.epoch();
    seat.leave().await;
    let (from, to) = moved?;
    tracing::warn!(from = moment::exact(from), to = moment::exact(to), epoch, "an operator moved the position");
    writeln!(out, "Done, in epoch {epoch}. An indexer that runs goes on from there; if none does, start one.")?;
    Ok(Outcome::Fine)
}

/// Decides again on the position as it stands at takeover, and moves it in the takeover's epoch.
async fn move_it(
    store: &Store,
    target: Target,
    seat: &Seat,
    oldest: Option<Timestamp>,
) -> Result<(Timestamp, Timestamp), CommandError> {
    let (stored, plan) = decide(store, target, seat.checkpoint(), oldest).await?;
    let fence = doc! { "_id": WATCHER, "epoch": seat.epoch() };
    let update = doc! { "$set": plan.fields(), "$currentDate": { "updatedAt": true } };
    let moved = store.collection::<Document>(names::CHECKPOINTS).update_one(fence, update).await?;
    if moved.matched_count == 0 {
        return Err(Seat::lost());
    }
    let (Plan::Again { to } | Plan::LeaveOut { to, .. }) = plan;
    Ok((stored, to))
}

/// The stored time, and what to do.
async fn decide(
    store: &Store,
    target: Target,
    checkpoint: &Checkpoint,
    oldest: Option<Timestamp>,
) -> Result<(Timestamp, Plan), CommandError> {
    let Some(stored) = checkpoint.time.filter(|_| checkpoint.bootstrapped) else {
        return Err(CommandError::Refused(
            "the first start is not complete, so there is no past to go on from: let an indexer finish it (see `status`)"
                .to_owned(),
        ));
    };
    let told = told_until(store, stored).await?;
    let now = cluster_time(store).await?;
    let to = match target {
        Target::Now => now,
        Target::At(time) => time,
    };
    let plan = plan(told, to, Reach { oldest, now }).map_err(CommandError::Refused)?;
    Ok((stored, plan))
}

/// Up to where everything was told: the position, or the beginning of a gap whose recovery was asked for.
async fn told_until(store: &Store, stored: Timestamp) -> Result<Timestamp, CommandError> {
    let watcher = store.collection::<Document>(names::CHECKPOINTS).find_one(doc! { "_id": WATCHER }).await?;
    match watcher.as_ref().and_then(|watcher| watcher.get("gap")) {
        None | Some(Bson::Null) => Ok(stored),
        Some(Bson::Document(requested)) => Ok(requested.get_timestamp("from").unwrap_or(stored)),
        Some(_) => Err(CommandError::Refused(
            "the recovery of a gap is under way, and moving the position now would cut it short: wait until `status` shows \
             it recovered"
                .to_owned(),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(time: u32) -> Timestamp {
        Timestamp { time, increment: 1 }
    }

    const fn reach(oldest: Option<Timestamp>) -> Reach {
        Reach { oldest, now: Timestamp { time: 100, increment: 1 } }
    }

    #[test]
    fn back_is_read_again_and_forward_is_a_gap_from_where_everything_was_told() {
        assert_eq!(plan(at(50), at(40), reach(Some(at(10)))), Ok(Plan::Again { to: at(40) }));
        assert_eq!(plan(at(50), at(50), reach(None)), Ok(Plan::Again { to: at(50) }));
        let forward = plan(at(50), at(60), reach(Some(at(10)))).unwrap();
        assert_eq!(forward, Plan::LeaveOut { from: at(50), to: at(60) });
        assert_eq!(forward.fields().get_document("gap").unwrap().get_timestamp("from").unwrap(), at(50));
        assert_eq!(plan(at(5), at(10), reach(Some(at(10)))), Ok(Plan::LeaveOut { from: at(5), to: at(10) }));
    }

    #[test]
    fn neither_the_future_nor_what_has_left_the_oplog_can_be_gone_to() {
        assert!(plan(at(50), at(101), reach(None)).unwrap_err().contains("--to now"));
        assert!(
            plan(at(50), at(9), reach(Some(at(10)))).unwrap_err().contains("the oplog begins at 1970-01-01T00:00:10Z")
        );
        assert!(matches!(target("now"), Ok(Target::Now)));
        assert!(target("soon").is_err());
    }
}
