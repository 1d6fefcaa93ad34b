//! What the dispatcher knows of the webhooks: targets, secrets and whether they may be sent to, at most a second old.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use bson::{DateTime, Document, doc, oid::ObjectId};
use futures::TryStreamExt;
use serde::Deserialize;
use taskwire::model::{DocId, Webhook};
use taskwire::store::pauses::{self, Pause};
use taskwire::store::{Store, names};

use taskwire::target::{Opener, Target, TargetState};

/// No attempt starts on knowledge older than this: the promise to whoever disables or deletes a webhook.
pub const FRESH_FOR: Duration = Duration::from_secs(1);

/// How far behind the newest change seen each look reaches, for writes that became visible late.
const OVERLAP: Duration = Duration::from_secs(60);

/// How often everything is looked at, for changes that did not move `updatedAt` and documents removed by hand.
const FULL_LOOK: Duration = Duration::from_secs(60);

/// Documents fetched in one query.
const FETCH_CHUNK: usize = 200;

/// The webhooks as of the last look.
#[derive(Debug)]
pub(crate) struct View {
    targets: RwLock<HashMap<ObjectId, Arc<Target>>>,
    paused: RwLock<Paused>,
    origin: Instant,
    /// When the last successful look began, in milliseconds after `origin`, plus 1; 0: never.
    looked_ms: AtomicU64,
}

/// What operators have paused, as of the last look.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Paused {
    all: bool,
    groups: HashSet<DocId>,
}

impl Paused {
    fn of(pauses: Vec<Pause>) -> Self {
        let all = pauses.iter().any(|pause| pause.group_id.is_none());
        Self { all, groups: pauses.into_iter().filter_map(|pause| pause.group_id).collect() }
    }

    fn holds(&self, target: &Target) -> bool {
        self.all || target.group.as_ref().is_some_and(|group| self.groups.contains(group))
    }
}

/// The part of a configuration that tells whether the rest must be read.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Edition {
    #[serde(rename = "_id")]
    id: ObjectId,
    revision: i64,
    updated_at: DateTime,
}

impl View {
    pub(crate) fn new() -> Self {
        Self {
            targets: RwLock::default(),
            paused: RwLock::default(),
            origin: Instant::now(),
            looked_ms: AtomicU64::new(0),
        }
    }

    /// The webhook, if it is known.
    pub(crate) fn get(&self, id: ObjectId) -> Option<Arc<Target>> {
        self.targets.read().unwrap_or_else(PoisonError::into_inner).get(&id).cloned()
    }

    /// The webhook, if it is known and may be sent to now: it is live, and nobody has paused it.
    pub(crate) fn sendable(&self, id: ObjectId) -> Option<Arc<Target>> {
        self.get(id).filter(|target| target.state == TargetState::Live && !self.is_paused(target))
    }

    /// Whether an operator has paused it.
    pub(crate) fn is_paused(&self, target: &Target) -> bool {
        self.paused.read().unwrap_or_else(PoisonError::into_inner).holds(target)
    }

    /// Takes in what is paused; answers the webhooks for which that is news.
    fn set_paused(&self, now: &Paused) -> Vec<ObjectId> {
        let mut paused = self.paused.write().unwrap_or_else(PoisonError::into_inner);
        if *paused == *now {
            return Vec::new();
        }
        let before = std::mem::replace(&mut *paused, now.clone());
        drop(paused);
        let targets = self.targets.read().unwrap_or_else(PoisonError::into_inner);
        let changed = targets.values().filter(|target| before.holds(target) != now.holds(target));
        changed.map(|target| target.id).collect()
    }

    /// Whether an attempt may rely on this view.
    pub(crate) fn is_fresh(&self) -> bool {
        match self.looked_ms.load(Ordering::Acquire) {
            0 => false,
            looked => self.elapsed_ms(Instant::now()).saturating_sub(looked - 1) < millis(FRESH_FOR),
        }
    }

    /// Takes a target in, or an edition of it that is known before the next look.
    pub(crate) fn put(&self, target: Target) {
        self.targets.write().unwrap_or_else(PoisonError::into_inner).insert(target.id, Arc::new(target));
    }

    /// Takes a target in that was not known when it was read; what became known meanwhile stays.
    pub(crate) fn put_unknown(&self, target: Target) -> Arc<Target> {
        let mut targets = self.targets.write().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(targets.entry(target.id).or_insert_with(|| Arc::new(target)))
    }

    /// Forgets a webhook, so that it is read again.
    pub(crate) fn forget(&self, id: ObjectId) {
        self.targets.write().unwrap_or_else(PoisonError::into_inner).remove(&id);
    }

    fn known_revision(&self, id: ObjectId) -> Option<i64> {
        self.targets.read().unwrap_or_else(PoisonError::into_inner).get(&id).map(|target| target.revision)
    }

    fn ids(&self) -> Vec<ObjectId> {
        self.targets.read().unwrap_or_else(PoisonError::into_inner).keys().copied().collect()
    }

