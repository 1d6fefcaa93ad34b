//! Which of the service's documents do not fit the mapping, and why.

use std::collections::BTreeMap;

use bson::{Bson, RawDocument, doc};
use indicatif::ProgressBar;
use serde::Serialize;
use taskwire::mapping::Mapping;
use taskwire::model::DocId;
use taskwire::store::Store;

use super::{Check, Verdict};
use crate::change::read_row;
use crate::commands::CommandError;
use crate::lag::cluster_time;
use crate::scan::{self, Query, Range, find_all};

/// Reasons that are told apart.
const REASONS: usize = 50;

/// One reason.
#[derive(Debug, Serialize)]
pub(super) struct Misfit {
    /// The field and what is wrong, without values.
    pub(super) reason: String,
    pub(super) count: u64,
    /// The id of one of them.
    pub(super) example: String,
}

/// What was found in a collection.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Documents {
    pub(super) collection: String,
    pub(super) looked_at: u64,
    pub(super) misfits: Vec<Misfit>,
}

impl Documents {
    pub(super) fn check(&self) -> Check {
        let bad: u64 = self.misfits.iter().map(|misfit| misfit.count).sum();
        let what = "documents";
        if bad == 0 {
            return Check::new(
                what,
                Verdict::Ok,
                format!("{}: all {} fit the mapping", self.collection, self.looked_at),
            );
        }
        let text = format!(
            "{}: {bad} of {} do not fit the mapping, and their changes would be put aside (quarantinedChanges)",
            self.collection, self.looked_at
        );
        // Most of them: it is the mapping that is wrong.
        Check::new(what, if bad * 2 > self.looked_at { Verdict::Bad } else { Verdict::Note }, text)
    }
}

/// Reads tasks and history rows as the watcher would.
pub(super) async fn look(
    store: &Store,
    mapping: &Mapping,
    newest: Option<u64>,
) -> Result<Vec<Documents>, CommandError> {
    let task = |raw: &RawDocument| mapping.read_task(raw).err().map(|misfit| misfit.to_string());
    let mut found = vec![look_at(store, &mapping.task.collection, newest, task).await?];
    if let Some(history) = &mapping.history {
        let row = |raw: &RawDocument| {
            let id = raw.get("_id").ok().flatten().and_then(DocId::from_raw);
            let Some(id) = id else { return Some("_id: no id".to_owned()) };
            read_row(id, raw, history).err().map(|misfit| misfit.to_string())
        };
        found.push(look_at(store, &history.collection, newest, row).await?);
    }
    Ok(found)
}

async fn look_at(
    store: &Store,
    collection: &str,
    newest: Option<u64>,
    misfit: impl Fn(&RawDocument) -> Option<String>,
) -> Result<Documents, CommandError> {
    let mut reasons: BTreeMap<String, (u64, String)> = BTreeMap::new();
    let mut looked_at = 0;
    let mut judge = |raw: &RawDocument| {
        looked_at += 1;
        let Some(reason) = misfit(raw) else { return };
        let reason =
            if reasons.len() < REASONS || reasons.contains_key(&reason) { reason } else { "others".to_owned() };
        let id = || raw.get("_id").ok().flatten().and_then(|id| Bson::try_from(id).ok()).map(|id| id.to_string());
        reasons.entry(reason).or_insert_with(|| (0, id().unwrap_or_default())).0 += 1;
    };
    match newest {
        Some(count) => {
            let count = i64::try_from(count).unwrap_or(i64::MAX);
            let find = doc! { "find": collection, "sort": { "_id": -1 }, "limit": count, "batchSize": scan::CHUNK };
            find_all(store, &find).await?.iter().for_each(|raw| judge(raw));
        }
        None => {
            let bar = ProgressBar::new_spinner();
            let mut range = Range::whole();
            while !range.done {
                // A time of its own for each chunk: the server keeps five minutes of history.
                let chunk =
                    scan::chunk(store, collection, &range, &Query::default(), cluster_time(store).await?).await?;
                let mut count = 0;
                chunk.documents().for_each(|raw| {
                    count += 1;
                    judge(raw);
                });
                range.reach(chunk.last);
                bar.inc(count);
                bar.set_message(format!("{collection}: {} looked at", bar.position()));
            }
            bar.finish_and_clear();
        }
    }
    let misfits = reasons.into_iter().map(|(reason, (count, example))| Misfit { reason, count, example });
    let mut misfits: Vec<Misfit> = misfits.collect();
    misfits.sort_by_key(|misfit| std::cmp::Reverse(misfit.count));
    Ok(Documents { collection: collection.to_owned(), looked_at, misfits })
}
