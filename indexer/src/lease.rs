//! Which process tails: one leads, the others stand by warm.
//!
//! The leader increments a beat in the lease's document. Expiry is judged by a beat that stood still over one's own
//! monotonic clock, never by comparing hosts' clocks. Takeover increments the epoch in the position's document; the record
//! transaction's first statement updates that document where epoch and batch match, so a leader that was frozen and
//! wakes up cannot write. A leader that was killed inside its transaction has its session ended by its successor.

use std::time::{Duration, Instant};

use bson::{Document, doc};
use mongodb::ClientSession;
use mongodb::error::{Error, Result};
use taskwire::store::{LayoutError, Store, names, prepare};
use tokio_util::sync::CancellationToken;

use crate::checkpoint::{Checkpoint, LEASE};
use crate::trouble::{Said, describe};

/// Leadership, and the position that came with it.
#[derive(Debug)]
pub struct Held {
    /// The fencing epoch.
    pub epoch: i64,
    /// The position at takeover.
    pub checkpoint: Checkpoint,
}

/// What a standby sees: the lease's document, read first, and the position's epoch.
#[derive(Debug, PartialEq)]
struct Sight {
    lease: Option<Document>,
    epoch: i64,
    bootstrapped: bool,
}

impl Sight {
    /// Looks; where there is no position's document, a first one is made.
    async fn take(store: &Store) -> Result<Self> {
        let lease = store.collection::<Document>(names::CHECKPOINTS).find_one(doc! { "_id": LEASE }).await?;
        let (epoch, bootstrapped) = match Checkpoint::read(store).await? {
            Some(checkpoint) => (checkpoint.epoch, checkpoint.bootstrapped),
            None => (begin_anew(store).await?, false),
        };
        Ok(Self { lease, epoch, bootstrapped })
    }

    /// Whether nobody leads. A position whose epoch is not the lease's has just been taken over, by somebody who has yet to
    /// say so in the lease (or died before): that must stand still for a lease, like a beat.
    fn is_free(&self) -> bool {
        match &self.lease {
            None => self.epoch == 0,
            Some(lease) => {
                lease.get_bool("released").unwrap_or(false) && lease.get_i64("epoch").is_ok_and(|it| it == self.epoch)
            }
        }
    }
}

/// Stands by until this process may lead; `None` if it was asked to stop first. `standing` is called while there is a
/// position to stand by for: not before a first start is complete.
///
/// # Errors
/// The driver's; call again after a wait.
pub async fn stand_by(
    store: &Store,
    owner: &str,
    lease: Duration,
    stop: &CancellationToken,
    standing: impl Fn(),
) -> Result<Option<Held>> {
    let mut seen: Option<(Sight, Instant)> = None;
    loop {
        // Before the look: a process that was frozen while it looked has seen nothing stand still.
        let asked = Instant::now();
        let sight = Sight::take(store).await?;
        let still = match &seen {
            Some((last, since)) if *last == sight => asked.saturating_duration_since(*since) >= lease,
            _ => false,
        };
        if (still || sight.is_free())
            && let Some(held) = take_over(store, owner, &sight).await?
        {
            tracing::info!(epoch = held.epoch, "leading: this process tails the stream");
            return Ok(Some(held));
        }
        if sight.bootstrapped {
            standing();
        }
        if seen.as_ref().is_none_or(|(last, _)| *last != sight) {
            seen = Some((sight, Instant::now()));
        }
        let pause = (lease / 10).clamp(Duration::from_millis(50), Duration::from_millis(500));
        tokio::select! {
            () = stop.cancelled() => return Ok(None),
            () = tokio::time::sleep(pause) => {}
        }
    }
}

/// No position is stored: the very first start, or Taskwire's collections were dropped (a `dropDatabase` takes them along).
/// A first start follows, over collections with their indexes.
async fn begin_anew(store: &Store) -> Result<i64> {
    tracing::info!(
        "no position is stored: a first start, or Taskwire's collections were dropped; whoever leads takes the tasks in as they are"
    );
    prepare(store).await.map_err(|error| match error {
        LayoutError::Database(error) => error,
        newer @ LayoutError::Newer { .. } => Error::custom(newer.to_string()),
    })?;
    Checkpoint::ensure(store).await
}

