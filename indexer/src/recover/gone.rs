//! What a gap took away: tasks that are gone, and tasks of which only history rows are left.

use std::collections::HashSet;

use bson::{Bson, Timestamp, doc};
use taskwire::model::{DocId, StreamTime};
use taskwire::store::names;

use super::{Found, Recovery, id_of, key_of, rows};
use crate::field_set::FieldSet;
use crate::gap::{Gap, Tally};
use crate::judge::Part;
use crate::record::RecordError;
use crate::scan::{self, Query, Range};
use crate::snapshot::Snapshot;

/// Tasks born and deleted inside a gap that are told apart while they are counted, at most.
const VANISHED_MOST: usize = 100_000;

impl Recovery<'_> {
    /// The next snapshots whose task may be gone; of those whose task is, tombstones.
    pub(super) async fn bury(&mut self, range: &mut Range, time: Timestamp) -> Result<Vec<Found>, RecordError> {
        let living = Query { filter: doc! { "deleted": { "$ne": true } }, ..Query::default() };
        let chunk = scan::chunk(self.store, names::SNAPSHOTS, range, &living, time).await?;
        let keys: Vec<Bson> = chunk.documents().filter_map(key_of).collect();
        let there = doc! {
            "find": &self.mapping.task.collection, "filter": { "_id": { "$in": keys } }, "projection": { "_id": 1 },
            "batchSize": scan::CHUNK, "readConcern": scan::as_of(time),
        };
        let there = scan::find_all(self.store, &there).await?;
        let there: HashSet<DocId> = there.iter().filter_map(|task| id_of(task)).collect();
        let gone = chunk.documents().filter(|snapshot| id_of(snapshot).is_some_and(|id| !there.contains(&id)));
        let mut found = Vec::new();
        for raw in gone {
            let (Some(id), Some(key)) = (id_of(raw), key_of(raw)) else { continue };
            let stone = Snapshot {
                id,
                at: StreamTime::new(time, StreamTime::END),
                sequence: raw.get_i64("sequence").unwrap_or(0),
                state: None,
                reviewed: true,
                swap: None,
                unknown: FieldSet::default(),
            };
            let part = Part { snapshots: vec![stone], ..Part::default() };
            found.push(Found { key, part, tally: Tally { deleted: 1, ..Tally::default() } });
        }
        range.reach(chunk.last);
        Ok(found)
    }

    /// Counts the tasks that only history rows know: born and deleted inside the gap.
    pub(super) async fn count_vanished(
        &mut self,
        range: &mut Range,
        time: Timestamp,
        gap: &mut Gap,
        vanished: &mut HashSet<DocId>,
    ) -> Result<Vec<Found>, RecordError> {
        let Some((history, _)) = rows::shape(self.mapping) else {
            range.done = true;
            return Ok(Vec::new());
        };
        if range.last.is_none() {
            range.from = rows::since(gap.from).get_document("_id").ok().and_then(|since| since.get("$gte")).cloned();
        }
        let chunk = scan::chunk(self.store, &history.collection, range, &Query::default(), time).await?;
        let named = rows::tasks_named(chunk.documents(), self.mapping, gap.from);
        let keys: Vec<Bson> = named.iter().cloned().map(Into::into).collect();
        let known = doc! {
            "find": names::SNAPSHOTS, "filter": { "_id": { "$in": keys } }, "projection": { "_id": 1 },
            "batchSize": scan::CHUNK,
        };
        let known = scan::find_all(self.store, &known).await?;
        let known: HashSet<DocId> = known.iter().filter_map(|snapshot| id_of(snapshot)).collect();
        let unknown = named.into_iter().filter(|task| !known.contains(task));
        vanished.extend(unknown.take(VANISHED_MOST.saturating_sub(vanished.len())));
        gap.vanished = i64::try_from(vanished.len()).unwrap_or(i64::MAX);
        range.reach(chunk.last);
        Ok(Vec::new())
    }
}
