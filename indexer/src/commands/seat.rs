//! The leader's seat, taken for a moment: a command that must write what only the leader writes takes the position over,
//! which fences the leader off, and gives it back.

use std::time::Duration;

use mongodb::ClientSession;
use taskwire::store::Store;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::CommandError;
use crate::checkpoint::Checkpoint;
use crate::lease::{self, Held};

/// The shortest lease that can be set: a beat for it keeps every standby waiting.
const SHORTEST_LEASE: Duration = Duration::from_millis(500);

/// How often the seat is asked for before it is given up.
const TRIES: u32 = 20;

/// Leadership in a command's hand. It must be left.
pub(super) struct Seat {
    store: Store,
    held: Held,
    over: CancellationToken,
    keeping: JoinHandle<()>,
}

impl Seat {
    /// Takes it from whoever leads. `purpose` names the command in the lease.
    pub(super) async fn take(store: &Store, purpose: &str) -> Result<Self, CommandError> {
        let owner = format!("{purpose}/{}/{:08x}", std::process::id(), rand::random::<u32>());
        for _ in 0..TRIES {
            if let Some(held) = lease::seize(store, &owner).await? {
                let over = CancellationToken::new();
                let keeping = tokio::spawn(lease::keep(store.clone(), held.epoch, SHORTEST_LEASE, over.clone()));
                return Ok(Self { store: store.clone(), held, over, keeping });
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        Err(CommandError::Refused(
            "the position could not be taken over, because other processes keep taking it: see `status`, and try again"
                .to_owned(),
        ))
    }

    /// The position at takeover.
    pub(super) const fn checkpoint(&self) -> &Checkpoint {
        &self.held.checkpoint
    }

    /// The epoch that everything must be written in.
    pub(super) const fn epoch(&self) -> i64 {
        self.held.epoch
    }

    /// A session for transactions, which a successor can end.
    pub(super) async fn session(&self) -> Result<ClientSession, CommandError> {
        lease::session(&self.store, self.held.epoch).await?.ok_or_else(Self::lost)
    }

    /// Gives it back: whoever stands by takes over at once.
    pub(super) async fn leave(self) {
        self.over.cancel();
        // The last beat must not come after the release.
        let _ended = self.keeping.await;
        lease::release(&self.store, self.held.epoch).await;
    }

    /// Somebody else took over meanwhile.
    pub(super) fn lost() -> CommandError {
        CommandError::Refused(
            "an indexer has taken over meanwhile, and what was begun was not done: try again".to_owned(),
        )
    }
}
