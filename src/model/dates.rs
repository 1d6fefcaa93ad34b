//! Moving dates by lengths of time, without overflow: what lies beyond the ends of time stays there.

use std::time::Duration;

use bson::DateTime;

/// `by` after `at`.
#[must_use]
pub fn later(at: DateTime, by: Duration) -> DateTime {
    DateTime::from_millis(at.timestamp_millis().saturating_add(millis(by)))
}

/// `by` before `at`, but not before 1970.
#[must_use]
pub fn earlier(at: DateTime, by: Duration) -> DateTime {
    DateTime::from_millis(at.timestamp_millis().saturating_sub(millis(by)).max(0))
}

fn millis(length: Duration) -> i64 {
    i64::try_from(length.as_millis()).unwrap_or(i64::MAX)
}
