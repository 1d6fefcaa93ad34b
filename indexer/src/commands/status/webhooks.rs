//! Whose webhooks are in trouble: an operator administers no group, and is told here which admin to speak to.

use std::collections::HashMap;

use bson::{DateTime, doc, oid::ObjectId};
use futures::TryStreamExt;
use mongodb::error::Result;
use serde::{Deserialize, Serialize};
use taskwire::model::{DisabledReason, DocId};
use taskwire::store::{Store, names};

use super::moment;

/// Webhooks of each kind that are shown.
const SHOWN: usize = 20;

/// Failing ones that are read.
const MOST: i64 = 10_000;

/// Webhooks that get nothing through.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Troubled {
    /// How many enabled ones have been failing since their last success.
    pub(super) failing_count: usize,
    /// The first of them, by when it began.
    pub(super) failing: Vec<Failing>,
    /// How many Taskwire disabled.
    pub(super) disabled_count: usize,
    /// The last of them.
    pub(super) disabled: Vec<Disabled>,
}

/// One whose attempts fail.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Failing {
    pub(super) webhook_id: String,
    pub(super) group_id: String,
    pub(super) since: String,
    pub(super) error: Option<String>,
}

/// One that Taskwire disabled.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Disabled {
    pub(super) webhook_id: String,
    pub(super) group_id: String,
    pub(super) reason: DisabledReason,
}

/// As much of a webhook's health as is told of it.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Health {
    #[serde(rename = "_id")]
    id: ObjectId,
    failing_since: DateTime,
    last_error: Option<String>,
}

/// As much of a configuration as is told of it.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Standing {
    #[serde(rename = "_id")]
    id: ObjectId,
    group_id: DocId,
    enabled: bool,
    disabled_reason: Option<DisabledReason>,
    deleted_at: Option<DateTime>,
}

impl Standing {
    /// Whether deliveries are sent to it.
    pub(super) const fn is_live(&self) -> bool {
        self.enabled && self.deleted_at.is_none()
    }
}

/// What is in trouble.
pub(super) async fn troubled(store: &Store) -> Result<Troubled> {
    let failing = doc! { "failingSince": { "$exists": true } };
    let health = store.collection::<Health>(names::WEBHOOK_HEALTH);
    let failing: Vec<Health> =
        health.find(failing).sort(doc! { "failingSince": 1 }).limit(MOST).await?.try_collect().await?;
    let ids: Vec<_> = failing.iter().map(|health| health.id).collect();
    let standing = standing(store, &ids).await?;
    let failing: Vec<_> = failing.iter().filter_map(|health| Failing::of(health, &standing)).collect();
    let disabled = disabled(store).await?;
    Ok(Troubled {
        failing_count: failing.len(),
        failing: failing.into_iter().take(SHOWN).collect(),
        disabled_count: disabled.len(),
        disabled: disabled.into_iter().take(SHOWN).collect(),
    })
}

/// How these webhooks stand.
pub(super) async fn standing(store: &Store, ids: &[ObjectId]) -> Result<HashMap<ObjectId, Standing>> {
    let webhooks = store.collection::<Standing>(names::WEBHOOKS);
    let found: Vec<Standing> = webhooks.find(doc! { "_id": { "$in": ids } }).await?.try_collect().await?;
    Ok(found.into_iter().map(|standing| (standing.id, standing)).collect())
}

async fn disabled(store: &Store) -> Result<Vec<Disabled>> {
    let reasons = [DisabledReason::Gone, DisabledReason::FailingFor5Days].map(|reason| reason.to_string());
    let by_us = doc! { "disabledReason": { "$in": reasons.as_slice() }, "deletedAt": { "$exists": false } };
    let webhooks = store.collection::<Standing>(names::WEBHOOKS);
    let found = webhooks.find(by_us).sort(doc! { "updatedAt": -1 }).limit(MOST).await?;
    let shown = |standing: Standing| {
        let (webhook_id, group_id) = (standing.id.to_hex(), standing.group_id.to_string());
        standing.disabled_reason.map(|reason| Disabled { webhook_id, group_id, reason })
    };
    let found: Vec<Standing> = found.try_collect().await?;
    Ok(found.into_iter().filter_map(shown).collect())
}

impl Failing {
    /// `None` for one that nothing is sent to: it cannot fail any more.
    fn of(health: &Health, standing: &HashMap<ObjectId, Standing>) -> Option<Self> {
        let group = &standing.get(&health.id).filter(|standing| standing.is_live())?.group_id;
        Some(Self {
            webhook_id: health.id.to_hex(),
            group_id: group.to_string(),
            since: moment::shown_date(health.failing_since),
            error: health.last_error.clone(),
        })
    }
}
