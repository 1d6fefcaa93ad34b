//! What an audit found: bounded, whatever is wrong.

use std::collections::BTreeMap;

use bson::{Timestamp, oid::ObjectId};
use serde::ser::SerializeSeq;
use serde::{Serialize, Serializer};
use taskwire::model::{DeliveryId, DocId, EventId};

/// Findings of one kind that are shown one by one; the others are counted.
const SHOWN: usize = 20;

/// What can be wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// A webhook wanted an event, and there is no row.
    DeliveryMissing,
    /// A row in a state that no step leads to.
    DeliveryUnlawful,
    /// A row that says something else than its event.
    DeliveryContradicts,
    /// A row whose event is not in the log.
    DeliveryOrphan,
    /// A row for a webhook that wanted the event neither then nor later.
    DeliveryUnwanted,
    /// An event or row that cannot be read.
    Unreadable,
    /// Numbers of a task that no event has.
    SequenceHole,
    /// A number of a task that more than one event has.
    SequenceTwice,
    /// A task's log ends at another number than its snapshot counts.
    SequenceEnd,
    /// A task without a snapshot.
    SnapshotMissing,
    /// A snapshot that lives on without its task.
    SnapshotLeftOver,
    /// A snapshot that differs from its task.
    SnapshotDiffers,
    /// A snapshot that cannot be read.
    SnapshotUnreadable,
    /// A task that does not fit the mapping and was not put aside.
    TaskUnreadable,
    /// Tasks differ from their snapshots, and the watcher has not passed the read: nothing can be said of them.
    NotProvable,
}

impl Kind {
    /// What it means, in one line.
    #[must_use]
    pub const fn describe(self) -> &'static str {
        match self {
            Self::DeliveryMissing => {
                "a webhook wanted the event as of its point of the stream, and no delivery is there"
            }
            Self::DeliveryUnlawful => "a delivery is in a state that no step leads to",
            Self::DeliveryContradicts => "a delivery says something else than its event",
            Self::DeliveryOrphan => "a delivery's event is not in the log",
            Self::DeliveryUnwanted => "a delivery's webhook wanted the event neither then nor later",
            Self::Unreadable => "an event or delivery cannot be read",
            Self::SequenceHole => "a task's sequence has a hole: events are missing",
            Self::SequenceTwice => "two events of a task have one sequence",
            Self::SequenceEnd => "a task's log ends at another sequence than its snapshot counts",
            Self::SnapshotMissing => "a task has no snapshot",
            Self::SnapshotLeftOver => "a snapshot lives on although its task is gone",
            Self::SnapshotDiffers => "a snapshot differs from its task",
            Self::SnapshotUnreadable => "a snapshot cannot be read",
            Self::TaskUnreadable => "a task does not fit the mapping, and was not put aside",
            Self::NotProvable => "not provable: the watcher is behind or not running",
        }
    }

    /// What an operator does about it.
    #[must_use]
    pub const fn remedy(self) -> &'static str {
        match self {
            Self::DeliveryMissing => "taskwire-indexer rebuild deliveries --since … makes what is missing",
            Self::DeliveryUnlawful | Self::DeliveryContradicts | Self::DeliveryUnwanted => {
                "something else than Taskwire wrote the row: replay it, or restore it from a backup"
            }
            Self::DeliveryOrphan | Self::Unreadable | Self::SequenceHole | Self::SequenceTwice | Self::SequenceEnd => {
                "the log was changed by hand: restore taskEvents from a backup"
            }
            Self::SnapshotMissing | Self::SnapshotLeftOver | Self::SnapshotDiffers | Self::SnapshotUnreadable => {
                "taskwire-indexer rebuild snapshots compares with the tasks and tells the differences"
            }
            Self::TaskUnreadable => "mend the task or the mapping; its next write is told",
            Self::NotProvable => {
                "see that an indexer runs and has caught up (taskwire-indexer status), then audit again"
            }
        }
    }
}

/// One thing that is wrong. Holds ids and names of fields, nothing of their contents.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The event.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub event: Option<EventId>,
    /// The delivery.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delivery: Option<DeliveryId>,
    /// The webhook.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "as_text")]
    pub webhook: Option<ObjectId>,
    /// The task.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "as_text")]
    pub task: Option<DocId>,
    /// What exactly.
    pub detail: String,
}

