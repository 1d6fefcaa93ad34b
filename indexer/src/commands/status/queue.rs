//! The queue, dead letters, and what is aside: counted along indexes that hold only those.

use std::collections::BTreeMap;

use bson::{DateTime, Document, doc, oid::ObjectId};
use futures::TryStreamExt;
use mongodb::error::Result;
use mongodb::options::Hint;
use serde::{Deserialize, Serialize};
use taskwire::store::{Store, names};

use super::{moment, webhooks};
use crate::quarantine::EntryStatus;

/// Counts go no further than this.
const MOST: i64 = 2_000_000;

/// Rows that are read for their state, which no index holds.
const SAMPLE: i64 = 20_000;

/// Webhooks that are shown.
const SHOWN: usize = 5;

/// What waits to be sent.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Queue {
    pub(super) open: i64,
    /// Of them, due now.
    pub(super) due: i64,
    pub(super) by_state: ByState,
    pub(super) dead_letters: u64,
    /// Those with the most open rows.
    pub(super) webhooks: Vec<OfWebhook>,
}

/// Open rows by what they are, among the first `of`.
#[derive(Debug, Default, Serialize)]
pub(super) struct ByState {
    pub(super) queued: i64,
    pub(super) failed: i64,
    /// Of both, those that a dispatcher holds.
    pub(super) held: i64,
    pub(super) of: i64,
}

/// One webhook's queue.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct OfWebhook {
    pub(super) webhook_id: String,
    pub(super) open: i64,
    pub(super) due: i64,
    /// When the most overdue became due.
    pub(super) first_due: String,
    /// Whether it is enabled; of another, the rows wait for it to be enabled again.
    pub(super) live: bool,
}

/// What is aside, and what became of the rest.
#[derive(Debug, Default, Serialize)]
pub(super) struct Aside {
    pub(super) aside: u64,
    #[serde(flatten)]
    pub(super) others: BTreeMap<&'static str, u64>,
}

#[derive(Deserialize)]
struct Group {
    #[serde(rename = "_id")]
    webhook: ObjectId,
    open: i64,
    due: i64,
    first: DateTime,
}

fn hint(index: &str) -> Hint {
    Hint::Name(index.to_owned())
}

/// Counts it.
pub(super) async fn queue(store: &Store, now: DateTime) -> Result<Queue> {
    let rows = store.collection::<Document>(names::DELIVERIES);
    // Covered by the index: no row is read.
    let count = [
        doc! { "$limit": MOST },
        doc! { "$group": {
            "_id": "$webhookId", "open": { "$sum": 1i64 }, "first": { "$min": "$due" },
            "due": { "$sum": { "$cond": [{ "$lte": ["$due", now] }, 1i64, 0i64] } },
        } },
    ];
    let groups = rows.aggregate(count).hint(hint("open_by_webhook")).with_type::<Group>().await;
    let Some(groups) = there(groups)? else { return Ok(nothing()) };
    let mut groups: Vec<Group> = groups.try_collect().await?;
    groups.sort_by_key(|group| (-group.open, group.webhook));
    let shown = groups.iter().take(SHOWN);
    let standing = webhooks::standing(store, &shown.clone().map(|group| group.webhook).collect::<Vec<_>>()).await?;
    let is_live = |group: &Group| standing.get(&group.webhook).is_some_and(webhooks::Standing::is_live);
    Ok(Queue {
        open: groups.iter().map(|group| group.open).sum(),
        due: groups.iter().map(|group| group.due).sum(),
        by_state: by_state(store).await?,
        dead_letters: rows.count_documents(doc! {}).hint(hint("dead_letters")).limit(MOST.unsigned_abs()).await?,
        webhooks: shown.map(|group| OfWebhook::of(group, is_live(group))).collect(),
    })
}

/// `None` where the index is not there, because no program has been started yet.
fn there<T>(result: Result<T>) -> Result<Option<T>> {
    use mongodb::error::ErrorKind;
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if matches!(error.kind.as_ref(), ErrorKind::Command(command) if command.code == 2) => Ok(None),
        Err(error) => Err(error),
    }
}

const fn nothing() -> Queue {
    let by_state = ByState { queued: 0, failed: 0, held: 0, of: 0 };
    Queue { open: 0, due: 0, by_state, dead_letters: 0, webhooks: Vec::new() }
}

impl OfWebhook {
    fn of(group: &Group, live: bool) -> Self {
        let first_due = moment::shown_date(group.first);
        Self { webhook_id: group.webhook.to_hex(), open: group.open, due: group.due, first_due, live }
    }
}

async fn by_state(store: &Store) -> Result<ByState> {
    let rows = store.collection::<Document>(names::DELIVERIES);
    let held = doc! { "$gt": ["$lease", bson::Bson::Null] };
    let count = [
        doc! { "$limit": SAMPLE },
        doc! { "$group": { "_id": { "status": "$status", "held": held }, "count": { "$sum": 1i64 } } },
    ];
    let mut groups = rows.aggregate(count).hint(hint("open_by_webhook")).await?;
    let mut states = ByState::default();
    while let Some(group) = groups.try_next().await? {
        let count = group.get_i64("count").unwrap_or(0);
        states.of += count;
        let Ok(id) = group.get_document("_id") else { continue };
        match id.get_str("status") {
            Ok("queued") => states.queued += count,
            Ok("failed") => states.failed += count,
            _ => {}
        }
        if id.get_bool("held").unwrap_or(false) {
            states.held += count;
        }
    }
    Ok(states)
}

/// Counts the entries of `quarantinedChanges` by their status.
pub(super) async fn aside(store: &Store) -> Result<Aside> {
    let entries = store.collection::<Document>(names::QUARANTINE);
    let mut counts = Aside::default();
    for status in EntryStatus::ALL {
        let count = entries.count_documents(doc! { "status": status.name() }).await?;
        match status {
            EntryStatus::Aside => counts.aside = count,
            EntryStatus::Retried | EntryStatus::Superseded | EntryStatus::Dropped => {
                counts.others.insert(status.name(), count);
            }
        }
    }
    Ok(counts)
}
