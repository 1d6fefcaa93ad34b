//! What an inbound call writes: one short transaction, decided before it opens and guarded by what was read.
//!
//! A process that is killed with it open blocks the documents it wrote until the server ends it. So what nobody else waits
//! for goes first, the service's documents last, and the group last of all.

use std::sync::Arc;

use bson::{Bson, Document, doc, oid::ObjectId};
use mongodb::ClientSession;
use mongodb::error::{Error, Result};

use super::transaction::{DUPLICATE_KEY, Verdict, in_transaction, is_duplicate};
use super::{Store, names};
use crate::model::{DocId, ExternalRef, Receipt};

/// The most bytes of statements in one command, well below what the server takes.
const COMMAND_BYTES: usize = 8 << 20;

/// A document as it was read and as it shall be.
#[derive(Debug, Clone, PartialEq)]
pub struct Replace {
    /// The whole document that was read: any other that stands now is left alone.
    pub before: Document,
    /// The whole document that shall stand.
    pub after: Document,
}

/// Documents of one collection.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Documents {
    /// The collection.
    pub collection: String,
    /// New ones.
    pub inserts: Vec<Document>,
    /// Changed ones.
    pub replaces: Vec<Replace>,
}

/// What is left in the group: `$inc` and `$set`, never the whole document.
#[derive(Debug, Clone, PartialEq)]
pub struct GroupTouch {
    /// The collection of groups.
    pub collection: String,
    /// The group.
    pub id: DocId,
    /// The update.
    pub update: Document,
}

/// Everything that one call writes.
#[derive(Debug, Clone, PartialEq)]
pub struct Writes {
    /// Its receipt.
    pub receipt: Receipt,
    /// Partner's ids that named nothing.
    pub new_refs: Vec<ExternalRef>,
    /// Partner's ids whose target was deleted, with that target.
    pub moved_refs: Vec<(ExternalRef, ObjectId)>,
    /// Given where names were looked at that must stay unique: how often the group's names had been written then.
    pub names_seen: Option<i64>,
    /// History rows.
    pub rows: Documents,
    /// Tasks or categories.
    pub documents: Documents,
    /// The group.
    pub group: Option<GroupTouch>,
}

/// How the writing ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Applied {
    /// All of it stands.
    Done,
    /// Something that was read has changed: nothing was written.
    Stale,
    /// The same call was taken before: nothing was written.
    TakenBefore,
}

/// How often names of this group's categories were written by inbound calls.
///
/// # Errors
/// The driver's error.
pub async fn names_written(store: &Store, group: &DocId) -> Result<i64> {
    let found = store.collection::<Document>(names::EXTERNAL_REFS).find_one(doc! { "_id": names_key(group) }).await?;
    Ok(found.and_then(|turns| turns.get_i64("n").ok()).unwrap_or(0))
}

/// One document a group, beside its references: whoever writes a name changes it, so that two who found the same name free
/// cannot both commit.
fn names_key(group: &DocId) -> Document {
    doc! { "g": group.clone(), "k": "categoryNames" }
}

/// Writes all of it or nothing.
///
/// # Errors
/// The driver's error.
pub async fn apply(store: &Store, writes: Writes) -> Result<Applied> {
    let writes = Arc::new(writes);
    in_transaction(store, |session| {
        let (store, writes) = (store.clone(), Arc::clone(&writes));
        Box::pin(async move {
            match write(&store, session, &writes).await {
                Ok(Applied::Done) => Ok(Verdict::Commit(Applied::Done)),
                Ok(other) => Ok(Verdict::Abort(other)),
                // Somebody has just made a document of this key: a reference, or a category's name.
                Err(error) if is_duplicate(&error) => Ok(Verdict::Abort(Applied::Stale)),
                Err(error) => Err(error),
            }
        })
    })
    .await
}

async fn write(store: &Store, session: &mut ClientSession, writes: &Writes) -> Result<Applied> {
    let receipts = store.collection::<Receipt>(names::RECEIPTS);
    match receipts.insert_one(&writes.receipt).session(&mut *session).await {
        Err(error) if is_duplicate(&error) => return Ok(Applied::TakenBefore),
        done => drop(done?),
    }
    if !write_refs(store, session, writes).await? {
        return Ok(Applied::Stale);
    }
    for documents in [&writes.rows, &writes.documents] {
        if !documents.inserts.is_empty() {
            let collection = store.collection::<Document>(&documents.collection);
            collection.insert_many(&documents.inserts).session(&mut *session).await?;
        }
        if !replace(store, session, documents).await? {
            return Ok(Applied::Stale);
        }
    }
    if let Some(group) = &writes.group {
        let groups = store.collection::<Document>(&group.collection);
        let done = groups.update_one(doc! { "_id": group.id.clone() }, group.update.clone()).session(session).await?;
        if done.matched_count != 1 {
            return Ok(Applied::Stale);
        }
    }
    Ok(Applied::Done)
}

/// False if a reference or a name is not as it was read.
async fn write_refs(store: &Store, session: &mut ClientSession, writes: &Writes) -> Result<bool> {
    let refs = store.collection::<ExternalRef>(names::EXTERNAL_REFS);
    if let Some(seen) = writes.names_seen {
        let turns = store.collection::<Document>(names::EXTERNAL_REFS);
        let as_seen = doc! { "_id": names_key(&writes.receipt.group_id), "n": seen };
        let turn = turns.update_one(as_seen, doc! { "$inc": { "n": 1_i64 } }).upsert(seen == 0);
        let done = turn.session(&mut *session).await?;
        if done.matched_count == 0 && done.upserted_id.is_none() {
            return Ok(false);
        }
    }
    if !writes.new_refs.is_empty() {
        refs.insert_many(&writes.new_refs).session(&mut *session).await?;
    }
    for (moved, old) in &writes.moved_refs {
        let as_read = doc! { "_id": bson::serialize_to_bson(&moved.key)?, "targetId": old };
        let done = refs.replace_one(as_read, moved).session(&mut *session).await?;
        if done.matched_count != 1 {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Replaces whole documents, each only where what was read still stands; false if one does not.
async fn replace(store: &Store, session: &mut ClientSession, documents: &Documents) -> Result<bool> {
    let mut rest = documents.replaces.as_slice();
    while !rest.is_empty() {
        let (mut bytes, mut updates) = (0, Vec::new());
        for Replace { before, after } in rest {
            bytes += bson::serialize_to_vec(before)?.len() + bson::serialize_to_vec(after)?.len();
            if bytes > COMMAND_BYTES && !updates.is_empty() {
                break;
            }
            let unchanged = doc! { "$eq": ["$$ROOT", { "$literal": before.clone() }] };
            let id = before.get("_id").cloned().unwrap_or(Bson::Null);
            updates.push(Bson::Document(doc! { "q": { "_id": id, "$expr": unchanged }, "u": after.clone() }));
        }
        let (count, wanted) = (updates.len(), i32::try_from(updates.len()).unwrap_or(i32::MAX));
        let command = doc! { "update": &documents.collection, "updates": updates };
        let answer = store.db.run_command(command).session(&mut *session).await?;
        if let Some(first) = answer.get_array("writeErrors").ok().and_then(|errors| errors.first()?.as_document()) {
            return match first.get_i32("code") {
                Ok(DUPLICATE_KEY) => Ok(false),
                code => Err(Error::custom(format!("a replace was refused with code {}", code.unwrap_or_default()))),
            };
        }
        if answer.get_i32("n").ok() != Some(wanted) {
            return Ok(false);
        }
        rest = &rest[count..];
    }
    Ok(true)
}
