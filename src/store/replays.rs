//! `replays`: bulk replays and backfills as admins ask for them, watch and cancel them; and the turns by which indexers
//! work on them.

use std::time::{Duration, Instant};

use bson::{DateTime, Document, doc, oid::ObjectId};
use futures::TryStreamExt;
use mongodb::error::Result;
use mongodb::options::{Hint, ReturnDocument};

use super::task_events::{self, Filter as Events};
use super::{Store, Verdict, deliveries, in_transaction, names, parcels};
use crate::model::dates::later;
use crate::model::{AuditEntry, DeliveryId, DocId, EventId, Replay, ReplayState, Selection, Webhook};

/// How long a read may take.
const READ_MAX: Duration = Duration::from_secs(10);

/// How long the count before a backfill may take; what it has by then is a lower bound.
const COUNT_MAX: Duration = Duration::from_secs(5);

/// Events whose deliveries are looked for together.
const PAGE: i64 = 1000;

/// How long a record is kept after its end.
const KEPT: Duration = Duration::from_secs(90 * 86_400);

/// When the record of a replay that ends at `end` is removed.
#[must_use]
pub fn expiry(end: DateTime) -> DateTime {
    later(end, KEPT)
}

/// How asking for one ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Started {
    /// It is on record, and will be done.
    Done,
    /// One of its kind is running for the webhook.
    OneIsRunning,
    /// The webhook is deleted.
    WebhookDeleted,
}

/// How many there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Count {
    /// So many.
    pub count: u64,
    /// Or more: counting took too long.
    pub is_minimum: bool,
}

/// How many deliveries a replay of this selection queues now.
///
/// # Errors
/// The driver's error, also where counting takes too long.
pub async fn count_deliveries(store: &Store, webhook: &Webhook, selection: &Selection) -> Result<Count> {
    let filter = deliveries_of(webhook.group_id.clone(), webhook.id, selection);
    let rows = store.collection::<Document>(names::DELIVERIES);
    let count = rows.count_documents(filter).hint(deliveries::walk_hint(selection.status)).max_time(READ_MAX).await?;
    Ok(Count { count, is_minimum: false })
}

/// The deliveries of a selection, whatever became of them since.
#[must_use]
pub fn deliveries_of(group: DocId, webhook: ObjectId, selection: &Selection) -> Document {
    let mut made = doc! { "$lt": selection.until };
    if let Some(since) = selection.since {
        made.insert("$gte", since);
    }
    let mut filter = doc! {
        "groupId": group, "webhookId": webhook, "status": selection.status.name(), "createdAt": made,
    };
    if !selection.event_types.is_empty() {
        filter.insert("eventType", doc! { "$in": kinds(selection) });
    }
    filter
}

/// The events of a selection behind `after` in the log.
#[must_use]
pub fn events_of(group: DocId, selection: &Selection, after: Option<&EventId>) -> Document {
    let times = Events { since: selection.since, until: Some(selection.until), ..Events::default() };
    let mut filter = task_events::list_filter(&[group], &times, None);
    if !selection.event_types.is_empty() {
        filter.insert("event", doc! { "$in": kinds(selection) });
    }
    filter.insert("muted", doc! { "$ne": true });
    if selection.without_echoes {
        filter.insert("echo", doc! { "$ne": true });
    }
    if let Some(after) = after {
        filter.insert("_id", doc! { "$gt": after.as_str() });
    }
    filter
}

fn kinds(selection: &Selection) -> Vec<&'static str> {
    selection.event_types.iter().map(|kind| kind.name()).collect()
}

/// How many deliveries a backfill of this selection makes now.
///
/// # Errors
/// The driver's error.
pub async fn count_missing(store: &Store, webhook: &Webhook, selection: &Selection) -> Result<Count> {
    // What was handed over as it was recorded is a row then.
    parcels::unpack(store, None).await?;
    let events = store.collection::<Document>(names::EVENTS);
    let rows = store.collection::<Document>(names::DELIVERIES);
    let began = Instant::now();
    let (mut count, mut last) = (0, None);
    loop {
        let range = events_of(webhook.group_id.clone(), selection, last.as_ref());
        let page = events.find(range).sort(doc! { "_id": 1 }).projection(doc! { "_id": 1 }).limit(PAGE);
        let page: Vec<Document> = page.batch_size(PAGE as u32).max_time(READ_MAX).await?.try_collect().await?;
        let ids = page.iter().filter_map(|event| Some(EventId::from(event.get_str("_id").ok()?.to_owned())));
        let ids: Vec<EventId> = ids.collect();
        let keys: Vec<String> = ids.iter().map(|id| DeliveryId::derive(id, webhook.id).to_string()).collect();
        let there = rows.count_documents(doc! { "_id": { "$in": keys } }).hint(Hint::Keys(doc! { "_id": 1 }));
        count += ids.len() as u64 - there.max_time(READ_MAX).await?.min(ids.len() as u64);
        let is_last = page.len() < PAGE as usize;
        if is_last || began.elapsed() > COUNT_MAX {
            return Ok(Count { count, is_minimum: !is_last });
        }
        last = ids.into_iter().next_back();
    }
}

