//! Writing `webhookHealth`: how each webhook's target fares. Kept apart from `webhookConfigs`, whose changes feed the stream.
//!
//! A document (`_id`: the webhook's id; times are server time) holds `lastSuccessAt`; `lastFailureAt` and `lastError` (a
//! short reason without URL, secret or body) of the last failed attempt; and, absent while healthy, `failingSince`: the first
//! failed attempt since the last success; pauses are left out of it, and enabling the webhook ends it. `clockAt` is the number of the last of its stops by
//! which the waiting rows' retry clocks were moved. `toldFailing` is when the group's alert address was told of the failing
//! (or would have been, if there were one); `deadLetters` is what was given up since it was last told of that.

use bson::{DateTime, Document, doc, oid::ObjectId};
use futures::TryStreamExt;
use mongodb::ClientSession;
use serde::{Deserialize, Serialize};

use super::{Store, names};
use crate::model::WebhookHealth;

/// What happened to one webhook's attempts since the last write.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct HealthChange {
    last_success: Option<DateTime>,
    last_failure: Option<(DateTime, String)>,
    /// First failure since the last success of this interval, or of the interval.
    failing_since: Option<DateTime>,
    /// What was given up.
    dead: Option<DeadLetters>,
}

/// Deliveries of one webhook that were given up and of which its group was not told yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DeadLetters {
    /// How many.
    pub count: i64,
    /// When the first was given up. Server time.
    pub since: DateTime,
    /// When the last was.
    pub until: DateTime,
    /// When the first of them was made.
    pub first_made: DateTime,
    /// When the last of them was made.
    pub last_made: DateTime,
    /// Why the last was given up.
    pub reason: String,
}

impl HealthChange {
    /// Adds a success.
    pub fn succeeded(&mut self, at: DateTime) {
        self.last_success = Some(at);
        self.failing_since = None;
    }

    /// Adds a failure.
    pub fn failed(&mut self, at: DateTime, reason: impl FnOnce() -> String) {
        self.failing_since.get_or_insert(at);
        self.last_failure = Some((at, reason()));
    }

    /// Adds a delivery that was given up at `at`, made at `made`.
    pub fn given_up(&mut self, at: DateTime, made: DateTime, reason: &str) {
        let dead = self.dead.get_or_insert_with(|| DeadLetters {
            count: 0,
            since: at,
            until: at,
            first_made: made,
            last_made: made,
            reason: String::new(),
        });
        dead.count += 1;
        dead.until = at;
        (dead.first_made, dead.last_made) = (dead.first_made.min(made), dead.last_made.max(made));
        reason.clone_into(&mut dead.reason);
    }

    /// Adds what happened before it and could not be written then.
    pub fn add_before(&mut self, earlier: Self) {
        if self.last_success.is_none() {
            self.failing_since = earlier.failing_since.or(self.failing_since);
        }
        self.last_success = self.last_success.or(earlier.last_success);
        self.last_failure = self.last_failure.take().or(earlier.last_failure);
        self.dead = match (earlier.dead, self.dead.take()) {
            (Some(earlier), Some(later)) => Some(DeadLetters {
                count: earlier.count + later.count,
                since: earlier.since,
                first_made: earlier.first_made.min(later.first_made),
                last_made: earlier.last_made.max(later.last_made),
                ..later
            }),
            (earlier, later) => earlier.or(later),
        };
    }

    /// Whether the last attempt failed.
    #[must_use]
    pub const fn is_failing(&self) -> bool {
        self.failing_since.is_some()
    }

