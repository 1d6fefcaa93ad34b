//! Finding due rows and taking leases on them. Every search runs over an index that holds open rows only.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bson::{Bson, DateTime, Document, doc, oid::ObjectId};
use futures::TryStreamExt;
use mongodb::options::Hint;
use serde::Deserialize;
use taskwire::model::delivery::ATTEMPT_LOG_LENGTH;
use taskwire::model::{Delivery, EventId, EventKind};
use taskwire::store::{Store, names};

/// How long a claim or hand-over holds a row: the longest deadline and a margin for waiting and for writing the outcome.
/// The same for all rows, so that the start of an interrupted attempt can be told from its lease's end.
pub const LEASE: Duration = Duration::from_secs(60);

/// Rows in one claim.
pub const CLAIM_MOST: usize = 500;

/// Documents in a cursor's first answer: all that a claim asks for, so that no second one is fetched.
const IN_ONE_ANSWER: u32 = 1000;

/// A webhook with open rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OpenQueue {
    /// The webhook.
    pub webhook: ObjectId,
    /// When its first row is due, or its lease ends.
    pub first_due: DateTime,
}

/// An event's part of an attempt.
#[derive(Debug, Deserialize)]
pub struct EventBody {
    #[serde(rename = "_id")]
    id: EventId,
    /// The exact body.
    pub body: Arc<str>,
    /// The change's own time.
    pub at: DateTime,
}

fn hint(index: &str) -> Hint {
    Hint::Name(index.to_owned())
}

/// Every webhook that has open rows, with its first due time: one step in the index for each webhook, however many rows.
///
/// # Errors
/// The driver's error.
pub async fn open_queues(store: &Store) -> mongodb::error::Result<Vec<OpenQueue>> {
    // Without a filter the planner walks from one webhook to the next (a distinct scan); any filter would make it read all.
    let pipeline = [
        doc! { "$sort": { "webhookId": 1, "due": 1 } },
        doc! { "$group": { "_id": "$webhookId", "due": { "$first": "$due" } } },
    ];
    let rows = store.collection::<Document>(names::DELIVERIES);
    let mut found = rows.aggregate(pipeline).hint(hint("open_by_webhook")).await?;
    let mut queues = Vec::new();
    while found.advance().await? {
        let row = found.current();
        if let (Ok(webhook), Ok(first_due)) = (row.get_object_id("_id"), row.get_datetime("due")) {
            queues.push(OpenQueue { webhook, first_due });
        }
    }
    Ok(queues)
}

/// Ids of rows that are due, the most overdue first. Covered by the index.
///
/// # Errors
/// The driver's error.
pub async fn candidates(
    store: &Store,
    webhook: ObjectId,
    now: DateTime,
    most: usize,
) -> mongodb::error::Result<Vec<String>> {
    let rows = store.collection::<Document>(names::DELIVERIES);
    let mut found = rows
        .find(doc! { "webhookId": webhook, "due": { "$lte": now } })
        .sort(doc! { "due": 1 })
        .projection(doc! { "_id": 1 })
        .hint(hint("open_by_webhook"))
        .limit(i64::try_from(most).unwrap_or(i64::MAX))
        .batch_size(u32::try_from(most).unwrap_or(u32::MAX))
        .await?;
    let mut ids = Vec::with_capacity(most);
    while found.advance().await? {
        if let Ok(id) = found.current().get_str("_id") {
            ids.push(id.to_owned());
        }
    }
    Ok(ids)
}

/// Leases those of `ids` that are still due and returns them, whole: who holds a row writes it back whole. `token` must be
/// new: it tells this claim's rows from all others.
///
/// A row whose earlier lease ran out gets that attempt on record as interrupted. Rows that keep an order are taken only
/// where `ordered` says that the order was looked at.
///
/// # Errors
/// The driver's error. Rows may be leased all the same: they are due again when the lease ends.
pub async fn claim(
    store: &Store,
    ids: &[String],
    token: &str,
    now: DateTime,
    ordered: bool,
) -> mongodb::error::Result<Vec<Delivery>> {
    let rows = store.collection::<Delivery>(names::DELIVERIES);
    let mut filter = doc! { "_id": { "$in": ids }, "due": { "$lte": now } };
    if !ordered {
        filter.insert("ordered", Bson::Null);
    }
    let by_id = Hint::Keys(doc! { "_id": 1 });
    let taken = rows.update_many(filter, lease_pipeline(token)).hint(by_id.clone()).await?;
    if taken.modified_count == 0 {
        return Ok(Vec::new());
    }
    let mine = doc! { "_id": { "$in": ids }, "lease": token };
    rows.find(mine).hint(by_id).batch_size(IN_ONE_ANSWER).await?.try_collect().await
}

