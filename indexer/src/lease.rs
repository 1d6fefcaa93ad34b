//! Which process tails: one leads, the others stand by warm.
//!
//! The leader increments a beat in the lease's document. Expiry is judged by a beat that stood still over one's own
//! monotonic clock, never by comparing hosts' clocks. Takeover increments the epoch in the position's document; the record
//! transaction's first statement updates that document where epoch and batch match, so a leader that was frozen and
//! wakes up cannot write. A leader that was killed inside its transaction has its session ended by its successor.

use std::time::{Duration, Instant};

use bson::{Document, doc};
use mongodb::ClientSession;
use mongodb::error::Result;
use taskwire::store::{Store, names};
use tokio_util::sync::CancellationToken;

use crate::checkpoint::{Checkpoint, LEASE};

/// Leadership, and the position that came with it.
#[derive(Debug)]
pub struct Held {
    /// The fencing epoch.
    pub epoch: i64,
    /// The position at takeover.
    pub checkpoint: Checkpoint,
}

/// Stands by until this process may lead; `None` if it was asked to stop first.
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
    Checkpoint::ensure(store).await?;
    let mut seen: Option<(Document, Instant)> = None;
    loop {
        let beat = store.collection::<Document>(names::CHECKPOINTS).find_one(doc! { "_id": LEASE }).await?;
        let free = match &beat {
            None => true,
            Some(beat) if beat.get_bool("released").unwrap_or(false) => true,
            Some(beat) => match &seen {
                Some((last, since)) if last == beat => since.elapsed() >= lease,
                _ => {
                    seen = Some((beat.clone(), Instant::now()));
                    false
                }
            },
        };
        if free && let Some(held) = take_over(store, owner, beat.as_ref()).await? {
            return Ok(Some(held));
        }
        standing();
        let pause = (lease / 10).clamp(Duration::from_millis(50), Duration::from_millis(500));
        tokio::select! {
            () = stop.cancelled() => return Ok(None),
            () = tokio::time::sleep(pause) => {}
        }
    }
}

async fn take_over(store: &Store, owner: &str, beat: Option<&Document>) -> Result<Option<Held>> {
    let Some(current) = Checkpoint::read(store).await? else { return Ok(None) };
    if let Some(session) = beat.and_then(|beat| beat.get("session")) {
        // A leader that was killed inside its transaction leaves the position's document locked until the server gives
        // the transaction up, a minute later. Ending its session (a user may end its own) frees the document now.
        if let Err(error) = store.db.run_command(doc! { "killSessions": [{ "id": session.clone() }] }).await {
            tracing::warn!(%error, "the last leader's session could not be ended: taking over may take a minute");
        }
    }
    let Some(checkpoint) = Checkpoint::take_over(store, current.epoch, owner).await? else { return Ok(None) };
    let epoch = checkpoint.epoch;
    let fresh = doc! { "$set": { "owner": owner, "epoch": epoch, "beat": 0i64, "released": false } };
    store
        .collection::<Document>(names::CHECKPOINTS)
        .update_one(doc! { "_id": LEASE, "$or": [{ "epoch": { "$lt": epoch } }, { "epoch": null }] }, fresh)
        .upsert(true)
        .await?;
    tracing::info!(epoch, "leading: this process tails the stream");
    Ok(Some(Held { epoch, checkpoint }))
}

/// Takes the position over from whoever leads, alive or not: for an operator's command, which writes as a leader does.
/// `None` if somebody else was faster.
///
/// # Errors
/// The driver's.
pub async fn seize(store: &Store, owner: &str) -> Result<Option<Held>> {
    let beat = store.collection::<Document>(names::CHECKPOINTS).find_one(doc! { "_id": LEASE }).await?;
    take_over(store, owner, beat.as_ref()).await
}

/// A session for this epoch's transactions, named in the lease so that a successor can end it.
///
/// # Errors
/// The driver's. `None` if another epoch took over.
pub async fn session(store: &Store, epoch: i64) -> Result<Option<ClientSession>> {
    let session = store.client.start_session().await?;
    let id = session.id().get("id").cloned();
    let named = store
        .collection::<Document>(names::CHECKPOINTS)
        .update_one(doc! { "_id": LEASE, "epoch": epoch }, doc! { "$set": { "session": id } })
        .await?;
    Ok((named.matched_count == 1).then_some(session))
}

/// Keeps the lease's beat going until stopped; ends by itself when another epoch took over.
pub async fn keep(store: Store, epoch: i64, lease: Duration, stop: CancellationToken) {
    let mut every = tokio::time::interval(lease / 4);
    every.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = every.tick() => {}
        }
        let renewed = store
            .collection::<Document>(names::CHECKPOINTS)
            .update_one(doc! { "_id": LEASE, "epoch": epoch }, doc! { "$inc": { "beat": 1i64 } })
            .await;
        match renewed {
            Ok(result) if result.matched_count == 0 => {
                tracing::warn!(epoch, "another process took over the lease");
                return;
            }
            Ok(_) => {}
            Err(error) => tracing::warn!(%error, "the lease could not be renewed"),
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
        tracing::warn!(%error, "the lease could not be given back; a standby takes over when it expires");
    }
}
