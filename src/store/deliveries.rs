//! `webhookDeliveries` as admins read it, and the replay of one row. Claims and outcomes are the dispatcher's.

use std::collections::HashSet;
use std::time::Duration;

use bson::{DateTime, Document, doc};
use futures::TryStreamExt;
use mongodb::ClientSession;
use mongodb::error::Result;
use mongodb::options::Hint;
use serde::{Deserialize, Serialize};

use super::{Store, names, parcels};
use crate::model::{AuditEntry, Delivery, DeliveryId, DeliveryStatus, DocId, EventId, EventKind, Ordering, Webhook};
use crate::store::transaction::{Verdict, in_transaction};

/// How long a read may take.
const READ_MAX: Duration = Duration::from_secs(10);

/// Which deliveries of a webhook a list shows.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// In this state.
    pub status: Option<DeliveryStatus>,
    /// Of this kind of event.
    pub event_type: Option<EventKind>,
    /// Of this task.
    pub task_id: Option<DocId>,
    /// Made at this time or later.
    pub since: Option<DateTime>,
    /// Made before this time.
    pub until: Option<DateTime>,
}

/// A row's place in the list: newest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// When the row was made, milliseconds since the epoch.
    pub created_at: i64,
    /// Its id.
    pub id: DeliveryId,
}

/// How a replay ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Replayed {
    /// Queued again.
    Done,
    /// The webhook has no such delivery.
    NoSuchDelivery,
    /// It is open still.
    StillOpen,
    /// The webhook is deleted.
    WebhookDeleted,
    /// The event is past its retention: there is no body to send.
    EventGone,
}

/// Open rows up to which a list of queued ones goes through all of them: beyond, the newest rows are queued ones.
const FEW_OPEN: u64 = 5_000;

/// Events of one task whose deliveries a list looks for, the newest ones.
const EVENTS_OF_TASK: i64 = 5_000;

/// Deliveries of a webhook after `place`, newest first, without their logs; at most `limit`. Those of one task are found by
/// the task's events, so that one whose event is past its retention is not among them.
///
/// # Errors
/// The driver's error.
pub async fn list(
    store: &Store,
    webhook: &Webhook,
    filter: &Filter,
    place: Option<&Place>,
    limit: i64,
) -> Result<Vec<Delivery>> {
    let mut wanted = list_filter(webhook, filter, place);
    let hint = match &filter.task_id {
        Some(task) => {
            wanted.insert("_id", doc! { "$in": of_task(store, webhook, task).await? });
            Hint::Keys(doc! { "_id": 1 })
        }
        None => list_hint(store, webhook, filter.status).await?,
    };
    let rows = store.collection(names::DELIVERIES);
    let found = rows.find(wanted).sort(doc! { "createdAt": -1, "_id": -1 }).hint(hint);
    found.projection(doc! { "log": 0, "body": 0 }).limit(limit).max_time(READ_MAX).await?.try_collect().await
}

/// The ids that the deliveries of a task's newest events have.
async fn of_task(store: &Store, webhook: &Webhook, task: &DocId) -> Result<Vec<String>> {
    let events = store.collection::<Document>(names::EVENTS);
    let found = events
        .find(doc! { "taskId": task.clone() })
        .sort(doc! { "_id": -1 })
        .projection(doc! { "_id": 1 })
        .limit(EVENTS_OF_TASK);
    let found: Vec<Document> = found.max_time(READ_MAX).await?.try_collect().await?;
    let ids = found.iter().filter_map(|event| event.get_str("_id").ok());
    Ok(ids.map(|id| DeliveryId::derive(&EventId::from(id.to_owned()), webhook.id).to_string()).collect())
}

/// The index in which rows of this state stand close together, whatever else the webhook has.
async fn list_hint(store: &Store, webhook: &Webhook, status: Option<DeliveryStatus>) -> Result<Hint> {
    match status {
        Some(DeliveryStatus::Queued) => {
            let open = Hint::Name("open_by_webhook".to_owned());
            let rows = store.collection::<Document>(names::DELIVERIES);
            let of_webhook = doc! { "webhookId": webhook.id, "due": { "$exists": true } };
            let count = rows.count_documents(of_webhook).hint(open.clone()).limit(FEW_OPEN).max_time(READ_MAX).await?;
            Ok(if count < FEW_OPEN { open } else { newest_first() })
        }
        Some(status) => Ok(walk_hint(status)),
        None => Ok(newest_first()),
    }
}

/// The index by which rows of a state are gone through in the order of their making.
#[must_use]
pub fn walk_hint(status: DeliveryStatus) -> Hint {
    match status {
        DeliveryStatus::Failed => Hint::Name("failed".to_owned()),
        DeliveryStatus::DeadLetter => Hint::Name("dead_letters".to_owned()),
        DeliveryStatus::Queued | DeliveryStatus::Delivered => newest_first(),
    }
}

