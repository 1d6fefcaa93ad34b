//! One raw change of the stream, read into what it means for Taskwire.
//!
//! Reading happens once, at the stream's edge; what cannot be understood becomes [`What::Unreadable`] and is put aside
//! with its raw document, never dropped and never an endless loop.

use std::sync::Arc;

use bson::{RawBsonRef, RawDocument, RawDocumentBuf, Timestamp};
use taskwire::mapping::{HistoryShape, Mapping, Misfit, SwapRequestShape, TaskState, Value};
use taskwire::model::{DocId, Webhook};
use taskwire::store::mutes::Mute;
use taskwire::store::names;

/// The server's name of one transaction: session and number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Transaction {
    session: [u8; 16],
    number: i64,
}

/// A change, read.
#[derive(Debug, Clone)]
pub struct Change {
    /// The resume token, whole.
    pub token: RawDocumentBuf,
    /// The cluster time.
    pub time: Timestamp,
    /// The change's own time in milliseconds: the server's wall clock from 6.0 on, else the cluster time's seconds.
    pub ms: i64,
    /// The transaction it belongs to.
    pub transaction: Option<Transaction>,
    /// What it says.
    pub what: What,
}

/// What a change says.
#[derive(Debug, Clone)]
pub enum What {
    /// A write of a task.
    Task {
        /// The task.
        id: DocId,
        /// The write.
        write: TaskWrite,
    },
    /// A history row was inserted.
    Row(HistoryRow),
    /// A swap request stands at its approved status.
    SwapApproved(SwapApproval),
    /// A webhook's configuration, whole.
    Webhook(Box<Webhook>),
    /// A webhook's document was removed.
    WebhookGone(bson::oid::ObjectId),
    /// An operator muted a group, or ended its mute.
    Mute {
        /// The group.
        group: DocId,
        /// Its changes before this time are told to nobody.
        until: bson::DateTime,
    },
    /// An inbound call's receipt: the writes of its transaction are that integration's.
    Inbound {
        /// The integration.
        integration: String,
    },
    /// A collection of tasks went away or was replaced as a whole.
    TasksGone(Gone),
    /// The stream ends here and must be opened anew after this token.
    Invalidate,
    /// Cannot be understood.
    Unreadable {
        /// The document's id, if that much can be read.
        key: Option<DocId>,
        /// The collection.
        collection: String,
        /// Why, without values.
        reason: String,
        /// The whole change.
        raw: RawDocumentBuf,
    },
    /// Nothing that matters here.
    Ignored,
}

/// How the tasks went away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gone {
    /// `drop` of the collection, or `dropDatabase`.
    Dropped,
    /// The collection was renamed away.
    RenamedAway,
    /// Another collection was renamed onto it (`$out` does so too).
    RenamedOnto,
}

/// A write of a task.
#[derive(Debug, Clone)]
pub enum TaskWrite {
    /// A new document.
    Insert(Arc<TaskState>),
    /// The whole document anew.
    Replace(Arc<TaskState>),
    /// Parts of it; the whole raw change, with its `updateDescription`.
    Update(RawDocumentBuf),
    /// Gone.
    Delete,
}

/// A row of the service's history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HistoryRow {
    /// The row's id.
    pub id: DocId,
    /// The task.
    pub task: DocId,
    /// Who did it.
    pub actor: String,
    /// The action's name in the mapping.
    pub action: String,
    /// Key → text.
    pub changes: Vec<(String, String)>,
}

/// A swap request that stands at its approved status.
#[derive(Debug, Clone, PartialEq)]
pub struct SwapApproval {
    /// The request's id.
    pub id: DocId,
    /// The two tasks; `None`: an update that does not say, to be looked up.
    pub tasks: Option<[DocId; 2]>,
    /// Who approved.
    pub approver: Option<String>,
    /// The whole change where it does not say the tasks, to be put aside if they cannot be looked up.
    pub raw: Option<RawDocumentBuf>,
}

