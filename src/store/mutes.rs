//! `mutes`: what operators have muted. Only ever inserted into, so that the change stream brings each mute at its own point;
//! a group's newest one holds.

use std::time::Duration;

use bson::{DateTime, doc, oid::ObjectId};
use futures::TryStreamExt;
use mongodb::error::Result;
use serde::{Deserialize, Serialize};

use super::{Store, names};
use crate::model::DocId;
use crate::model::dates::later;

/// How long a mute that is over stays on record.
const KEPT: Duration = Duration::from_secs(365 * 86_400);

/// One document: a group's changes from its insert on and before `until` are told to nobody.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Mute {
    /// Its id.
    #[serde(rename = "_id")]
    pub id: ObjectId,
    /// Which group.
    pub group_id: DocId,
    /// Till when, by the changes' own time.
    pub until: DateTime,
    /// When it was set. Server time.
    pub at: DateTime,
    /// Who did it.
    pub by: String,
    /// What the operator noted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// When the record of it is removed.
    pub expire_at: DateTime,
}

impl Mute {
    /// A mute of `group` until then; one that ends at once ends the group's mute.
    #[must_use]
    pub fn new(group_id: DocId, until: DateTime, at: DateTime, by: String, note: Option<String>) -> Self {
        let expire_at = later(until.max(at), KEPT);
        Self { id: ObjectId::new(), group_id, until, at, by, note, expire_at }
    }
}

/// Puts one on record.
///
/// # Errors
/// The driver's error.
pub async fn add(store: &Store, mute: &Mute) -> Result<()> {
    store.collection::<Mute>(names::MUTES).insert_one(mute).await.map(|_| ())
}

/// Those in force at `now`: of each group the newest, where its end is still to come.
///
/// # Errors
/// The driver's error.
pub async fn in_force(store: &Store, now: DateTime) -> Result<Vec<Mute>> {
    let newest = [
        doc! { "$sort": { "groupId": 1, "at": -1, "_id": -1 } },
        doc! { "$group": { "_id": "$groupId", "mute": { "$first": "$$ROOT" } } },
        doc! { "$replaceRoot": { "newRoot": "$mute" } },
        doc! { "$match": { "until": { "$gt": now } } },
        doc! { "$sort": { "_id": 1 } },
    ];
    let mutes = store.collection::<Mute>(names::MUTES);
    mutes.aggregate(newest).with_type::<Mute>().await?.try_collect().await
}