/// By its name: others have the same keys and hold only some of the rows.
fn newest_first() -> Hint {
    Hint::Name("groupId_1_webhookId_1_createdAt_-1__id_-1".to_owned())
}

fn list_filter(webhook: &Webhook, filter: &Filter, place: Option<&Place>) -> Document {
    let mut wanted = doc! { "groupId": webhook.group_id.clone(), "webhookId": webhook.id };
    if let Some(status) = filter.status {
        wanted.insert("status", status.name());
    }
    if let Some(kind) = filter.event_type {
        wanted.insert("eventType", kind.name());
    }
    if let Some(task) = &filter.task_id {
        wanted.insert("taskId", task.clone());
    }
    if filter.status == Some(DeliveryStatus::Queued) {
        // For the index that holds open rows alone.
        wanted.insert("due", doc! { "$exists": true });
    }
    let mut made = Document::new();
    if let Some(since) = filter.since {
        made.insert("$gte", since);
    }
    if let Some(until) = filter.until {
        made.insert("$lt", until);
    }
    if !made.is_empty() {
        wanted.insert("createdAt", made);
    }
    if let Some(place) = place {
        let at = DateTime::from_millis(place.created_at);
        // The first half bounds the index scan; the second settles rows of the same millisecond.
        let after = doc! { "$or": [{ "createdAt": { "$lt": at } }, { "_id": { "$lt": place.id.as_str() } }] };
        wanted.insert("$and", vec![doc! { "createdAt": { "$lte": at } }, after]);
    }
    wanted
}

/// One delivery of a webhook, with its log.
///
/// # Errors
/// The driver's error.
pub async fn find(store: &Store, webhook: &Webhook, id: &str) -> Result<Option<Delivery>> {
    let rows = store.collection::<Delivery>(names::DELIVERIES);
    let row = rows.find_one(one(webhook, id)).max_time(READ_MAX).await?;
    if row.is_some() {
        return Ok(row);
    }
    let packed = parcels::find(store, &[id]).await?;
    let packed = packed.into_iter().find(|row| row.group_id == webhook.group_id && row.webhook_id == webhook.id);
    if packed.is_some() {
        return Ok(packed);
    }
    // It may have left its parcel in between.
    rows.find_one(one(webhook, id)).max_time(READ_MAX).await
}

/// Those of these deliveries of a group that are there, without their logs.
///
/// # Errors
/// The driver's error.
pub async fn with_ids(store: &Store, group: &DocId, ids: &[DeliveryId]) -> Result<Vec<Delivery>> {
    let ids: Vec<&str> = ids.iter().map(DeliveryId::as_str).collect();
    // Before the rows: what leaves a parcel is a row, and then the row counts.
    let packed = parcels::find(store, &ids).await?;
    let rows = store.collection(names::DELIVERIES);
    let found = rows.find(doc! { "_id": { "$in": ids }, "groupId": group.clone() }).projection(doc! { "log": 0 });
    let mut found: Vec<Delivery> =
        found.hint(Hint::Keys(doc! { "_id": 1 })).max_time(READ_MAX).await?.try_collect().await?;
    let there: HashSet<DeliveryId> = found.iter().map(|row| row.id.clone()).collect();
    found.extend(packed.into_iter().filter(|row| row.group_id == *group && !there.contains(&row.id)));
    Ok(found)
}

/// The exact body of an event; `None` once it is past its retention.
///
/// # Errors
/// The driver's error.
pub async fn body_of(store: &Store, event: &EventId) -> Result<Option<String>> {
    let events = store.collection::<Document>(names::EVENTS);
    let found = events.find_one(doc! { "_id": event.as_str() }).projection(doc! { "body": 1 }).await?;
    Ok(found.and_then(|event| event.get_str("body").ok().map(str::to_owned)))
}

fn one(webhook: &Webhook, id: &str) -> Document {
    doc! { "_id": id, "groupId": webhook.group_id.clone(), "webhookId": webhook.id }
}

