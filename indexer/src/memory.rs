//! The snapshots at hand: what was folded but not yet recorded, and a bounded cache of what was.
//!
//! Only the leader writes snapshots, and its writes are fenced, so what it holds is what stands (or will stand) in the
//! database. What is not yet recorded is never evicted: loading it again would give an older state.

use std::collections::HashMap;
use std::num::NonZeroUsize;

use bson::{Bson, RawDocumentBuf, doc};
use futures::TryStreamExt;
use lru::LruCache;
use mongodb::Collection;
use taskwire::mapping::Mapping;
use taskwire::model::{DocId, StreamTime};

use crate::snapshot::{BadSnapshot, Snapshot};
use crate::trouble::describe;

/// Why snapshots could not be loaded.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The database.
    #[error("reading snapshots: {}", describe(.0))]
    Database(#[from] mongodb::error::Error),
    /// One of them is damaged.
    #[error(transparent)]
    Bad(#[from] BadSnapshot),
}

/// Snapshots by task; `None` in the cache: known to have none.
#[derive(Debug)]
pub struct Memory {
    pending: HashMap<DocId, (Snapshot, u64)>,
    recorded: LruCache<DocId, Option<Snapshot>>,
    buried: Option<StreamTime>,
}

impl Memory {
    /// Recorded snapshots kept at hand: some 30 MB of ordinary tasks.
    pub const CACHED: usize = 30_000;

    /// An empty memory that caches `capacity` recorded snapshots.
    #[must_use]
    pub fn new(capacity: NonZeroUsize) -> Self {
        Self { pending: HashMap::new(), recorded: LruCache::new(capacity), buried: None }
    }

    /// The task's snapshot, which must have been loaded.
    pub fn get(&mut self, task: &DocId) -> Option<&Snapshot> {
        match self.pending.get(task) {
            Some((snapshot, _)) => Some(snapshot),
            None => self.recorded.get(task).and_then(Option::as_ref),
        }
    }

    /// Puts what was folded by unit `number`.
    pub fn put(&mut self, snapshot: Snapshot, number: u64) {
        self.pending.insert(snapshot.id.clone(), (snapshot, number));
    }

    /// Unit `number`'s snapshot of `task` was recorded.
    pub fn recorded(&mut self, task: &DocId, number: u64) {
        if self.pending.get(task).is_some_and(|(_, last)| *last == number)
            && let Some((snapshot, _)) = self.pending.remove(task)
        {
            self.recorded.put(task.clone(), Some(snapshot));
        }
    }

    /// The collection of tasks went away at `at`: what is at hand, and what will be loaded from before, is a tombstone.
    pub fn bury(&mut self, at: StreamTime) {
        self.buried = Some(at);
        self.pending.values_mut().for_each(|(snapshot, _)| entomb(snapshot, at));
        self.recorded
            .iter_mut()
            .filter_map(|(_, snapshot)| snapshot.as_mut())
            .for_each(|snapshot| entomb(snapshot, at));
    }

    /// Those of `tasks` that are not at hand. Those that are move to the cache's front, so that loading the others evicts
    /// none of them, and the cache grows if one batch touches more tasks than half of it holds.
    fn missing(&mut self, tasks: impl Iterator<Item = DocId>) -> Vec<DocId> {
        let mut wanted: Vec<DocId> = tasks.collect();
        wanted.sort_unstable();
        wanted.dedup();
        if let Some(room) = NonZeroUsize::new(wanted.len() * 2).filter(|room| *room > self.recorded.cap()) {
            self.recorded.resize(room);
        }
        wanted.retain(|task| !self.pending.contains_key(task) && self.recorded.get(task).is_none());
        wanted
    }

    /// Loads, in one query, those of `tasks` that are not at hand.
    ///
    /// # Errors
    /// See [`LoadError`].
    pub async fn load(
        &mut self,
        snapshots: &Collection<RawDocumentBuf>,
        mapping: &Mapping,
        tasks: impl Iterator<Item = DocId>,
    ) -> Result<(), LoadError> {
        let missing = self.missing(tasks);
        if missing.is_empty() {
            return Ok(());
        }
        let keys: Vec<Bson> = missing.iter().cloned().map(Into::into).collect();
        let mut found = snapshots.find(doc! { "_id": { "$in": keys } }).batch_size(10_000).await?;
        for task in missing {
            self.recorded.put(task, None);
        }
        while let Some(document) = found.try_next().await? {
            let mut snapshot = Snapshot::from_raw(&document, mapping)?;
            if let Some(at) = self.buried {
                entomb(&mut snapshot, at);
            }
            self.recorded.put(snapshot.id.clone(), Some(snapshot));
        }
        Ok(())
    }
}

fn entomb(snapshot: &mut Snapshot, at: StreamTime) {
    if snapshot.at <= at {
        snapshot.state = None;
        snapshot.swap = None;
        snapshot.at = at;
    }
}

#[cfg(test)]
mod tests {
    use bson::{Timestamp, oid::ObjectId, rawdoc};

    use super::*;

    fn snapshot(task: &str) -> Snapshot {
        let mapping = Mapping::load("camel-case").unwrap();
        let state = mapping.read_task(&rawdoc! { "groupId": ObjectId::new(), "status": "Pending" }).unwrap();
        Snapshot::of_scan(DocId::parse(task), state, Timestamp { time: 5, increment: 1 })
    }

    fn full_of(tasks: [&str; 4]) -> Memory {
        let mut memory = Memory::new(NonZeroUsize::new(4).unwrap());
        for task in tasks {
            memory.put(snapshot(task), 1);
            memory.recorded(&DocId::parse(task), 1);
        }
        memory
    }

    #[test]
    fn loading_what_is_missing_evicts_nothing_that_the_same_batch_needs() {
        let mut memory = full_of(["a", "b", "c", "d"]);
        let missing = memory.missing(["a", "e"].into_iter().map(DocId::parse));
        assert_eq!(missing, [DocId::parse("e")]);
        memory.recorded.put(DocId::parse("e"), None);
        assert!(memory.get(&DocId::parse("a")).is_some());
        let missing = memory.missing(["a", "f", "g"].into_iter().map(DocId::parse));
        missing.into_iter().for_each(|task| drop(memory.recorded.put(task, None)));
        assert!(memory.get(&DocId::parse("a")).is_some());
    }

    #[test]
    fn what_is_not_recorded_is_never_evicted() {
        let mut memory = full_of(["a", "b", "c", "d"]);
        memory.put(snapshot("a"), 2);
        for task in ["w", "x", "y", "z"] {
            memory.recorded.put(DocId::parse(task), None);
        }
        memory.recorded(&DocId::parse("a"), 1);
        assert_eq!(memory.pending.len(), 1, "an older unit's recording is not the newest's");
        assert!(memory.get(&DocId::parse("a")).is_some());
    }

    #[test]
    fn burying_ends_every_life_up_to_its_time_and_keeps_the_sequence() {
        let mut memory = full_of(["a", "b", "c", "d"]);
        let mut later = snapshot("e");
        later.at = StreamTime { t: 9, i: 1, n: 0 };
        memory.put(later, 2);
        memory.put(Snapshot { sequence: 7, ..snapshot("f") }, 2);
        memory.bury(StreamTime { t: 6, i: 1, n: 0 });
        let lives = |memory: &mut Memory, task: &str| memory.get(&DocId::parse(task)).unwrap().state.is_some();
        assert!(!lives(&mut memory, "a") && lives(&mut memory, "e") && !lives(&mut memory, "f"));
        assert_eq!(memory.get(&DocId::parse("f")).unwrap().sequence, 7);
    }
}
