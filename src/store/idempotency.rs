//! `idempotencyKeys`: which POSTs were made under which key, and what they were answered, for a day.

use std::time::Duration;

use bson::{DateTime, Document, doc, oid::ObjectId};
use mongodb::error::Result;
use serde::{Deserialize, Serialize};

use super::transaction::is_duplicate;
use super::{Store, names};
use crate::model::DocId;
use crate::model::dates::later;
use crate::secrets::Sealed;

/// How long a key is kept.
const KEPT: Duration = Duration::from_secs(86_400);

/// A call that shows no end after so long has none: its process went away.
const LOST_AFTER: Duration = Duration::from_secs(120);

/// The answer that was given.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct KeptAnswer {
    /// The group that it is about; absent in what an older version kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group_id: Option<DocId>,
    /// Its status.
    pub status: i32,
    /// Its headers that tell of the call: name and value.
    pub headers: Vec<(String, String)>,
    /// Its body, sealed: it may show a secret.
    pub body: Sealed,
}

/// One document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Entry {
    /// A hash of user and key.
    #[serde(rename = "_id")]
    id: String,
    /// The call that took the key; absent in what an older version wrote.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    owner: Option<ObjectId>,
    /// A hash of what was asked: path and body.
    request: String,
    /// When the call began. Server time.
    started_at: DateTime,
    /// Absent while it is under way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    answer: Option<KeptAnswer>,
    /// When it is removed.
    expire_at: DateTime,
}

/// What is known of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Known {
    /// Nothing: the call may be made, and is under way now.
    New,
    /// The same call was answered.
    Answered(KeptAnswer),
    /// The same call is under way.
    UnderWay,
    /// It was another call.
    Other,
}

/// Begins the call `request` under the key `id`, unless it is known. One whose process went away is begun anew. `owner` is
/// this very call.
///
/// # Errors
/// The driver's error; the key may be taken all the same, by this `owner`.
pub async fn begin(store: &Store, id: &str, owner: ObjectId, request: &str, now: DateTime) -> Result<Known> {
    let entries = store.collection::<Entry>(names::IDEMPOTENCY);
    let entry = Entry {
        id: id.to_owned(),
        owner: Some(owner),
        request: request.to_owned(),
        started_at: now,
        answer: None,
        expire_at: later(now, KEPT),
    };
    // Twice: what was in the way may have expired or been given up in between.
    for _ in 0..2 {
        match entries.insert_one(&entry).await {
            Ok(_) => return Ok(Known::New),
            Err(error) if is_duplicate(&error) => {}
            Err(error) => return Err(error),
        }
        let Some(found) = entries.find_one(doc! { "_id": id }).await? else { continue };
        if found.request != request {
            return Ok(Known::Other);
        }
        if let Some(answer) = found.answer {
            return Ok(Known::Answered(answer));
        }
        if later(found.started_at, LOST_AFTER) > now {
            return Ok(Known::UnderWay);
        }
        let lost = doc! { "_id": id, "startedAt": found.started_at, "answer": { "$exists": false } };
        entries.delete_one(lost).await?;
    }
    Ok(Known::UnderWay)
}

/// Keeps the answer, if the key is still its call's.
///
/// # Errors
/// The driver's error.
pub async fn keep(store: &Store, id: &str, owner: ObjectId, answer: &KeptAnswer) -> Result<()> {
    let answer = bson::serialize_to_bson(answer)?;
    let entries = store.collection::<Document>(names::IDEMPOTENCY);
    entries.update_one(doc! { "_id": id, "owner": owner }, doc! { "$set": { "answer": answer } }).await?;
    Ok(())
}

/// Forgets a call that changed nothing, so that it may be made again under its key. Whether there was anything of it.
///
/// # Errors
/// The driver's error.
pub async fn forget(store: &Store, id: &str, owner: ObjectId) -> Result<bool> {
    let entries = store.collection::<Document>(names::IDEMPOTENCY);
    let own = doc! { "_id": id, "owner": owner, "answer": { "$exists": false } };
    Ok(entries.delete_one(own).await?.deleted_count > 0)
}
