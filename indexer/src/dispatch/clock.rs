//! The retry clocks of a webhook that was disabled. They stood still meanwhile: before a webhook that is enabled again is
//! fed from the queue, the scheduled attempts of its waiting rows are moved by the time that it was disabled.
//!
//! The webhook's configuration numbers its stops; a row notes the last one by which it was moved (`clock`), and
//! `webhookHealth` the last one by which all rows were. So the work is done in batches, begun anew after a kill or by another
//! process at the same time, and each row is moved once by each stop. Rows go from the last due to the first: what is moved
//! goes behind the search and is not met again. No other webhook waits for it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bson::{Bson, Document, doc, oid::ObjectId};
use mongodb::options::Hint;
use taskwire::model::{DeliveryStatus, Stop};
use taskwire::store::health::{clock_of, set_clock};
use taskwire::store::{Store, describe, names};

use super::engine::Engine;
use taskwire::target::{Target, TargetState};

/// Rows moved in one command.
const BATCH: usize = 1000;

/// Before work that failed is begun anew.
const PAUSE: Duration = Duration::from_secs(1);

/// How far a webhook's rows have come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Clock {
    /// Moved by its stops up to this one.
    MovedBy(i64),
    /// Under way in this process.
    Moving,
}

/// What this process knows of the webhooks' clocks.
#[derive(Debug, Default)]
pub(crate) struct Clocks(Mutex<HashMap<ObjectId, Clock>>);

impl Clocks {
    /// Whether the webhook may be fed: its rows' clocks have been moved by all its stops. If not, the work is begun.
    pub(crate) fn are_right(&self, engine: &Arc<Engine>, target: &Arc<Target>) -> bool {
        let Some(last) = target.stops.last() else { return true };
        let mut clocks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match clocks.get(&target.id) {
            Some(Clock::MovedBy(n)) if *n >= last.n => return true,
            Some(Clock::Moving) => return false,
            Some(Clock::MovedBy(_)) | None => clocks.insert(target.id, Clock::Moving),
        };
        drop(clocks);
        let (engine, target) = (Arc::clone(engine), Arc::clone(target));
        engine.workers.clone().spawn(async move { move_clocks(&engine, &target).await });
        false
    }

    fn note(&self, webhook: ObjectId, done: Option<i64>) {
        let mut clocks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match done {
            Some(n) => clocks.insert(webhook, Clock::MovedBy(n)),
            None => clocks.remove(&webhook),
        };
    }
}

async fn move_clocks(engine: &Arc<Engine>, target: &Target) {
    let done = match move_all(engine, target).await {
        Ok(done) => done,
        Err(error) => {
            tracing::warn!(
                webhook = %target.id,
                error = describe(&error),
                "the retry clocks of a webhook that was enabled again could not be moved; its deliveries wait, and it is tried again"
            );
            if !engine.board().is_closed() {
                tokio::time::sleep(PAUSE).await;
            }
            None
        }
    };
    engine.clocks.note(target.id, done);
    engine.more.notify_one();
}

/// The last stop by which the rows are moved now; `None` if it was given up halfway.
async fn move_all(engine: &Arc<Engine>, target: &Target) -> mongodb::error::Result<Option<i64>> {
    let mut moved_by = clock_of(&engine.store, target.id).await?;
    let due: Vec<Stop> = target.stops.iter().copied().filter(|stop| stop.n > moved_by).collect();
    for stop in due {
        let Some(rows) = move_by(engine, target, stop).await? else { return Ok(None) };
        set_clock(&engine.store, target.id, stop.n).await?;
        moved_by = stop.n;
        let seconds = stop.until.timestamp_millis().saturating_sub(stop.from.timestamp_millis()) / 1000;
        tracing::info!(webhook = %target.id, rows, seconds, "enabled again: waiting retries were moved by the time it was disabled");
    }
    Ok(Some(moved_by))
}

/// Moves each row that waited for a retry when the webhook was disabled. Answers how many; `None` if the webhook may not be
/// sent to any more, or the process stops.
async fn move_by(engine: &Arc<Engine>, target: &Target, stop: Stop) -> mongodb::error::Result<Option<u64>> {
    let rows = engine.store.collection::<Document>(names::DELIVERIES);
    let mut found = rows
        .find(doc! { "webhookId": target.id, "due": { "$gt": stop.from } })
        .sort(doc! { "due": -1 })
        .projection(doc! { "_id": 1 })
        .hint(Hint::Name("open_by_webhook".to_owned()))
        .batch_size(u32::try_from(BATCH).unwrap_or(u32::MAX))
        .await?;
    let (mut ids, mut moved, mut more) = (Vec::with_capacity(BATCH), 0, true);
    while more {
        more = found.advance().await?;
        if more && let Ok(id) = found.current().get_str("_id") {
            ids.push(id.to_owned());
        }
        if ids.len() == BATCH || !(more || ids.is_empty()) {
            let is_live = engine.view.get(target.id).is_some_and(|known| known.state == TargetState::Live);
            if !is_live || engine.board().is_closed() {
                return Ok(None);
            }
            moved += move_rows(&engine.store, &ids, stop).await?;
            ids.clear();
        }
    }
    Ok(Some(moved))
}

/// What remained of a row's wait at the stop's beginning, or at the end of an attempt that was still under way then, remains
/// at its end.
async fn move_rows(store: &Store, ids: &[String], stop: Stop) -> mongodb::error::Result<u64> {
    let waiting = doc! {
        "_id": { "$in": ids },
        "status": DeliveryStatus::Failed.name(),
        "lease": Bson::Null,
        "nextAttemptAt": { "$gt": stop.from },
        "lastAttemptAt": { "$lt": stop.until },
        "clock": { "$not": { "$gte": stop.n } },
    };
    let ended = doc! { "$add": ["$lastAttemptAt", { "$ifNull": ["$durationMs", 0] }] };
    let stood = doc! { "$subtract": [stop.until, { "$max": [stop.from, ended] }] };
    let next = doc! { "$add": ["$nextAttemptAt", { "$max": [0, stood] }] };
    let pipeline =
        vec![doc! { "$set": { "nextAttemptAt": next, "clock": stop.n } }, doc! { "$set": { "due": "$nextAttemptAt" } }];
    let rows = store.collection::<Document>(names::DELIVERIES);
    let moved = rows.update_many(waiting, pipeline).hint(Hint::Keys(doc! { "_id": 1 })).await?;
    Ok(moved.modified_count)
}
