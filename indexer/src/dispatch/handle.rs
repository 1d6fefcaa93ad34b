//! What the recorder and others ask of the dispatcher: room in lanes, leases, and to take over rows that were just committed.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::Instant;

use bson::{DateTime, oid::ObjectId};
use futures::{StreamExt, stream};
use taskwire::model::dates::later;
use taskwire::model::{Delivery, DocId};
use taskwire::store::describe;
use taskwire::target::Target;

use super::engine::Engine;
use super::feed::new_token;
use super::job::{Job, shared_body};
use super::{Parcel, in_order};
use crate::claim::LEASE;

/// Reads under way at once for webhooks that keep an order.
const READS: usize = 8;

/// A lease for rows that the recorder is about to write.
#[derive(Debug, Clone)]
pub struct LeaseGrant {
    /// The rows' `lease`.
    pub token: String,
    /// The rows' `due`: the lease's end, in server time.
    pub until: DateTime,
}

/// Room for one row in a webhook's lane. Dropped, the room is free again.
#[derive(Debug)]
pub struct Slot {
    engine: Arc<Engine>,
    webhook: ObjectId,
    /// The task in whose chain the row has a place, where it keeps an order.
    task: Option<DocId>,
    is_filled: bool,
}

impl Drop for Slot {
    fn drop(&mut self) {
        if !self.is_filled {
            self.engine.board().give_back(self.webhook, 1);
            if let Some(task) = self.task.take() {
                self.engine.chains.withdraw(self.webhook, task);
            }
        }
    }
}

/// A row that the recorder has committed under a [`LeaseGrant`], with `attempts: 1`.
#[derive(Debug)]
pub struct HandedOver {
    /// The room that was reserved for it.
    pub slot: Slot,
    /// The row as it was written.
    pub delivery: Delivery,
    /// Where it was written, unless as a row.
    pub parcel: Option<Arc<Parcel>>,
    /// Its event's body.
    pub body: Arc<str>,
    /// Its event's `at`: the change's own time.
    pub happened_at: DateTime,
}

/// What the rest of the process may ask of the dispatcher. Cheap to clone.
#[derive(Debug, Clone)]
pub struct DispatchHandle {
    pub(super) engine: Arc<Engine>,
}

impl DispatchHandle {
    pub(super) fn of(engine: Arc<Engine>) -> Self {
        Self { engine }
    }

    /// Room for up to `wanted` rows of this webhook, fewer or none where its lane is full, troubled or behind, keeps an
    /// order, or is not known as live.
    #[must_use]
    pub fn reserve(&self, webhook: ObjectId, wanted: usize) -> Vec<Slot> {
        let Some(target) = self.live(webhook).filter(|target| !target.per_task) else { return Vec::new() };
        let count = self.reserve_for(&target, wanted);
        (0..count).map(|_| self.slot(webhook, None)).collect()
    }

    /// Room for rows that keep an order, one of each of these tasks: by webhook, in the order of their sequences. `None`
    /// where a row must be left to the claim: rows of its task are open that are not held here, or there is no room.
    pub async fn reserve_in_order(
        &self,
        wanted: HashMap<ObjectId, Vec<DocId>>,
    ) -> HashMap<ObjectId, VecDeque<Option<Slot>>> {
        let live = wanted
            .into_iter()
            .filter_map(|(webhook, tasks)| Some((self.live(webhook).filter(|target| target.per_task)?, tasks)));
        let live: Vec<_> = live.collect();
        stream::iter(live)
            .map(|(target, tasks)| async move {
                let count = self.reserve_for(&target, tasks.len());
                let mut clear = if count == 0 { HashSet::new() } else { self.clear(target.id, &tasks).await };
                let mut left = count;
                let slots = tasks.into_iter().map(|task| {
                    let admitted = self.engine.chains.admit(target.id, &task, &mut clear, left > 0);
                    left -= usize::from(admitted);
                    admitted.then(|| self.slot(target.id, Some(task)))
                });
                let slots = slots.collect();
                self.engine.board().give_back(target.id, left);
                (target.id, slots)
            })
            .buffer_unordered(READS)
            .collect()
            .await
    }

    /// Those of these tasks that have no open rows, so far as this process does not hold rows of them.
    async fn clear(&self, webhook: ObjectId, tasks: &[DocId]) -> HashSet<DocId> {
        let unknown = self.engine.chains.without(webhook, tasks.iter());
        match in_order::lowest_sequences(&self.engine.store, webhook, &unknown).await {
            Ok(open) => unknown.into_iter().filter(|task| !open.contains_key(*task)).cloned().collect(),
            Err(error) => {
                tracing::debug!(error = describe(&error), "rows that keep an order are left to the claim");
                HashSet::new()
            }
        }
    }

    fn live(&self, webhook: ObjectId) -> Option<Arc<Target>> {
        self.engine.view.sendable(webhook).filter(|_| self.engine.view.is_fresh())
    }

    fn reserve_for(&self, target: &Target, wanted: usize) -> usize {
        let mut board = self.engine.board();
        let count = board.room(target, true).min(wanted);
        board.reserve(target.id, count);
        count
    }

    fn slot(&self, webhook: ObjectId, task: Option<DocId>) -> Slot {
        Slot { engine: Arc::clone(&self.engine), webhook, task, is_filled: false }
    }

    /// Whether waiting a moment gives more room for so many rows: the lane of one of these webhooks is full, and its target
    /// works it off quickly.
    #[must_use]
    pub fn will_soon_have_room(&self, wanted: &HashMap<ObjectId, usize>) -> bool {
        let live = wanted.iter().filter_map(|(webhook, count)| Some((self.engine.view.sendable(*webhook)?, *count)));
        let live: Vec<_> = live.collect();
        let mut board = self.engine.board();
        live.iter().any(|(target, count)| board.will_soon_have_room(target, *count))
    }

    /// A lease for rows that are about to be written.
    #[must_use]
    pub fn lease(&self) -> LeaseGrant {
        LeaseGrant { token: new_token(), until: later(self.engine.clock.now(), LEASE) }
    }

    /// Takes over rows whose transaction is known to have committed. One that is not open under a lease is left to the claim.
    pub fn hand_over(&self, rows: Vec<HandedOver>) {
        let now = self.engine.clock.now();
        let instant = Instant::now();
        let (mut at_once, mut in_order) = (Vec::with_capacity(rows.len()), Vec::new());
        for row in rows {
            let HandedOver { mut slot, delivery, parcel, body, happened_at } = row;
            let (Some(token), Some(until)) = (delivery.lease.as_deref(), delivery.due) else { continue };
            slot.is_filled = true;
            let jobs = if slot.task.is_some() { &mut in_order } else { &mut at_once };
            jobs.push(Job {
                token: token.into(),
                parcel,
                of_chain: false,
                lease_until: instant + until.saturating_duration_since(now),
                body: Some(shared_body(body)),
                happened_at,
                row: Box::new(delivery),
            });
        }
        self.engine.take_in(at_once);
        if !in_order.is_empty() {
            let refused = self.engine.chains.put(in_order);
            // Only a stopped board refuses, which gives them back.
            self.engine.take_in(refused);
        }
    }

    /// Tells that rows are due that were not handed over.
    pub fn wake(&self) {
        self.engine.more.notify_one();
    }

    /// Whether attempts may start: the webhooks were looked at within the last second.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.engine.view.is_fresh()
    }
}
