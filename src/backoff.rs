//! When a failed delivery is tried again. Pure.

use std::time::Duration;

use crate::model::RetryPolicy;
use rand::Rng;

/// No wait is longer, whatever the policy's doubling gives.
pub const LONGEST_WAIT: Duration = Duration::from_secs(24 * 60 * 60);

/// Jitter spreads a wait over 90 % to 110 % of itself, so that what failed together does not come back together.
pub const JITTER: f64 = 0.1;

/// The wait after failed attempt `failed` (1-based, counted from the last replay): `backoffSeconds · 2^(failed-1)`, times
/// `1 + JITTER · spread`, at most [`LONGEST_WAIT`]; never less than what the target asked for by `Retry-After`
/// (capped by the caller). `spread` is within -1 to 1.
#[must_use]
pub fn wait_after(policy: RetryPolicy, failed: i32, spread: f64, retry_after: Option<Duration>) -> Duration {
    let doublings = failed.clamp(1, 32) - 1;
    let base = f64::from(policy.backoff_seconds.max(1)) * f64::from(doublings).exp2();
    let jittered = base * JITTER.mul_add(spread.clamp(-1.0, 1.0), 1.0);
    let wait = Duration::from_secs_f64(jittered.min(LONGEST_WAIT.as_secs_f64()));
    wait.max(retry_after.unwrap_or_default())
}

/// A random spread for [`wait_after`].
#[must_use]
pub fn random_spread() -> f64 {
    rand::rng().random_range(-1.0..=1.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn policy(backoff_seconds: i32) -> RetryPolicy {
        RetryPolicy { max_attempts: 14, backoff_seconds }
    }

    #[test]
    fn without_jitter_each_wait_is_twice_the_one_before() {
        let waits: Vec<u64> = (1..=6).map(|n| wait_after(policy(30), n, 0.0, None).as_secs()).collect();
        assert_eq!(waits, [30, 60, 120, 240, 480, 960]);
    }

    #[test]
    fn the_default_policy_tries_for_58_hours() {
        let total: u64 = (1..14).map(|n| wait_after(RetryPolicy::default(), n, 0.0, None).as_secs()).sum();
        assert_eq!(total / 3600, 58);
    }

    #[test]
    fn no_wait_is_longer_than_a_day() {
        assert_eq!(wait_after(policy(86_400), 20, 1.0, None), LONGEST_WAIT);
        assert_eq!(wait_after(policy(1), i32::MAX, 1.0, None), LONGEST_WAIT);
    }

    #[test]
    fn a_spread_moves_a_wait_by_up_to_a_tenth_either_way() {
        let waits = [-1.0, -0.5, 0.5, 1.0].map(|spread| wait_after(policy(1000), 1, spread, None).as_secs());
        assert_eq!(waits, [900, 950, 1050, 1100]);
        let spreads: Vec<f64> = (0..1000).map(|_| random_spread()).collect();
        assert!(spreads.iter().all(|spread| (-1.0..=1.0).contains(spread)));
        // Of a thousand, none beyond the half would come once in 10^124.
        assert!(spreads.iter().any(|spread| *spread > 0.5) && spreads.iter().any(|spread| *spread < -0.5));
    }

    #[test]
    fn retry_after_lengthens_a_wait_and_never_shortens_it() {
        assert_eq!(wait_after(policy(30), 1, 0.0, Some(Duration::from_secs(90))), Duration::from_secs(90));
        assert_eq!(wait_after(policy(30), 1, 0.0, Some(Duration::from_secs(5))), Duration::from_secs(30));
    }

    proptest! {
        #[test]
        fn jitter_stays_within_a_tenth(seconds in 1..=86_400i32, failed in 1..=20i32, spread in -1.0..=1.0f64) {
            let plain = f64::from(seconds) * f64::from(failed - 1).exp2();
            let wait = wait_after(policy(seconds), failed, spread, None).as_secs_f64();
            let day = LONGEST_WAIT.as_secs_f64();
            prop_assert!(wait >= (plain * 0.9).min(day) - 1e-6 && wait <= (plain * 1.1).min(day) + 1e-6);
        }
    }
}
