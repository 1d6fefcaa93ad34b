//! How often receivers may be asked: a test makes requests to a host of an admin's choosing, from here.

use std::collections::HashSet;
use std::num::NonZeroU32;
use std::sync::{Mutex, PoisonError};

use bson::oid::ObjectId;

use super::error::{ApiError, ApiResult};
use super::limits::PerMinute;
use crate::model::Webhook;

/// How many tests and checks a minute a group may make, in each process.
pub(super) const TESTS_PER_MINUTE: u32 = 30;

/// One test at a time of each webhook, and [`TESTS_PER_MINUTE`] of each group.
pub struct TestTurns {
    rates: PerMinute,
    under_way: Mutex<HashSet<ObjectId>>,
}

impl Default for TestTurns {
    fn default() -> Self {
        Self { rates: PerMinute::new(NonZeroU32::new(TESTS_PER_MINUTE)), under_way: Mutex::default() }
    }
}

/// A test's turn; dropping it lets the next begin.
pub(super) struct TestTurn<'a> {
    turns: &'a TestTurns,
    webhook: ObjectId,
}

impl TestTurns {
    /// Lets a test of this webhook begin, and counts it.
    ///
    /// # Errors
    /// 409 while another is under way; 429 with the time after which there is room for one.
    pub(super) fn begin(&self, webhook: &Webhook) -> ApiResult<TestTurn<'_>> {
        if !self.under_way.lock().unwrap_or_else(PoisonError::into_inner).insert(webhook.id) {
            return Err(ApiError::conflict("a test of this webhook is under way: wait for its end"));
        }
        let turn = TestTurn { turns: self, webhook: webhook.id };
        self.rates.count(&webhook.group_id).map_err(|wait| ApiError::too_many_tests(TESTS_PER_MINUTE, wait))?;
        Ok(turn)
    }
}

impl Drop for TestTurn<'_> {
    fn drop(&mut self) {
        self.turns.under_way.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.webhook);
    }
}
