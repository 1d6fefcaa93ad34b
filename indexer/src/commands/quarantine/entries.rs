//! Entries of one status, in the order of their changes, page by page along the index.

use bson::raw::RawBson;
use bson::{Bson, Document, RawDocumentBuf, Timestamp, doc};
use futures::TryStreamExt;
use mongodb::Collection;
use mongodb::error::ErrorKind;
use mongodb::options::Hint;
use taskwire::model::DocId;
use taskwire::store::{Store, names};

use super::super::CommandError;
use crate::quarantine::EntryStatus;

/// Entries in one page, and their size: each may hold a change of 16 MB.
const PAGE: usize = 500;
const PAGE_BYTES: usize = 16 << 20;

/// The index that every search goes along.
fn index() -> Document {
    doc! { "status": 1, "clusterTime": 1, "_id": 1 }
}

/// Goes through the entries of one status. What leaves the status meanwhile does not disturb it.
pub(super) struct Pages {
    entries: Collection<RawDocumentBuf>,
    status: EntryStatus,
    with_raw: bool,
    last: Option<Document>,
}

impl Pages {
    /// Everything but the raw changes.
    pub(super) fn without_raw(store: &Store, status: EntryStatus) -> Self {
        Self { entries: store.collection(names::QUARANTINE), status, with_raw: false, last: None }
    }

    /// With the raw changes.
    pub(super) fn whole(store: &Store, status: EntryStatus) -> Self {
        Self { with_raw: true, ..Self::without_raw(store, status) }
    }

    /// The next page; `None` after the last.
    pub(super) async fn next(&mut self) -> Result<Option<Vec<RawDocumentBuf>>, CommandError> {
        let status = self.status.name();
        let end = doc! { "status": status, "clusterTime": Bson::MaxKey, "_id": Bson::MaxKey };
        // Bounds of the index and not `$gt`: ids are texts and documents, and a comparison would see one type only.
        let mut find = self.entries.find(doc! { "status": status }).hint(Hint::Keys(index())).max(end).sort(index());
        if let Some(last) = &self.last {
            find = find.min(last.clone());
        }
        if !self.with_raw {
            find = find.projection(doc! { "raw": 0 });
        }
        let mut found = find.limit(i64::try_from(PAGE + 1).unwrap_or(i64::MAX)).await.map_err(unless_no_index)?;
        let (mut page, mut bytes) = (Vec::new(), 0);
        while page.len() < PAGE
            && bytes < PAGE_BYTES
            && let Some(entry) = found.try_next().await?
        {
            let place = place(&entry)?;
            // The lower bound is part of the range.
            if self.last.as_ref() == Some(&place) {
                continue;
            }
            bytes += entry.as_bytes().len();
            page.push(entry);
        }
        self.last = page.last().map(place).transpose()?;
        Ok((!page.is_empty()).then_some(page))
    }
}

/// The hint names an index that the programs make at their start.
fn unless_no_index(error: mongodb::error::Error) -> CommandError {
    match error.kind.as_ref() {
        ErrorKind::Command(command) if command.code == 2 => CommandError::Refused(format!(
            "{} has no index for this yet: start this version of taskwire-indexer once, which makes it",
            names::QUARANTINE
        )),
        _ => error.into(),
    }
}

/// An entry's place in the index.
fn place(entry: &RawDocumentBuf) -> Result<Document, CommandError> {
    let part = |key: &str| entry.get(key).ok().flatten().map_or(Ok(Bson::Null), Bson::try_from);
    Ok(doc! { "status": part("status")?, "clusterTime": part("clusterTime")?, "_id": part("_id")? })
}

/// An entry that is aside, with its raw change.
#[derive(Debug)]
pub(super) struct Entry {
    /// Its id.
    pub(super) id: RawBson,
    /// The collection that it is of.
    pub(super) collection: String,
    /// The document.
    pub(super) key: Option<DocId>,
    /// The change's time, or the scan's.
    pub(super) time: Timestamp,
    /// Which change of the document at that time it is.
    pub(super) n: u32,
    /// What was put aside: a change, or under `fullDocument` what a scan met.
    pub(super) raw: RawDocumentBuf,
}

impl Entry {
    /// Reads an entry; `None` if it is none of ours.
    pub(super) fn of(document: &RawDocumentBuf) -> Option<Self> {
        Some(Self {
            id: document.get("_id").ok()??.into(),
            collection: document.get_str("collection").ok()?.to_owned(),
            key: document.get("documentKey").ok().flatten().and_then(DocId::from_raw),
            time: document.get_timestamp("clusterTime").ok()?,
            // Entries of earlier versions do not tell.
            n: document.get_i64("n").ok().and_then(|n| u32::try_from(n).ok()).unwrap_or(0),
            raw: document.get_document("raw").ok()?.to_owned(),
        })
    }

    /// The task that it is of, where `tasks` is their collection.
    pub(super) fn task(&self, tasks: &str) -> Option<DocId> {
        if self.collection == tasks { self.scanned().or_else(|| self.key.clone()) } else { None }
    }

    /// The document that a scan met; `None` for a change of the stream.
    pub(super) fn scanned(&self) -> Option<DocId> {
        let RawBson::Document(id) = &self.id else { return None };
        DocId::from_raw(id.get("scan").ok()??)
    }
}
