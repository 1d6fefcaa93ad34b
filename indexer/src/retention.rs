//! What is kept, and for how long. Finished deliveries carry `expireAt`, and the server removes them by an index that holds
//! no open ones. Events are removed here, by the leader: a TTL could not see whether a delivery of an event is still open.
//!
//! How far back the log may have been thinned out (the [`Horizon`]) is stored before anything is removed. Each batch reads
//! its events first, each with the count of its replays, then the open deliveries of the same time; it removes an event
//! only where the count still stands. A replay counts in the same transaction that opens the row, so neither misses the
//! other. Removing twice does nothing, so two sweepers, or one that was frozen, do no harm.

use std::collections::HashSet;
use std::time::Duration;

use bson::{DateTime, Document, Timestamp, doc};
use futures::TryStreamExt;
use mongodb::error::Result;
use mongodb::options::Hint;
use serde::Deserialize;
use taskwire::config::{EventRetention, Retention};
use taskwire::model::dates::earlier;
use taskwire::model::{DeliveryId, DeliveryStatus, EventId};
use taskwire::store::{ServerClock, Store, describe, names, parcels};
use tokio_util::sync::CancellationToken;

/// How often there is something to remove.
const EVERY: Duration = Duration::from_secs(3600);

/// How soon a round that failed is tried again.
const AGAIN: Duration = Duration::from_secs(60);

/// Documents looked at in one step.
const BATCH: usize = 1000;

/// Between two steps: the sweeper takes what others leave.
const PAUSE: Duration = Duration::from_millis(100);

/// From when on the log and the deliveries are whole; stored in `watcherCheckpoints`.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Horizon {
    /// Events before this may have been removed; absent: none has been.
    pub events_from: Option<DateTime>,
    /// Finished deliveries of events before this may have been removed.
    pub deliveries_from: Option<DateTime>,
    /// Whether every finished delivery expires, those from before there was an expiry too.
    #[serde(default)]
    all_expire: bool,
}

impl Horizon {
    /// `_id` of its document.
    pub const ID: &str = "retention";

    /// Reads it.
    ///
    /// # Errors
    /// The driver's.
    pub async fn read(store: &Store) -> Result<Self> {
        let stored = store.collection::<Self>(names::CHECKPOINTS).find_one(doc! { "_id": Self::ID }).await?;
        Ok(stored.unwrap_or_default())
    }

    async fn write(store: &Store, update: Document) -> Result<()> {
        let checkpoints = store.collection::<Document>(names::CHECKPOINTS);
        checkpoints.update_one(doc! { "_id": Self::ID }, update).upsert(true).await.map(|_| ())
    }
}

/// Removes what is past its retention, now and every hour, until stopped.
pub async fn sweep(store: Store, clock: ServerClock, retention: Retention, stop: CancellationToken) {
    loop {
        let wait = match round(&store, clock.now(), retention, &stop).await {
            Ok(()) => EVERY,
            Err(error) => {
                tracing::warn!(error = describe(&error), "old events could not be removed; trying again in a minute");
                AGAIN
            }
        };
        if sleep(wait, &stop).await.is_err() {
            return;
        }
    }
}

async fn round(store: &Store, now: DateTime, retention: Retention, stop: &CancellationToken) -> Result<()> {
    let deliveries_from = earlier(now, retention.deliveries);
    Horizon::write(store, doc! { "$max": { "deliveriesFrom": deliveries_from } }).await?;
    // What is open is a row then, and keeps its event.
    parcels::unpack(store, None).await?;
    expire_finished(store, retention.expiry(now), stop).await?;
    match retention.events {
        EventRetention::Forever => Ok(()),
        EventRetention::For(kept) => remove_events(store, earlier(now, kept), stop).await,
    }
}

/// Finished deliveries from before there was an expiry get one. Done once: since then, whatever ends a row sets it.
async fn expire_finished(store: &Store, expire_at: DateTime, stop: &CancellationToken) -> Result<()> {
    if Horizon::read(store).await?.all_expire {
        return Ok(());
    }
    let rows = store.collection::<Document>(names::DELIVERIES);
    let skip = u64::try_from(BATCH - 1).unwrap_or(0);
    let mut last = String::new();
    loop {
        let mut range = doc! { "$gt": &last };
        let end = rows.find_one(doc! { "_id": range.clone() }).sort(doc! { "_id": 1 }).skip(skip);
        let end = end.projection(doc! { "_id": 1 }).await?.and_then(|row| row.get_str("_id").ok().map(str::to_owned));
        if let Some(end) = &end {
            range.insert("$lte", end);
        }
        let finished = [DeliveryStatus::Delivered, DeliveryStatus::DeadLetter].map(DeliveryStatus::name);
        let without = doc! { "_id": range, "status": { "$in": finished.to_vec() }, "expireAt": null };
        let set = doc! { "$set": { "expireAt": expire_at } };
        rows.update_many(without, set).hint(Hint::Keys(doc! { "_id": 1 })).await?;
        match end {
            Some(end) => last = end,
            None => return Horizon::write(store, doc! { "$set": { "allExpire": true } }).await,
        }
        if sleep(PAUSE, stop).await.is_err() {
            return Ok(());
        }
    }
}

