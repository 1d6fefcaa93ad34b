//! `webhookVersions` as the trace reads it. Writing it is the watcher's.

use std::collections::HashMap;
use std::time::Duration;

use bson::{doc, oid::ObjectId};
use futures::TryStreamExt;
use mongodb::error::Result;

use super::{Store, names};
use crate::model::{StreamTime, Version};

/// How long a read may take.
const READ_MAX: Duration = Duration::from_secs(10);

/// Of each of these webhooks the version as of `at`, where it had one.
///
/// # Errors
/// The driver's error.
pub async fn as_of(store: &Store, webhooks: &[ObjectId], at: StreamTime) -> Result<HashMap<ObjectId, Version>> {
    let of_second = doc! { "webhookId": { "$in": webhooks }, "at.t": { "$lte": i64::from(at.t) } };
    let mut found = store.collection::<Version>(names::WEBHOOK_VERSIONS).find(of_second).max_time(READ_MAX).await?;
    let mut newest: HashMap<ObjectId, Version> = HashMap::new();
    while let Some(version) = found.try_next().await? {
        let known = newest.get(&version.webhook_id);
        if version.at <= at && known.is_none_or(|known| known.at < version.at) {
            newest.insert(version.webhook_id, version);
        }
    }
    Ok(newest)
}
