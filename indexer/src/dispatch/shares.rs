//! Shares of rate limits: a webhook's `rateLimitPerSecond` holds over all processes, whatever their number.
//!
//! Each process that has rows for webhooks with a limit beats once a second: in one command it replaces its mark in the one
//! document of `rateShares` and reads everybody's. A mark names the webhooks it has work for and since when it claims them, and
//! up to which time it has `seen` other claims, its own shares having followed for a second. Of n claimants of a limit L, the
//! one of rank r gets the whole number ⌈(L − r) / n⌉: L in all.
//!
//! Why the limit holds at every moment: a claimant sends nothing before every other one has seen its claim. So of two that send
//! each counts the other, each takes its part of at least all that send, and a part only shrinks as n or r grow. Shares end
//! [`VALID`] after the beat that gave them; a mark counts for [`STALE`], by the server's time. So a process that dies, freezes
//! or loses the database has stopped sending before the others take its part.

use std::collections::{HashMap, HashSet, VecDeque};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bson::{DateTime, Document, doc, oid::ObjectId};
use mongodb::options::ReturnDocument;
use serde::Deserialize;
use taskwire::store::{Store, describe, names};
use tokio_util::sync::CancellationToken;

use super::engine::Engine;
use super::lane::Share;

/// How often shares are agreed on while any is wanted.
const BEAT: Duration = Duration::from_secs(1);

/// At least so long between two beats, however many rows ask for shares.
const PAUSE: Duration = Duration::from_millis(20);

/// How long the shares of a beat hold, from its beginning.
const VALID: Duration = Duration::from_secs(3);

/// How long a mark counts. Longer than [`VALID`] by more than the second that a limit speaks of.
const STALE: Duration = Duration::from_secs(5);

/// Others' claims count as seen once shares have followed for so long: what was sent before then is out of the window.
const IN_FORCE: Duration = Duration::from_secs(1);

/// How long a process does not ask again after it found a limit too small for all claimants, or could not ask.
const LEAVE_IT: Duration = Duration::from_secs(5);

/// The one document.
const MARKS: &str = "marks";

/// What one process says.
#[derive(Debug, Clone, Deserialize)]
struct Mark {
    at: DateTime,
    seen: DateTime,
    /// By webhook: since when it is claimed.
    claims: HashMap<String, DateTime>,
}

#[derive(Debug, Deserialize)]
struct Marks {
    processes: HashMap<String, Mark>,
}

/// A claim of this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Claim {
    since: DateTime,
    /// Every other claimant had seen it.
    is_seen: bool,
}

/// This process's side of the agreement.
#[derive(Debug)]
struct Shares {
    me: String,
    claims: HashMap<ObjectId, Claim>,
    /// The last beat: its beginning here, and its time at the server.
    last: Option<(Instant, DateTime)>,
    /// Beats whose shares are in force, with the time since when.
    followed: VecDeque<(Instant, DateTime)>,
}

/// Whether there was anything to agree on.
enum Beat {
    Done,
    NotNeeded,
}

/// Keeps shares agreed until stopped. Costs nothing while no webhook with a limit has rows here.
pub(crate) async fn keep_sharing(engine: Arc<Engine>, stop: CancellationToken) {
    let mut shares = Shares::new(ObjectId::new().to_hex());
    let mut was_failing = false;
    loop {
        match shares.beat(&engine).await {
            Ok(Beat::Done) => was_failing = false,
            Ok(Beat::NotNeeded) => {}
            Err(error) => {
                let now = Instant::now();
                let waiting = engine.board().put_off_shares(now, now + LEAVE_IT);
                engine.release(waiting).await;
                if !was_failing {
                    tracing::warn!(
                        error = describe(&error),
                        "shares of rate limits cannot be agreed on: webhooks with a limit wait until they can"
                    );
                }
                was_failing = true;
            }
        }
        tokio::select! {
            () = tokio::time::sleep(BEAT) => {}
            () = engine.lacks_share.notified() => tokio::time::sleep(PAUSE).await,
            () = stop.cancelled() => return,
        }
    }
}

impl Shares {
    fn new(me: String) -> Self {
        Self { me, claims: HashMap::new(), last: None, followed: VecDeque::new() }
    }

    async fn beat(&mut self, engine: &Arc<Engine>) -> mongodb::error::Result<Beat> {
        let began = Instant::now();
        let wanted = engine.board().wanted_rates(began);
        if wanted.is_empty() && self.claims.is_empty() {
            return Ok(Beat::NotNeeded);
        }
        self.prepare(&wanted, began);
        let seen = self.seen(began);
        let marks = exchange(&engine.store, &self.me, seen, &wanted, &self.claims).await?;
        let shares = self.take_in(&wanted, &marks, began);
        let now = Instant::now();
        let mut surplus = Vec::new();
        {
            let mut board = engine.board();
            for (webhook, share) in shares {
                surplus.extend(board.set_share(webhook, share, now));
            }
        }
        if let Some(mine) = marks.processes.get(&self.me) {
            self.followed.push_back((Instant::now(), mine.at));
        }
        engine.release(surplus).await;
        engine.kick();
        // A share may have grown: there is room for more rows.
        engine.more.notify_one();
        Ok(Beat::Done)
    }

