//! Handed-over rows that keep a task's order: each waits here, under its lease, for the row of its task before it.
//!
//! A row may be handed over only if all open rows of its webhook and task are held here, or there are none; what follows one
//! that was not is left to the claim. Whose turn it is the database tells each time: the first that waits starts only if it
//! is the lowest open row of its task. Else one before it is tried again, or a replay brought a lower one in, and all that
//! wait are given back: the claim keeps their order from then on.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bson::oid::ObjectId;
use taskwire::model::DocId;
use taskwire::store::describe;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::engine::Engine;
use super::in_order::lowest_sequences;
use super::job::Job;
use super::writer::FreedTasks;

/// Rows of one task that are held, at most: a lease does not last for many, one after the other.
const LONGEST: usize = 8;

/// Tasks, by webhook.
pub(crate) type Tasks = HashMap<ObjectId, HashSet<DocId>>;

/// What is held of one webhook and task.
#[derive(Debug, Default)]
struct Chain {
    /// In the order of their sequences.
    waiting: VecDeque<Job>,
    /// Whether the row before them is in its lane, in flight or being written.
    under_way: bool,
    /// Rows that have a place here and are not committed yet.
    expected: usize,
    /// Whether a row of this task was left to the claim.
    closed: bool,
}

#[derive(Debug, Default)]
struct Chains {
    chains: HashMap<(ObjectId, DocId), Chain>,
    /// Where something came or ended.
    changed: Tasks,
    /// Nothing starts any more.
    stopped: bool,
}

/// What a look at some tasks of one webhook comes to.
#[derive(Debug, Default)]
struct Turns {
    start: Vec<Job>,
    give_back: Vec<Job>,
    /// Of these the claim may find rows.
    left_to_the_claim: HashSet<DocId>,
}

/// All chains of this process.
#[derive(Debug, Default)]
pub(crate) struct ChainBoard {
    chains: Mutex<Chains>,
    changed: Notify,
}

impl ChainBoard {
    fn lock(&self) -> MutexGuard<'_, Chains> {
        self.chains.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Those of these tasks that nothing is held of.
    pub(crate) fn without<'a>(&self, webhook: ObjectId, tasks: impl Iterator<Item = &'a DocId>) -> HashSet<&'a DocId> {
        let chains = self.lock();
        tasks.filter(|task| !chains.chains.contains_key(&(webhook, (*task).clone()))).collect()
    }

    /// Gives a row of this task a place, unless one before it was left to the claim. `clear`: tasks that have no open rows;
    /// one that is refused is none of them any more.
    pub(crate) fn admit(&self, webhook: ObjectId, task: &DocId, clear: &mut HashSet<DocId>, has_room: bool) -> bool {
        self.lock().admit(webhook, task, clear, has_room)
    }

    /// Takes a place back that will not be filled.
    pub(crate) fn withdraw(&self, webhook: ObjectId, task: DocId) {
        self.lock().withdraw(webhook, task);
    }

    /// Takes rows in, each for a place given before. After [`ChainBoard::stop`] they are returned.
    pub(crate) fn put(&self, jobs: Vec<Job>) -> Vec<Job> {
        let mut chains = self.lock();
        if chains.stopped {
            return jobs;
        }
        jobs.into_iter().for_each(|job| chains.put(job));
        drop(chains);
        self.changed.notify_one();
        Vec::new()
    }

    /// Takes in that what was under way of these tasks is written, however it ended.
    pub(crate) fn ended(&self, tasks: Vec<(ObjectId, DocId)>) {
        if !tasks.is_empty() {
            self.lock().ended(tasks);
            self.changed.notify_one();
        }
    }

    /// Starts nothing any more; answers what waits, to be released.
    pub(crate) fn stop(&self) -> Vec<Job> {
        let mut chains = self.lock();
        chains.stopped = true;
        chains.chains.drain().flat_map(|(_, chain)| chain.waiting).collect()
    }
}

