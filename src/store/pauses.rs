//! `dispatchPauses`: what operators have paused. Dispatchers read it with every look at the webhooks.

use bson::{DateTime, Document, doc, oid::ObjectId};
use futures::TryStreamExt;
use mongodb::ClientSession;
use mongodb::error::Result;
use serde::{Deserialize, Serialize};

use super::health::leave_out;
use super::{Store, Verdict, in_transaction, names};
use crate::model::DocId;

/// One document: nothing is sent for a group, or for any.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Pause {
    /// A function of the group, so that a group is paused once.
    #[serde(rename = "_id")]
    id: String,
    /// Which group; absent: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group_id: Option<DocId>,
    /// Since when. Server time.
    pub since: DateTime,
    /// Who did it.
    pub by: String,
    /// What the operator noted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

impl Pause {
    /// A pause of one group, or of all.
    #[must_use]
    pub fn new(group_id: Option<DocId>, since: DateTime, by: String, note: Option<String>) -> Self {
        Self { id: key(group_id.as_ref()), group_id, since, by, note }
    }
}

fn key(group: Option<&DocId>) -> String {
    group.map_or_else(|| "all".to_owned(), |group| format!("group/{group}"))
}

/// All that are in force.
///
/// # Errors
/// The driver's error.
pub async fn list(store: &Store) -> Result<Vec<Pause>> {
    store.collection::<Pause>(names::PAUSES).find(doc! {}).sort(doc! { "_id": 1 }).await?.try_collect().await
}

/// Begins a pause. One that is in force already stays as it is, and is answered.
///
/// # Errors
/// The driver's error.
pub async fn begin(store: &Store, pause: &Pause) -> Result<Option<Pause>> {
    let pauses = store.collection::<Pause>(names::PAUSES);
    let new = doc! { "$setOnInsert": bson::serialize_to_document(pause)? };
    let written = pauses.update_one(doc! { "_id": &pause.id }, new).upsert(true).await?;
    if written.upserted_id.is_some() {
        return Ok(None);
    }
    pauses.find_one(doc! { "_id": &pause.id }).await
}

/// Ends the pause of one group, or that of all; answers it, if there was one. The time for which webhooks were paused is
/// taken out of the time for which they have been failing.
///
/// # Errors
/// The driver's error.
pub async fn end(store: &Store, group: Option<&DocId>, now: DateTime) -> Result<Option<Pause>> {
    in_transaction(store, |session| {
        let (store, group) = (store.clone(), group.cloned());
        Box::pin(async move {
            let pauses = store.collection::<Pause>(names::PAUSES);
            let ended = pauses.find_one_and_delete(doc! { "_id": key(group.as_ref()) }).session(&mut *session).await?;
            let Some(ended) = ended else { return Ok(Verdict::Abort(None)) };
            let mut found = pauses.find(doc! {}).session(&mut *session).await?;
            let others: Vec<Pause> = found.stream(&mut *session).try_collect().await?;
            forgive(&store, session, &ended, &others, now).await?;
            Ok(Verdict::Commit(Some(ended)))
        })
    })
    .await
}

/// Where another pause is in force too, what both took is left to its end.
async fn forgive(
    store: &Store,
    session: &mut ClientSession,
    ended: &Pause,
    others: &[Pause],
    now: DateTime,
) -> Result<()> {
    if let Some(group) = &ended.group_id {
        let until = others.iter().filter(|pause| pause.group_id.is_none()).map(|pause| pause.since).chain([now]).min();
        let webhooks = webhooks_of(store, session, group).await?;
        return leave_out(store, session, doc! { "$in": webhooks }, ended.since, until.unwrap_or(now)).await;
    }
    let mut apart = Vec::new();
    for pause in others {
        let Some(group) = &pause.group_id else { continue };
        let webhooks = webhooks_of(store, session, group).await?;
        apart.extend_from_slice(&webhooks);
        leave_out(store, session, doc! { "$in": webhooks }, ended.since, pause.since.min(now)).await?;
    }
    leave_out(store, session, doc! { "$nin": apart }, ended.since, now).await
}

async fn webhooks_of(store: &Store, session: &mut ClientSession, group: &DocId) -> Result<Vec<ObjectId>> {
    let webhooks = store.collection::<Document>(names::WEBHOOKS);
    let mut found =
        webhooks.find(doc! { "groupId": group.clone() }).projection(doc! { "_id": 1 }).session(&mut *session).await?;
    let documents: Vec<Document> = found.stream(session).try_collect().await?;
    Ok(documents.iter().filter_map(|webhook| webhook.get_object_id("_id").ok()).collect())
}
