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
use taskwire::model::DocId;

use crate::snapshot::{BadSnapshot, Snapshot};

/// Why snapshots could not be loaded.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The database.
    #[error("reading snapshots: {0}")]
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
}

impl Memory {
    /// Recorded snapshots kept at hand: some 30 MB of ordinary tasks.
    pub const CACHED: usize = 30_000;

    /// An empty memory that caches `capacity` recorded snapshots.
    #[must_use]
    pub fn new(capacity: NonZeroUsize) -> Self {
        Self { pending: HashMap::new(), recorded: LruCache::new(capacity) }
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

    /// Tasks folded but not yet recorded.
    #[must_use]
    pub fn pending(&self) -> usize {
        self.pending.len()
    }

    /// Forgets everything recorded, after the collection of tasks went away.
    pub fn forget_recorded(&mut self) {
        self.recorded.clear();
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
        let mut missing: Vec<DocId> =
            tasks.filter(|task| !self.pending.contains_key(task) && !self.recorded.contains(task)).collect();
        if missing.is_empty() {
            return Ok(());
        }
        missing.sort_unstable();
        missing.dedup();
        // One batch may touch more tasks than the cache holds.
        if let Some(wanted) = NonZeroUsize::new(missing.len() * 2).filter(|wanted| *wanted > self.recorded.cap()) {
            self.recorded.resize(wanted);
        }
        let keys: Vec<Bson> = missing.iter().cloned().map(Into::into).collect();
        let mut found = snapshots.find(doc! { "_id": { "$in": keys } }).batch_size(10_000).await?;
        for task in missing {
            self.recorded.put(task, None);
        }
        while let Some(document) = found.try_next().await? {
            let snapshot = Snapshot::from_raw(&document, mapping)?;
            self.recorded.put(snapshot.id.clone(), Some(snapshot));
        }
        Ok(())
    }
}