/// Deliveries of events before this time may have ended and been removed; `None`: none was.
///
/// # Errors
/// The driver's error.
pub async fn deliveries_whole_from(store: &Store) -> Result<Option<DateTime>> {
    let checkpoints = store.collection::<Document>(names::CHECKPOINTS);
    let stored = checkpoints.find_one(doc! { "_id": "retention" }).max_time(READ_MAX).await?;
    Ok(stored.and_then(|stored| stored.get_datetime("deliveriesFrom").ok().copied()))
}

/// Puts one on record for the indexers, and tells the audit.
///
/// # Errors
/// The driver's error.
pub async fn start(store: &Store, replay: &Replay, audit: &AuditEntry) -> Result<Started> {
    in_transaction(store, |session| {
        let (store, replay, audit) = (store.clone(), replay.clone(), audit.clone());
        Box::pin(async move {
            let there = doc! { "_id": replay.webhook_id, "deletedAt": { "$exists": false } };
            let webhooks = store.collection::<Document>(names::WEBHOOKS);
            if webhooks.find_one(there).projection(doc! { "_id": 1 }).session(&mut *session).await?.is_none() {
                return Ok(Verdict::Abort(Started::WebhookDeleted));
            }
            let replays = store.collection::<Replay>(names::REPLAYS);
            let running = doc! {
                "webhookId": replay.webhook_id, "kind": replay.kind.name(), "status": ReplayState::Running.name(),
            };
            if replays.find_one(running).session(&mut *session).await?.is_some() {
                return Ok(Verdict::Abort(Started::OneIsRunning));
            }
            // Changes of a group take turns by it, so that no other one is begun at the same time.
            super::audit::append(&store, session, vec![audit]).await?;
            replays.insert_one(&replay).session(session).await?;
            Ok(Verdict::Commit(Started::Done))
        })
    })
    .await
}

/// One of a webhook's.
///
/// # Errors
/// The driver's error.
pub async fn find(store: &Store, webhook: &Webhook, id: ObjectId) -> Result<Option<Replay>> {
    let wanted = doc! { "_id": id, "webhookId": webhook.id, "groupId": webhook.group_id.clone() };
    store.collection(names::REPLAYS).find_one(wanted).max_time(READ_MAX).await
}

/// A webhook's, newest first, older than `before`; at most `limit`.
///
/// # Errors
/// The driver's error.
pub async fn list(store: &Store, webhook: &Webhook, before: Option<ObjectId>, limit: i64) -> Result<Vec<Replay>> {
    let mut filter = doc! { "webhookId": webhook.id, "groupId": webhook.group_id.clone() };
    if let Some(before) = before {
        filter.insert("_id", doc! { "$lt": before });
    }
    let replays = store.collection(names::REPLAYS);
    replays.find(filter).sort(doc! { "_id": -1 }).limit(limit).max_time(READ_MAX).await?.try_collect().await
}

/// Ends one that is running, and tells the audit: it as it is then, or `None` if it was over already. A page that is
/// being worked off at the same time is undone or counted, never half.
///
/// # Errors
/// The driver's error.
pub async fn cancel(store: &Store, replay: &Replay, now: DateTime, audit: &AuditEntry) -> Result<Option<Replay>> {
    in_transaction(store, |session| {
        let (store, id, audit) = (store.clone(), replay.id, audit.clone());
        Box::pin(async move {
            let running = doc! { "_id": id, "status": ReplayState::Running.name() };
            let end = doc! {
                "$set": { "status": ReplayState::Cancelled.name(), "finishedAt": now, "expireAt": expiry(now) },
                "$unset": { "lease": "", "leaseUntil": "" },
            };
            let replays = store.collection::<Replay>(names::REPLAYS);
            let ended = replays.find_one_and_update(running, end).return_document(ReturnDocument::After);
            let Some(ended) = ended.session(&mut *session).await? else { return Ok(Verdict::Abort(None)) };
            super::audit::append(&store, session, vec![audit]).await?;
            Ok(Verdict::Commit(Some(ended)))
        })
    })
    .await
}

/// Takes the one that waited longest and that nobody holds, under `token` until `until`.
///
/// # Errors
/// The driver's error.
pub async fn take(store: &Store, token: &str, now: DateTime, until: DateTime) -> Result<Option<Replay>> {
    let free = doc! { "status": ReplayState::Running.name(), "$or": [{ "leaseUntil": null }, { "leaseUntil": { "$lt": now } }] };
    let hold = doc! { "$set": { "lease": token, "leaseUntil": until, "servedAt": now } };
    let replays = store.collection::<Replay>(names::REPLAYS);
    replays.find_one_and_update(free, hold).sort(doc! { "servedAt": 1 }).return_document(ReturnDocument::After).await
}

/// Gives one back for its next turn.
///
/// # Errors
/// The driver's error.
pub async fn give_back(store: &Store, id: ObjectId, token: &str) -> Result<()> {
    let free = doc! { "$unset": { "lease": "", "leaseUntil": "" } };
    let replays = store.collection::<Document>(names::REPLAYS);
    replays.update_one(doc! { "_id": id, "lease": token }, free).await.map(|_| ())
}
