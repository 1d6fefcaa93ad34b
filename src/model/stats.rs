//! `deliveryStats`: what became of a webhook's attempts, by hour. Counted as they end, so that reading it costs the same
//! whatever number there was.

use std::time::Duration;

use bson::{DateTime, oid::ObjectId};
use serde::{Deserialize, Serialize};

use super::DocId;

/// An hour, in milliseconds.
pub const HOUR_MS: i64 = 3_600_000;

/// An hour.
pub const HOUR: Duration = Duration::from_secs(3600);

/// Upper bounds of the buckets of durations, in milliseconds; one more bucket holds what took longer.
const BOUNDS: [u64; 27] = [
    1, 2, 3, 5, 7, 10, 15, 20, 30, 50, 70, 100, 150, 200, 300, 500, 700, 1000, 1500, 2000, 3000, 5000, 7000, 10_000,
    15_000, 20_000, 30_000,
];

/// The beginning of the hour that this time is in.
#[must_use]
pub const fn hour_of(time: DateTime) -> DateTime {
    let ms = time.timestamp_millis();
    DateTime::from_millis(ms - ms.rem_euclid(HOUR_MS))
}

/// How long attempts took, roughly: a count for each bucket.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Durations(Vec<i64>);

impl Durations {
    /// How many buckets there are.
    pub const BUCKETS: usize = BOUNDS.len() + 1;

    /// The bucket of a duration.
    #[must_use]
    pub fn bucket(took: Duration) -> usize {
        BOUNDS.partition_point(|bound| u128::from(*bound) < took.as_millis())
    }

    /// Adds so many to a bucket; one that there is not is passed over.
    pub fn add(&mut self, bucket: usize, count: i64) {
        if bucket < Self::BUCKETS {
            self.0.resize(self.0.len().max(bucket + 1), 0);
            self.0[bucket] += count;
        }
    }

    /// Adds another's counts.
    pub fn merge(&mut self, other: &Self) {
        other.0.iter().enumerate().for_each(|(bucket, count)| self.add(bucket, *count));
    }

    /// The counts, by bucket.
    pub fn counts(&self) -> impl Iterator<Item = (usize, i64)> {
        self.0.iter().copied().enumerate().filter(|(_, count)| *count != 0)
    }

    /// The duration that so much of a hundred do not exceed, in milliseconds: within its bucket's bounds, by how far into
    /// it the place lies. `None` without any.
    #[must_use]
    #[allow(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "an estimate"
    )]
    pub fn percentile(&self, percent: f64) -> Option<u64> {
        let total: i64 = self.0.iter().sum();
        if total <= 0 {
            return None;
        }
        let place = (percent / 100.0 * total as f64).ceil().max(1.0);
        let mut before = 0.0;
        for (bucket, count) in self.counts() {
            let count = count as f64;
            if before + count >= place {
                let low = if bucket == 0 { 0 } else { BOUNDS[bucket - 1] };
                // What took longer than any bound took no longer than the longest deadline but for a moment.
                let high = BOUNDS.get(bucket).copied().unwrap_or(low);
                return Some((low as f64 + (high - low) as f64 * (place - before) / count).round() as u64);
            }
            before += count;
        }
        None
    }
}

/// Attempts of one webhook that ended within one hour.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Counts {
    /// Answered with a 2xx in time.
    pub successes: i64,
    /// Failed.
    pub failures: i64,
    /// Deliveries given up.
    pub dead_letters: i64,
    /// How long the attempts took.
    pub durations: Durations,
}

impl Counts {
    /// Adds another's.
    pub fn merge(&mut self, other: &Self) {
        self.successes += other.successes;
        self.failures += other.failures;
        self.dead_letters += other.dead_letters;
        self.durations.merge(&other.durations);
    }

    /// Whether there is anything.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.successes == 0 && self.failures == 0 && self.dead_letters == 0
    }
}

/// The counts of an hour of a webhook.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HourOfWebhook {
    /// Its group.
    pub group_id: DocId,
    /// The webhook.
    pub webhook_id: ObjectId,
    /// The hour's beginning.
    pub hour: DateTime,
    /// What ended in it.
    pub counts: Counts,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn durations(all: &[u64]) -> Durations {
        let mut durations = Durations::default();
        all.iter().for_each(|ms| durations.add(Durations::bucket(Duration::from_millis(*ms)), 1));
        durations
    }

    #[test]
    fn a_percentile_lies_in_the_bucket_of_the_duration_that_it_is() {
        let all = durations(&[4, 4, 4, 4, 4, 4, 4, 4, 4, 900]);
        assert!((3..=5).contains(&all.percentile(50.0).unwrap()));
        assert!((700..=1000).contains(&all.percentile(99.0).unwrap()));
        assert_eq!(Durations::default().percentile(50.0), None);
        assert_eq!(durations(&[90_000]).percentile(50.0), Some(30_000));
    }

    proptest! {
        #[test]
        fn percentiles_never_fall_and_merging_is_adding(one in prop::collection::vec(0u64..40_000, 1..50),
                                                        other in prop::collection::vec(0u64..40_000, 1..50)) {
            let all = durations(&[one.clone(), other.clone()].concat());
            let mut merged = durations(&one);
            merged.merge(&durations(&other));
            for percent in [1.0, 50.0, 95.0, 99.0, 100.0] {
                prop_assert_eq!(all.percentile(percent), merged.percentile(percent));
            }
            prop_assert!(all.percentile(50.0) <= all.percentile(95.0));
            prop_assert!(all.percentile(95.0) <= all.percentile(99.0));
        }
    }

    #[test]
    fn an_hour_begins_at_its_whole_hour() {
        assert_eq!(hour_of(DateTime::from_millis(2 * HOUR_MS + 1)), DateTime::from_millis(2 * HOUR_MS));
        assert_eq!(hour_of(DateTime::from_millis(2 * HOUR_MS)), DateTime::from_millis(2 * HOUR_MS));
    }
}
