//! Which webhooks' groups are to be told something, and telling it once: what is to be told is taken out of `webhookHealth` in
//! the transaction that queues the notice.

use bson::{DateTime, Document, doc, oid::ObjectId};
use futures::TryStreamExt;
use mongodb::error::Result;
use serde::Deserialize;

use super::health::DeadLetters;
use super::{Store, Verdict, in_transaction, names};
use crate::model::{Delivery, NoticeKind};

/// A webhook about which something is to be told, with what is known of it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Pending {
    /// The webhook.
    #[serde(rename = "_id")]
    pub webhook_id: ObjectId,
    /// Since when it fails.
    pub failing_since: Option<DateTime>,
    /// Why its last attempt failed.
    pub last_error: Option<String>,
    /// When its last success was.
    pub last_success_at: Option<DateTime>,
    /// When its group was told that it fails.
    pub told_failing: Option<DateTime>,
    /// What was given up.
    pub dead_letters: Option<DeadLetters>,
}

/// Webhooks of which this is to be told, up to `most`: failing since `failing_before`, given up first `gathered_before`.
///
/// # Errors
/// The driver's error.
pub async fn pending(store: &Store, kind: NoticeKind, before: DateTime, most: i64) -> Result<Vec<Pending>> {
    let filter = match kind {
        NoticeKind::Failing => doc! { "failingSince": { "$lte": before }, "toldFailing": { "$exists": false } },
        NoticeKind::Recovered => recovered(),
        NoticeKind::DeadLetter => doc! { "deadLetters.since": { "$lte": before } },
        // Told where it is done.
        NoticeKind::Disabled => return Ok(Vec::new()),
    };
    let health = store.collection::<Pending>(names::WEBHOOK_HEALTH);
    health.find(filter).limit(most).await?.try_collect().await
}

fn recovered() -> Document {
    // A success since the telling; enabling a webhook ends the failing too, and is no recovery.
    doc! {
        "toldFailing": { "$exists": true }, "failingSince": { "$exists": false },
        "$expr": { "$gt": ["$lastSuccessAt", "$toldFailing"] },
    }
}

/// The condition under which this is still to be told of the webhook, and what telling it leaves.
fn step(kind: NoticeKind, pending: &Pending, now: DateTime) -> (Document, Document) {
    let mut guard = doc! { "_id": pending.webhook_id };
    let left = match kind {
        NoticeKind::Failing => {
            guard.extend(doc! { "failingSince": { "$exists": true }, "toldFailing": { "$exists": false } });
            doc! { "$set": { "toldFailing": now } }
        }
        NoticeKind::Recovered => {
            guard.extend(recovered());
            doc! { "$unset": { "toldFailing": "" } }
        }
        NoticeKind::DeadLetter | NoticeKind::Disabled => {
            // One that was given up since changes the count, and is told of with the others at the next look.
            let seen = pending.dead_letters.as_ref().map_or(0, |dead| dead.count);
            guard.insert("deadLetters.count", seen);
            doc! { "$unset": { "deadLetters": "" } }
        }
    };
    (guard, left)
}

/// Takes note that these need not be told: nobody hears it.
///
/// # Errors
/// The driver's error.
pub async fn pass_over(store: &Store, kind: NoticeKind, untold: &[Pending], now: DateTime) -> Result<()> {
    let updates: Vec<Document> = untold
        .iter()
        .map(|pending| step(kind, pending, now))
        .map(|(guard, left)| doc! { "q": guard, "u": left })
        .collect();
    if !updates.is_empty() {
        store.db.run_command(doc! { "update": names::WEBHOOK_HEALTH, "updates": updates, "ordered": false }).await?;
    }
    Ok(())
}

/// Queues a notice, unless another process was first or it is not to be told any more.
///
/// # Errors
/// The driver's error.
pub async fn tell(
    store: &Store,
    kind: NoticeKind,
    pending: &Pending,
    notice: &Delivery,
    now: DateTime,
) -> Result<bool> {
    in_transaction(store, |session| {
        let (store, notice, (guard, left)) = (store.clone(), notice.clone(), step(kind, pending, now));
        Box::pin(async move {
            let health = store.collection::<Document>(names::WEBHOOK_HEALTH);
            if health.update_one(guard, left).session(&mut *session).await?.matched_count == 0 {
                return Ok(Verdict::Abort(false));
            }
            store.collection::<Delivery>(names::DELIVERIES).insert_one(notice).session(session).await?;
            Ok(Verdict::Commit(true))
        })
    })
    .await
}
