//! Who leads, and whether it lives: its beat is watched for a moment, and no clocks are compared.

use std::time::{Duration, Instant};

use bson::{Document, doc};
use mongodb::error::Result;
use serde::Serialize;
use taskwire::store::{Store, names};

use crate::checkpoint::LEASE;

/// How often the beat is looked at.
const LOOK: Duration = Duration::from_millis(50);

/// The leader as far as its lease tells.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "state", rename_all = "lowercase")]
pub(super) enum Leader {
    /// There never was one.
    None,
    /// The last one gave its lease back.
    Released { owner: String, epoch: i64 },
    /// Its beat goes on.
    Alive { owner: String, epoch: i64 },
    /// Its beat stood still for as long as its lease lasts.
    Silent { owner: String, epoch: i64 },
}

/// Watches the beat from one report to the next.
pub(super) struct Watch {
    lease: Duration,
    seen: Option<(Document, Instant)>,
    lives: bool,
}

impl Watch {
    /// A watch that takes a leader for silent after `lease`.
    pub(super) const fn new(lease: Duration) -> Self {
        Self { lease, seen: None, lives: false }
    }

    /// Looks until the beat has moved or stood still for a lease's length. A beat that moved lately needs no wait.
    pub(super) async fn leader(&mut self, store: &Store) -> Result<Leader> {
        let leases = store.collection::<Document>(names::CHECKPOINTS);
        loop {
            let Some(lease) = leases.find_one(doc! { "_id": LEASE }).await? else { return Ok(Leader::None) };
            let owner = lease.get_str("owner").unwrap_or("unknown").to_owned();
            let epoch = lease.get_i64("epoch").unwrap_or(0);
            if lease.get_bool("released").unwrap_or(false) {
                self.seen = None;
                return Ok(Leader::Released { owner, epoch });
            }
            match &self.seen {
                Some((last, since)) if *last == lease => {
                    if since.elapsed() >= self.lease {
                        self.lives = false;
                        return Ok(Leader::Silent { owner, epoch });
                    }
                }
                last => {
                    self.lives = last.is_some();
                    self.seen = Some((lease, Instant::now()));
                }
            }
            if self.lives {
                return Ok(Leader::Alive { owner, epoch });
            }
            tokio::time::sleep(LOOK).await;
        }
    }
}