/// The lease, in server time, and the record of an attempt whose holder went away. Its beginning is told by its lease's end.
fn lease_pipeline(token: &str) -> Vec<Document> {
    let lease = i64::try_from(LEASE.as_millis()).unwrap_or(i64::MAX);
    let interrupted = doc! { "n": "$attempts", "at": { "$subtract": ["$due", lease] }, "outcome": "interrupted" };
    let log = doc! { "$concatArrays": [{ "$ifNull": ["$log", []] }, [interrupted]] };
    let stale = doc! { "$eq": [{ "$type": "$lease" }, "string"] };
    let if_stale = |then: Bson, otherwise: &str| doc! { "$cond": [stale.clone(), then, otherwise] };
    vec![doc! { "$set": {
        "log": if_stale(doc! { "$slice": [log, -ATTEMPT_LOG_LENGTH] }.into(), "$log"),
        "lastAttemptAt": if_stale(doc! { "$subtract": ["$due", lease] }.into(), "$lastAttemptAt"),
        "status": if_stale("failed".into(), "$status"),
        "attempts": { "$add": ["$attempts", 1] },
        "lease": token,
        "due": { "$add": ["$$NOW", lease] },
    } }]
}

/// The bodies of these events. Those that are no longer stored are not in the answer.
///
/// # Errors
/// The driver's error.
pub async fn bodies<'a>(
    store: &Store,
    events: impl Iterator<Item = &'a EventId>,
) -> mongodb::error::Result<HashMap<EventId, EventBody>> {
    let mut ids: Vec<&str> = events.map(EventId::as_str).collect();
    ids.sort_unstable();
    ids.dedup();
    let log = store.collection::<EventBody>(names::EVENTS);
    let found = log.find(doc! { "_id": { "$in": ids } }).projection(doc! { "body": 1, "at": 1 });
    let mut found = found.batch_size(IN_ONE_ANSWER).await?;
    let mut bodies = HashMap::new();
    while let Some(event) = found.try_next().await? {
        bodies.insert(event.id.clone(), event);
    }
    Ok(bodies)
}

/// Ends up to [`CLAIM_MOST`] open rows of a deleted webhook that nobody holds; they are kept until `expire_at`. Returns how
/// many of each kind were ended; no kinds: nothing is left but what is held.
///
/// # Errors
/// The driver's error.
pub async fn end_deleted(
    store: &Store,
    webhook: ObjectId,
    now: DateTime,
    expire_at: DateTime,
) -> mongodb::error::Result<Vec<(EventKind, u64)>> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Row {
        #[serde(rename = "_id")]
        id: String,
        event_type: EventKind,
    }
    let unheld = || bson::bson!([{ "lease": null }, { "due": { "$lte": now } }]);
    let rows = store.collection::<Row>(names::DELIVERIES);
    let found: Vec<Row> = rows
        .find(doc! { "webhookId": webhook, "due": { "$exists": true }, "$or": unheld() })
        .projection(doc! { "eventType": 1 })
        .hint(hint("open_by_webhook"))
        .limit(i64::try_from(CLAIM_MOST).unwrap_or(i64::MAX))
        .await?
        .try_collect()
        .await?;
    if found.is_empty() {
        return Ok(Vec::new());
    }
    let mut by_kind: HashMap<EventKind, Vec<String>> = HashMap::new();
    for row in found {
        by_kind.entry(row.event_type).or_default().push(row.id);
    }
    let end = doc! {
        "$set": { "status": "dead-letter", "errorMessage": "deleted", "expireAt": expire_at },
        "$unset": { "due": "", "lease": "", "ordered": "", "nextAttemptAt": "" },
    };
    // One command for each kind: what other processes ended meanwhile is theirs to count.
    let mut counts = Vec::new();
    for (kind, ids) in by_kind {
        let filter = doc! { "_id": { "$in": ids }, "due": { "$exists": true }, "$or": unheld() };
        counts.push((kind, rows.update_many(filter, end.clone()).await?.modified_count));
    }
    Ok(counts)
}