/// Takes the position over as it was seen, or not at all: whoever was faster has changed its epoch.
async fn take_over(store: &Store, owner: &str, sight: &Sight) -> Result<Option<Held>> {
    if let Some(lease) = &sight.lease {
        end_session(store, lease).await;
    }
    let Some(checkpoint) = Checkpoint::take_over(store, sight.epoch, owner).await? else { return Ok(None) };
    let epoch = checkpoint.epoch;
    let fresh = doc! { "$set": { "owner": owner, "epoch": epoch, "beat": 0i64, "released": false } };
    store
        .collection::<Document>(names::CHECKPOINTS)
        .update_one(doc! { "_id": LEASE, "$or": [{ "epoch": { "$lt": epoch } }, { "epoch": null }] }, fresh)
        .upsert(true)
        .await?;
    Ok(Some(Held { epoch, checkpoint }))
}

/// Takes the position over from whoever leads, alive or not: for an operator's command, which writes as a leader does.
/// `None` if somebody else was faster.
///
/// # Errors
/// The driver's.
pub async fn seize(store: &Store, owner: &str) -> Result<Option<Held>> {
    take_over(store, owner, &Sight::take(store).await?).await
}

/// A session for this epoch's transactions, named in the lease so that a successor can end it. The one that was named
/// before, by an earlier tail of this epoch, is ended: a transaction that it left open would keep the position's document.
///
/// # Errors
/// The driver's. `None` if another epoch took over.
pub async fn session(store: &Store, epoch: i64) -> Result<Option<ClientSession>> {
    // Each batch's transaction comes after a commit that a majority acknowledged, or after its doubt was settled: nothing is
    // to be waited for. With causal consistency the server would wait at its first statement, half a millisecond.
    let session = store.client.start_session().causal_consistency(false).await?;
    let id = session.id().get("id").cloned();
    let lease = store
        .collection::<Document>(names::CHECKPOINTS)
        .find_one_and_update(doc! { "_id": LEASE, "epoch": epoch }, doc! { "$set": { "session": id } })
        .await?;
    let Some(lease) = lease else { return Ok(None) };
    end_session(store, &lease).await;
    Ok(Some(session))
}

/// Ends the session that the lease names (a user may end its own): a leader that was killed inside its transaction leaves
/// the position's document locked until the server gives the transaction up, a minute later.
async fn end_session(store: &Store, lease: &Document) {
    let Some(session) = lease.get("session").filter(|session| session.as_null().is_none()) else { return };
    if let Err(error) = store.db.run_command(doc! { "killSessions": [{ "id": session.clone() }] }).await {
        tracing::warn!(
            error = describe(&error),
            "an earlier session could not be ended: what it left open may take a minute to pass"
        );
    }
}

/// Keeps the lease's beat going until the term is over, and ends the term when another epoch took over: a leader with nothing
/// to record would otherwise notice only at its next write.
pub async fn keep(store: Store, epoch: i64, lease: Duration, over: CancellationToken) {
    let mut said = Said::default();
    let mut every = tokio::time::interval(lease / 4);
    every.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = over.cancelled() => return,
            _ = every.tick() => {}
        }
        let renewed = store
            .collection::<Document>(names::CHECKPOINTS)
            .update_one(doc! { "_id": LEASE, "epoch": epoch }, doc! { "$inc": { "beat": 1i64 } })
            .await;
        match renewed {
            Ok(result) if result.matched_count == 0 => {
                over.cancel();
                return;
            }
            Ok(_) => said.forget(),
            Err(error) => {
                let reason = describe(&error);
                if said.is_new(&reason) {
                    tracing::warn!(reason, "the lease could not be renewed");
                }
            }
        }
    }
}

/// Gives the lease back, so that a standby takes over at once.
pub async fn release(store: &Store, epoch: i64) {
    let released = store
        .collection::<Document>(names::CHECKPOINTS)
        .update_one(
            doc! { "_id": LEASE, "epoch": epoch },
            doc! { "$set": { "released": true }, "$unset": { "session": "" } },
        )
        .await;
    if let Err(error) = released {
        tracing::warn!(
            reason = describe(&error),
            "the lease could not be given back; a standby takes over when it expires"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sight(lease: Option<(i64, bool)>, epoch: i64) -> Sight {
        let lease = lease.map(|(epoch, released)| doc! { "_id": LEASE, "epoch": epoch, "released": released });
        Sight { lease, epoch, bootstrapped: true }
    }

    #[test]
    fn a_lease_given_back_is_free_until_somebody_takes_the_position_over() {
        assert!(sight(Some((5, true)), 5).is_free());
        // A faster standby took it over, and has yet to say so in the lease.
        assert!(!sight(Some((5, true)), 6).is_free());
        assert!(!sight(Some((6, false)), 6).is_free());
    }

    #[test]
    fn without_a_lease_only_a_position_that_nobody_took_yet_is_free() {
        assert!(sight(None, 0).is_free());
        assert!(!sight(None, 1).is_free());
    }
}
