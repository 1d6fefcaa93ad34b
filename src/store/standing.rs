//! Where the watcher stands, as it says itself every few seconds: for admins, who cannot read metrics.

use std::time::Duration;

use bson::{DateTime, doc};
use mongodb::error::Result;
use serde::{Deserialize, Serialize};

use super::{Store, names};

/// `_id` of its document in `watcherCheckpoints`.
const ID: &str = "standing";

/// How long a read may take.
const READ_MAX: Duration = Duration::from_secs(5);

/// What the leader last said.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Standing {
    /// How far behind the newest write it was, in seconds.
    pub lag_seconds: f64,
    /// How long its stored position would stay in the oplog, in seconds, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oplog_seconds: Option<f64>,
    /// When it said so. Server time.
    pub at: DateTime,
}

/// Says it.
///
/// # Errors
/// The driver's error.
pub async fn say(store: &Store, standing: &Standing) -> Result<()> {
    let checkpoints = store.collection::<Standing>(names::CHECKPOINTS);
    checkpoints.replace_one(doc! { "_id": ID }, standing).upsert(true).await.map(|_| ())
}

/// What was last said, if ever.
///
/// # Errors
/// The driver's error.
pub async fn read(store: &Store) -> Result<Option<Standing>> {
    store.collection(names::CHECKPOINTS).find_one(doc! { "_id": ID }).max_time(READ_MAX).await
}
