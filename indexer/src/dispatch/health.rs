//! Collects how targets fare and writes it about once a second, for those of which something is new.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use bson::{DateTime, oid::ObjectId};
use taskwire::store::health::{HealthChange, record_health};
use taskwire::store::{Store, describe};

/// What is not yet written.
#[derive(Debug, Default)]
pub(crate) struct HealthBoard(Mutex<HashMap<ObjectId, HealthChange>>);

/// Webhooks in one write.
const GROUP: usize = 500;

impl HealthBoard {
    pub(crate) fn succeeded(&self, webhook: ObjectId, at: DateTime) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(webhook).or_default().succeeded(at);
    }

    pub(crate) fn failed(&self, webhook: ObjectId, at: DateTime, reason: &str) {
        let mut changes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        changes.entry(webhook).or_default().failed(at, || reason.to_owned());
    }

    pub(crate) fn given_up(&self, webhook: ObjectId, at: DateTime, made: DateTime, reason: &str) {
        let mut changes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        changes.entry(webhook).or_default().given_up(at, made, reason);
    }

    /// Writes what is there, and answers which webhooks failed last. What cannot be written is written with the next: a
    /// success that was lost would leave a webhook failing that has no more to do, and have it disabled in the end.
    pub(crate) async fn flush(&self, store: &Store) -> Vec<ObjectId> {
        let changes: Vec<_> =
            std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner)).into_iter().collect();
        for group in changes.chunks(GROUP) {
            if let Err(error) = record_health(store, group).await {
                tracing::debug!(
                    error = describe(&error),
                    webhooks = group.len(),
                    "delivery health could not be written; trying again"
                );
                self.put_back(group);
            }
        }
        changes.into_iter().filter(|(_, change)| change.is_failing()).map(|(webhook, _)| webhook).collect()
    }

    fn put_back(&self, group: &[(ObjectId, HealthChange)]) {
        let mut changes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for (webhook, earlier) in group {
            changes.entry(*webhook).or_default().add_before(earlier.clone());
        }
    }
}
