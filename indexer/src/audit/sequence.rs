//! Each task's events are numbered without hole or repetition, over delete and re-insert, and as far as its snapshot counts.
//!
//! The server sorts the log by task and number (on its disk, where memory does not do); beside it the snapshots are read in
//! the same order, as of the same point in time: an event and its snapshot's count are recorded together.

use std::cmp::Ordering;

use bson::{Timestamp, rawdoc};
use taskwire::model::{DocId, EventId};
use taskwire::store::names;

use super::feed::{self, Feed};
use super::report::{Finding, Kind, Report};
use super::{Audit, AuditError, NO_ID, TRIES, after, as_of, find_in_order, id_at, is_too_old};
use crate::lag::cluster_time;

/// One task's numbers, as they come.
#[derive(Debug, Clone, Copy)]
struct Run {
    last: i64,
}

/// What is known of the log's ends.
#[derive(Debug, Clone, Copy)]
struct Ends {
    /// Whether the log begins where the tasks' numbers do.
    from_first: bool,
    /// Whether the log is read to its end.
    to_last: bool,
}

impl Audit {
    pub(super) async fn check_sequences(&self, report: &mut Report) -> Result<(), AuditError> {
        for _ in 0..TRIES {
            // Begun anew, it must not count twice.
            let mut fresh = Report::new(report.period().0, report.period().1);
            match self.try_sequences(&mut fresh).await {
                Err(error) if is_too_old(&error) => {}
                Err(error) => return Err(error),
                Ok(()) => {
                    report.take_in(fresh);
                    return Ok(());
                }
            }
        }
        Err(AuditError::TooOld)
    }

    async fn try_sequences(&self, report: &mut Report) -> Result<(), AuditError> {
        let at = cluster_time(&self.store).await?;
        let horizon = self.horizon(at).await?.events_from;
        let horizon = horizon
            .map(|from| Timestamp { time: u32::try_from(from.timestamp_millis() / 1000).unwrap_or(0), increment: 0 });
        let from = self.period.since.max(horizon);
        let ends = Ends { from_first: from.is_none(), to_last: self.period.until.is_none() };
        let from = from.unwrap_or(Timestamp { time: 0, increment: 0 });
        let until = self.period.until.unwrap_or(after(at));
        let mut events = self.numbers(from, until, at);
        let mut snapshots = self.counts(at);
        // What cannot be read is told where the log is checked.
        while events.take_if(|(task, _)| *task == NO_ID).await?.is_some() {}
        while let Some((task, number)) = events.take().await? {
            while let Some((id, count)) = snapshots.take_if(|(id, _)| order(id, &task) == Ordering::Less).await? {
                no_events(&id, count, ends, report);
            }
            let mut run = Run::begin(&task, number, ends, report);
            let mut length = 1;
            while let Some((_, number)) = events.take_if(|(other, _)| *other == task).await? {
                run.next(&task, number, report);
                length += 1;
            }
            self.bar.inc(length);
            report.checked.sequences += 1;
            let count = snapshots.take_if(|(id, _)| *id == task).await?.map(|(_, count)| count);
            run.end(&task, count, ends, report);
        }
        while let Some((id, count)) = snapshots.take().await? {
            no_events(&id, count, ends, report);
        }
        Ok(())
    }

    fn numbers(&self, from: Timestamp, until: Timestamp, at: Timestamp) -> Feed<(DocId, i64)> {
        let range = rawdoc! {
            "_id": { "$gte": EventId::first_at(from).as_str(), "$lt": EventId::first_at(until).as_str() },
        };
        let command = rawdoc! {
            "aggregate": names::EVENTS, "allowDiskUse": true, "readConcern": as_of(at), "hint": { "_id": 1 },
            "cursor": { "batchSize": feed::BATCH },
            "pipeline": [
                { "$match": range },
                { "$project": { "_id": 0, "taskId": 1, "sequence": 1 } },
                { "$sort": { "taskId": 1, "sequence": 1 } },
            ],
        };
        Feed::open(&self.store, command, |raw| (id_at(raw, "taskId"), raw.get_i64("sequence").unwrap_or(0)))
    }

    fn counts(&self, at: Timestamp) -> Feed<(DocId, i64)> {
        let command = find_in_order(names::SNAPSHOTS, rawdoc! {}, rawdoc! { "sequence": 1 }, at);
        Feed::open(&self.store, command, |raw| (id_at(raw, "_id"), raw.get_i64("sequence").unwrap_or(0)))
    }
}

