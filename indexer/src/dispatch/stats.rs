//! Counts what becomes of attempts and adds it to the hours of their webhooks about once a second.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use bson::{DateTime, oid::ObjectId};
use taskwire::model::stats::{Counts, Durations, HourOfWebhook, hour_of};
use taskwire::model::{Delivery, DocId};
use taskwire::store::{Store, describe, stats};

/// Hours in one write.
const GROUP: usize = 500;

/// What is not yet written. Small: one entry for each webhook of which something ended within the last second.
#[derive(Debug, Default)]
pub(crate) struct StatsBoard(Mutex<HashMap<(ObjectId, DateTime), (DocId, Counts)>>);

impl StatsBoard {
    fn change(&self, row: &Delivery, at: DateTime, change: impl FnOnce(&mut Counts)) {
        let mut hours = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let of_hour = hours.entry((row.webhook_id, hour_of(at)));
        change(&mut of_hour.or_insert_with(|| (row.group_id.clone(), Counts::default())).1);
    }

    /// An attempt ended.
    pub(crate) fn attempted(&self, row: &Delivery, at: DateTime, took: Duration, succeeded: bool) {
        self.change(row, at, |counts| {
            *if succeeded { &mut counts.successes } else { &mut counts.failures } += 1;
            counts.durations.add(Durations::bucket(took), 1);
        });
    }

    /// A delivery was given up.
    pub(crate) fn gave_up(&self, row: &Delivery, at: DateTime) {
        self.change(row, at, |counts| counts.dead_letters += 1);
    }

    /// Adds what is there. What cannot be written is added with the next, and lost at a kill: these are statistics, the
    /// deliveries themselves are the record.
    pub(crate) async fn flush(&self, store: &Store) {
        let hours = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        let all = hours.into_iter().map(|((webhook_id, hour), (group_id, counts))| HourOfWebhook {
            group_id,
            webhook_id,
            hour,
            counts,
        });
        let all: Vec<HourOfWebhook> = all.collect();
        for group in all.chunks(GROUP) {
            if let Err(error) = stats::add(store, group).await {
                tracing::debug!(error = describe(&error), webhooks = group.len(), "statistics could not be written");
                self.put_back(group);
            }
        }
    }

    fn put_back(&self, group: &[HourOfWebhook]) {
        let mut hours = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for hour in group {
            let of_hour = hours.entry((hour.webhook_id, hour.hour));
            of_hour.or_insert_with(|| (hour.group_id.clone(), Counts::default())).1.merge(&hour.counts);
        }
    }
}