/// An event as the sweeper sees it.
#[derive(Debug, Deserialize)]
struct Old {
    #[serde(rename = "_id")]
    id: EventId,
    /// Counts replays of its deliveries.
    requeued: Option<i64>,
}

async fn remove_events(store: &Store, before: DateTime, stop: &CancellationToken) -> Result<()> {
    let seconds = u32::try_from(before.timestamp_millis() / 1000).unwrap_or(u32::MAX);
    let end = EventId::first_at(Timestamp { time: seconds, increment: 0 });
    let mut last = EventId::first_at(Timestamp { time: 0, increment: 0 });
    let (mut removed, mut kept) = (0, 0);
    loop {
        let batch = old_events(store, &last, &end).await?;
        let Some(newest) = batch.last() else { break };
        if removed + kept == 0 {
            // Known before anything is gone.
            Horizon::write(store, doc! { "$max": { "eventsFrom": before } }).await?;
        }
        last = newest.id.clone();
        let (count, gone) = (batch.len(), remove(store, &batch).await?);
        metrics::counter!("taskwire_events_removed_total").increment(gone);
        removed += gone;
        kept += u64::try_from(count).unwrap_or(0).saturating_sub(gone);
        if count < BATCH || sleep(PAUSE, stop).await.is_err() {
            break;
        }
    }
    if removed > 0 {
        tracing::info!(removed, kept, "events past their retention were removed; kept are those with open deliveries");
    }
    Ok(())
}

async fn old_events(store: &Store, after: &EventId, end: &EventId) -> Result<Vec<Old>> {
    let range = doc! { "_id": { "$gt": after.as_str(), "$lt": end.as_str() } };
    let most = i64::try_from(BATCH).unwrap_or(i64::MAX);
    let events = store.collection::<Old>(names::EVENTS);
    let batch = events.find(range).sort(doc! { "_id": 1 }).projection(doc! { "requeued": 1 }).limit(most);
    batch.await?.try_collect().await
}

/// Removes those of a batch that have no open delivery. Returns how many.
async fn remove(store: &Store, batch: &[Old]) -> Result<u64> {
    let times = batch.first().and_then(|old| old.id.time()).zip(batch.last().and_then(|old| old.id.time()));
    let Some((first, last)) = times else { return Ok(0) };
    let open = events_with_open_deliveries(store, first, last).await?;
    let closed = || batch.iter().filter(|old| !open.contains(&old.id));
    let never: Vec<&str> = closed().filter(|old| old.requeued.is_none()).map(|old| old.id.as_str()).collect();
    let mut deletes = vec![doc! { "q": { "_id": { "$in": never }, "requeued": null }, "limit": 0 }];
    for old in closed() {
        if let Some(requeued) = old.requeued {
            deletes.push(doc! { "q": { "_id": old.id.as_str(), "requeued": requeued }, "limit": 1 });
        }
    }
    let command = doc! {
        "delete": names::EVENTS, "deletes": deletes, "ordered": false, "writeConcern": { "w": "majority" },
    };
    let answer = store.db.run_command(command).await?;
    if let Some(error) = answer.get_array("writeErrors").ok().and_then(|errors| errors.first()) {
        let text = error.as_document().and_then(|error| error.get_str("errmsg").ok()).unwrap_or("write error");
        return Err(std::io::Error::other(text.to_owned()).into());
    }
    Ok(answer.get_i32("n").ok().and_then(|count| u64::try_from(count).ok()).unwrap_or(0))
}

/// The events of these times that a partner may still have to get.
async fn events_with_open_deliveries(store: &Store, first: Timestamp, last: Timestamp) -> Result<HashSet<EventId>> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Open {
        event_id: EventId,
    }
    // A cluster time's increment never comes near its end.
    let behind = Timestamp { time: last.time, increment: last.increment.saturating_add(1) };
    let (from, to) = (DeliveryId::first_at(first), DeliveryId::first_at(behind));
    let range = doc! { "_id": { "$gte": from.as_str(), "$lt": to.as_str() }, "due": { "$exists": true } };
    let rows = store.collection::<Open>(names::DELIVERIES);
    let open = rows.find(range).hint(Hint::Keys(doc! { "_id": 1 })).projection(doc! { "_id": 0, "eventId": 1 });
    open.await?.map_ok(|row| row.event_id).try_collect().await
}

/// `Err` if stopped.
async fn sleep(length: Duration, stop: &CancellationToken) -> std::result::Result<(), ()> {
    tokio::select! {
        () = stop.cancelled() => Err(()),
        () = tokio::time::sleep(length) => Ok(()),
    }
}
