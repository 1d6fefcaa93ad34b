//! Claims that keep a task's order: a row may go only if no lower `sequence` of its webhook and task is open.
//!
//! Candidates are the heads (lowest open rows) of the tasks that have due rows. Rows behind a head that waits for its retry
//! would fill the front of the queue and hide other tasks, so when a page holds too few candidates they are parked: their
//! `due` moves to the head's. When a head is finished, the next row of its task is claimed straight away, parked or not.

use std::collections::{HashMap, HashSet};

use bson::{Bson, DateTime, Document, doc, oid::ObjectId};
use futures::TryStreamExt;
use mongodb::options::Hint;
use serde::Deserialize;
use taskwire::model::{Delivery, DocId};
use taskwire::store::{Store, names};

/// Due rows looked at where as many as are wanted did not hold enough candidates.
const LONG_PAGE: usize = 2000;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct DueRow {
    #[serde(rename = "_id")]
    id: String,
    task_id: DocId,
    #[serde(default)]
    ordered: bool,
}

/// The lowest open row of a task.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Head {
    #[serde(rename = "_id")]
    task: DocId,
    id: String,
    due: Option<DateTime>,
    lease: Option<String>,
    next_attempt_at: Option<DateTime>,
}

impl Head {
    fn is_due(&self, now: DateTime) -> bool {
        self.due.is_some_and(|due| due <= now)
    }

    /// Parked behind a row that is finished now.
    fn is_parked(&self, now: DateTime) -> bool {
        !self.is_due(now) && self.lease.is_none() && self.next_attempt_at.is_none_or(|at| at <= now)
    }
}

/// What may be claimed.
#[derive(Debug, Default)]
pub(crate) struct Candidates {
    /// Rows whose turn it is.
    pub(crate) ids: Vec<String>,
    /// Whether more are there.
    pub(crate) more: bool,
    /// Whether rows were parked, so that looking again at once finds others.
    pub(crate) parked: bool,
}

/// Whether a webhook has open rows that keep an order.
pub(crate) async fn has_ordered(store: &Store, webhook: ObjectId) -> mongodb::error::Result<bool> {
    let rows = store.collection::<Document>(names::DELIVERIES);
    let found = rows
        .find_one(doc! { "ordered": true, "webhookId": webhook })
        .projection(doc! { "_id": 0, "taskId": 1 })
        .hint(Hint::Name("open_in_order".into()))
        .await?;
    Ok(found.is_some())
}

/// Up to `most` rows of this webhook whose turn it is; `freed` are tasks whose head was finished a moment ago.
pub(crate) async fn candidates(
    store: &Store,
    webhook: ObjectId,
    now: DateTime,
    most: usize,
    freed: &HashSet<DocId>,
) -> mongodb::error::Result<Candidates> {
    match look(store, webhook, now, most, most, freed).await? {
        (found, true) if found.ids.len() < most => Ok(look(store, webhook, now, LONG_PAGE, most, freed).await?.0),
        (found, _) => Ok(found),
    }
}

/// Looks at `page_size` due rows; returns whether there were so many, too. A long page with too few candidates is parked.
async fn look(
    store: &Store,
    webhook: ObjectId,
    now: DateTime,
    page_size: usize,
    most: usize,
    freed: &HashSet<DocId>,
) -> mongodb::error::Result<(Candidates, bool)> {
    let page = due_page(store, webhook, now, page_size).await?;
    let is_full = page.len() == page_size;
    let tasks: HashSet<&DocId> = page.iter().filter(|row| row.ordered).map(|row| &row.task_id).chain(freed).collect();
    let heads: HashMap<DocId, Head> =
        heads(store, webhook, &tasks).await?.into_iter().map(|head| (head.task.clone(), head)).collect();
    unpark(store, heads.values().filter(|head| freed.contains(&head.task) && head.is_parked(now)), now).await?;
    let mut ids: Vec<String> = Vec::with_capacity(most);
    let mut chosen: HashSet<&DocId> = HashSet::new();
    for task in freed {
        let head = heads.get(task).filter(|head| head.is_due(now) || head.is_parked(now));
        if let Some(head) = head.filter(|_| chosen.insert(task)) {
            ids.push(head.id.clone());
        }
    }
    for row in &page {
        if !row.ordered {
            ids.push(row.id.clone());
        } else if let Some(head) = heads.get(&row.task_id).filter(|head| head.is_due(now))
            && chosen.insert(&row.task_id)
        {
            ids.push(head.id.clone());
        }
    }
    let hidden = is_full && ids.len() < most && page_size >= LONG_PAGE;
    let parked = hidden && park(store, webhook, &page, &heads, now).await?;
    let more = is_full && ids.len() >= most;
    ids.truncate(most);
    Ok((Candidates { ids, more, parked }, is_full))
}

/// Of rows just claimed, those that a lower open row of their task precedes after all: a replay or backfill brought it in
/// between the search and the claim.
pub(crate) async fn out_of_turn(
    store: &Store,
    webhook: ObjectId,
    claimed: &[Delivery],
) -> mongodb::error::Result<HashSet<usize>> {
    let keeps_order = |row: &Delivery| row.ordered == Some(true) && row.webhook_id == webhook;
    let tasks: HashSet<&DocId> = claimed.iter().filter(|row| keeps_order(row)).map(|row| &row.task_id).collect();
    let lowest = lowest_sequences(store, webhook, &tasks).await?;
    let precedes =
        |row: &Delivery| keeps_order(row) && lowest.get(&row.task_id).is_some_and(|lowest| *lowest < row.sequence);
    Ok(claimed.iter().enumerate().filter(|(_, row)| precedes(row)).map(|(at, _)| at).collect())
}

