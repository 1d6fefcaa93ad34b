//! One task of a gap: its snapshot beside the document that is there, and what its history rows say of the time between.

use std::sync::Arc;

use bson::Timestamp;
use taskwire::mapping::{Mapping, TaskState};
use taskwire::model::{DocId, EventId, StreamTime};

use super::rows::{self, TimedRow};
use super::story::{self, Past, Telling};
use crate::derive::{Draft, Rules};
use crate::fan_out::Versions;
use crate::field_set::FieldSet;
use crate::gap::{Gap, Tally};
use crate::judge::Part;
use crate::snapshot::Snapshot;

/// A task that is there, and what is known of its past.
pub(super) struct Compared {
    pub(super) id: DocId,
    pub(super) time: Timestamp,
    pub(super) last: Option<Result<Snapshot, i64>>,
    pub(super) now: Arc<TaskState>,
    pub(super) rows: Vec<TimedRow>,
}

impl Compared {
    /// What the difference and the rows tell; `None` if nothing is to be recorded.
    pub(super) fn part(
        self,
        mapping: &Mapping,
        rules: &Rules,
        versions: &Versions,
        gap: &Gap,
    ) -> Option<(Part, Tally)> {
        let at = StreamTime::new(self.time, StreamTime::END);
        let (past, sequence, known) = match &self.last {
            // Recovered before, or changed since: the stream tells the rest.
            Some(Ok(last)) if last.at.is_later_than(StreamTime::new(gap.to, 0)) => return None,
            Some(Ok(last)) => {
                let past = Past { state: last.state.clone(), unknown: last.unknown, reviewed: last.reviewed };
                (past, last.sequence, Some(last.at.t))
            }
            Some(Err(sequence)) => {
                let past = Past { state: Some(Arc::clone(&self.now)), unknown: FieldSet::default(), reviewed: true };
                (past, *sequence, Some(u32::MAX))
            }
            None => (Past { state: None, unknown: FieldSet::default(), reviewed: false }, 0, None),
        };
        let begun = rows::after(known.unwrap_or(0).max(gap.from.time));
        let rows: Vec<_> = self.rows.into_iter().filter(|timed| timed.ms > begun).map(|timed| timed.row).collect();
        let story = story::tell(mapping, rules, &past, &self.now, &rows);
        let same = past.state.as_ref() == Some(&self.now) && past.unknown.is_empty();
        if same && story.tellings.is_empty() && !matches!(self.last, Some(Err(_))) {
            return None;
        }
        let mut tally = Tally::default();
        match &past.state {
            None => tally.created = 1,
            Some(_) if same => {}
            Some(_) => tally.changed = 1,
        }
        tally.inferred = story.tellings.iter().map(|telling| i64::from(telling.inferred)).sum();
        let mut snapshot = Snapshot {
            at,
            sequence,
            reviewed: story.reviewed,
            ..Snapshot::of_scan(self.id, TaskState::clone(&self.now), self.time)
        };
        let events = story.tellings.into_iter().map(|telling| draft(telling, &mut snapshot, versions, gap)).collect();
        Some((Part { snapshots: vec![snapshot], events, ..Part::default() }, tally))
    }
}

fn draft(telling: Telling, snapshot: &mut Snapshot, versions: &Versions, gap: &Gap) -> Draft {
    let Telling { kind, before, after, fields, actor, .. } = telling;
    snapshot.sequence += 1;
    let at = StreamTime::new(gap.to, 0);
    let mut draft = Draft {
        id: EventId::recovered(gap.to, &gap.id, &snapshot.id, kind.name()),
        kind,
        task: snapshot.id.clone(),
        at,
        ms: gap.detected_at.timestamp_millis(),
        sequence: snapshot.sequence,
        subscribers: Vec::new(),
        state: after,
        before,
        fields,
        swap: None,
        actor,
        echo: false,
        muted: false,
        recovered: true,
    };
    draft.address(versions);
    draft
}
