//! `webhookDeliveries` as admins read it, and the replay of one row. Claims and outcomes are the dispatcher's.

use std::time::Duration;

use bson::{DateTime, Document, doc};
use futures::TryStreamExt;
use mongodb::ClientSession;
use mongodb::error::Result;
use serde::{Deserialize, Serialize};

use super::{Store, names};
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

/// Deliveries of a webhook after `place`, newest first, without their logs; at most `limit`.
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
    let rows = store.collection(names::DELIVERIES);
    let found = rows
        .find(list_filter(webhook, filter, place))
        .sort(doc! { "createdAt": -1, "_id": -1 })
        .projection(doc! { "log": 0, "body": 0 })
        .limit(limit);
    found.max_time(READ_MAX).await?.try_collect().await
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
    store.collection(names::DELIVERIES).find_one(one(webhook, id)).max_time(READ_MAX).await
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
            let mut finished = one(&present, &id);
            finished.insert("status", doc! { "$in": finished_names() });
            let rows = store.collection::<Document>(names::DELIVERIES);
            let done = rows.update_one(finished, requeue(&present, now)).session(&mut *session).await?;
            if done.matched_count == 0 {
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
        return Ok(Some(Replayed::NoSuchDelivery));
    };
    if row.status.is_open() {
        return Ok(Some(Replayed::StillOpen));
    }
    let has_body = row.body.is_some() || keep_event(store, session, &row.event_id).await?;
    Ok((!has_body).then_some(Replayed::EventGone))
}

/// Counts in the event that one of its deliveries is queued anew; false if it is gone. What removes old events looks at the
/// count before it looks for open deliveries, and removes only where the count still stands: so neither can miss the other.
async fn keep_event(store: &Store, session: &mut ClientSession, event: &EventId) -> Result<bool> {
    let events = store.collection::<Document>(names::EVENTS);
    let counted = events.update_one(doc! { "_id": event.as_str() }, doc! { "$inc": { "requeued": 1i64 } });
    Ok(counted.session(session).await?.matched_count == 1)
}

fn finished_names() -> Vec<&'static str> {
    [DeliveryStatus::Queued, DeliveryStatus::Failed, DeliveryStatus::Delivered, DeliveryStatus::DeadLetter]
        .into_iter()
        .filter(|status| !status.is_open())
        .map(DeliveryStatus::name)
        .collect()
}

/// The update, as a pipeline because `attemptsBase` takes the row's own `attempts`.
fn requeue(webhook: &Webhook, now: DateTime) -> Vec<Document> {
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