    fn pipeline(&self) -> Vec<Document> {
        let mut set = Document::new();
        if let Some(at) = self.last_success {
            set.insert("lastSuccessAt", at);
        }
        if let Some((at, reason)) = &self.last_failure {
            set.insert("lastFailureAt", *at);
            set.insert("lastError", doc! { "$literal": reason });
        }
        match (self.failing_since, self.last_success) {
            (Some(since), Some(_)) => set.insert("failingSince", since),
            // Another process may know of an earlier failure.
            (Some(since), None) => set.insert("failingSince", doc! { "$ifNull": ["$failingSince", since] }),
            (None, Some(_)) => set.insert("failingSince", "$$REMOVE"),
            (None, None) => None,
        };
        if let Some(dead) = &self.dead {
            let or = |field: &str, value: DateTime| doc! { "$ifNull": [format!("$deadLetters.{field}"), value] };
            set.insert(
                "deadLetters",
                doc! {
                    "count": { "$add": [{ "$ifNull": ["$deadLetters.count", 0i64] }, dead.count] },
                    "since": or("since", dead.since),
                    "until": dead.until,
                    "firstMade": { "$min": [or("firstMade", dead.first_made), dead.first_made] },
                    "lastMade": { "$max": [or("lastMade", dead.last_made), dead.last_made] },
                    "reason": { "$literal": &dead.reason },
                },
            );
        }
        vec![doc! { "$set": set }]
    }
}

/// Writes what happened, one statement a webhook in one command.
///
/// # Errors
/// The driver's error; the changes may then be written again. What had been written nevertheless counts its dead letters twice.
pub async fn record_health(store: &Store, changes: &[(ObjectId, HealthChange)]) -> mongodb::error::Result<()> {
    let updates: Vec<Document> = changes
        .iter()
        .map(|(id, change)| doc! { "q": { "_id": id }, "u": change.pipeline(), "upsert": true })
        .collect();
    if updates.is_empty() {
        return Ok(());
    }
    store.db.run_command(doc! { "update": names::WEBHOOK_HEALTH, "updates": updates, "ordered": false }).await?;
    Ok(())
}

/// Begins anew: what failed before a webhook was enabled does not count, in the transaction that enables it.
///
/// # Errors
/// The driver's error.
pub async fn forget_failures(
    store: &Store,
    session: &mut ClientSession,
    webhook: ObjectId,
) -> mongodb::error::Result<()> {
    let health = store.collection::<Document>(names::WEBHOOK_HEALTH);
    health
        .update_one(doc! { "_id": webhook }, doc! { "$unset": { "failingSince": "", "toldFailing": "" } })
        .session(session)
        .await?;
    Ok(())
}

/// Leaves the time from `from` to `until`, in which nothing was tried, out of the time for which these webhooks have been
/// failing. `ids` is a condition on the webhook's id.
///
/// # Errors
/// The driver's error.
pub async fn leave_out(
    store: &Store,
    session: &mut ClientSession,
    ids: Document,
    from: DateTime,
    until: DateTime,
) -> mongodb::error::Result<()> {
    let failing = doc! { "_id": ids, "failingSince": { "$lt": until } };
    let idle = doc! { "$max": [0, { "$subtract": [until, { "$max": [from, "$failingSince"] }] }] };
    let later = vec![doc! { "$set": { "failingSince": { "$add": ["$failingSince", idle] } } }];
    store.collection::<Document>(names::WEBHOOK_HEALTH).update_many(failing, later).session(session).await?;
    Ok(())
}

/// Those of `webhooks` that have been failing since `before` or longer.
///
/// # Errors
/// The driver's error.
pub async fn failing_since_before(
    store: &Store,
    webhooks: &[ObjectId],
    before: DateTime,
) -> mongodb::error::Result<Vec<ObjectId>> {
    let long = doc! { "_id": { "$in": webhooks }, "failingSince": { "$lte": before } };
    let health = store.collection::<WebhookHealth>(names::WEBHOOK_HEALTH);
    health.find(long).await?.map_ok(|health| health.webhook_id).try_collect().await
}

