//! Which of the six events the database can produce, and which it has produced.
//!
//! Can: by the mapping's rules and the collections that hold anything. Has: among the newest events of the log, which is
//! read from its end; an index by kind would cost every recorded event a write for a question that is seldom asked.

use std::collections::BTreeMap;

use bson::{DateTime, Document, doc};
use futures::TryStreamExt;
use mongodb::error::Result;
use serde::{Deserialize, Serialize};
use taskwire::mapping::Mapping;
use taskwire::model::EventKind;
use taskwire::store::names;

use super::{Context, moment};

/// Events of the log that are read.
const NEWEST: i64 = 20_000;

/// The six events.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Produced {
    /// Events in the log, about.
    pub(super) log: u64,
    /// How many of the newest were looked at.
    pub(super) looked_at: i64,
    /// By the event's name.
    pub(super) kinds: BTreeMap<&'static str, Kind>,
}

/// One event.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Kind {
    /// What can tell it; empty: nothing can.
    pub(super) told_by: Vec<&'static str>,
    /// How many there are among those looked at.
    pub(super) told: i64,
    /// When the last of them happened.
    pub(super) last: Option<String>,
}

#[derive(Deserialize)]
struct Group {
    #[serde(rename = "_id")]
    kind: EventKind,
    count: i64,
    last: DateTime,
}

/// The service's collections that hold anything.
async fn filled(context: &Context) -> Result<Vec<&str>> {
    let mut filled = Vec::new();
    for collection in context.mapping.collections() {
        let documents = context.store.collection::<Document>(collection);
        if documents.find_one(doc! {}).projection(doc! { "_id": 1 }).await?.is_some() {
            filled.push(collection);
        }
    }
    Ok(filled)
}

/// Each of the six events, and what can tell it here.
pub(in crate::commands) async fn producible(context: &Context) -> Result<Vec<(&'static str, Vec<&'static str>)>> {
    let filled = filled(context).await?;
    Ok(EventKind::ALL.map(|kind| (kind.name(), told_by(&context.mapping, kind, &filled))).into())
}

/// Looks at the mapping, the collections and the end of the log.
pub(super) async fn produced(context: &Context) -> Result<Produced> {
    let mapping = &context.mapping;
    let filled = filled(context).await?;
    let log = context.store.collection::<Document>(names::EVENTS);
    let newest = [
        doc! { "$sort": { "_id": -1 } },
        doc! { "$limit": NEWEST },
        doc! { "$group": { "_id": "$event", "count": { "$sum": 1i64 }, "last": { "$max": "$at" } } },
    ];
    let groups: Vec<Group> = log.aggregate(newest).with_type::<Group>().await?.try_collect().await?;
    let kinds = EventKind::ALL.map(|kind| {
        let group = groups.iter().find(|group| group.kind == kind);
        let told_by = told_by(mapping, kind, &filled);
        let last = group.map(|group| moment::shown_date(group.last));
        (kind.name(), Kind { told_by, told: group.map_or(0, |group| group.count), last })
    });
    Ok(Produced {
        log: log.estimated_document_count().await?,
        looked_at: groups.iter().map(|group| group.count).sum(),
        kinds: kinds.into_iter().collect(),
    })
}

/// What can tell an event, given the collections that hold anything.
fn told_by(mapping: &Mapping, kind: EventKind, filled: &[&str]) -> Vec<&'static str> {
    let is_filled = |collection: &str| filled.contains(&collection);
    let mut sources = Vec::new();
    let by_tasks = match kind {
        EventKind::Created | EventKind::Updated | EventKind::Swapped => true,
        EventKind::Completed | EventKind::Approved | EventKind::Rejected => {
            mapping.rules.iter().any(|rule| rule.event == kind)
        }
        // Told by Taskwire itself.
        EventKind::WebhookFailing
        | EventKind::WebhookDisabled
        | EventKind::WebhookRecovered
        | EventKind::DeadLetter => false,
    };
    if by_tasks && is_filled(&mapping.task.collection) {
        sources.push(match kind {
            EventKind::Swapped => "transactions of tasks",
            _ => "writes of tasks",
        });
    }
    let rows = mapping.history.as_ref().filter(|shape| is_filled(&shape.collection));
    if rows.is_some_and(|shape| shape.tells.values().any(|told| *told == kind)) {
        sources.push("history rows");
    }
    let requests = mapping.swap_requests.as_ref().filter(|shape| is_filled(&shape.collection));
    if kind == EventKind::Swapped && requests.is_some() {
        sources.push("swap requests");
    }
    sources
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_can_be_told_depends_on_the_mapping_and_on_the_collections_that_are_there() {
        let mapping = Mapping::load("tasks-tracker").unwrap();
        let by = |kind, filled: &[&str]| told_by(&mapping, kind, filled);
        assert_eq!(by(EventKind::Created, &[]), Vec::<&str>::new());
        assert_eq!(by(EventKind::Completed, &["tasks"]), ["writes of tasks"]);
        assert_eq!(by(EventKind::Approved, &["tasks", "taskHistories"]), ["writes of tasks", "history rows"]);
        assert_eq!(by(EventKind::Swapped, &["tasks", "swapRequests"]), ["transactions of tasks", "swap requests"]);
        let camel = Mapping::load("camel-case").unwrap();
        assert_eq!(told_by(&camel, EventKind::Approved, &["tasks", "taskHistories"]), ["writes of tasks"]);
    }
}