impl std::fmt::Display for Finding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut part = |name: &str, value: Option<String>| match value {
            Some(value) => write!(f, "{name} {value} "),
            None => Ok(()),
        };
        part("task", self.task.as_ref().map(ToString::to_string))?;
        part("event", self.event.as_ref().map(ToString::to_string))?;
        part("delivery", self.delivery.as_ref().map(ToString::to_string))?;
        part("webhook", self.webhook.map(|id| id.to_hex()))?;
        f.write_str(&self.detail)
    }
}

/// What was looked at.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Checked {
    /// Events of the period.
    pub events: u64,
    /// Their deliveries.
    pub deliveries: u64,
    /// Tasks whose sequence was followed.
    pub sequences: u64,
    /// Tasks compared with their snapshots.
    pub tasks: u64,
}

#[derive(Debug, Default)]
struct Found {
    count: u64,
    shown: Vec<Finding>,
}

/// What an audit found.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    #[serde(serialize_with = "exact")]
    from: Timestamp,
    #[serde(serialize_with = "exact")]
    until: Timestamp,
    /// What was looked at.
    pub checked: Checked,
    #[serde(serialize_with = "as_list")]
    findings: BTreeMap<Kind, Found>,
}

impl Report {
    pub(super) fn new(from: Timestamp, until: Timestamp) -> Self {
        Self { from, until, checked: Checked::default(), findings: BTreeMap::new() }
    }

    pub(super) fn note(&mut self, kind: Kind, finding: Finding) {
        self.note_many(kind, 1, finding);
    }

    /// Notes `count` of a kind, of which one is shown.
    pub(super) fn note_many(&mut self, kind: Kind, count: u64, finding: Finding) {
        let found = self.findings.entry(kind).or_default();
        found.count += count;
        if found.shown.len() < SHOWN {
            found.shown.push(finding);
        }
    }

    /// Takes in what another pass found.
    pub(super) fn take_in(&mut self, other: Self) {
        self.checked.sequences += other.checked.sequences;
        for (kind, found) in other.findings {
            let known = self.findings.entry(kind).or_default();
            known.count += found.count;
            let room = SHOWN.saturating_sub(known.shown.len());
            known.shown.extend(found.shown.into_iter().take(room));
        }
    }

    /// The period's first cluster time, and the first behind it.
    #[must_use]
    pub const fn period(&self) -> (Timestamp, Timestamp) {
        (self.from, self.until)
    }

    /// Whether nothing is wrong.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.findings.is_empty()
    }

    /// Each kind that was found: how often, and the first few.
    pub fn findings(&self) -> impl Iterator<Item = (Kind, u64, &[Finding])> {
        self.findings.iter().map(|(kind, found)| (*kind, found.count, found.shown.as_slice()))
    }
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "the shape that serde takes")]
fn exact<S: Serializer>(time: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&format_args!("{}.{}", time.time, time.increment))
}

fn as_text<S: Serializer, T: ToString>(value: &Option<T>, serializer: S) -> Result<S::Ok, S::Error> {
    value.as_ref().map(ToString::to_string).serialize(serializer)
}

fn as_list<S: Serializer>(findings: &BTreeMap<Kind, Found>, serializer: S) -> Result<S::Ok, S::Error> {
    #[derive(Serialize)]
    struct Line<'a> {
        kind: Kind,
        count: u64,
        meaning: &'static str,
        remedy: &'static str,
        first: &'a [Finding],
    }
    let mut list = serializer.serialize_seq(Some(findings.len()))?;
    for (kind, found) in findings {
        list.serialize_element(&Line {
            kind: *kind,
            count: found.count,
            meaning: kind.describe(),
            remedy: kind.remedy(),
            first: &found.shown,
        })?;
    }
    list.end()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_are_counted_and_the_first_few_shown() {
        let zero = Timestamp { time: 0, increment: 0 };
        let mut report = Report::new(zero, zero);
        assert!(report.is_clean());
        for number in 0..50 {
            report.note(Kind::SequenceHole, Finding { detail: format!("{number}"), ..Finding::default() });
        }
        let found: Vec<_> = report.findings().collect();
        assert_eq!((found.len(), found[0].1, found[0].2.len()), (1, 50, SHOWN));
        let json = serde_json::to_value(&report).unwrap();
        assert_eq!(json["findings"][0]["kind"], "sequence-hole");
        assert_eq!(json["findings"][0]["first"][0], serde_json::json!({ "detail": "0" }));
    }
}