/// Queues a finished delivery again, due at `now`, with the whole of the policy's attempts before it while `attempts`
/// counts on; tells the audit. `webhook` is read anew inside, for the order it asks for.
///
/// # Errors
/// The driver's error.
pub async fn replay(store: &Store, webhook: &Webhook, id: &str, now: DateTime, audit: &AuditEntry) -> Result<Replayed> {
    in_transaction(store, |session| {
        let (store, webhook, id, audit) = (store.clone(), webhook.clone(), id.to_owned(), audit.clone());
        Box::pin(async move {
            let webhooks = store.collection::<Webhook>(names::WEBHOOKS);
            let present = webhooks.find_one(doc! { "_id": webhook.id }).session(&mut *session).await?;
            let Some(present) = present.filter(|webhook| webhook.deleted_at.is_none()) else {
                return Ok(Verdict::Abort(Replayed::WebhookDeleted));
            };
            if let Some(obstacle) = obstacle(&store, session, &present, &id).await? {
                return Ok(Verdict::Abort(obstacle));
            }
            let rows = [DeliveryId::from(id)];
            if requeue(&store, session, &present, &rows, now).await? == 0 {
                return Ok(Verdict::Abort(Replayed::StillOpen));
            }
            super::audit::append(&store, session, vec![audit]).await?;
            Ok(Verdict::Commit(Replayed::Done))
        })
    })
    .await
}

/// Why this delivery cannot be replayed, if it cannot.
async fn obstacle(store: &Store, session: &mut ClientSession, webhook: &Webhook, id: &str) -> Result<Option<Replayed>> {
    let rows = store.collection::<Delivery>(names::DELIVERIES);
    let Some(row) = rows.find_one(one(webhook, id)).session(&mut *session).await? else {
        // It may have become a row since: then it has come to an end in this moment, and the next call replays it.
        let is_packed = find(store, webhook, id).await?.is_some();
        return Ok(Some(if is_packed { Replayed::StillOpen } else { Replayed::NoSuchDelivery }));
    };
    if row.status.is_open() {
        return Ok(Some(Replayed::StillOpen));
    }
    let has_body =
        row.body.is_some() || !keep_events(store, session, std::slice::from_ref(&row.event_id)).await?.is_empty();
    Ok((!has_body).then_some(Replayed::EventGone))
}

/// Counts in these events that one of their deliveries is queued anew, and answers which of them are there still. What
/// removes old events looks at the count before it looks for open deliveries, and removes only where the count still
/// stands: so neither can miss the other.
///
/// # Errors
/// The driver's error.
pub async fn keep_events(store: &Store, session: &mut ClientSession, wanted: &[EventId]) -> Result<HashSet<EventId>> {
    let events = store.collection::<Document>(names::EVENTS);
    let ids: Vec<&str> = wanted.iter().map(EventId::as_str).collect();
    let these = doc! { "_id": { "$in": ids } };
    events.update_many(these.clone(), doc! { "$inc": { "requeued": 1i64 } }).session(&mut *session).await?;
    let mut found = events.find(these).projection(doc! { "_id": 1 }).session(&mut *session).await?;
    let found: Vec<Document> = found.stream(session).try_collect().await?;
    Ok(found.iter().filter_map(|event| Some(EventId::from(event.get_str("_id").ok()?.to_owned()))).collect())
}

fn finished_names() -> Vec<&'static str> {
    [DeliveryStatus::Queued, DeliveryStatus::Failed, DeliveryStatus::Delivered, DeliveryStatus::DeadLetter]
        .into_iter()
        .filter(|status| !status.is_open())
        .map(DeliveryStatus::name)
        .collect()
}

/// Queues those of a webhook's deliveries `ids` that are finished, due at `now`; answers how many those were.
///
/// # Errors
/// The driver's error.
pub async fn requeue(
    store: &Store,
    session: &mut ClientSession,
    webhook: &Webhook,
    ids: &[DeliveryId],
    now: DateTime,
) -> Result<u64> {
    let ids: Vec<&str> = ids.iter().map(DeliveryId::as_str).collect();
    let finished = doc! {
        "_id": { "$in": ids }, "groupId": webhook.group_id.clone(), "webhookId": webhook.id,
        "status": { "$in": finished_names() },
    };
    let rows = store.collection::<Document>(names::DELIVERIES);
    let update = rows.update_many(finished, opening(webhook, now)).hint(Hint::Keys(doc! { "_id": 1 }));
    Ok(update.session(session).await?.matched_count)
}

/// The update, as a pipeline because `attemptsBase` takes the row's own `attempts`.
fn opening(webhook: &Webhook, now: DateTime) -> Vec<Document> {
    let mut open = doc! {
        "status": DeliveryStatus::Queued.name(),
        "due": now,
        "nextAttemptAt": now,
        "attemptsBase": "$attempts",
    };
    let mut closed = vec!["expireAt", "lease", "deliveredAt", "responseStatus", "durationMs", "errorMessage"];
    match webhook.ordering {
        Ordering::PerTask => {
            open.insert("ordered", true);
        }
        Ordering::None => closed.push("ordered"),
    }
    vec![doc! { "$set": open }, doc! { "$unset": closed }]
}
