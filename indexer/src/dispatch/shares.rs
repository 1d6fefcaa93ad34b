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
use taskwire::store::{Store, names};
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

/// How long a process that found a limit too small for all claimants leaves it to the others.
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

/// Keeps shares agreed until stopped. Costs nothing while no webhook with a limit has rows here.
pub(crate) async fn keep_sharing(engine: Arc<Engine>, stop: CancellationToken) {
    let mut shares = Shares::new(ObjectId::new().to_hex());
    let mut was_failing = false;
    loop {
        match shares.beat(&engine).await {
            Ok(()) => was_failing = false,
            Err(error) => {
                if !was_failing {
                    tracing::warn!(error = %error.kind, "shares of rate limits cannot be agreed on: webhooks with a limit wait until they can");
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

    async fn beat(&mut self, engine: &Arc<Engine>) -> mongodb::error::Result<()> {
        let began = Instant::now();
        let wanted = engine.board().wanted_rates(began);
        if wanted.is_empty() && self.claims.is_empty() {
            return Ok(());
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
        Ok(())
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
mod tests {
    use super::*;

    /// Processes whose clock is the server's, beating into one document.
    struct Room {
        start: Instant,
        marks: HashMap<String, Mark>,
    }

    const HOOK: [u8; 12] = [7; 12];

    fn webhook() -> ObjectId {
        ObjectId::from_bytes(HOOK)
    }

    impl Room {
        fn new() -> Self {
            Self { start: Instant::now(), marks: HashMap::new() }
        }

        /// What [`exchange`] does, at `ms`; the share that follows.
        fn beat(&mut self, shares: &mut Shares, limit: u32, ms: u64) -> Option<Share> {
            let now = self.start + Duration::from_millis(ms);
            let at = DateTime::from_millis(i64::try_from(ms).unwrap() + 1_000_000);
            let wanted: Vec<_> = NonZeroU32::new(limit).map(|limit| (webhook(), limit)).into_iter().collect();
            shares.prepare(&wanted, now);
            let seen = shares.seen(now);
            let claims = wanted
                .iter()
                .map(|(hook, _)| (hook.to_hex(), shares.claims.get(hook).map_or(at, |claim| claim.since)))
                .collect();
            let stale = STALE.as_millis().try_into().unwrap();
            self.marks.retain(|_, mark| at.timestamp_millis() - mark.at.timestamp_millis() < stale);
            self.marks.insert(shares.me.clone(), Mark { at, seen, claims });
            let share = shares.take_in(&wanted, &Marks { processes: self.marks.clone() }, now).pop();
            shares.followed.push_back((now, at));
            share.map(|(_, share)| share)
        }
    }

    fn count(share: Option<Share>) -> u32 {
        match share {
            Some(Share::PerSecond(count, _)) => count.get(),
            Some(Share::Pending | Share::Taken(_)) | None => 0,
        }
    }

    #[test]
    fn the_only_claimant_gets_the_whole_at_once() {
        let mut room = Room::new();
        let mut one = Shares::new("a".into());
        assert_eq!(count(room.beat(&mut one, 20, 0)), 20);
    }

    #[test]
    fn a_newcomer_gets_nothing_until_the_others_have_made_room_for_a_second() {
        let mut room = Room::new();
        let (mut one, mut two) = (Shares::new("a".into()), Shares::new("b".into()));
        room.beat(&mut one, 20, 0);
        assert_eq!(room.beat(&mut two, 20, 500), Some(Share::Pending));
        assert_eq!(count(room.beat(&mut one, 20, 1000)), 10);
        assert_eq!(room.beat(&mut two, 20, 1500), Some(Share::Pending));
        // Woken early, it has not yet sent less for a second.
        room.beat(&mut one, 20, 1600);
        assert_eq!(room.beat(&mut two, 20, 1700), Some(Share::Pending));
        room.beat(&mut one, 20, 2000);
        assert_eq!(count(room.beat(&mut two, 20, 2500)), 10);
    }

    #[test]
    fn who_is_gone_leaves_its_part_once_its_mark_is_stale_and_begins_anew_when_it_comes_back() {
        let mut room = Room::new();
        let (mut one, mut two) = (Shares::new("a".into()), Shares::new("b".into()));
        for second in 0..5 {
            room.beat(&mut one, 20, second * 1000);
            room.beat(&mut two, 20, second * 1000 + 500);
        }
        assert_eq!(count(room.beat(&mut one, 20, 5000)), 10);
        assert_eq!(count(room.beat(&mut one, 20, 7000)), 10);
        assert_eq!(count(room.beat(&mut one, 20, 9600)), 20);
        assert_eq!(room.beat(&mut two, 20, 9700), Some(Share::Pending));
    }

    #[test]
    fn who_has_no_more_work_leaves_its_part_at_once() {
        let mut room = Room::new();
        let (mut one, mut two) = (Shares::new("a".into()), Shares::new("b".into()));
        for second in 0..5 {
            room.beat(&mut one, 20, second * 1000);
            room.beat(&mut two, 20, second * 1000 + 500);
        }
        assert_eq!(room.beat(&mut two, 0, 5000), None);
        assert_eq!(count(room.beat(&mut one, 20, 5100)), 20);
    }

    #[test]
    fn a_limit_smaller_than_the_number_of_processes_is_left_to_as_many_as_it_has_room_for() {
        let mut room = Room::new();
        let (mut one, mut two) = (Shares::new("a".into()), Shares::new("b".into()));
        let mut last = (None, None);
        for second in 0..5 {
            last.0 = room.beat(&mut one, 1, second * 1000);
            last.1 = room.beat(&mut two, 1, second * 1000 + 500);
        }
        assert_eq!(count(last.0), 1);
        assert!(matches!(last.1, Some(Share::Taken(_))));
    }

    #[test]
    fn the_parts_come_to_the_whole_and_never_grow_with_the_company() {
        for limit in 1..40 {
            for processes in 1..10 {
                assert_eq!((0..processes).map(|rank| part(limit, rank, processes)).sum::<u32>(), limit);
                for rank in 0..processes {
                    assert!(part(limit, rank, processes + 1) <= part(limit, rank, processes));
                    assert!(part(limit, rank + 1, processes + 1) <= part(limit, rank, processes));
                }
            }
        }
    }

    proptest::proptest! {
        /// Up to four processes that beat at random times, come, go and stand still: what they may send together never
        /// exceeds the limit.
        #[test]
        fn the_shares_of_all_never_exceed_the_limit(
            limit in 1u32..30,
            steps in proptest::collection::vec((0usize..4, 50u64..900, proptest::bool::weighted(0.9)), 1..200),
        ) {
            let mut room = Room::new();
            let mut all: Vec<_> = ["a", "b", "c", "d"].map(|me| (Shares::new(me.into()), None)).into();
            let mut ms = 0;
            for (who, wait, wants) in steps {
                ms += wait;
                let (shares, held) = &mut all[who];
                *held = room.beat(shares, if wants { limit } else { 0 }, ms);
                let now = room.start + Duration::from_millis(ms);
                let sum: u32 = all.iter().map(|(_, held)| match held {
                    Some(Share::PerSecond(count, until)) if *until > now => count.get(),
                    _ => 0,
                }).sum();
                proptest::prop_assert!(sum <= limit, "{sum} of {limit} at {ms}");
            }
        }
    }
}
