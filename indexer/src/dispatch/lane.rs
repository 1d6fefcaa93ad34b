//! One webhook's lane: what it holds, how much at once, and when it may start. Pure but for the queue it owns.
//!
//! The in-flight limit follows the target: it grows by one with each success while it is used (doubling every round trip),
//! is cut to 70 % once a round trip by error statuses, and halved by every timeout or connection failure, so that a target
//! that stops answering is soon down to one request. After [`BREAKER_AFTER`] troubles in a row, starts are also spaced out,
//! up to [`LONGEST_SPACING`]: the target is probed, not knocked at.

use std::collections::VecDeque;
use std::num::NonZeroU32;
use std::time::{Duration, Instant};

use governor::clock::{Clock, DefaultClock};
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};

use super::job::Job;

/// Requests at once to a target that nothing is known of yet.
const FIRST_LIMIT: f64 = 16.0;

/// So many troubles in a row make a lane troubled: it holds no more than it has in flight.
const TROUBLED_AFTER: u32 = 3;

/// So many troubles in a row space out further starts.
const BREAKER_AFTER: u32 = 20;

const FIRST_SPACING: Duration = Duration::from_millis(50);
const LONGEST_SPACING: Duration = Duration::from_secs(5);

/// Rows held for each request in flight, at most.
const HELD_PER_REQUEST: f64 = 32.0;

/// A target that answers within this, on average, works a full lane off in a moment.
const QUICK_SECONDS: f64 = 0.05;

/// How long a held row should wait at most: well within its lease.
const HELD_FOR_SECONDS: f64 = 5.0;

const SECOND: Duration = Duration::from_secs(1);

/// How long a lane without rows keeps its share of the rate limit. More than a second, so that whoever takes it over does not
/// add to what this process sent last.
const SHARE_LINGERS: Duration = Duration::from_secs(3);

/// How an attempt's end bears on its lane.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The target answers well.
    Well,
    /// The target answers that it is in trouble.
    Strained,
    /// The target does not answer.
    Absent,
    /// Says nothing about the target's capacity: a refused request, or no request at all.
    Neutral,
}

/// What this process may send of a webhook's rate limit ([`super::shares`]).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Share {
    /// Not agreed yet: one row may be held, so that it is asked for, and none is sent.
    Pending,
    /// So many a second, until then.
    PerSecond(NonZeroU32, Instant),
    /// Others have all of it; it is asked for again after then.
    Taken(Instant),
}

/// Whether a lane may start a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Start {
    Now,
    /// Not before this time.
    At(Instant),
    /// When one of its requests, or somebody else's, has ended.
    Later,
}

#[derive(Debug)]
pub(crate) struct Lane {
    pub(crate) queue: VecDeque<Job>,
    pub(crate) in_flight: usize,
    /// Slots promised and not yet filled.
    pub(crate) reserved: usize,
    /// Whether more rows are due in the database than the lane could take.
    pub(crate) backlog: bool,
    /// Whether it stands in the ring of lanes that take turns.
    pub(crate) in_ring: bool,
    /// Whether somebody will wake it at a set time.
    pub(crate) has_alarm: bool,
    limit: f64,
    most: f64,
    troubles: u32,
    last_cut: Option<Instant>,
    not_before: Option<Instant>,
    /// Of successes; `None` before the first.
    mean_seconds: Option<f64>,
    rate: Option<NonZeroU32>,
    /// Of the rate, if there is one.
    share: Share,
    limiter: Option<DefaultDirectRateLimiter>,
    last_start: Option<Instant>,
    last_held: Option<Instant>,
}

impl Lane {
    pub(crate) fn new(most: usize) -> Self {
        #[allow(clippy::cast_precision_loss, reason = "at most 1000")]
        let most = most.max(1) as f64;
        Self {
            queue: VecDeque::new(),
            in_flight: 0,
            reserved: 0,
            backlog: false,
            in_ring: false,
            has_alarm: false,
            limit: FIRST_LIMIT.min(most),
            most,
            troubles: 0,
            last_cut: None,
            not_before: None,
            mean_seconds: None,
            rate: None,
            share: Share::Pending,
            limiter: None,
            last_start: None,
            last_held: None,
        }
    }

    /// Sets the webhook's rate limit. If it is another one, the share of it must be agreed anew.
    pub(crate) fn set_rate(&mut self, rate: Option<NonZeroU32>) {
        if self.rate != rate {
            self.rate = rate;
            self.share = Share::Pending;
            self.limiter = None;
        }
    }

    /// Sets the share of the rate limit. What was sent under the last one counts: a new limiter begins with its burst used up
    /// if anything was sent within the last second.
    pub(crate) fn set_share(&mut self, share: Share, now: Instant) {
        if self.rate.is_none() {
            // The limit was lifted while its share was agreed on.
            return;
        }
        let per_second = |share| if let Share::PerSecond(count, _) = share { Some(count) } else { None };
        if per_second(self.share) != per_second(share) {
            self.limiter = per_second(share).map(|count| RateLimiter::direct(quota(count)));
            let is_busy = self.last_start.is_some_and(|last| now.saturating_duration_since(last) < SECOND);
            if let (Some(limiter), Some(count), true) = (&self.limiter, per_second(share), is_busy) {
                // A full limiter has the whole burst to give.
                let _ = limiter.check_n(burst(count));
            }
        }
        self.share = share;
    }

