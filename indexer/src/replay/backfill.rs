//! A page of a backfill: events of the log, oldest first, and the deliveries that the webhook never got of them.

use std::collections::HashSet;

use bson::{DateTime, Document, doc};
use futures::TryStreamExt;
use mongodb::ClientSession;
use mongodb::error::Result;
use mongodb::options::Hint;
use taskwire::model::{Delivery, DeliveryId, EventId, Last, Replay, TaskEvent, Webhook};
use taskwire::store::task_events::without_body;
use taskwire::store::{Store, deliveries, names, parcels, replays};

use super::{Done, Found, PAGE};

/// Events whose deliveries are to be made where they are missing, and how far they reach.
#[derive(Debug, Clone)]
pub(super) struct Events {
    events: Vec<TaskEvent>,
    is_end: bool,
}

pub(super) async fn page(store: &Store, replay: &Replay) -> Result<Found> {
    let after = replay.last.as_ref().map(|last| EventId::from(last.id.clone()));
    let range = replays::events_of(replay.group_id.clone(), &replay.selection, after.as_ref());
    let log = store.collection::<TaskEvent>(names::EVENTS);
    let found = log.find(range).sort(doc! { "_id": 1 }).projection(without_body());
    let found =
        found.limit(i64::try_from(PAGE).unwrap_or(i64::MAX)).batch_size(u32::try_from(PAGE).unwrap_or(u32::MAX));
    let events: Vec<TaskEvent> = found.await?.try_collect().await?;
    // Committed together with these events: whoever was handed them as they were recorded has them as rows from here on.
    parcels::unpack(store, None).await?;
    let is_end = events.len() < PAGE;
    Ok(Found::Events(Events { events, is_end }))
}

impl Events {
    /// A delivery that is there, whatever became of it, is left as it is. The recorder may be queuing one of these at the
    /// same time: then one of both transactions meets the other's row and is repeated.
    pub(super) async fn apply(
        self,
        store: &Store,
        session: &mut ClientSession,
        webhook: &Webhook,
        now: DateTime,
    ) -> Result<Done> {
        let Self { events, is_end } = self;
        let last = events.last().map(|event| Last { at: event.at, id: event.id.to_string() });
        let all = events.len() as u64;
        let there = standing(store, session, webhook, &events).await?;
        let missing = |event: &&TaskEvent| !there.contains(DeliveryId::derive(&event.id, webhook.id).as_str());
        let missing: Vec<&TaskEvent> = events.iter().filter(missing).collect();
        if missing.is_empty() {
            return Ok(Done { done: 0, skipped: all, last, is_end });
        }
        let ids: Vec<EventId> = missing.iter().map(|event| event.id.clone()).collect();
        let kept = deliveries::keep_events(store, session, &ids).await?;
        let rows = missing.into_iter().filter(|event| kept.contains(&event.id));
        let rows: Vec<Delivery> =
            rows.map(|event| Delivery::queued(event, webhook.id, webhook.ordering, now)).collect();
        let done = rows.len() as u64;
        if !rows.is_empty() {
            store.collection::<Delivery>(names::DELIVERIES).insert_many(rows).session(session).await?;
        }
        Ok(Done { done, skipped: all - done, last, is_end })
    }
}

/// The ids of the deliveries of these events that are there.
async fn standing(
    store: &Store,
    session: &mut ClientSession,
    webhook: &Webhook,
    events: &[TaskEvent],
) -> Result<HashSet<String>> {
    let ids: Vec<String> = events.iter().map(|event| DeliveryId::derive(&event.id, webhook.id).to_string()).collect();
    let rows = store.collection::<Document>(names::DELIVERIES);
    let found =
        rows.find(doc! { "_id": { "$in": ids } }).projection(doc! { "_id": 1 }).hint(Hint::Keys(doc! { "_id": 1 }));
    let mut found = found.batch_size(u32::try_from(PAGE).unwrap_or(u32::MAX)).session(&mut *session).await?;
    let found: Vec<Document> = found.stream(session).try_collect().await?;
    Ok(found.iter().filter_map(|row| row.get_str("_id").ok().map(str::to_owned)).collect())
}