/// A change whose outer form is broken: not a change stream's document at all.
#[derive(Debug, thiserror::Error)]
#[error("the change stream sent a document that is no change: {0}")]
pub struct NoChange(&'static str);

impl Change {
    /// Reads one raw change.
    ///
    /// # Errors
    /// [`NoChange`] if it lacks its token or cluster time; everything else is told in [`What`].
    pub fn read(raw: &RawDocument, mapping: &Mapping) -> Result<Self, NoChange> {
        let token = raw.get_document("_id").map_err(|_| NoChange("no resume token"))?.to_owned();
        let time = raw.get_timestamp("clusterTime").map_err(|_| NoChange("no cluster time"))?;
        let wall = raw.get_datetime("wallTime").ok().map(bson::DateTime::timestamp_millis);
        let ms = wall.unwrap_or(i64::from(time.time) * 1000);
        Ok(Self { token, time, ms, transaction: transaction_of(raw), what: what(raw, mapping) })
    }
}

fn transaction_of(raw: &RawDocument) -> Option<Transaction> {
    let number = raw.get_i64("txnNumber").ok()?;
    let RawBsonRef::Binary(id) = raw.get_document("lsid").ok()?.get("id").ok()?? else { return None };
    Some(Transaction { session: id.bytes.try_into().ok()?, number })
}

fn what(raw: &RawDocument, mapping: &Mapping) -> What {
    let operation = raw.get_str("operationType").unwrap_or("");
    let ns = raw.get_document("ns").ok();
    let collection = ns.and_then(|ns| ns.get_str("coll").ok()).unwrap_or("");
    match operation {
        "insert" | "replace" | "update" | "delete" => {}
        "invalidate" => return What::Invalidate,
        "dropDatabase" => return What::TasksGone(Gone::Dropped),
        "drop" if collection == mapping.task.collection => return What::TasksGone(Gone::Dropped),
        "rename" => return renamed(raw, collection, mapping),
        _ => return What::Ignored,
    }
    let key = raw.get_document("documentKey").ok().and_then(|key| key.get("_id").ok().flatten());
    let key = key.and_then(DocId::from_raw);
    let read = read_document(raw, operation, collection, key.as_ref(), mapping);
    read.unwrap_or_else(|misfit| What::Unreadable {
        key,
        collection: collection.to_owned(),
        reason: misfit.to_string(),
        raw: raw.to_owned(),
    })
}

fn renamed(raw: &RawDocument, from: &str, mapping: &Mapping) -> What {
    let to = raw.get_document("to").ok().and_then(|to| to.get_str("coll").ok()).unwrap_or("");
    if to == mapping.task.collection {
        What::TasksGone(Gone::RenamedOnto)
    } else if from == mapping.task.collection {
        What::TasksGone(Gone::RenamedAway)
    } else {
        What::Ignored
    }
}

fn read_document(
    raw: &RawDocument,
    operation: &str,
    collection: &str,
    key: Option<&DocId>,
    mapping: &Mapping,
) -> Result<What, Misfit> {
    let full = || raw.get_document("fullDocument").map_err(|_| Misfit::new("fullDocument", "missing"));
    let id = || key.cloned().ok_or_else(|| Misfit::new("_id", "neither an ObjectId nor a string"));
    if collection == mapping.task.collection {
        let write = match operation {
            "insert" => TaskWrite::Insert(Arc::new(mapping.read_task(full()?)?)),
            "replace" => TaskWrite::Replace(Arc::new(mapping.read_task(full()?)?)),
            "delete" => TaskWrite::Delete,
            _ => TaskWrite::Update(raw.to_owned()),
        };
        return Ok(What::Task { id: id()?, write });
    }
    if let Some(history) = mapping.history.as_ref().filter(|shape| shape.collection == collection) {
        return if operation == "insert" {
            read_row(id()?, full()?, history).map(What::Row)
        } else {
            Ok(What::Ignored)
        };
    }
    if let Some(swaps) = mapping.swap_requests.as_ref().filter(|shape| shape.collection == collection) {
        return Ok(match operation {
            "delete" => What::Ignored,
            "update" => read_swap_update(id()?, raw, swaps),
            _ => read_swap_request(id()?, full()?, swaps)?,
        });
    }
    match (collection, operation) {
        (names::WEBHOOKS, "insert" | "replace") => {
            let webhook = bson::deserialize_from_slice(full()?.as_bytes());
            webhook.map(What::Webhook).map_err(|_| Misfit::new("webhookConfigs", "not a configuration of ours"))
        }
        (names::WEBHOOKS, "delete") => match id()? {
            DocId::Oid(oid) => Ok(What::WebhookGone(oid)),
            DocId::Text(_) => Ok(What::Ignored),
        },
        (names::WEBHOOKS, _) => Err(Misfit::new("webhookConfigs", "changed in parts: save the document whole")),
        (names::RECEIPTS, "insert") => {
            let integration = full()?.get("integrationId").ok().flatten().and_then(DocId::from_raw);
            let integration = integration.ok_or_else(|| Misfit::new("integrationId", "missing"))?;
            Ok(What::Inbound { integration: integration.to_string() })
        }
        (names::MUTES, "insert") => {
            let mute = bson::deserialize_from_slice::<Mute>(full()?.as_bytes());
            let mute = mute.map_err(|_| Misfit::new("mutes", "not a mute of ours"))?;
            Ok(What::Mute { group: mute.group_id, until: mute.until })
        }
        _ => Ok(What::Ignored),
    }
}

/// What stands at a dotted path.
#[must_use]
pub fn at_path<'a>(doc: &'a RawDocument, path: &str) -> Option<RawBsonRef<'a>> {
    let (head, rest) = path.split_once('.').map_or((path, None), |(head, rest)| (head, Some(rest)));
    let value = doc.get(head).ok()??;
    match rest {
        None => Some(value),
        Some(rest) => at_path(value.as_document()?, rest),
    }
}