/// The number of the stop by which the retry clocks of a webhook's rows were moved last; 0: of none.
///
/// # Errors
/// The driver's error.
pub async fn clock_of(store: &Store, webhook: ObjectId) -> mongodb::error::Result<i64> {
    let health = store.collection::<Document>(names::WEBHOOK_HEALTH);
    let found = health.find_one(doc! { "_id": webhook }).projection(doc! { "clockAt": 1 }).await?;
    Ok(found.and_then(|health| health.get_i64("clockAt").ok()).unwrap_or(0))
}

/// Notes that all rows of a webhook have their clocks moved by its stops up to this one.
///
/// # Errors
/// The driver's error.
pub async fn set_clock(store: &Store, webhook: ObjectId, n: i64) -> mongodb::error::Result<()> {
    let health = store.collection::<Document>(names::WEBHOOK_HEALTH);
    health.update_one(doc! { "_id": webhook }, doc! { "$max": { "clockAt": n } }).upsert(true).await?;
    Ok(())
}

/// Webhooks whose last attempt failed; at most `limit`.
///
/// # Errors
/// The driver's error.
pub async fn failing(store: &Store, limit: i64) -> mongodb::error::Result<Vec<ObjectId>> {
    let health = store.collection::<Document>(names::WEBHOOK_HEALTH);
    let found = health.find(doc! { "failingSince": { "$exists": true } }).projection(doc! { "_id": 1 }).limit(limit);
    let found: Vec<Document> = found.await?.try_collect().await?;
    Ok(found.iter().filter_map(|health| health.get_object_id("_id").ok()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> DateTime {
        DateTime::from_millis(seconds * 1000)
    }

    #[test]
    fn what_could_not_be_written_goes_before_what_came_since() {
        let of = |events: &[(i64, bool)]| {
            let mut change = HealthChange::default();
            for (seconds, succeeded) in events {
                if *succeeded {
                    change.succeeded(at(*seconds))
                } else {
                    change.failed(at(*seconds), || format!("at {seconds}"))
                }
            }
            change
        };
        // Wherever a write is missed, what is written in the end is the same.
        let events = [(1, false), (2, false), (3, true), (4, false), (5, false), (6, true)];
        for end in 0..=events.len() {
            for missed in 0..=end {
                let mut change = of(&events[missed..end]);
                change.add_before(of(&events[..missed]));
                assert_eq!(change, of(&events[..end]), "{missed} of {end}");
            }
        }
    }

    #[test]
    fn what_was_given_up_is_counted_over_a_missed_write() {
        let (mut earlier, mut change) = (HealthChange::default(), HealthChange::default());
        earlier.given_up(at(10), at(2), "first");
        change.given_up(at(20), at(1), "second");
        change.given_up(at(30), at(3), "third");
        change.add_before(earlier);
        let times = |dead: &DeadLetters| [dead.since, dead.until, dead.first_made, dead.last_made];
        let dead = change.dead.unwrap();
        assert_eq!((dead.count, dead.reason.as_str()), (3, "third"));
        assert_eq!(times(&dead), [at(10), at(30), at(1), at(3)]);
    }

    #[test]
    fn a_success_ends_the_failing_and_a_later_failure_begins_it_anew() {
        let mut change = HealthChange::default();
        change.failed(at(1), || "HTTP 500".into());
        assert_eq!(
            change.pipeline()[0].get_document("$set").unwrap().get_document("failingSince").unwrap(),
            &doc! { "$ifNull": ["$failingSince", at(1)] }
        );
        change.succeeded(at(2));
        assert_eq!(change.pipeline()[0].get_document("$set").unwrap().get_str("failingSince").unwrap(), "$$REMOVE");
        change.failed(at(3), || "HTTP 502".into());
        change.failed(at(4), || "HTTP 503".into());
        let set = change.pipeline().remove(0);
        let set = set.get_document("$set").unwrap();
        assert_eq!(set.get_datetime("failingSince").unwrap(), &at(3));
        assert_eq!(set.get_datetime("lastSuccessAt").unwrap(), &at(2));
        assert_eq!(set.get_datetime("lastFailureAt").unwrap(), &at(4));
    }
}
