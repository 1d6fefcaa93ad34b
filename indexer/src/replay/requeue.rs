//! A page of a bulk replay: finished deliveries, oldest first, that had ended by the request.

use bson::{DateTime, doc};
use futures::TryStreamExt;
use mongodb::ClientSession;
use mongodb::error::Result;
use serde::Deserialize;
use taskwire::model::{DeliveryId, EventId, Last, Replay, Webhook};
use taskwire::store::{Store, deliveries, names, replays};

use super::{Done, Found, PAGE};

/// What a page needs of a row.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Row {
    #[serde(rename = "_id")]
    id: DeliveryId,
    event_id: EventId,
    created_at: DateTime,
    last_attempt_at: Option<DateTime>,
    duration_ms: Option<i64>,
}

impl Row {
    /// Whether it had ended by then: a row that was open at the request, and ended since, is none of it.
    fn had_ended(&self, by: DateTime) -> bool {
        let ended = self.last_attempt_at.map(|began| began.timestamp_millis() + self.duration_ms.unwrap_or(0));
        ended.is_none_or(|ended| ended <= by.timestamp_millis())
    }
}

/// Rows to be queued again, and how far they reach.
#[derive(Debug, Clone)]
pub(super) struct Rows {
    rows: Vec<(DeliveryId, EventId)>,
    last: Option<Last>,
    is_end: bool,
}

pub(super) async fn page(store: &Store, replay: &Replay) -> Result<Found> {
    let mut filter = replays::deliveries_of(replay.group_id.clone(), replay.webhook_id, &replay.selection);
    if let Some(last) = &replay.last {
        let behind = doc! { "$or": [{ "createdAt": { "$gt": last.at } }, { "_id": { "$gt": &last.id } }] };
        filter.insert("$and", vec![doc! { "createdAt": { "$gte": last.at } }, behind]);
    }
    let rows = store.collection::<Row>(names::DELIVERIES);
    let found =
        rows.find(filter).sort(doc! { "createdAt": 1, "_id": 1 }).hint(deliveries::walk_hint(replay.selection.status));
    let wanted = doc! { "eventId": 1, "createdAt": 1, "lastAttemptAt": 1, "durationMs": 1 };
    let found = found.projection(wanted).limit(i64::try_from(PAGE).unwrap_or(i64::MAX));
    let found: Vec<Row> = found.batch_size(u32::try_from(PAGE).unwrap_or(u32::MAX)).await?.try_collect().await?;
    let is_end = found.len() < PAGE;
    let last = found.last().map(|row| Last { at: row.created_at, id: row.id.to_string() });
    let ended = found.into_iter().filter(|row| row.had_ended(replay.requested_at));
    Ok(Found::Rows(Rows { rows: ended.map(|row| (row.id, row.event_id)).collect(), last, is_end }))
}

impl Rows {
    /// Those whose event is gone, or that were queued by somebody meanwhile, are left out.
    pub(super) async fn apply(
        self,
        store: &Store,
        session: &mut ClientSession,
        webhook: &Webhook,
        now: DateTime,
    ) -> Result<Done> {
        let Self { rows, last, is_end } = self;
        let all = rows.len() as u64;
        if rows.is_empty() {
            return Ok(Done { done: 0, skipped: 0, last, is_end });
        }
        let events: Vec<EventId> = rows.iter().map(|(_, event)| event.clone()).collect();
        let kept = deliveries::keep_events(store, session, &events).await?;
        let ids: Vec<DeliveryId> =
            rows.into_iter().filter(|(_, event)| kept.contains(event)).map(|(id, _)| id).collect();
        let done = deliveries::requeue(store, session, webhook, &ids, now).await?;
        Ok(Done { done, skipped: all - done, last, is_end })
    }
}
