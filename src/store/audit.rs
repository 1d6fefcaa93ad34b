//! `integrationAudit`.

use std::time::Duration;

use bson::{Document, doc};
use futures::TryStreamExt;
use mongodb::ClientSession;
use mongodb::error::Result;
use mongodb::options::FindOneOptions;

use super::{Store, Verdict, in_transaction, names};
use crate::model::{AuditEntry, DocId};

/// Appends entries of one group, numbering them on from the group's last, in the transaction that makes the change they
/// tell of. The numbers are unique, so two changes of a group at once take turns: what one transaction counted or read
/// in the group still holds when it commits.
///
/// # Errors
/// The driver's error; a conflict with another change is one that `in_transaction` repeats.
pub async fn append(store: &Store, session: &mut ClientSession, mut entries: Vec<AuditEntry>) -> Result<()> {
    let Some(group) = entries.first().map(|entry| entry.group_id.clone()) else { return Ok(()) };
    let newest = FindOneOptions::builder().sort(doc! { "sequence": -1 }).projection(doc! { "sequence": 1 }).build();
    let last = store
        .collection::<Document>(names::AUDIT)
        .find_one(doc! { "groupId": group })
        .with_options(newest)
        .session(&mut *session)
        .await?;
    let last = last.and_then(|entry| entry.get_i64("sequence").ok()).unwrap_or(0);
    for (number, entry) in (last + 1..).zip(&mut entries) {
        entry.sequence = number;
    }
    store.collection::<AuditEntry>(names::AUDIT).insert_many(entries).session(session).await?;
    Ok(())
}

/// Appends an entry of what changes nothing that is stored.
///
/// # Errors
/// The driver's error.
pub async fn tell(store: &Store, entry: &AuditEntry) -> Result<()> {
    in_transaction(store, |session| {
        let (store, entry) = (store.clone(), entry.clone());
        Box::pin(async move { append(&store, session, vec![entry]).await.map(Verdict::Commit) })
    })
    .await
}

/// A group's entries before the one numbered `before`, newest first; at most `limit`.
///
/// # Errors
/// The driver's error.
pub async fn list(store: &Store, group: &DocId, before: Option<i64>, limit: i64) -> Result<Vec<AuditEntry>> {
    let mut filter = doc! { "groupId": group.clone() };
    if let Some(before) = before {
        filter.insert("sequence", doc! { "$lt": before });
    }
    let entries = store.collection::<AuditEntry>(names::AUDIT);
    let found = entries.find(filter).sort(doc! { "sequence": -1 }).limit(limit);
    found.max_time(Duration::from_secs(10)).await?.try_collect().await
}
