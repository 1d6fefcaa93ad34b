//! Who is asking, found once for each request, and how fast they may; limits by the minute.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use governor::clock::{Clock, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};

use super::App;
use super::auth::User;
use super::error::ApiError;
use crate::model::DocId;

/// After so many checks, those who have not called for a while are forgotten.
const TIDY_EVERY: u32 = 1000;

/// How many calls each user, or each group, has left. Each process counts by itself.
pub struct PerMinute {
    limiter: Option<DefaultKeyedRateLimiter<DocId>>,
    clock: DefaultClock,
    checks: AtomicU32,
}

impl PerMinute {
    /// So many calls a minute for each, all of them at once if need be; `None`: no limit.
    #[must_use]
    pub fn new(per_minute: Option<NonZeroU32>) -> Self {
        let limiter = per_minute.map(|number| RateLimiter::keyed(Quota::per_minute(number)));
        Self { limiter, clock: DefaultClock::default(), checks: AtomicU32::new(0) }
    }

    /// Counts a call.
    ///
    /// # Errors
    /// One too many: after how many seconds there is room for another.
    pub fn count(&self, whose: &DocId) -> Result<(), u64> {
        let Some(limiter) = &self.limiter else { return Ok(()) };
        if self.checks.fetch_add(1, Ordering::Relaxed) % TIDY_EVERY == TIDY_EVERY - 1 {
            limiter.retain_recent();
            limiter.shrink_to_fit();
        }
        limiter.check_key(whose).map_err(|full| full.wait_time_from(self.clock.now()).as_secs() + 1)
    }
}

/// Finds the user of a good token and counts the call; a bad token is left to the handler, which refuses it.
pub(super) async fn limit(State(app): State<Arc<App>>, mut request: Request, next: Next) -> Response {
    if let Ok(user) = app.tokens.user_in(request.headers()) {
        if let Err(seconds) = app.limits.count(&user) {
            return ApiError::user_too_fast(seconds).into_response();
        }
        request.extensions_mut().insert(User(user));
    }
    next.run(request).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_who_calls_too_fast_waits_and_others_do_not() {
        let limits = PerMinute::new(NonZeroU32::new(3));
        let (one, other) = (DocId::parse("one"), DocId::parse("other"));
        assert!((0..3).all(|_| limits.count(&one).is_ok()));
        assert!((1..=21).contains(&limits.count(&one).unwrap_err()));
        assert!(limits.count(&other).is_ok());
        assert!((0..5000).all(|_| PerMinute::new(None).count(&one).is_ok()));
    }

    #[test]
    fn users_who_are_done_are_forgotten() {
        let limits = PerMinute::new(NonZeroU32::new(60_000_000));
        for n in 0..5 * TIDY_EVERY {
            limits.count(&DocId::Text(n.to_string())).unwrap();
        }
        assert!(limits.limiter.as_ref().unwrap().len() < 2 * TIDY_EVERY as usize);
    }
}
