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
    /// What the recorded ones take.
    bytes: usize,
    buried: Option<StreamTime>,
}

impl Memory {
    /// Recorded snapshots kept at hand: some 30 MB of ordinary tasks.
    pub const CACHED: usize = 30_000;
    /// Bytes of recorded snapshots from which on the oldest go, before the next are loaded.
    const BYTES: usize = 64 << 20;

    /// An empty memory that caches `capacity` recorded snapshots.
    #[must_use]
    pub fn new(capacity: NonZeroUsize) -> Self {
        Self { pending: HashMap::new(), recorded: LruCache::new(capacity), bytes: 0, buried: None }
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
            self.keep(task.clone(), Some(snapshot));
        }
    }

    fn keep(&mut self, task: DocId, snapshot: Option<Snapshot>) {
        self.bytes += bytes(snapshot.as_ref());
        if let Some((_, gone)) = self.recorded.push(task, snapshot) {
            self.bytes -= bytes(gone.as_ref());
        }
    }

    /// Drops the oldest recorded ones until the others take no more than `most` bytes.
    fn trim(&mut self, most: usize) {
        while self.bytes > most
            && let Some((_, gone)) = self.recorded.pop_lru()
        {
            self.bytes -= bytes(gone.as_ref());
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
        self.bytes = self.recorded.iter().map(|(_, snapshot)| bytes(snapshot.as_ref())).sum();
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
        self.trim(Self::BYTES);
        let missing = self.missing(tasks);
        if missing.is_empty() {
            return Ok(());
        }
        let keys: Vec<Bson> = missing.iter().cloned().map(Into::into).collect();
        let mut found = snapshots.find(doc! { "_id": { "$in": keys } }).batch_size(10_000).await?;
        for task in missing {
            self.keep(task, None);
        }
        while let Some(document) = found.try_next().await? {
            let mut snapshot = Snapshot::from_raw(&document, mapping)?;
            if let Some(at) = self.buried {
                entomb(&mut snapshot, at);
            }
            self.keep(snapshot.id.clone(), Some(snapshot));
        }
        Ok(())
    }
}

fn bytes(snapshot: Option<&Snapshot>) -> usize {
    snapshot.and_then(|snapshot| snapshot.state.as_ref()).map_or(0, |state| state.bytes())
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
        memory.keep(DocId::parse("e"), None);
        assert!(memory.get(&DocId::parse("a")).is_some());
        let missing = memory.missing(["a", "f", "g"].into_iter().map(DocId::parse));
        missing.into_iter().for_each(|task| memory.keep(task, None));
        assert!(memory.get(&DocId::parse("a")).is_some());
    }

    #[test]
    fn what_is_recorded_is_bounded_by_bytes_and_the_oldest_go_first() {
        let mut memory = full_of(["a", "b", "c", "d"]);
        let one = bytes(Some(&snapshot("a")));
        assert_eq!(memory.bytes, 4 * one);
        memory.trim(4 * one);
        assert_eq!(memory.recorded.len(), 4);
        memory.missing([DocId::parse("a")].into_iter());
        memory.trim(2 * one);
        assert!(memory.get(&DocId::parse("a")).is_some() && memory.get(&DocId::parse("d")).is_some());
        assert!(memory.get(&DocId::parse("b")).is_none() && memory.get(&DocId::parse("c")).is_none());
        memory.keep(DocId::parse("a"), None);
        assert_eq!(memory.bytes, one, "what is replaced no longer counts");
    }

    #[test]
    fn what_is_not_recorded_is_never_evicted() {
        let mut memory = full_of(["a", "b", "c", "d"]);
        memory.put(snapshot("a"), 2);
        for task in ["w", "x", "y", "z"] {
            memory.keep(DocId::parse(task), None);
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