    /// The rate limit of which it needs a share: while it holds rows, and for a while after, so that a pause does not cost it
    /// the share. One that needs none loses what it had.
    pub(crate) fn wanted_rate(&mut self, now: Instant) -> Option<NonZeroU32> {
        let rate = self.rate?;
        if self.held() > 0 {
            self.last_held = Some(now);
        }
        // What came and went between two looks counts too.
        let last_used = self.last_held.max(self.last_start);
        let is_used = last_used.is_some_and(|last| now.saturating_duration_since(last) < SHARE_LINGERS);
        match self.share {
            Share::Taken(until) if now < until => return None,
            Share::PerSecond(..) | Share::Pending if is_used => {}
            Share::PerSecond(..) | Share::Pending | Share::Taken(_) => self.set_share(Share::Pending, now),
        }
        is_used.then_some(rate)
    }

    /// Whether its rate limit keeps it from sending: it has no share now.
    pub(crate) fn is_without_share(&self, now: Instant) -> bool {
        self.rate.is_some() && !matches!(self.share, Share::PerSecond(_, until) if now < until)
    }

    /// Whether it cannot send before a share is agreed.
    pub(crate) fn lacks_share(&self) -> bool {
        self.rate.is_some() && self.share == Share::Pending
    }

    pub(crate) const fn is_troubled(&self) -> bool {
        self.troubles >= TROUBLED_AFTER
    }

    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 1 and 1000")]
    pub(crate) const fn limit(&self) -> usize {
        self.limit as usize
    }

    /// How many rows it may hold: in flight, queued and promised together. More than it has in flight only once it is known
    /// to answer well.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 1 and 32000")]
    pub(crate) fn capacity(&self) -> usize {
        let by_rate = match (self.rate, self.share) {
            (None, _) => usize::MAX,
            (Some(_), Share::Pending) => 1,
            (Some(_), Share::PerSecond(count, _)) => (f64::from(count.get()) * HELD_FOR_SECONDS) as usize,
            (Some(_), Share::Taken(_)) => 0,
        };
        let Some(mean_seconds) = self.mean_seconds.filter(|_| !self.is_troubled()) else {
            return self.limit().min(by_rate);
        };
        let per_request = (HELD_FOR_SECONDS / mean_seconds.max(0.001)).clamp(1.0, HELD_PER_REQUEST);
        ((self.limit * per_request).max(1.0) as usize).min(by_rate)
    }

    /// Whether a full lane is a matter of a moment: its target answers at once, nothing limits its rate, and nothing older
    /// waits in the database.
    pub(crate) fn is_quick(&self) -> bool {
        let answers_at_once = self.mean_seconds.is_some_and(|mean| mean < QUICK_SECONDS);
        answers_at_once && self.rate.is_none() && !self.is_troubled() && !self.backlog
    }

    pub(crate) fn held(&self) -> usize {
        self.queue.len() + self.in_flight + self.reserved
    }

    pub(crate) fn room(&self) -> usize {
        self.capacity().saturating_sub(self.held())
    }

    /// Whether the next request may start; takes a turn from the rate limit if so.
    pub(crate) fn start(&mut self, now: Instant) -> Start {
        if self.in_flight >= self.limit() {
            return Start::Later;
        }
        if self.is_without_share(now) {
            // The next agreement brings it back.
            return Start::Later;
        }
        if let Some(at) = self.not_before.filter(|at| *at > now) {
            return Start::At(at);
        }
        match self.limiter.as_ref().map(RateLimiter::check) {
            None | Some(Ok(())) => {
                self.last_start = Some(now);
                Start::Now
            }
            Some(Err(not_until)) => Start::At(now + not_until.wait_time_from(DefaultClock::default().now())),
        }
    }

    /// Takes in how a request that began at `began` ended.
    pub(crate) fn learn(&mut self, verdict: Verdict, began: Instant, now: Instant) {
        match verdict {
            Verdict::Neutral => {}
            Verdict::Well => {
                let seconds = now.saturating_duration_since(began).as_secs_f64();
                let mean = self.mean_seconds.unwrap_or(seconds);
                self.mean_seconds = Some(mean + (seconds - mean) * 0.1);
                self.troubles = 0;
                self.not_before = None;
                #[allow(clippy::cast_precision_loss, reason = "at most 1000")]
                if (self.in_flight + 1) as f64 >= self.limit / 2.0 {
                    self.limit = (self.limit + 1.0).min(self.most);
                }
            }
            Verdict::Strained => {
                if self.last_cut.is_none_or(|cut| began >= cut) {
                    self.cut(0.7, now);
                }
                self.trouble(now);
            }
            Verdict::Absent => {
                self.cut(0.5, now);
                self.trouble(now);
            }
        }
    }

    fn cut(&mut self, factor: f64, now: Instant) {
        self.limit = (self.limit * factor).max(1.0);
        self.last_cut = Some(now);
    }

    fn trouble(&mut self, now: Instant) {
        self.troubles = self.troubles.saturating_add(1);
        if let Some(above) = self.troubles.checked_sub(BREAKER_AFTER) {
            let spacing = FIRST_SPACING * (1 << (above / 10).min(7));
            self.not_before = Some(now + spacing.min(LONGEST_SPACING));
        }
    }
}

/// A twentieth of the rate keeps up with a timer's grain at high rates.
fn burst(rate: NonZeroU32) -> NonZeroU32 {
    NonZeroU32::new(rate.get() / 20).unwrap_or(NonZeroU32::MIN)
}

/// A quota under which no more than `rate` requests begin in any second: a burst of b and then r a second come to b - 1 + r.
fn quota(rate: NonZeroU32) -> Quota {
    let burst = burst(rate);
    let steady = NonZeroU32::new(rate.get() - burst.get() + 1).unwrap_or(NonZeroU32::MIN);
    Quota::per_second(steady).allow_burst(burst)
}

#[cfg(test)]
mod tests;
