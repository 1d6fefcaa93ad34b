//! Feeds the lanes from the queue in the database: looks which webhooks have due rows, and claims what their lanes have
//! room for.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use bson::oid::ObjectId;
use futures::{StreamExt, TryStreamExt, stream};
use rand::seq::SliceRandom;
use taskwire::model::dates::earlier;
use taskwire::model::{Delivery, DocId, EventId};
use taskwire::store::{describe, parcels};
use tokio_util::sync::CancellationToken;

use super::engine::Engine;
use super::in_order;
use super::job::{Job, shared_body};
use super::statement;
use super::view::Looker;
use super::writer::FreedTasks;
use crate::claim::{self, CLAIM_MOST, EventBody, LEASE, OpenQueue};
use taskwire::target::{Target, TargetState};

/// How often the queue is looked at while nothing tells of work.
const IDLE_LOOK: Duration = Duration::from_millis(200);

/// How long handed-over rows may be packed. Most have come to their end long before.
const PACKED: Duration = Duration::from_secs(1);

/// How often is looked for such that have been for longer.
const UNPACK: Duration = Duration::from_millis(250);

/// Searches under way at once.
const SEARCHES: usize = 8;

const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// Where another dispatcher took most of what was found, so many times as many rows are searched and some picked at random.
const CONTENDED_SPREAD: usize = 4;

/// Candidates of one webhook's lane.
struct Share {
    target: Arc<Target>,
    /// Slots promised to it.
    slots: usize,
    ids: Vec<String>,
    in_order: bool,
    more: bool,
    parked: bool,
}

pub(crate) struct Feeder {
    pub(crate) engine: Arc<Engine>,
    pub(crate) looker: Looker,
    pub(crate) freed: Arc<FreedTasks>,
    /// Whether another dispatcher took most of the last search's rows.
    pub(crate) contended: AtomicBool,
    /// The only group whose webhooks are served; `None`: all are.
    pub(crate) group: Option<DocId>,
}

impl Feeder {
    /// Runs until stopped; a round under way is finished.
    pub(crate) async fn run(self, stop: CancellationToken) {
        let mut pause = FIRST_PAUSE;
        let mut unpacked = Instant::now();
        while !stop.is_cancelled() {
            if unpacked.elapsed() >= UNPACK {
                self.unpack().await;
                unpacked = Instant::now();
            }
            let wait = match self.round().await {
                Ok(true) => {
                    pause = FIRST_PAUSE;
                    continue;
                }
                Ok(false) => {
                    pause = FIRST_PAUSE;
                    IDLE_LOOK
                }
                Err(error) => {
                    tracing::warn!(error = describe(&error), "the queue could not be read; trying again");
                    self.engine.meters.queue_unknown(self.engine.clock.now());
                    let longer = (pause * 2).min(LONGEST_PAUSE);
                    std::mem::replace(&mut pause, longer)
                }
            };
            tokio::select! {
                () = self.engine.more.notified() => {}
                () = tokio::time::sleep(wait) => {}
                () = stop.cancelled() => {}
            }
        }
    }

    /// Makes rows of what has been packed for long, by whomever: its target is slow, or its holder is gone.
    async fn unpack(&self) {
        let before = earlier(self.engine.clock.now(), PACKED);
        if let Err(error) = parcels::unpack(&self.engine.store, Some(before)).await {
            tracing::warn!(error = describe(&error), "what was handed over could not be unpacked; trying again");
        }
    }

    /// One look at the queue and one claim. True: another round at once may find more.
    async fn round(&self) -> mongodb::error::Result<bool> {
        if !self.engine.view.is_fresh() {
            return Ok(false);
        }
        let freed = self.freed.take();
        let kept = freed.clone();
        let looked = self.look(freed).await;
        if looked.is_err() {
            // A task too many is looked at in vain, one too few would wait.
            kept.into_iter().for_each(|(webhook, tasks)| self.freed.restore(webhook, tasks));
        }
        looked
    }

