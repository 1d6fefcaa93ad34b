//! `externalRefs`: which of the service's documents a partner's id names.

use std::collections::HashMap;
use std::time::Duration;

use bson::{Bson, doc, oid::ObjectId};
use futures::TryStreamExt;
use mongodb::error::Result;

use super::{Store, names};
use crate::model::{DocId, ExternalRef, InboundKind, RefKey};

/// What these ids of a group name, as far as they name anything.
///
/// # Errors
/// The driver's error.
pub async fn find(
    store: &Store,
    group: &DocId,
    kind: InboundKind,
    ids: impl Iterator<Item = &str>,
) -> Result<HashMap<String, ObjectId>> {
    let keys = ids.map(|id| RefKey { group: group.clone(), kind, external_id: id.to_owned() });
    let keys = keys.map(|key| bson::serialize_to_bson(&key)).collect::<bson::error::Result<Vec<Bson>>>()?;
    if keys.is_empty() {
        return Ok(HashMap::new());
    }
    let refs = store.collection::<ExternalRef>(names::EXTERNAL_REFS);
    let found = refs.find(doc! { "_id": { "$in": keys } });
    let refs: Vec<_> = found.max_time(Duration::from_secs(10)).await?.try_collect().await?;
    Ok(refs.into_iter().map(|found| (found.key.external_id, found.target_id)).collect())
}
