//! Calls of one group take turns: their transactions all write the same group, and would only meet there. And no group has
//! more calls than its limit.

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use governor::clock::{Clock, DefaultClock};
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::http::error::{ApiError, ApiResult};
use crate::model::DocId;

/// How many calls of one group may wait.
const WAITING_MAX: usize = 256;
/// How long one waits.
const PATIENCE: Duration = Duration::from_secs(15);
/// How many groups are remembered before those at rest are forgotten.
const GROUPS_MAX: usize = 4096;
/// After so long without a call a limiter is as a new one.
const REST: Duration = Duration::from_secs(60);

/// Whose turn it is, by group.
#[derive(Default)]
pub(super) struct Turns(Mutex<HashMap<DocId, Arc<Semaphore>>>);

/// A turn; dropping it gives it on.
pub(super) struct Turn(#[allow(dead_code, reason = "held for what its drop does")] OwnedSemaphorePermit);

impl Turns {
    /// Waits for this group's turn; first come, first served.
    ///
    /// # Errors
    /// 503 where too many wait, or for too long.
    pub(super) async fn take(&self, group: &DocId) -> ApiResult<Turn> {
        let turns = self.of(group);
        // One reference is the map's, one is ours.
        if Arc::strong_count(&turns) - 2 > WAITING_MAX {
            return Err(ApiError::busy());
        }
        match tokio::time::timeout(PATIENCE, turns.acquire_owned()).await {
            Ok(Ok(permit)) => Ok(Turn(permit)),
            Ok(Err(_)) | Err(_) => Err(ApiError::busy()),
        }
    }

    fn of(&self, group: &DocId) -> Arc<Semaphore> {
        let mut groups = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if groups.len() >= GROUPS_MAX {
            groups.retain(|_, turns| Arc::strong_count(turns) > 1);
        }
        Arc::clone(groups.entry(group.clone()).or_insert_with(|| Arc::new(Semaphore::new(1))))
    }
}

/// How fast each group calls, in this process.
#[derive(Default)]
pub(super) struct Rates(Mutex<HashMap<DocId, Rate>>);

struct Rate {
    per_minute: i32,
    limiter: DefaultDirectRateLimiter,
    used: Instant,
}

impl Rates {
    /// Counts a call.
    ///
    /// # Errors
    /// How many seconds to wait, where it is one too many.
    pub(super) fn count(&self, group: &DocId, per_minute: i32) -> Result<(), u64> {
        let now = Instant::now();
        let mut groups = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if groups.len() >= GROUPS_MAX {
            groups.retain(|_, rate| now.duration_since(rate.used) < REST);
        }
        let limit = u32::try_from(per_minute).ok().and_then(NonZeroU32::new).unwrap_or(NonZeroU32::MIN);
        let fresh = || Rate { per_minute, limiter: RateLimiter::direct(Quota::per_minute(limit)), used: now };
        let rate = groups.entry(group.clone()).or_insert_with(fresh);
        if rate.per_minute != per_minute {
            *rate = fresh();
        }
        rate.used = now;
        rate.limiter.check().map_err(|early| {
            let wait = early.wait_time_from(DefaultClock::default().now());
            wait.as_secs() + u64::from(wait.subsec_nanos() > 0)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_has_its_own_limit_and_is_told_how_long_to_wait() {
        let (rates, a, b) = (Rates::default(), DocId::parse("a"), DocId::parse("b"));
        for _ in 0..3 {
            rates.count(&a, 3).unwrap();
        }
        let wait = rates.count(&a, 3).unwrap_err();
        assert!((1..=20).contains(&wait), "{wait}");
        rates.count(&b, 3).unwrap();
        rates.count(&a, 60).unwrap();
    }

    #[tokio::test]
    async fn calls_of_one_group_take_turns_and_others_do_not_wait() {
        let (turns, a, b) = (Arc::new(Turns::default()), DocId::parse("a"), DocId::parse("b"));
        let first = turns.take(&a).await.unwrap();
        let second = tokio::spawn({
            let (turns, a) = (Arc::clone(&turns), a.clone());
            async move { drop(turns.take(&a).await.unwrap()) }
        });
        turns.take(&b).await.unwrap();
        assert!(!second.is_finished());
        drop(first);
        second.await.unwrap();
    }

    #[tokio::test]
    async fn where_too_many_wait_the_next_is_sent_away() {
        let (turns, a) = (Arc::new(Turns::default()), DocId::parse("a"));
        let first = turns.take(&a).await.unwrap();
        let waiting: Vec<_> = (0..=WAITING_MAX)
            .map(|_| {
                let (turns, a) = (Arc::clone(&turns), a.clone());
                tokio::spawn(async move { turns.take(&a).await.map(drop) })
            })
            .collect();
        while Arc::strong_count(&turns.of(&a)) - 3 < WAITING_MAX {
            tokio::task::yield_now().await;
        }
        assert_eq!(turns.take(&a).await.err().map(|error| error.status().as_u16()), Some(503));
        drop(first);
        for waited in waiting {
            waited.await.unwrap().ok();
        }
    }
}
