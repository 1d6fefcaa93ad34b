//! `quarantinedChanges`: what could not be understood, until an operator retries or drops it.

use bson::raw::{RawBson, cstr};
use bson::{Bson, DateTime, RawDocumentBuf, rawdoc};
use clap::ValueEnum;
use serde::{Deserialize, Serialize};
use taskwire::model::{DocId, EventId};

use crate::judge::Quarantined;
use crate::large::storable;

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

/// The statement that puts a change aside. One that was put aside before stays as it is, retried or dropped.
#[must_use]
pub fn put_aside(entry: &Quarantined, now: DateTime) -> RawDocumentBuf {
    let key = entry.key.clone().unwrap_or_else(|| DocId::Text("unknown".into()));
    // A function of the change, so that reading it again puts it aside once.
    let id = EventId::derive(entry.at, &entry.collection, &key, "quarantine");
    let mut document = rawdoc! {
        "collection": entry.collection.as_str(), "reason": entry.reason.as_str(),
        "clusterTime": entry.at.timestamp(), "n": i64::from(entry.at.n), "at": now, "status": EntryStatus::Aside.name(),
    };
    if let Ok(key) = RawBson::try_from(Bson::from(key)) {
        document.append(cstr!("documentKey"), key);
    }
    document.append(cstr!("raw"), storable(&entry.raw).into_owned());
    rawdoc! { "q": { "_id": id.as_str() }, "u": { "$setOnInsert": document }, "upsert": true }
}