impl Chains {
    fn admit(&mut self, webhook: ObjectId, task: &DocId, clear: &mut HashSet<DocId>, has_room: bool) -> bool {
        let key = (webhook, task.clone());
        let Some(chain) = self.chains.get_mut(&key) else {
            if !has_room {
                clear.remove(task);
            }
            let is_clear = clear.contains(task);
            if is_clear {
                self.chains.insert(key, Chain { expected: 1, ..Chain::default() });
            }
            return is_clear;
        };
        chain.closed |= !has_room || chain.waiting.len() + chain.expected >= LONGEST;
        chain.expected += usize::from(!chain.closed);
        !chain.closed
    }

    fn withdraw(&mut self, webhook: ObjectId, task: DocId) {
        let key = (webhook, task);
        let Some(chain) = self.chains.get_mut(&key) else { return };
        chain.expected = chain.expected.saturating_sub(1);
        // Whether its row stands in the database all the same is not known.
        chain.closed = true;
        if chain.expected == 0 && chain.waiting.is_empty() && !chain.under_way {
            self.chains.remove(&key);
        }
    }

    fn put(&mut self, mut job: Job) {
        job.of_chain = true;
        let (webhook, task) = (job.webhook(), job.row.task_id.clone());
        let chain = self.chains.entry((webhook, task.clone())).or_default();
        chain.expected = chain.expected.saturating_sub(1);
        chain.waiting.push_back(job);
        if !chain.under_way {
            self.changed.entry(webhook).or_default().insert(task);
        }
    }

    fn ended(&mut self, tasks: Vec<(ObjectId, DocId)>) {
        for (webhook, task) in tasks {
            let key = (webhook, task);
            if let Some(chain) = self.chains.get_mut(&key) {
                chain.under_way = false;
                self.changed.entry(key.0).or_default().insert(key.1);
            }
        }
    }

    /// Whose turn it is, by the lowest open sequences of these tasks.
    fn turns(&mut self, webhook: ObjectId, tasks: HashSet<DocId>, lowest: &HashMap<DocId, i64>) -> Turns {
        let mut turns = Turns::default();
        for task in tasks {
            let key = (webhook, task);
            let Some(chain) = self.chains.get_mut(&key).filter(|chain| !chain.under_way) else { continue };
            let lowest = lowest.get(&key.1).copied();
            match chain.waiting.pop_front() {
                Some(first) if lowest == Some(first.row.sequence) => {
                    chain.under_way = true;
                    turns.start.push(first);
                    continue;
                }
                Some(first) => {
                    turns.give_back.extend(std::iter::once(first).chain(chain.waiting.drain(..)));
                    chain.closed = true;
                }
                None => {}
            }
            let leaves_rows = chain.closed || lowest.is_some();
            if chain.expected == 0 {
                self.chains.remove(&key);
            }
            if leaves_rows {
                turns.left_to_the_claim.insert(key.1);
            }
        }
        turns
    }
}

/// Starts whatever has its turn, until stopped.
pub(crate) async fn keep_turning(engine: Arc<Engine>, freed: Arc<FreedTasks>, stop: CancellationToken) {
    loop {
        tokio::select! {
            () = engine.chains.changed.notified() => {}
            () = stop.cancelled() => return,
        }
        let changed = std::mem::take(&mut engine.chains.lock().changed);
        for (webhook, tasks) in changed {
            let lowest = lowest_sequences(&engine.store, webhook, &tasks.iter().collect()).await;
            let lowest = lowest.unwrap_or_else(|error| {
                tracing::warn!(error = describe(&error), "whose turn it is could not be read: the claim finds it");
                HashMap::new()
            });
            let turns = engine.chains.lock().turns(webhook, tasks, &lowest);
            take(&engine, &freed, webhook, turns).await;
        }
    }
}

async fn take(engine: &Arc<Engine>, freed: &FreedTasks, webhook: ObjectId, turns: Turns) {
    engine.take_in(turns.start);
    if !turns.left_to_the_claim.is_empty() {
        freed.restore(webhook, turns.left_to_the_claim);
        engine.more.notify_one();
    }
    engine.give_back(turns.give_back).await;
}

#[cfg(test)]
mod tests;