    async fn look(&self, mut freed: HashMap<ObjectId, HashSet<DocId>>) -> mongodb::error::Result<bool> {
        let queues = claim::open_queues(&self.engine.store).await?;
        let now = self.engine.clock.now();
        let (mut wanting, mut more, mut oldest) = (Vec::new(), false, None);
        let open: HashSet<ObjectId> = queues.iter().map(|queue| queue.webhook).collect();
        freed.retain(|webhook, _| open.contains(webhook));
        for queue in &queues {
            let target = self.target(queue.webhook).await?;
            if self.group.is_some() && target.group != self.group {
                continue;
            }
            match target.state {
                TargetState::Deleted => more |= self.end_deleted(queue).await?,
                TargetState::Disabled => drop(freed.remove(&queue.webhook)),
                TargetState::Live if self.engine.view.is_paused(&target) => drop(freed.remove(&queue.webhook)),
                TargetState::Live if !self.engine.clocks.are_right(&self.engine, &target) => {}
                TargetState::Live => {
                    let is_due = queue.first_due <= now;
                    if is_due && !self.engine.board().is_troubled(queue.webhook) {
                        oldest = oldest.into_iter().chain([queue.first_due]).min();
                    }
                    if is_due || freed.contains_key(&queue.webhook) {
                        wanting.push(target);
                    } else {
                        self.engine.board().set_backlog(queue.webhook, false);
                    }
                }
            }
        }
        self.engine.meters.set_oldest_due(oldest);
        wanting.shuffle(&mut rand::rng());
        let shares = self.reserve(wanting);
        let mut taking_part = HashMap::new();
        for share in &shares {
            taking_part.extend(freed.remove_entry(&share.target.id));
        }
        // A lane without room looks at its freed tasks when it has some.
        for (webhook, tasks) in freed {
            self.freed.restore(webhook, tasks);
        }
        Ok(self.claim_for(shares, &taking_part).await? || more)
    }

    async fn target(&self, webhook: ObjectId) -> mongodb::error::Result<Arc<Target>> {
        if let Some(known) = self.engine.view.get(webhook) {
            return Ok(known);
        }
        let target = self.looker.read_unknown(webhook).await?;
        Ok(self.engine.view.put_unknown(target))
    }

    async fn end_deleted(&self, queue: &OpenQueue) -> mongodb::error::Result<bool> {
        let now = self.engine.clock.now();
        let expire_at = self.engine.retention.expiry(now);
        let ended = claim::end_deleted(&self.engine.store, queue.webhook, now, expire_at).await?;
        for (kind, count) in &ended {
            self.engine.meters.dead_lettered(*kind, *count);
        }
        self.engine.board().forget(queue.webhook);
        Ok(!ended.is_empty())
    }

    async fn claim_for(
        &self,
        shares: Vec<Share>,
        freed: &HashMap<ObjectId, HashSet<DocId>>,
    ) -> mongodb::error::Result<bool> {
        let slots: Vec<(ObjectId, usize)> = shares.iter().map(|share| (share.target.id, share.slots)).collect();
        let mut taken = HashMap::new();
        let result = self.search_and_claim(shares, freed, &mut taken).await;
        {
            // What was promised and not filled is given back, also where the claim failed.
            let mut board = self.engine.board();
            for (webhook, slots) in slots {
                board.give_back(webhook, slots - taken.get(&webhook).copied().unwrap_or(0));
            }
        }
        self.engine.kick();
        result
    }

    /// Promises slots: what each lane wants, within its part of one claim.
    fn reserve(&self, targets: Vec<Arc<Target>>) -> Vec<Share> {
        let mut left = CLAIM_MOST;
        let mut lanes = targets.len();
        let mut board = self.engine.board();
        let mut shares = Vec::new();
        for target in targets {
            let part = left.div_ceil(lanes.max(1));
            lanes -= 1;
            let slots = board.wants(&target).min(part);
            board.set_backlog(target.id, slots == 0);
            if slots > 0 {
                board.reserve(target.id, slots);
                left -= slots;
                shares.push(Share { target, slots, ids: Vec::new(), in_order: false, more: false, parked: false });
            }
        }
        shares
    }

    /// Counts the rows each lane got into `taken`; returns whether another look at once may find more.
    async fn search_and_claim(
        &self,
        shares: Vec<Share>,
        freed: &HashMap<ObjectId, HashSet<DocId>>,
        taken: &mut HashMap<ObjectId, usize>,
    ) -> mongodb::error::Result<bool> {
        let none = HashSet::new();
        let shares: Vec<Share> = stream::iter(shares)
            .map(|share| {
                let freed = freed.get(&share.target.id).unwrap_or(&none);
                self.search(share, freed)
            })
            .buffer_unordered(SEARCHES)
            .try_collect()
            .await?;
        let (mut more, mut parked) = (false, false);
        for share in &shares {
            self.engine.board().set_backlog(share.target.id, share.more || share.parked);
            more |= share.more;
            parked |= share.parked;
        }
        let (ordered, plain): (Vec<Share>, Vec<Share>) = shares.into_iter().partition(|share| share.in_order);
        for (group, in_order) in [(plain, false), (ordered, true)] {
            let ids: Vec<String> = group.into_iter().flat_map(|share| share.ids).collect();
            if !ids.is_empty() {
                self.claim(ids, in_order, taken).await?;
            }
        }
        // Where others took everything first, a pause is better than a race.
        Ok(parked || (more && !taken.is_empty()))
    }

