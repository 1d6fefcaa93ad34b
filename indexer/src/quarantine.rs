//! `quarantinedChanges`: what could not be understood, until an operator retries or drops it.

use bson::raw::{RawBson, cstr};
use bson::{Bson, DateTime, RawDocumentBuf, rawdoc};
use clap::ValueEnum;
use serde::{Deserialize, Serialize};
use taskwire::model::{DocId, EventId, StreamTime};

use crate::judge::Quarantined;
use crate::large::without_documents;

/// What became of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum EntryStatus {
    /// It waits for an operator.
    Aside,
    /// It was read again and recorded.
    Retried,
    /// It was read again, too late: what came after it is recorded already.
    Superseded,
    /// An operator gave it up.
    Dropped,
}

impl EntryStatus {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Aside, Self::Retried, Self::Superseded, Self::Dropped];

    /// The stored name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Aside => "aside",
            Self::Retried => "retried",
            Self::Superseded => "superseded",
            Self::Dropped => "dropped",
        }
    }
}

/// An entry that was read again, and what it is from now on.
#[derive(Debug, Clone, PartialEq)]
pub struct Reread {
    /// The entry.
    pub id: RawBson,
    /// What it becomes.
    pub status: EntryStatus,
    /// Why it stays aside.
    pub reason: Option<String>,
}

impl Reread {
    /// The update that settles it, unless somebody else has.
    #[must_use]
    pub fn statement(&self, now: DateTime) -> RawDocumentBuf {
        let mut set = rawdoc! { "status": self.status.name(), "retriedAt": now };
        if let Some(reason) = &self.reason {
            set.append(cstr!("reason"), reason.as_str());
        }
        let mut update = rawdoc! { "$set": set };
        if self.status == EntryStatus::Retried {
            // It holds the task's text, and what it said is recorded.
            update.append(cstr!("$unset"), rawdoc! { "raw": "" });
        }
        rawdoc! { "q": { "_id": self.id.clone(), "status": EntryStatus::Aside.name() }, "u": update }
    }
}

/// The largest change that is kept whole: the server stores documents of up to 16 MB, and the entry has more in it.
const WHOLE: usize = (16 << 20) - (64 << 10);

/// The statement that puts a change aside. One that was put aside before stays as it is, retried or dropped.
#[must_use]
pub fn put_aside(entry: &Quarantined, now: DateTime) -> RawDocumentBuf {
    let key = entry.key.clone().unwrap_or_else(|| DocId::Text("unknown".into()));
    // A function of the change, so that reading it again puts it aside once.
    let id = EventId::derive(StreamTime::new(entry.time, 0), &entry.collection, &key, "quarantine");
    let mut document = rawdoc! {
        "collection": entry.collection.as_str(), "reason": entry.reason.as_str(),
        "clusterTime": entry.time, "at": now, "status": EntryStatus::Aside.name(),
    };
    if let Ok(key) = RawBson::try_from(Bson::from(key)) {
        document.append(cstr!("documentKey"), key);
    }
    let raw = if entry.raw.as_bytes().len() > WHOLE { without_documents(&entry.raw) } else { entry.raw.clone() };
    document.append(cstr!("raw"), raw);
    rawdoc! { "q": { "_id": id.as_str() }, "u": { "$setOnInsert": document }, "upsert": true }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_that_no_entry_could_hold_is_put_aside_without_its_documents() {
        let raw = rawdoc! { "operationType": "insert", "fullDocument": { "text": "x".repeat(16 << 20) } };
        let (reason, time) = ("GroupId: missing".to_owned(), bson::Timestamp { time: 1, increment: 1 });
        let entry = Quarantined { key: None, collection: "tasks".into(), reason, time, raw };
        let statement = put_aside(&entry, DateTime::now());
        assert!(statement.as_bytes().len() < 1000);
        let document = statement.get_document("u").unwrap().get_document("$setOnInsert").unwrap();
        assert_eq!(document.get_document("raw").unwrap().get_str("operationType").unwrap(), "insert");
    }
}