async fn due_page(store: &Store, webhook: ObjectId, now: DateTime, size: usize) -> mongodb::error::Result<Vec<DueRow>> {
    let rows = store.collection::<DueRow>(names::DELIVERIES);
    rows.find(doc! { "webhookId": webhook, "due": { "$lte": now } })
        .sort(doc! { "due": 1 })
        .projection(doc! { "taskId": 1, "ordered": 1 })
        .hint(Hint::Name("open_by_webhook".into()))
        .limit(i64::try_from(size).unwrap_or(i64::MAX))
        .batch_size(u32::try_from(size).unwrap_or(u32::MAX))
        .await?
        .try_collect()
        .await
}

/// The heads of these tasks: one step in the index for each, however many rows wait behind it.
async fn heads(store: &Store, webhook: ObjectId, tasks: &HashSet<&DocId>) -> mongodb::error::Result<Vec<Head>> {
    if tasks.is_empty() {
        return Ok(Vec::new());
    }
    let pipeline = by_task(
        webhook,
        tasks,
        doc! {
            "_id": "$taskId",
            "id": { "$first": "$_id" },
            "due": { "$first": "$due" },
            "lease": { "$first": "$lease" },
            "nextAttemptAt": { "$first": "$nextAttemptAt" },
        },
    );
    let rows = store.collection::<Document>(names::DELIVERIES);
    let found = rows.aggregate(pipeline).hint(Hint::Name("open_in_order".into())).with_type::<Head>().await?;
    found.try_collect().await
}

/// The heads' sequences alone, which the index covers. A task without open rows is not in the answer.
pub(crate) async fn lowest_sequences(
    store: &Store,
    webhook: ObjectId,
    tasks: &HashSet<&DocId>,
) -> mongodb::error::Result<HashMap<DocId, i64>> {
    #[derive(Deserialize)]
    struct Lowest {
        #[serde(rename = "_id")]
        task: DocId,
        sequence: i64,
    }
    if tasks.is_empty() {
        return Ok(HashMap::new());
    }
    let pipeline = by_task(webhook, tasks, doc! { "_id": "$taskId", "sequence": { "$first": "$sequence" } });
    let rows = store.collection::<Document>(names::DELIVERIES);
    let found = rows.aggregate(pipeline).hint(Hint::Name("open_in_order".into())).with_type::<Lowest>().await?;
    found.map_ok(|lowest| (lowest.task, lowest.sequence)).try_collect().await
}

/// Match, sort and group in the form that the planner answers by a distinct scan.
fn by_task(webhook: ObjectId, tasks: &HashSet<&DocId>, group: Document) -> [Document; 3] {
    let tasks: Vec<Bson> = tasks.iter().map(|task| Bson::from((*task).clone())).collect();
    [
        doc! { "$match": { "ordered": true, "webhookId": webhook, "taskId": { "$in": tasks } } },
        doc! { "$sort": { "ordered": 1, "webhookId": 1, "taskId": 1, "sequence": 1 } },
        doc! { "$group": group },
    ]
}

/// Makes parked heads due.
async fn unpark(store: &Store, parked: impl Iterator<Item = &Head>, now: DateTime) -> mongodb::error::Result<()> {
    let ids: Vec<&str> = parked.map(|head| head.id.as_str()).collect();
    if ids.is_empty() {
        return Ok(());
    }
    let filter = doc! {
        "_id": { "$in": ids }, "lease": null, "due": { "$gt": now },
        "$or": [{ "nextAttemptAt": null }, { "nextAttemptAt": { "$lte": now } }],
    };
    let rows = store.collection::<Document>(names::DELIVERIES);
    rows.update_many(filter, doc! { "$set": { "due": now } }).await.map(|_| ())
}

/// Moves the page's rows that wait behind a head to the head's due time. Returns whether there were any.
async fn park(
    store: &Store,
    webhook: ObjectId,
    page: &[DueRow],
    heads: &HashMap<DocId, Head>,
    now: DateTime,
) -> mongodb::error::Result<bool> {
    let mut behind: HashMap<&DocId, Vec<&str>> = HashMap::new();
    for row in page.iter().filter(|row| row.ordered) {
        behind.entry(&row.task_id).or_default().push(&row.id);
    }
    let updates: Vec<Document> = behind
        .into_iter()
        .filter_map(|(task, ids)| {
            let head = heads.get(task)?;
            let due = head.due.filter(|due| *due > now)?;
            let ids: Vec<&str> = ids.into_iter().filter(|id| *id != head.id).collect();
            let waiting = doc! {
                "_id": { "$in": ids }, "webhookId": webhook, "ordered": true, "lease": null, "due": { "$lte": now },
            };
            Some(doc! { "q": waiting, "u": { "$set": { "due": due } }, "multi": true })
        })
        .collect();
    if updates.is_empty() {
        return Ok(false);
    }
    let command = doc! { "update": names::DELIVERIES, "updates": updates, "ordered": false };
    store.db.run_command(command).await.map(|answer| answer.get_i32("nModified").unwrap_or(0) > 0)
}