    /// Drops claims that are not wanted any more; all of them where the last shares have run out, because others may have
    /// ceased to count this process.
    fn prepare(&mut self, wanted: &[(ObjectId, NonZeroU32)], now: Instant) {
        if self.last.is_none_or(|(began, _)| now.saturating_duration_since(began) >= VALID) {
            self.claims.clear();
        }
        let wanted: HashSet<ObjectId> = wanted.iter().map(|(webhook, _)| *webhook).collect();
        self.claims.retain(|webhook, _| wanted.contains(webhook));
    }

    /// The time up to which others' claims are honoured by all that was sent within the last second.
    fn seen(&mut self, now: Instant) -> DateTime {
        let in_force =
            self.followed.iter().take_while(|(since, _)| now.saturating_duration_since(*since) >= IN_FORCE).count();
        self.followed.drain(..in_force.saturating_sub(1));
        self.followed.front().filter(|_| in_force > 0).map_or(DateTime::from_millis(0), |(_, at)| *at)
    }

    /// What follows from everybody's marks.
    fn take_in(&mut self, wanted: &[(ObjectId, NonZeroU32)], marks: &Marks, began: Instant) -> Vec<(ObjectId, Share)> {
        let Some(mine) = marks.processes.get(&self.me) else { return Vec::new() };
        let stale = i64::try_from(STALE.as_millis()).unwrap_or(i64::MAX);
        if self.last.is_some_and(|(_, at)| mine.at.timestamp_millis() - at.timestamp_millis() >= stale) {
            // The command was under way for so long that the mark before it had ceased to count.
            self.claims.clear();
        }
        self.last = Some((began, mine.at));
        let share = |(webhook, limit): &(ObjectId, NonZeroU32)| {
            let key = webhook.to_hex();
            let claim = self.claims.entry(*webhook).or_insert(Claim { since: mine.at, is_seen: false });
            let others =
                || marks.processes.iter().filter(|(id, mark)| **id != self.me && mark.claims.contains_key(&key));
            claim.is_seen = claim.is_seen || others().all(|(_, mark)| mark.seen > claim.since);
            if !claim.is_seen {
                return (*webhook, Share::Pending);
            }
            let rank = others().filter(|(id, _)| **id < self.me).count();
            let share = match NonZeroU32::new(part(limit.get(), rank, others().count() + 1)) {
                Some(count) => Share::PerSecond(count, began + VALID),
                None => Share::Taken(began + LEAVE_IT),
            };
            (*webhook, share)
        };
        wanted.iter().map(share).collect()
    }
}

/// The part of a limit that the one of this rank (from 0) of `count` gets.
fn part(limit: u32, rank: usize, count: usize) -> u32 {
    let (rank, count) = (u32::try_from(rank).unwrap_or(u32::MAX), u32::try_from(count.max(1)).unwrap_or(u32::MAX));
    limit.saturating_sub(rank).div_ceil(count)
}

/// Replaces this process's mark, removes those that do not count any more, and returns all: one command, at one time. A claim
/// that is new is made at that time.
async fn exchange(
    store: &Store,
    me: &str,
    seen: DateTime,
    wanted: &[(ObjectId, NonZeroU32)],
    known: &HashMap<ObjectId, Claim>,
) -> mongodb::error::Result<Marks> {
    let mut claims = Document::new();
    for (webhook, _) in wanted {
        match known.get(webhook) {
            Some(claim) => claims.insert(webhook.to_hex(), claim.since),
            None => claims.insert(webhook.to_hex(), "$$NOW"),
        };
    }
    let stale = i64::try_from(STALE.as_millis()).unwrap_or(i64::MAX);
    let counts = doc! { "$gt": ["$$this.v.at", { "$subtract": ["$$NOW", stale] }] };
    let all = doc! { "$objectToArray": { "$ifNull": ["$processes", {}] } };
    let mark = doc! { "at": "$$NOW", "seen": seen, "claims": claims };
    let update = vec![
        doc! { "$set": { "processes": { "$arrayToObject": { "$filter": { "input": all, "cond": counts } } } } },
        // As an operator's value it takes the old one's place; a plain document would be merged into it.
        doc! { "$set": { format!("processes.{me}"): { "$mergeObjects": [mark] } } },
    ];
    let marks = store.collection::<Marks>(names::RATE_SHARES);
    let found = marks
        .find_one_and_update(doc! { "_id": MARKS }, update)
        .upsert(true)
        .return_document(ReturnDocument::After)
        .await?;
    Ok(found.unwrap_or(Marks { processes: HashMap::new() }))
}

#[cfg(test)]
mod tests;