    async fn search(&self, mut share: Share, freed: &HashSet<DocId>) -> mongodb::error::Result<Share> {
        let (store, now, webhook) = (&self.engine.store, self.engine.clock.now(), share.target.id);
        share.in_order = share.target.per_task || in_order::has_ordered(store, webhook).await?;
        if share.in_order {
            let found = in_order::candidates(store, webhook, now, share.slots, freed).await?;
            share.ids = found.ids;
            share.more = found.more;
            share.parked = found.parked;
        } else {
            let spread = if self.contended.load(Ordering::Relaxed) { CONTENDED_SPREAD } else { 1 };
            let mut ids = claim::candidates(store, webhook, now, share.slots * spread).await?;
            share.more = ids.len() >= share.slots;
            if spread > 1 {
                ids.shuffle(&mut rand::rng());
                ids.truncate(share.slots);
            }
            share.ids = ids;
        }
        Ok(share)
    }

    /// Leases the rows and puts them into their lanes.
    async fn claim(
        &self,
        ids: Vec<String>,
        in_order: bool,
        taken: &mut HashMap<ObjectId, usize>,
    ) -> mongodb::error::Result<()> {
        let engine = &self.engine;
        let token: Arc<str> = new_token().into();
        // Before the claim: the row's own lease, in server time, ends later than this.
        let lease_until = Instant::now() + LEASE;
        let rows = claim::claim(&engine.store, &ids, &token, engine.clock.now(), in_order).await?;
        self.contended.store(rows.len() * 2 < ids.len(), Ordering::Relaxed);
        let hold = |row: Delivery, event: Option<&EventBody>| {
            let own = row.body.as_deref().map(|body| shared_body(Arc::from(body)));
            Job {
                body: own.or_else(|| event.map(|event| shared_body(Arc::clone(&event.body)))),
                happened_at: event.map_or(row.created_at, |event| event.at),
                row: Box::new(row),
                token: Arc::clone(&token),
                parcel: None,
                of_chain: false,
                lease_until,
            }
        };
        let (bodies, out_of_turn) = match self.read_besides(&rows, in_order).await {
            Ok(read) => read,
            Err(error) => {
                // Left to their leases they would stand still, and count an attempt that nobody made.
                engine.release(rows.into_iter().map(|row| hold(row, None)).collect()).await;
                return Err(error);
            }
        };
        let mut jobs = Vec::with_capacity(rows.len());
        for (at, row) in rows.into_iter().enumerate() {
            let event = bodies.get(&row.event_id);
            let job = hold(row, event);
            if out_of_turn.contains(&at) {
                let _ = engine.statements.send(statement::released(job, engine.clock.now())).await;
            } else {
                *taken.entry(job.webhook()).or_default() += 1;
                jobs.push(job);
            }
        }
        engine.take_in(jobs);
        Ok(())
    }

    /// The events' bodies, and which rows it is not the turn of.
    async fn read_besides(
        &self,
        rows: &[Delivery],
        in_order: bool,
    ) -> mongodb::error::Result<(HashMap<EventId, EventBody>, HashSet<usize>)> {
        let bodies = claim::bodies(&self.engine.store, rows.iter().map(|row| &row.event_id)).await?;
        let out_of_turn = if in_order { self.out_of_turn(rows).await? } else { HashSet::new() };
        Ok((bodies, out_of_turn))
    }

    async fn out_of_turn(&self, rows: &[Delivery]) -> mongodb::error::Result<HashSet<usize>> {
        let webhooks: HashSet<ObjectId> = rows.iter().map(|row| row.webhook_id).collect();
        let mut all = HashSet::new();
        for webhook in webhooks {
            all.extend(in_order::out_of_turn(&self.engine.store, webhook, rows).await?);
        }
        Ok(all)
    }
}

/// A lease's token: unique to its claim or hand-over.
pub(crate) fn new_token() -> String {
    ObjectId::new().to_hex()
}
