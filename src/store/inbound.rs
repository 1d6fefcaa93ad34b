//! `inboundIntegrations`, and the receipts of their calls.

use bson::{DateTime, doc, oid::ObjectId};
use futures::TryStreamExt;
use mongodb::error::Result;
use std::time::Duration;

use super::transaction::{Verdict, in_transaction, is_duplicate};
use super::webhooks::Replaced;
use super::{Store, names};
use crate::model::{AuditEntry, DocId, InboundIntegration, Receipt, ReceiptId};

/// How long a read may take.
const READ_MAX: Duration = Duration::from_secs(10);

/// The integration of a group.
///
/// # Errors
/// The driver's error.
pub async fn find(store: &Store, group: &DocId) -> Result<Option<InboundIntegration>> {
    store.collection(names::INBOUND).find_one(doc! { "groupId": group.clone() }).max_time(READ_MAX).await
}

/// Puts the version after `integration.revision - 1` (0: none) and tells the audit, if that one still stands.
///
/// # Errors
/// The driver's error.
pub async fn put(store: &Store, integration: &InboundIntegration, audit: &[AuditEntry]) -> Result<Replaced> {
    in_transaction(store, |session| {
        let (store, integration, audit) = (store.clone(), integration.clone(), audit.to_vec());
        Box::pin(async move {
            let integrations = store.collection::<InboundIntegration>(names::INBOUND);
            if integration.revision == 1 {
                match integrations.insert_one(&integration).session(&mut *session).await {
                    Err(error) if is_duplicate(&error) => return Ok(Verdict::Abort(Replaced::ChangedMeanwhile)),
                    done => drop(done?),
                }
            } else {
                let expected = doc! { "_id": integration.id, "revision": integration.revision - 1 };
                let done = integrations.replace_one(expected, &integration).session(&mut *session).await?;
                if done.matched_count != 1 {
                    return Ok(Verdict::Abort(Replaced::ChangedMeanwhile));
                }
            }
            super::audit::append(&store, session, audit).await?;
            Ok(Verdict::Commit(Replaced::Done))
        })
    })
    .await
}

/// The receipt of this call, if it was taken before.
///
/// # Errors
/// The driver's error.
pub async fn receipt(store: &Store, id: &ReceiptId) -> Result<Option<Receipt>> {
    store.collection(names::RECEIPTS).find_one(doc! { "_id": id.as_str() }).max_time(READ_MAX).await
}

/// Receipts of an integration, newest first, beyond the place (time and id) `before`.
///
/// # Errors
/// The driver's error.
pub async fn receipts(
    store: &Store,
    integration: ObjectId,
    before: Option<(i64, String)>,
    limit: i64,
) -> Result<Vec<Receipt>> {
    let mut filter = doc! { "integrationId": integration };
    if let Some((at, id)) = before {
        let at = DateTime::from_millis(at);
        filter.insert("$or", vec![doc! { "at": { "$lt": at } }, doc! { "at": at, "_id": { "$lt": id } }]);
    }
    let receipts = store.collection(names::RECEIPTS);
    let found = receipts.find(filter);
    found.sort(doc! { "at": -1, "_id": -1 }).limit(limit).max_time(READ_MAX).await?.try_collect().await
}
