//! `rebuild snapshots`: asked for in the position's document, done by whoever leads next, as the recovery of a gap.

use std::io::Write;
use std::time::{Duration, Instant};

use bson::{Document, Timestamp, doc};
use indicatif::{ProgressBar, ProgressStyle};
use taskwire::store::{Store, names};

use crate::checkpoint::{Checkpoint, WATCHER};
use crate::commands::seat::Seat;
use crate::commands::{CommandError, Context, Outcome, confirm};
use crate::gap::{Gap, GapState, Reason, Wanted};

/// An indexer that stands by has taken over and begun by then.
const BEGUN_WITHIN: Duration = Duration::from_secs(20);
/// How often progress is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// Whether to ask.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Do not ask.
    #[arg(long)]
    yes: bool,
}

/// Asks for the rebuild and follows it to its end.
///
/// # Errors
/// See [`CommandError`].
pub(super) async fn run(args: &Args, context: &Context) -> Result<Outcome, CommandError> {
    let store = &context.store;
    if !args.yes {
        confirm(
            "All tasks are compared with their last known state, and differences are told to partners as recovered. \
             Changes that are not read yet are told as differences, too. Go on?",
        )?;
    }
    let seat = Seat::take(store, "rebuild snapshots").await?;
    let asked = ask(store, &seat).await;
    seat.leave().await;
    let from = asked?;
    let Some(gap) = follow(store, from).await? else {
        return Err(CommandError::Refused(
            "the rebuild is asked for, but no indexer has begun it: it is done when one starts (follow it with `status`)"
                .to_owned(),
        ));
    };
    writeln!(std::io::stdout(), "The snapshots are rebuilt: {gap}.")?;
    Ok(Outcome::Fine)
}

/// Asks for it in the takeover's epoch; the position it goes on from.
async fn ask(store: &Store, seat: &Seat) -> Result<Timestamp, CommandError> {
    let Checkpoint { time, bootstrapped, gap, .. } = seat.checkpoint();
    let Some(from) = time.filter(|_| *bootstrapped) else {
        return Err(CommandError::Refused(
            "the first start is not complete, and makes every snapshot: let an indexer finish it (see `status`)"
                .to_owned(),
        ));
    };
    if gap.is_some() {
        return Err(CommandError::Refused(
            "a gap is being recovered, which makes the snapshots anew: wait until `status` shows it recovered"
                .to_owned(),
        ));
    }
    let wanted = bson::serialize_to_bson(&Wanted::Requested { requested: Reason::Rebuild, from })?;
    let fence = doc! { "_id": WATCHER, "epoch": seat.epoch() };
    let update = doc! { "$set": { "gap": wanted }, "$currentDate": { "updatedAt": true } };
    let set = store.collection::<Document>(names::CHECKPOINTS).update_one(fence, update).await?;
    if set.matched_count == 0 { Err(Seat::lost()) } else { Ok(from) }
}

/// Follows it; the record of what was found, or `None` if nobody begins.
async fn follow(store: &Store, from: Timestamp) -> Result<Option<Gap>, CommandError> {
    let asked = Instant::now();
    let gaps = store.collection::<Gap>(names::GAPS);
    let template = "{bar:30} {percent} %  {human_pos} of about {human_len} tasks, {per_sec}, {eta} left";
    let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    let bar = ProgressBar::new(0).with_style(style);
    loop {
        let newest = doc! { "reason": "rebuild", "from": from };
        let gap = gaps.find_one(newest).sort(doc! { "to": -1 }).await?;
        let waits = matches!(
            Checkpoint::read(store).await?.and_then(|checkpoint| checkpoint.gap),
            Some(Wanted::Requested { .. })
        );
        match gap {
            Some(gap) if gap.state == GapState::Recovered && !waits => {
                bar.finish_and_clear();
                return Ok(Some(gap));
            }
            Some(gap) if gap.state == GapState::Recovering => {
                bar.set_length(u64::try_from(gap.progress.total).unwrap_or(0));
                bar.set_position(u64::try_from(gap.progress.done).unwrap_or(0));
            }
            _ if asked.elapsed() >= BEGUN_WITHIN => return Ok(None),
            _ => {}
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}
