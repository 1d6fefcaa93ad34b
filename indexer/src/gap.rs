//! `gaps`: intervals of the stream that were lost, and what was recovered of them.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use bson::{Bson, DateTime, Document, RawDocumentBuf, Timestamp, doc, rawdoc};
use serde::{Deserialize, Serialize};
use taskwire::model::EventKind;
use taskwire::model::dates::later;
use taskwire::store::{Store, names};

/// Why the stream between two points was not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Reason {
    /// The stored position had left the oplog.
    Oplog,
    /// Another collection was renamed onto the tasks.
    Renamed,
    /// The position's document was gone although snapshots stand.
    Position,
    /// An operator moved the position forward.
    Reset,
    /// An operator asked for the snapshots to be made anew.
    Rebuild,
}

impl Reason {
    /// What happened, for people.
    #[must_use]
    pub const fn describe(self) -> &'static str {
        match self {
            Self::Oplog => "the stored position is no longer in the oplog",
            Self::Renamed => "another collection was renamed onto the tasks",
            Self::Position => "the stored position was removed",
            Self::Reset => "the position was moved forward by an operator",
            Self::Rebuild => "an operator asked for the snapshots to be made anew",
        }
    }
}

/// What became of a gap.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum GapState {
    /// Found, and left as it is: `TASKWIRE_ON_GAP=stop`.
    Open,
    /// Being recovered.
    Recovering,
    /// Recovered.
    Recovered,
}

/// What is compared at the moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// The tasks that are there, with their snapshots.
    #[default]
    Tasks,
    /// The snapshots whose task may be gone.
    Gone,
    /// The history rows of tasks of which nothing else is left.
    Rows,
}

/// How far a recovery has come.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct GapProgress {
    /// What is compared.
    pub phase: Phase,
    /// The last id that was compared in this phase.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last: Option<Bson>,
    /// Tasks compared.
    pub done: i64,
    /// Tasks there are, about.
    pub total: i64,
}

/// What a recovery found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recovered {
    /// Tasks that were not known.
    pub created: i64,
    /// Tasks that had changed.
    pub changed: i64,
    /// Tasks that were gone.
    pub deleted: i64,
    /// Events told, by name.
    pub events: BTreeMap<String, i64>,
}

/// What one task adds to a recovery's counts, besides its events.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// It was not known.
    pub created: i64,
    /// It had changed.
    pub changed: i64,
    /// It was gone.
    pub deleted: i64,
    /// Its events that rows alone tell.
    pub inferred: i64,
    /// It did not fit the mapping.
    pub unreadable: i64,
}

/// A gap, as it is stored.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Gap {
    /// `gap_` and the two times.
    #[serde(rename = "_id")]
    pub id: String,
    /// Why.
    pub reason: Reason,
    /// The last position before it: everything up to here was told.
    pub from: Timestamp,
    /// The stream is read again from here on. Events found have this cluster time.
    pub to: Timestamp,
    /// When it was found: the time that recovered events have.
    pub detected_at: DateTime,
    /// What became of it.
    pub state: GapState,
    /// How far its recovery has come.
    pub progress: GapProgress,
    /// What was found.
    pub recovered: Recovered,
    /// Events among them that the difference alone does not tell: history rows did.
    pub inferred: i64,
    /// Tasks that were born and deleted inside it, so far as history rows name them. Their events are lost.
    pub vanished: i64,
    /// Documents that did not fit the mapping and were put aside.
    pub unreadable: i64,
    /// When its recovery ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recovered_at: Option<DateTime>,
    /// When this record may be removed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expire_at: Option<DateTime>,
}

impl Gap {
    /// How long the record of a recovered gap is kept.
    pub const KEPT: Duration = Duration::from_secs(365 * 86_400);

    /// A gap that was just found.
    #[must_use]
    pub fn found(reason: Reason, from: Timestamp, to: Timestamp, now: DateTime, state: GapState) -> Self {
        Self {
            // An open gap is found again and again, each time with a later `to`: one record.
            id: if state == GapState::Open {
                open_id(from)
            } else {
                format!("gap_{}.{}_{}.{}", from.time, from.increment, to.time, to.increment)
            },
            reason,
            from,
            to,
            detected_at: now,
            state,
            progress: GapProgress::default(),
            recovered: Recovered::default(),
            inferred: 0,
            vanished: 0,
            unreadable: 0,
            recovered_at: None,
            expire_at: None,
        }
    }

    /// Counts what was found of one task.
    pub fn add(&mut self, tally: &Tally, events: impl Iterator<Item = EventKind>) {
        let Tally { created, changed, deleted, inferred, unreadable } = tally;
        self.recovered.created += created;
        self.recovered.changed += changed;
        self.recovered.deleted += deleted;
        self.inferred += inferred;
        self.unreadable += unreadable;
        for kind in events {
            *self.recovered.events.entry(kind.name().to_owned()).or_default() += 1;
        }
    }

    /// Events told.
    #[must_use]
    pub fn events(&self) -> i64 {
        self.recovered.events.values().sum()
    }

    /// Goes on to the next phase.
    pub fn enter(&mut self, phase: Phase) {
        self.progress.phase = phase;
        self.progress.last = None;
    }

    /// Notes that it is recovered.
    pub fn end(&mut self, now: DateTime) {
        self.state = GapState::Recovered;
        self.recovered_at = Some(now);
        self.expire_at = Some(kept_until(now));
    }

    /// Reads a gap by its id.
    ///
    /// # Errors
    /// The driver's.
    pub async fn read(store: &Store, id: &str) -> mongodb::error::Result<Option<Self>> {
        store.collection(names::GAPS).find_one(doc! { "_id": id }).await
    }

    /// The statement that ends the record of the same gap, had it been left open before it was recovered.
    #[must_use]
    pub fn close_open(&self, now: DateTime) -> RawDocumentBuf {
        let set = rawdoc! { "state": "recovered", "recoveredAt": now, "expireAt": kept_until(now) };
        rawdoc! { "q": { "_id": open_id(self.from), "state": "open" }, "u": { "$set": set } }
    }

    /// Keeps the record of a gap that is left as it is, once.
    ///
    /// # Errors
    /// The driver's.
    pub async fn keep_open(&self, store: &Store) -> mongodb::error::Result<()> {
        let insert = doc! { "$setOnInsert": bson::serialize_to_document(self)? };
        let gaps = store.collection::<Document>(names::GAPS);
        gaps.update_one(doc! { "_id": &self.id }, insert).upsert(true).await?;
        Ok(())
    }
}

fn open_id(from: Timestamp) -> String {
    format!("gap_{}.{}_open", from.time, from.increment)
}

fn kept_until(now: DateTime) -> DateTime {
    later(now, Gap::KEPT)
}

impl fmt::Display for Gap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Recovered { created, changed, deleted, .. } = self.recovered;
        write!(
            f,
            "{created} tasks new, {changed} changed, {deleted} gone; {} events told, {} of them by history rows alone; {} tasks \
             born and deleted inside it, {} documents put aside",
            self.events(),
            self.inferred,
            self.vanished,
            self.unreadable
        )
    }
}

/// The recovery that the position's document asks for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Wanted {
    /// One that is under way, by the gap's id.
    UnderWay(String),
    /// One that an operator asked for.
    Requested {
        /// Why.
        requested: Reason,
        /// The position before.
        from: Timestamp,
    },
}