impl Run {
    fn begin(task: &DocId, first: i64, ends: Ends, report: &mut Report) -> Self {
        if ends.from_first && first != 1 {
            hole(task, 1, first - 1, report);
        }
        Self { last: first }
    }

    fn next(&mut self, task: &DocId, number: i64, report: &mut Report) {
        if number == self.last {
            note(Kind::SequenceTwice, task, format!("{number} is there twice"), report);
        } else if number != self.last + 1 {
            hole(task, self.last + 1, number - 1, report);
        }
        self.last = number;
    }

    fn end(self, task: &DocId, count: Option<i64>, ends: Ends, report: &mut Report) {
        let last = self.last;
        match count {
            _ if !ends.to_last => {}
            Some(count) if count == last => {}
            Some(count) => {
                note(Kind::SequenceEnd, task, format!("the log ends at {last}, the snapshot counts {count}"), report)
            }
            None => note(Kind::SequenceEnd, task, format!("the log ends at {last}, and there is no snapshot"), report),
        }
    }
}

fn no_events(task: &DocId, count: i64, ends: Ends, report: &mut Report) {
    if count > 0 && ends.from_first && ends.to_last {
        note(Kind::SequenceEnd, task, format!("the log holds none, the snapshot counts {count}"), report);
    }
}

fn hole(task: &DocId, first: i64, last: i64, report: &mut Report) {
    let which = if first == last { format!("{first} is missing") } else { format!("{first} to {last} are missing") };
    note(Kind::SequenceHole, task, which, report);
}

fn note(kind: Kind, task: &DocId, detail: String, report: &mut Report) {
    report.note(kind, Finding { task: Some(task.clone()), detail, ..Finding::default() });
}

/// The order in which the server sorts ids: text before ObjectIds.
pub(super) fn order(one: &DocId, other: &DocId) -> Ordering {
    match (one, other) {
        (DocId::Text(one), DocId::Text(other)) => one.as_bytes().cmp(other.as_bytes()),
        (DocId::Oid(one), DocId::Oid(other)) => one.cmp(other),
        (DocId::Text(_), DocId::Oid(_)) => Ordering::Less,
        (DocId::Oid(_), DocId::Text(_)) => Ordering::Greater,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHOLE: Ends = Ends { from_first: true, to_last: true };

    fn found(numbers: &[i64], count: Option<i64>, ends: Ends) -> Vec<(Kind, String)> {
        let zero = Timestamp { time: 0, increment: 0 };
        let (mut report, task) = (Report::new(zero, zero), DocId::parse("t"));
        let mut run = Run::begin(&task, numbers[0], ends, &mut report);
        numbers[1..].iter().for_each(|number| run.next(&task, *number, &mut report));
        run.end(&task, count, ends, &mut report);
        report.findings().map(|(kind, _, shown)| (kind, shown[0].detail.clone())).collect()
    }

    #[test]
    fn holes_repetitions_and_another_end_are_told_and_nothing_else() {
        assert_eq!(found(&[1, 2, 3], Some(3), WHOLE), []);
        assert_eq!(found(&[1, 3], Some(3), WHOLE), [(Kind::SequenceHole, "2 is missing".into())]);
        assert_eq!(found(&[3], Some(3), WHOLE), [(Kind::SequenceHole, "1 to 2 are missing".into())]);
        assert_eq!(found(&[1, 1, 2], Some(2), WHOLE), [(Kind::SequenceTwice, "1 is there twice".into())]);
        let end = "the log ends at 2, the snapshot counts 3";
        assert_eq!(found(&[1, 2], Some(3), WHOLE), [(Kind::SequenceEnd, end.into())]);
        assert_eq!(found(&[1], None, WHOLE).len(), 1);
    }

    #[test]
    fn what_lies_outside_the_period_is_not_missed() {
        assert_eq!(found(&[3, 4], Some(4), Ends { from_first: false, to_last: true }), []);
        assert_eq!(found(&[1, 2], Some(9), Ends { from_first: true, to_last: false }), []);
    }

    #[test]
    fn ids_are_ordered_as_the_server_does() {
        let (text, oid) = (DocId::parse("z"), DocId::Oid(bson::oid::ObjectId::from_bytes([0; 12])));
        assert_eq!(order(&text, &oid), Ordering::Less);
        assert_eq!(order(&DocId::parse("a"), &text), Ordering::Less);
    }
}
