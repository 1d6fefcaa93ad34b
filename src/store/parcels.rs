//! `deliveryParcels`: rows that were handed to a dispatcher as they were recorded, many in a document.
//!
//! A row that is sent at once would be written twice within moments, with all its index entries: open, then as it ended.
//! So where many are handed over together, the transaction that records their events writes them packed, and each becomes a row
//! with its first end. A parcel is a row's place and nothing else: the rows in it are whole, held under the lease they
//! carry, and anybody may at any time put those that are no rows yet where rows stand ([`unpack`]). Dispatchers do so with
//! what has stood for a second, so that a delivery whose target is slow, or whose holder was killed, is a row like any
//! other. The insert of a row is what decides between the two: an `_id` is inserted once.

use std::collections::HashSet;
use std::time::Duration;

use bson::{DateTime, Document, doc};
use futures::TryStreamExt;
use mongodb::ClientSession;
use mongodb::error::Result;
use mongodb::options::Hint;
use serde::{Deserialize, Serialize};

use super::{Store, Verdict, in_transaction, names};
use crate::model::Delivery;

/// How long a read may take.
const READ_MAX: Duration = Duration::from_secs(10);

/// One document, to be written.
#[derive(Debug, Serialize)]
pub struct NewParcel<'a> {
    /// Unique: the rows' lease and a number.
    #[serde(rename = "_id")]
    pub id: &'a str,
    /// When it was packed. Server time.
    pub at: DateTime,
    /// Rows under one lease.
    pub rows: Vec<&'a Delivery>,
}

#[derive(Debug, Deserialize)]
struct Parcel {
    rows: Vec<Delivery>,
}

/// Makes rows of whatever was packed before this time, or of everything. Answers how many rows were made.
///
/// # Errors
/// The driver's error; what is packed stays so.
pub async fn unpack(store: &Store, before: Option<DateTime>) -> Result<u64> {
    let parcels = store.collection::<Document>(names::PARCELS);
    let old = before.map_or_else(Document::new, |before| doc! { "at": { "$lt": before } });
    // Those that there are now: under load there are always new ones.
    let found: Vec<Document> = parcels.find(old).projection(doc! { "_id": 1 }).await?.try_collect().await?;
    let mut made = 0;
    for id in found.iter().filter_map(|parcel| parcel.get_str("_id").ok()) {
        made += unpack_one(store, id).await?;
    }
    Ok(made)
}

async fn unpack_one(store: &Store, id: &str) -> Result<u64> {
    in_transaction(store, |session| {
        let (store, id) = (store.clone(), id.to_owned());
        Box::pin(async move {
            let parcels = store.collection::<Parcel>(names::PARCELS);
            let Some(parcel) = parcels.find_one_and_delete(doc! { "_id": id }).session(&mut *session).await? else {
                return Ok(Verdict::Abort(0));
            };
            let there = those_there(&store, session, &parcel.rows).await?;
            let missing: Vec<&Delivery> = parcel.rows.iter().filter(|row| !there.contains(row.id.as_str())).collect();
            let made = missing.len() as u64;
            if !missing.is_empty() {
                store.collection::<Delivery>(names::DELIVERIES).insert_many(missing).session(session).await?;
            }
            Ok(Verdict::Commit(made))
        })
    })
    .await
}

async fn those_there(store: &Store, session: &mut ClientSession, rows: &[Delivery]) -> Result<HashSet<String>> {
    let ids: Vec<&str> = rows.iter().map(|row| row.id.as_str()).collect();
    let stored = store.collection::<Document>(names::DELIVERIES);
    let found = stored.find(doc! { "_id": { "$in": ids } }).projection(doc! { "_id": 1 });
    let mut found = found.hint(Hint::Keys(doc! { "_id": 1 })).session(&mut *session).await?;
    let found: Vec<Document> = found.stream(session).try_collect().await?;
    Ok(found.iter().filter_map(|row| Some(row.get_str("_id").ok()?.to_owned())).collect())
}

/// Those of these deliveries that are packed. One of them may be a row as well, and then that is what counts.
///
/// # Errors
/// The driver's error.
pub async fn find(store: &Store, ids: &[&str]) -> Result<Vec<Delivery>> {
    let parcels = store.collection::<Parcel>(names::PARCELS);
    let found = parcels.find(doc! { "rows._id": { "$in": ids } }).max_time(READ_MAX);
    let found: Vec<Parcel> = found.await?.try_collect().await?;
    Ok(found.into_iter().flat_map(|parcel| parcel.rows).filter(|row| ids.contains(&row.id.as_str())).collect())
}

/// Removes parcels all of whose rows have come to an end.
///
/// # Errors
/// The driver's error. One that is left is removed when it is unpacked: nothing of it is missing.
pub async fn remove(store: &Store, ids: &[String]) -> Result<()> {
    store.collection::<Document>(names::PARCELS).delete_many(doc! { "_id": { "$in": ids } }).await.map(drop)
}