fn id_at(doc: &RawDocument, path: &str) -> Result<DocId, Misfit> {
    at_path(doc, path).and_then(DocId::from_raw).ok_or_else(|| Misfit::new(path, "no id"))
}

/// A history row, read.
///
/// # Errors
/// [`Misfit`] where it lacks its task, its actor or a known action.
pub fn read_row(id: DocId, doc: &RawDocument, shape: &HistoryShape) -> Result<HistoryRow, Misfit> {
    let number = at_path(doc, &shape.action).and_then(Value::whole_number);
    let action = number.and_then(|number| shape.actions.get(usize::try_from(number).ok()?));
    let mut changes = Vec::new();
    if let Some(RawBsonRef::Document(map)) = at_path(doc, &shape.changes) {
        for element in map {
            let (key, value) = element.map_err(|_| Misfit::new(&shape.changes, "broken BSON"))?;
            if let RawBsonRef::String(text) = value {
                changes.push((key.as_str().to_owned(), text.to_owned()));
            }
        }
    }
    Ok(HistoryRow {
        id,
        task: id_at(doc, &shape.task)?,
        actor: id_at(doc, &shape.actor)?.to_string(),
        action: action.ok_or_else(|| Misfit::new(&shape.action, "not one of the mapping's actions"))?.clone(),
        changes,
    })
}

/// The two tasks and the approver of a whole swap request.
///
/// # Errors
/// [`Misfit`] where a task's id is missing.
pub fn swap_tasks(doc: &RawDocument, shape: &SwapRequestShape) -> Result<([DocId; 2], Option<String>), Misfit> {
    let tasks = [id_at(doc, &shape.tasks[0])?, id_at(doc, &shape.tasks[1])?];
    Ok((tasks, id_at(doc, &shape.approver).ok().map(|id| id.to_string())))
}

fn read_swap_request(id: DocId, doc: &RawDocument, shape: &SwapRequestShape) -> Result<What, Misfit> {
    if at_path(doc, &shape.status).and_then(|status| status.as_str()) != Some(shape.approved.as_str()) {
        return Ok(What::Ignored);
    }
    let (tasks, approver) = swap_tasks(doc, shape)?;
    Ok(What::SwapApproved(SwapApproval { id, tasks: Some(tasks), approver, raw: None }))
}

fn read_swap_update(id: DocId, raw: &RawDocument, shape: &SwapRequestShape) -> What {
    let updated = raw.get_document("updateDescription").and_then(|update| update.get_document("updatedFields"));
    let Ok(updated) = updated else { return What::Ignored };
    if updated_at(updated, &shape.status).and_then(|status| status.as_str()) != Some(shape.approved.as_str()) {
        return What::Ignored;
    }
    let approver = updated_at(updated, &shape.approver).and_then(DocId::from_raw).map(|id| id.to_string());
    What::SwapApproved(SwapApproval { id, tasks: None, approver, raw: Some(raw.to_owned()) })
}

/// What an update sets at a path, by itself or together with what it is part of.
fn updated_at<'a>(updated: &'a RawDocument, path: &str) -> Option<RawBsonRef<'a>> {
    updated.into_iter().filter_map(Result::ok).find_map(|(key, value)| match path.strip_prefix(key.as_str())? {
        "" => Some(value),
        rest => at_path(value.as_document()?, rest.strip_prefix('.')?),
    })
}

#[cfg(test)]
mod tests;
