//! `webhookConfigs` as admins read and write it, and the health beside it.
//!
//! A webhook is only ever inserted or replaced as a whole, so that the change stream brings every version in full.

use std::collections::HashMap;
use std::time::Duration;

use bson::{doc, oid::ObjectId};
use futures::TryStreamExt;
use mongodb::ClientSession;
use mongodb::error::Result;

use super::{Store, names};
use crate::model::{AuditEntry, Delivery, DocId, Webhook, WebhookHealth};
use crate::store::transaction::{Verdict, in_transaction};

/// How many webhooks a group may have, deleted ones not counted.
pub const PER_GROUP_MAX: u64 = 100;

/// How long a read may take.
const READ_MAX: Duration = Duration::from_secs(10);

/// Which webhooks a search takes in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deleted {
    /// Those that are not deleted, and are no alert address.
    Without,
    /// All, alert addresses too: whatever has a log.
    With,
}

/// How a replacement ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Replaced {
    /// The new version stands.
    Done,
    /// Another version than the expected one stood there: nothing was written.
    ChangedMeanwhile,
}

/// How an insert ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Inserted {
    /// The webhook stands.
    Done,
    /// The group has [`PER_GROUP_MAX`] already, or an alert address: nothing was written.
    GroupIsFull,
}

/// The webhook `id`, if it belongs to one of `groups`.
///
/// # Errors
/// The driver's error.
pub async fn find(store: &Store, id: ObjectId, groups: &[DocId], deleted: Deleted) -> Result<Option<Webhook>> {
    let mut filter = doc! { "_id": id, "groupId": { "$in": groups } };
    if deleted == Deleted::Without {
        filter.insert("deletedAt", doc! { "$exists": false });
        filter.insert("alert", doc! { "$exists": false });
    }
    store.collection(names::WEBHOOKS).find_one(filter).max_time(READ_MAX).await
}

/// Webhooks of `groups` that are not deleted, newest first, older than `before`; at most `limit`.
///
/// # Errors
/// The driver's error.
pub async fn list(store: &Store, groups: &[DocId], before: Option<ObjectId>, limit: i64) -> Result<Vec<Webhook>> {
    let mut filter =
        doc! { "groupId": { "$in": groups }, "deletedAt": { "$exists": false }, "alert": { "$exists": false } };
    if let Some(before) = before {
        filter.insert("_id", doc! { "$lt": before });
    }
    let webhooks = store.collection(names::WEBHOOKS);
    let found = webhooks.find(filter).sort(doc! { "_id": -1 }).limit(limit);
    found.max_time(READ_MAX).await?.try_collect().await
}

/// The alert addresses of these groups; a group has one at most.
///
/// # Errors
/// The driver's error.
pub async fn alerts(store: &Store, groups: &[DocId]) -> Result<Vec<Webhook>> {
    let filter = doc! { "groupId": { "$in": groups }, "deletedAt": { "$exists": false }, "alert": { "$exists": true } };
    store.collection(names::WEBHOOKS).find(filter).max_time(READ_MAX).await?.try_collect().await
}

/// How many webhooks of a group [`all_of_group`] reads: deleted ones stay for ever.
const OF_GROUP_MAX: usize = 1000;

/// The newest webhooks of a group, deleted ones too but no alert address, newest first; and how many older ones there are.
///
/// # Errors
/// The driver's error.
pub async fn all_of_group(store: &Store, group: &DocId) -> Result<(Vec<Webhook>, u64)> {
    let webhooks = store.collection::<Webhook>(names::WEBHOOKS);
    let of_group = doc! { "groupId": group.clone(), "alert": { "$exists": false } };
    let found = webhooks.find(of_group.clone()).sort(doc! { "_id": -1 }).limit(OF_GROUP_MAX as i64 + 1);
    let mut found: Vec<_> = found.max_time(READ_MAX).await?.try_collect().await?;
    if found.len() <= OF_GROUP_MAX {
        return Ok((found, 0));
    }
    found.truncate(OF_GROUP_MAX);
    let all = webhooks.count_documents(of_group).max_time(READ_MAX).await?;
    Ok((found, all.saturating_sub(OF_GROUP_MAX as u64)))
}

/// The health of those of `ids` that have any yet.
///
/// # Errors
/// The driver's error.
pub async fn health(store: &Store, ids: &[ObjectId]) -> Result<HashMap<ObjectId, WebhookHealth>> {
    let collection = store.collection::<WebhookHealth>(names::WEBHOOK_HEALTH);
    let found = collection.find(doc! { "_id": { "$in": ids } });
    let found: Vec<_> = found.max_time(READ_MAX).await?.try_collect().await?;
    Ok(found.into_iter().map(|health| (health.webhook_id, health)).collect())
}

/// Inserts a webhook and tells the audit, unless its group is full.
///
/// # Errors
/// The driver's error.
pub async fn insert(store: &Store, webhook: &Webhook, audit: &AuditEntry) -> Result<Inserted> {
    in_transaction(store, |session| {
        let (store, webhook, audit) = (store.clone(), webhook.clone(), audit.clone());
        Box::pin(async move {
            let (is_alert, most) = (webhook.alert.is_some(), if webhook.alert.is_some() { 1 } else { PER_GROUP_MAX });
            let mut there = doc! { "groupId": webhook.group_id.clone(), "deletedAt": { "$exists": false } };
            there.insert("alert", doc! { "$exists": is_alert });
            let webhooks = store.collection::<Webhook>(names::WEBHOOKS);
            if webhooks.count_documents(there).session(&mut *session).await? >= most {
                return Ok(Verdict::Abort(Inserted::GroupIsFull));
            }
            // Makes changes of one group take turns, so that the count above still holds at the commit.
            super::audit::append(&store, session, vec![audit]).await?;
            webhooks.insert_one(&webhook).session(session).await?;
            Ok(Verdict::Commit(Inserted::Done))
        })
    })
    .await
}

/// Replaces the version before `webhook.revision` by `webhook` and tells the audit, if that version still stands and is
/// not deleted. One that is enabled by it begins with no failures counted.
///
/// # Errors
/// The driver's error.
pub async fn replace(store: &Store, webhook: &Webhook, audit: &[AuditEntry]) -> Result<Replaced> {
    replace_and_tell(store, webhook, audit, None).await
}

/// The same, and queues a notice of it.
///
/// # Errors
/// The driver's error.
pub async fn replace_and_tell(
    store: &Store,
    webhook: &Webhook,
    audit: &[AuditEntry],
    notice: Option<&Delivery>,
) -> Result<Replaced> {
    in_transaction(store, |session| {
        let (store, webhook, audit, notice) = (store.clone(), webhook.clone(), audit.to_vec(), notice.cloned());
        Box::pin(async move {
            if !swap(&store, session, &webhook).await? {
                return Ok(Verdict::Abort(Replaced::ChangedMeanwhile));
            }
            if webhook.is_just_enabled() {
                super::health::forget_failures(&store, session, webhook.id).await?;
            }
            if let Some(notice) = notice {
                store.collection::<Delivery>(names::DELIVERIES).insert_one(notice).session(&mut *session).await?;
            }
            super::audit::append(&store, session, audit).await?;
            Ok(Verdict::Commit(Replaced::Done))
        })
    })
    .await
}

async fn swap(store: &Store, session: &mut ClientSession, webhook: &Webhook) -> Result<bool> {
    let expected = doc! { "_id": webhook.id, "revision": webhook.revision - 1, "deletedAt": { "$exists": false } };
    let done = store.collection::<Webhook>(names::WEBHOOKS).replace_one(expected, webhook).session(session).await?;
    Ok(done.matched_count == 1)
}
