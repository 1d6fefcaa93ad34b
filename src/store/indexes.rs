//! The indexes, made at start by either program; making one that exists does nothing. `docs/COLLECTIONS.md` lists them.

use std::time::Duration;

use bson::{Document, doc};
use mongodb::IndexModel;
use mongodb::options::IndexOptions;

use super::{Store, names};
use crate::model::{DeliveryStatus, ReplayState};

/// Makes every index of Taskwire's own collections. Never touches a collection of the task service.
///
/// # Errors
/// The driver's error, for instance a missing privilege.
pub async fn ensure_indexes(store: &Store) -> mongodb::error::Result<()> {
    let plain = |keys: Document| IndexModel::builder().keys(keys).build();
    let named = |keys: Document, name: &str, filter: Document| {
        let options = IndexOptions::builder().name(name.to_owned()).partial_filter_expression(filter).build();
        IndexModel::builder().keys(keys).options(options).build()
    };
    let unique =
        |keys: Document| IndexModel::builder().keys(keys).options(IndexOptions::builder().unique(true).build()).build();
    let at_expiry = |filter: Document| {
        let filter = (!filter.is_empty()).then_some(filter);
        let options = IndexOptions::builder().name("at_expiry".to_owned()).expire_after(Duration::ZERO);
        IndexModel::builder()
            .keys(doc! { "expireAt": 1 })
            .options(options.partial_filter_expression(filter).build())
            .build()
    };
    let list_key = doc! { "groupId": 1, "webhookId": 1, "createdAt": -1, "_id": -1 };
    let indexes: [(&str, Vec<IndexModel>); 15] = [
        (names::WEBHOOKS, vec![plain(doc! { "groupId": 1 }), plain(doc! { "updatedAt": 1 })]),
        (
            names::DELIVERIES,
            vec![
                // The admin's list, newest first.
                plain(list_key.clone()),
                // The claim: open rows only, so it is as small as the backlog. Covers the search for candidates.
                named(
                    doc! { "webhookId": 1, "due": 1, "_id": 1 },
                    "open_by_webhook",
                    doc! { "due": { "$exists": true } },
                ),
                // perTask order: the lowest open sequence of a task. `ordered` is a key so that the index covers the search.
                named(
                    doc! { "ordered": 1, "webhookId": 1, "taskId": 1, "sequence": 1 },
                    "open_in_order",
                    doc! { "ordered": true },
                ),
                // What was given up: its list, its count and its bulk replay.
                named(list_key.clone(), "dead_letters", doc! { "status": DeliveryStatus::DeadLetter.name() }),
                // What waits for another attempt, for its list.
                named(list_key.clone(), "failed", doc! { "status": DeliveryStatus::Failed.name() }),
                // Removal. Holds finished rows only ("dead-letter" and "delivered" sort before "failed" and "queued"), so
                // that an open row can never age out, whatever it carries.
                at_expiry(doc! { "expireAt": { "$exists": true }, "status": { "$lt": DeliveryStatus::Failed.name() } }),
            ],
        ),
        // Those that have stood for long.
        (names::PARCELS, vec![plain(doc! { "at": 1 })]),
        // The log of a group, and of a task, newest first.
        (names::EVENTS, vec![plain(doc! { "groupId": 1, "_id": -1 }), plain(doc! { "taskId": 1, "_id": -1 })]),
        (names::MUTES, vec![at_expiry(Document::new())]),
        (names::WEBHOOK_VERSIONS, vec![plain(doc! { "webhookId": 1, "at.t": -1, "at.i": -1, "at.n": -1 })]),
        // Whose group is to be told something: failing, told of that, or with deliveries given up. Each is small.
        (
            names::WEBHOOK_HEALTH,
            ["failingSince", "toldFailing", "deadLetters.since"]
                .map(|field| named(doc! { field: 1 }, field, doc! { field: { "$exists": true } }))
                .to_vec(),
        ),
        (
            names::REPLAYS,
            vec![
                plain(doc! { "webhookId": 1, "_id": -1 }),
                named(doc! { "servedAt": 1 }, "running", doc! { "status": ReplayState::Running.name() }),
                at_expiry(Document::new()),
            ],
        ),
        (names::STATS, vec![plain(doc! { "groupId": 1, "hour": 1 }), at_expiry(Document::new())]),
        // What is aside, in the order of the stream; and its count.
        (names::QUARANTINE, vec![plain(doc! { "status": 1, "clusterTime": 1, "_id": 1 })]),
        (names::INBOUND, vec![unique(doc! { "groupId": 1 })]),
        (names::RECEIPTS, vec![at_expiry(Document::new()), plain(doc! { "integrationId": 1, "at": -1, "_id": -1 })]),
        (names::GAPS, vec![at_expiry(Document::new())]),
        (names::IDEMPOTENCY, vec![at_expiry(Document::new())]),
        // Each group's audit is numbered without holes; the index makes two changes at once take turns.
        (names::AUDIT, vec![unique(doc! { "groupId": 1, "sequence": -1 })]),
    ];
    for (collection, models) in indexes {
        store.collection::<Document>(collection).create_indexes(models).await?;
    }
    Ok(())
}
