//! `deliveryStats`: one document for each webhook and hour, to which dispatchers add about once a second.

use std::time::Duration;

use bson::{Bson, DateTime, Document, doc, oid::ObjectId};
use futures::TryStreamExt;
use mongodb::error::Result;
use serde::Deserialize;

use super::{Store, names};
use crate::model::dates::later;
use crate::model::stats::{Counts, HOUR, HourOfWebhook};
use crate::model::{DocId, Webhook};

/// How long a read may take.
const READ_MAX: Duration = Duration::from_secs(10);

/// How long an hour's counts are kept.
pub const KEPT: Duration = Duration::from_secs(90 * 86_400);

/// As it is stored.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Stored {
    group_id: DocId,
    webhook_id: ObjectId,
    hour: DateTime,
    #[serde(default)]
    successes: i64,
    #[serde(default)]
    failures: i64,
    #[serde(default)]
    dead_letters: i64,
    /// By bucket; only those that have any.
    #[serde(default)]
    took: Document,
}

impl From<Stored> for HourOfWebhook {
    fn from(stored: Stored) -> Self {
        let mut counts = Counts {
            successes: stored.successes,
            failures: stored.failures,
            dead_letters: stored.dead_letters,
            ..Counts::default()
        };
        for (bucket, count) in &stored.took {
            let count = count.as_i64().or_else(|| count.as_i32().map(i64::from));
            if let (Ok(bucket), Some(count)) = (bucket.parse(), count) {
                counts.durations.add(bucket, count);
            }
        }
        Self { group_id: stored.group_id, webhook_id: stored.webhook_id, hour: stored.hour, counts }
    }
}

/// `<webhook>/<seconds>`, of one width, so that a webhook's hours are a range of ids.
fn key(webhook: ObjectId, hour: DateTime) -> String {
    format!("{webhook}/{:012}", hour.timestamp_millis().max(0) / 1000)
}

/// Adds these counts.
///
/// # Errors
/// The driver's error. Some may have been added.
pub async fn add(store: &Store, hours: &[HourOfWebhook]) -> Result<()> {
    let updates = hours.iter().map(|hour| {
        let Counts { successes, failures, dead_letters, durations } = &hour.counts;
        let mut add = Document::new();
        for (name, count) in [("successes", successes), ("failures", failures), ("deadLetters", dead_letters)] {
            if *count != 0 {
                add.insert(name, *count);
            }
        }
        durations.counts().for_each(|(bucket, count)| drop(add.insert(format!("took.{bucket}"), count)));
        let expire_at = later(hour.hour, HOUR + KEPT);
        let what = doc! {
            "groupId": hour.group_id.clone(), "webhookId": hour.webhook_id, "hour": hour.hour, "expireAt": expire_at,
        };
        let update = doc! { "$inc": add, "$setOnInsert": what };
        Bson::from(doc! { "q": { "_id": key(hour.webhook_id, hour.hour) }, "u": update, "upsert": true })
    });
    let command = doc! { "update": names::STATS, "updates": updates.collect::<Vec<_>>(), "ordered": false };
    store.db.run_command(command).await.map(|_| ())
}

/// A webhook's hours from `since` on, oldest first.
///
/// # Errors
/// The driver's error.
pub async fn of_webhook(store: &Store, webhook: &Webhook, since: DateTime) -> Result<Vec<HourOfWebhook>> {
    let end = key(webhook.id, DateTime::MAX);
    let range = doc! {
        "_id": { "$gte": key(webhook.id, since), "$lte": end }, "groupId": webhook.group_id.clone(),
    };
    let found = store.collection::<Stored>(names::STATS);
    let found = found.find(range).sort(doc! { "_id": 1 }).max_time(READ_MAX);
    found.await?.map_ok(HourOfWebhook::from).try_collect().await
}

/// The hours of all webhooks of these groups from `since` on, oldest first.
///
/// # Errors
/// The driver's error.
pub async fn of_groups(store: &Store, groups: &[DocId], since: DateTime) -> Result<Vec<HourOfWebhook>> {
    let range = doc! { "groupId": { "$in": groups }, "hour": { "$gte": since } };
    let found = store.collection::<Stored>(names::STATS);
    let found = found.find(range).sort(doc! { "hour": 1 }).max_time(READ_MAX);
    found.await?.map_ok(HourOfWebhook::from).try_collect().await
}