    fn elapsed_ms(&self, at: Instant) -> u64 {
        millis(at.saturating_duration_since(self.origin))
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Keeps a [`View`] up to date.
#[derive(Debug, Clone)]
pub(crate) struct Looker {
    store: Store,
    opener: Opener,
    newest: Option<DateTime>,
    full_look: Option<Instant>,
}

impl Looker {
    pub(crate) const fn new(store: Store, opener: Opener) -> Self {
        Self { store, opener, newest: None, full_look: None }
    }

    /// Looks once, `now` being server time; returns the webhooks that changed.
    ///
    /// # Errors
    /// The driver's error; the view then grows stale.
    pub(crate) async fn look(&mut self, view: &View, now: DateTime) -> mongodb::error::Result<Vec<ObjectId>> {
        let began = Instant::now();
        let known = view.ids();
        let everything = self.full_look.is_none_or(|last| began.duration_since(last) >= FULL_LOOK);
        let filter = match self.newest {
            Some(newest) if !everything => {
                // A time from the future must not hide what comes before it.
                let since = newest.min(now).timestamp_millis() - i64::try_from(OVERLAP.as_millis()).unwrap_or(0);
                doc! { "updatedAt": { "$gte": DateTime::from_millis(since) } }
            }
            _ => doc! {},
        };
        let editions = self.editions(filter).await?;
        let stale: Vec<ObjectId> = editions
            .iter()
            .filter(|edition| view.known_revision(edition.id) != Some(edition.revision))
            .map(|edition| edition.id)
            .collect();
        let mut changed = Vec::with_capacity(stale.len());
        for chunk in stale.chunks(FETCH_CHUNK) {
            for target in self.fetch(chunk).await? {
                changed.push(target.id);
                view.put(target);
            }
        }
        if everything {
            changed.extend(mark_removed(view, known, &editions));
            self.full_look = Some(began);
        }
        let pauses = pauses::list(&self.store).await?;
        #[allow(clippy::cast_precision_loss, reason = "a few")]
        metrics::gauge!("taskwire_dispatch_paused").set(pauses.len() as f64);
        changed.extend(view.set_paused(&Paused::of(pauses)));
        self.newest = editions.iter().map(|edition| edition.updated_at).chain(self.newest).max();
        view.looked_ms.store(view.elapsed_ms(began) + 1, Ordering::Release);
        Ok(changed)
    }

    async fn editions(&self, filter: Document) -> mongodb::error::Result<Vec<Edition>> {
        let found = self
            .store
            .collection::<Edition>(names::WEBHOOKS)
            .find(filter)
            .projection(doc! { "revision": 1, "updatedAt": 1 })
            .await?;
        found.try_collect().await
    }

    /// Reads whole configurations. One that cannot be read is taken as disabled, so that its deliveries wait.
    async fn fetch(&self, ids: &[ObjectId]) -> mongodb::error::Result<Vec<Target>> {
        let collection = self.store.collection::<Document>(names::WEBHOOKS);
        let mut found = collection.find(doc! { "_id": { "$in": ids } }).await?;
        let mut targets = Vec::with_capacity(ids.len());
        while let Some(document) = found.try_next().await? {
            let (Ok(id), Ok(revision)) = (document.get_object_id("_id"), document.get_i64("revision")) else {
                continue;
            };
            targets.push(match bson::deserialize_from_document::<Webhook>(document) {
                Ok(webhook) => self.opener.open(&webhook),
                Err(error) => {
                    let error = taskwire::store::describe_document(&error);
                    tracing::error!(webhook = %id, error, "a webhook's configuration cannot be read; its deliveries wait");
                    Target::placeholder(id, revision, TargetState::Disabled)
                }
            });
        }
        Ok(targets)
    }

    /// Reads a webhook that rows name but the view does not know; the rows of one that does not exist wait.
    pub(crate) async fn read_unknown(&self, id: ObjectId) -> mongodb::error::Result<Target> {
        let found = self.fetch(&[id]).await?.pop();
        Ok(found.unwrap_or_else(|| missing(id)))
    }
}

/// A webhook without a configuration. Webhooks are deleted by a mark in their document, so one that is not there was removed
/// by hand, or not yet to be seen on a new primary: nothing is ended for it, and its rows wait for its return.
fn missing(id: ObjectId) -> Target {
    tracing::warn!(webhook = %id, "deliveries wait for a webhook that has no configuration");
    Target::placeholder(id, 0, TargetState::Disabled)
}

/// Takes in that configurations known before the look were not there any more.
fn mark_removed(view: &View, known: Vec<ObjectId>, editions: &[Edition]) -> Vec<ObjectId> {
    let present: HashSet<ObjectId> = editions.iter().map(|edition| edition.id).collect();
    let is_removed = |id: &ObjectId| !present.contains(id) && view.known_revision(*id) != Some(0);
    let removed: Vec<ObjectId> = known.into_iter().filter(is_removed).collect();
    for id in &removed {
        view.put(missing(*id));
    }
    removed
}
