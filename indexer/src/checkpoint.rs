//! `watcherCheckpoints`: two documents. `watcher` holds the position, the fencing epoch and the batch number, and is
//! written only by takeover and by the record transaction; `lease` holds the leader's beat.

use bson::{Document, RawDocument, RawDocumentBuf, Timestamp, doc};
use mongodb::Collection;
use mongodb::error::Result;
use mongodb::options::ReturnDocument;
use serde::{Deserialize, Serialize};
use taskwire::store::{Store, names};

use crate::bootstrap::Scan;
use crate::gap::Wanted;
use crate::progress::Position;

/// `_id` of the position's document.
pub const WATCHER: &str = "watcher";
/// `_id` of the lease's document.
pub const LEASE: &str = "lease";

/// The position's document.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Checkpoint {
    /// Counts takeovers: a writer of another epoch is fenced off.
    pub epoch: i64,
    /// Counts recorded batches within all epochs.
    pub batch: i64,
    /// The resume token, whole; absent: go on from `time`.
    #[serde(default)]
    pub token: Option<RawDocumentBuf>,
    /// The position's cluster time; absent before the first start has fixed it.
    #[serde(default)]
    pub time: Option<Timestamp>,
    /// Hash of the pipeline the token belongs to.
    #[serde(default)]
    pub pipeline: Option<String>,
    /// What a first start has scanned so far; absent once it is done.
    #[serde(default)]
    pub scan: Option<Scan>,
    /// The recovery that is under way or asked for.
    #[serde(default)]
    pub gap: Option<Wanted>,
    /// Whether the past has been taken in.
    #[serde(default)]
    pub bootstrapped: bool,
}

impl Checkpoint {
    /// Reads it; `None` before the very first start.
    ///
    /// # Errors
    /// The driver's.
    pub async fn read(store: &Store) -> Result<Option<Self>> {
        collection(store).find_one(doc! { "_id": WATCHER }).await
    }

    /// Takes the position over from whoever held `epoch`: one `findAndModify`. `None` if somebody else was faster.
    ///
    /// # Errors
    /// The driver's.
    pub async fn take_over(store: &Store, epoch: i64, owner: &str) -> Result<Option<Self>> {
        collection(store)
            .find_one_and_update(
                doc! { "_id": WATCHER, "epoch": epoch },
                doc! { "$inc": { "epoch": 1i64 }, "$set": { "owner": owner } },
            )
            .return_document(ReturnDocument::After)
            .await
    }

    /// Makes the document of a first start, unless it is there; its epoch.
    ///
    /// # Errors
    /// The driver's.
    pub async fn ensure(store: &Store) -> Result<i64> {
        let lease = store.collection::<Document>(names::CHECKPOINTS).find_one(doc! { "_id": LEASE }).await?;
        // Not from 0 where a lease tells of earlier epochs: the position's document was removed by hand.
        let epoch = lease.and_then(|lease| lease.get_i64("epoch").ok()).unwrap_or(0);
        let fresh = doc! { "$setOnInsert": { "epoch": epoch, "batch": 0i64, "bootstrapped": false } };
        let made = collection(store)
            .find_one_and_update(doc! { "_id": WATCHER }, fresh)
            .upsert(true)
            .return_document(ReturnDocument::After)
            .await?;
        Ok(made.map_or(epoch, |made| made.epoch))
    }

    /// The stored position, if a first start has fixed one.
    #[must_use]
    pub fn position(&self) -> Option<Position> {
        self.time.map(|time| Position { token: self.token.clone(), time })
    }
}

fn collection(store: &Store) -> Collection<Checkpoint> {
    store.collection(names::CHECKPOINTS)
}

/// The cluster time inside a resume token: its KeyString starts with `82`, then seconds and increment as big-endian u32.
#[must_use]
pub fn token_time(token: &RawDocument) -> Option<Timestamp> {
    let data = token.get_str("_data").ok()?;
    let part = |from: usize| u32::from_str_radix(data.get(from..from + 8)?, 16).ok();
    data.starts_with("82").then_some(())?;
    Some(Timestamp { time: part(2)?, increment: part(10)? })
}

#[cfg(test)]
mod tests {
    use bson::rawdoc;

    use super::*;

    #[test]
    fn the_time_is_read_out_of_tokens_of_both_formats() {
        let time = Timestamp { time: 0x6553_f100, increment: 3 };
        for tail in ["2B022C0100296E5A10", "2B042C0100296E5A10"] {
            let token = rawdoc! { "_data": format!("826553F10000000003{tail}") };
            assert_eq!(token_time(&token), Some(time));
        }
        assert_eq!(token_time(&rawdoc! { "_data": "83" }), None);
        assert_eq!(token_time(&rawdoc! { "_data": "82zz" }), None);
        assert_eq!(token_time(&rawdoc! {}), None);
    }
}
