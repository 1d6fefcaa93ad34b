//! Who is asking, found once for each request, and how fast they may.

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

/// After so many checks, users who have not called for a while are forgotten.
const TIDY_EVERY: u32 = 1000;

/// How many calls each user has left. Each process counts by itself.
pub struct UserLimits {
    limiter: Option<DefaultKeyedRateLimiter<DocId>>,
    clock: DefaultClock,
    checks: AtomicU32,
}

impl UserLimits {
    /// So many calls a minute for each user, all of them at once if need be; `None`: no limit.
    #[must_use]
    pub fn new(per_minute: Option<NonZeroU32>) -> Self {
        let limiter = per_minute.map(|number| RateLimiter::keyed(Quota::per_minute(number)));
        Self { limiter, clock: DefaultClock::default(), checks: AtomicU32::new(0) }
    }

    /// Counts a call.
    ///
    /// # Errors
    /// 429 with the time after which there is room for another.
    pub fn check(&self, user: &DocId) -> Result<(), ApiError> {
        let Some(limiter) = &self.limiter else { return Ok(()) };
        if self.checks.fetch_add(1, Ordering::Relaxed) % TIDY_EVERY == TIDY_EVERY - 1 {
            limiter.retain_recent();
            limiter.shrink_to_fit();
        }
        limiter.check_key(user).map_err(|full| {
            let wait = full.wait_time_from(self.clock.now());
            ApiError::user_too_fast(wait.as_secs() + 1)
        })
    }
}

/// Finds the user of a good token and counts the call; a bad token is left to the handler, which refuses it.
pub(super) async fn limit(State(app): State<Arc<App>>, mut request: Request, next: Next) -> Response {
    if let Ok(user) = app.tokens.user_in(request.headers()) {
        if let Err(refused) = app.limits.check(&user) {
            return refused.into_response();
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
        let limits = UserLimits::new(NonZeroU32::new(3));
        let (one, other) = (DocId::parse("one"), DocId::parse("other"));
        assert!((0..3).all(|_| limits.check(&one).is_ok()));
        assert_eq!(limits.check(&one).unwrap_err().status(), 429);
        assert!(limits.check(&other).is_ok());
        assert!((0..5000).all(|_| UserLimits::new(None).check(&one).is_ok()));
    }

    #[test]
    fn users_who_are_done_are_forgotten() {
        let limits = UserLimits::new(NonZeroU32::new(60_000_000));
        for n in 0..5 * TIDY_EVERY {
            limits.check(&DocId::Text(n.to_string())).unwrap();
        }
        assert!(limits.limiter.as_ref().unwrap().len() < 2 * TIDY_EVERY as usize);
    }
}
