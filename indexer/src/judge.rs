//! Judging one unit: its changes folded in order, swaps by the net effect, events derived and fanned out. Pure, over the
//! snapshots that were loaded for it.

mod part;
mod swaps;

use std::collections::HashMap;
use std::sync::Arc;

use bson::{RawDocumentBuf, Timestamp};
use taskwire::mapping::{HistoryShape, Mapping, TaskState, Value};
use taskwire::model::{DocId, EventId, EventKind, StreamTime, Version};

pub use self::part::{Awaited, Need, Part, Quarantined};
use self::swaps::{Swapped, mark_transaction};
use crate::change::{HistoryRow, SwapApproval, What};
use crate::derive::{Draft, Rules, SwapPart};
use crate::fan_out::Versions;
use crate::field_set::FieldSet;
use crate::fold::{Transition, fold};
use crate::memory::Memory;
use crate::snapshot::{Snapshot, SwapMark};
use crate::unit::Unit;

/// A unit, judged.
#[derive(Debug, Default)]
pub struct Judged {
    /// What is recorded.
    pub part: Part,
    /// History rows in it, to be matched.
    pub rows: Vec<(HistoryRow, StreamTime, i64)>,
    /// Swap requests approved in it, for swaps told before.
    pub approvals: Vec<SwapApproval>,
}

/// One folded change of a task.
struct Step {
    task: DocId,
    at: StreamTime,
    ms: i64,
    transition: Transition,
}

/// What judging goes by, and what it remembers from unit to unit.
#[derive(Debug)]
pub struct Judge {
    /// How the service's documents are read.
    pub mapping: Arc<Mapping>,
    rules: Rules,
    database: String,
    occurrences: HashMap<DocId, u32>,
    last_time: Option<Timestamp>,
}

impl Judge {
    /// A judge for the changes of `database`.
    #[must_use]
    pub fn new(mapping: Arc<Mapping>, database: &str) -> Self {
        let rules = Rules::of(&mapping);
        Self { mapping, rules, database: database.to_owned(), occurrences: HashMap::new(), last_time: None }
    }

    /// Judges a unit. The snapshots of its tasks must be in `memory`.
    pub fn judge(&mut self, unit: Unit, number: u64, memory: &mut Memory, versions: &mut Versions) -> Judged {
        let time = unit.time();
        let whole_transaction = unit.is_whole_transaction();
        // Changes of one cluster time outside a transaction count on too.
        if self.last_time != Some(time) {
            self.occurrences.clear();
            self.last_time = Some(time);
        }
        let ms = unit.changes.last().map_or(0, |change| change.ms);
        let mut judged = Judged { part: Part { number, ms, ..Part::default() }, ..Judged::default() };
        let (mut steps, mut approvals, mut inbound) = (Vec::new(), Vec::new(), None);
        for change in unit.changes {
            let at = StreamTime::new(time, 0);
            match change.what {
                What::Task { id, write } => {
                    let at = StreamTime::new(time, self.occurrence(&id));
                    match fold(&self.mapping, at, memory.get(&id), &write) {
                        Ok(None) => {}
                        Ok(Some(transition)) => {
                            let next = next_snapshot(&id, at, memory.get(&id), &transition);
                            memory.put(next, number);
                            steps.push(Step { task: id, at, ms: change.ms, transition });
                        }
                        Err(misfit) => judged.part.quarantined.push(Quarantined {
                            key: Some(id),
                            collection: self.mapping.task.collection.clone(),
                            reason: misfit.to_string(),
                            at,
                            raw: raw_of(write),
                        }),
                    }
                }
                What::Row(row) => judged.rows.push((row, at, change.ms)),
                What::SwapApproved(approval) => approvals.push((approval, change.ms)),
                What::Webhook(webhook) => add_version(Version::of(&webhook, at), versions, &mut judged.part),
                What::WebhookGone(webhook) => {
                    if let Some(last) = versions.newest(webhook).cloned() {
                        let reason = Some("deleted".to_owned());
                        add_version(Version { at, live: false, reason, ..last }, versions, &mut judged.part);
                    }
                }
                What::Mute { group, until } => {
                    add_version(Version::mute(&group, at, until), versions, &mut judged.part);
                }
                What::Inbound { integration } => inbound = Some(format!("integration:{integration}")),
                What::TasksGone(gone) => {
                    let at = StreamTime::new(time, StreamTime::END);
                    judged.part.gone = Some((at, gone));
                }
                What::Unreadable { key, collection, reason, raw } => {
                    let of_task = key.as_ref().filter(|_| collection == self.mapping.task.collection);
                    let at = StreamTime::new(time, of_task.map_or(0, |id| self.occurrence(id)));
                    judged.part.quarantined.push(Quarantined { key, collection, reason, at, raw });
                }
                What::Invalidate | What::Ignored => {}
            }
        }
        if inbound.is_some() {
            // They belong to the changes beside them, whose actor is known: no other change may be given them.
            judged.rows.clear();
        }
        let swapped = if whole_transaction { self.net_swaps(&steps) } else { HashMap::new() };
        self.tell_steps(steps, &swapped, inbound.as_deref(), memory, &mut judged.part);
        for (approval, ms) in approvals {
            judged.approvals.push(SwapApproval { raw: None, ..approval.clone() });
            let at = StreamTime::new(time, 0);
            self.tell_approval(approval, (at, ms), &swapped, memory, &mut judged.part);
        }
        for draft in &mut judged.part.events {
            draft.address(versions);
        }
        judged
    }

    /// Which change of this task at the present cluster time it is, readable or not.
    /// The next change of `task` at `time` is the `n`th, as when the stream first told it.
    pub fn count_from(&mut self, time: Timestamp, task: &DocId, n: u32) {
        self.last_time = Some(time);
        self.occurrences = HashMap::from([(task.clone(), n)]);
    }

    fn occurrence(&mut self, task: &DocId) -> u32 {
        let next = self.occurrences.entry(task.clone()).or_default();
        *next += 1;
        *next - 1
    }

    /// The event a history row alone tells, if nothing told it since the task's last change of status. A row from before
    /// the snapshot's last change is read again: what it told is in the snapshot. A row that names another status than the
    /// task has is a late one, of an earlier change or another life.
    pub fn tell_row(
        &self,
        (row, at, ms): (&HistoryRow, StreamTime, i64),
        number: u64,
        memory: &mut Memory,
        versions: &Versions,
    ) -> Option<Part> {
        let history = self.mapping.history.as_ref()?;
        let kind = *history.tells.get(&row.action)?;
        let untold = |snapshot: &&Snapshot| !snapshot.reviewed && !snapshot.at.is_later_than(at);
        let mut snapshot = memory.get(&row.task).filter(untold)?.clone();
        let state = Arc::clone(snapshot.state.as_ref()?);
        if self.names_another_status(row, history, &state) {
            return None;
        }
        snapshot.reviewed = true;
        snapshot.sequence += 1;
        let namespace = format!("{}.{}", self.database, history.collection);
        let mut draft = Draft {
            id: EventId::derive(at, &namespace, &row.id, kind.name()),
            actor: Some(row.actor.clone()),
            ..plain_draft(&snapshot, kind, state, at, ms)
        };
        draft.address(versions);
        memory.put(snapshot.clone(), number);
        Some(Part { number, ms, snapshots: vec![snapshot], events: vec![draft], ..Part::default() })
    }

    fn names_another_status(&self, row: &HistoryRow, history: &HistoryShape, state: &TaskState) -> bool {
        let status = self.mapping.status();
        let keys = history.keys.iter().filter(|key| self.mapping.field(&key.field) == Some(status));
        let stands = state.values[status].to_text();
        keys.flat_map(|key| row.changes.iter().filter(|(name, _)| *name == key.new))
            .any(|(_, text)| Some(text) != stands.as_ref())
    }

    fn tell_steps(
        &self,
        steps: Vec<Step>,
        swapped: &Swapped,
        inbound: Option<&str>,
        memory: &mut Memory,
        part: &mut Part,
    ) {
        let assignee = self.mapping.assignee();
        let reassigns =
            |step: &Step| matches!(&step.transition, Transition::Changed { fields, .. } if fields.has(assignee));
        let mut last_reassigned: HashMap<DocId, usize> = HashMap::new();
        for (at, step) in steps.iter().enumerate().filter(|(_, step)| reassigns(step)) {
            last_reassigned.insert(step.task.clone(), at);
        }
        let mut places: HashMap<DocId, usize> = HashMap::new();
        for (nth, step) in steps.into_iter().enumerate() {
            let Some(mut snapshot) = memory.get(&step.task).cloned() else { continue };
            let swap = swapped.get(&step.task).filter(|_| reassigns(&step));
            let tells = swap.is_some() && last_reassigned.get(&step.task) == Some(&nth);
            let swap_part = match swap {
                None => {
                    // Re-assigned by itself: a request that told a swap has no transaction to wait for any more.
                    snapshot.swap.iter_mut().for_each(|mark| mark.spent |= reassigns(&step));
                    SwapPart::None
                }
                Some((with, _)) if tells && mark_transaction(&mut snapshot, with, swapped, step.at) => SwapPart::Told,
                Some(_) => SwapPart::Explained,
            };
            self.tell_step(&step, swap_part, swap, inbound, &mut snapshot, part);
            match places.get(&step.task) {
                Some(place) => part.snapshots[*place] = snapshot.clone(),
                None => {
                    places.insert(step.task, part.snapshots.len());
                    part.snapshots.push(snapshot.clone());
                }
            }
            memory.put(snapshot, part.number);
        }
    }

    fn tell_step(
        &self,
        step: &Step,
        swap_part: SwapPart,
        swap: Option<&(DocId, Value)>,
        inbound: Option<&str>,
        snapshot: &mut Snapshot,
        part: &mut Part,
    ) {
        let (kinds, before, after, fields) = match &step.transition {
            Transition::Adopted(_) | Transition::Deleted => return,
            Transition::Created(after) => {
                snapshot.reviewed = false;
                (vec![EventKind::Created], None, after, FieldSet::default())
            }
            Transition::Changed { before, after, fields } => {
                let kinds = self.rules.events(before, after, *fields, swap_part);
                let reviews = kinds.iter().any(|kind| matches!(kind, EventKind::Approved | EventKind::Rejected));
                if reviews || fields.has(self.mapping.status()) {
                    snapshot.reviewed = reviews;
                }
                (kinds, Some(before), after, *fields)
            }
        };
        let first = part.events.len();
        let namespace = format!("{}.{}", self.database, self.mapping.task.collection);
        for kind in kinds {
            snapshot.sequence += 1;
            let actor = match inbound {
                Some(actor) => Some(actor.to_owned()),
                None if kind == EventKind::Created => after.created_by.as_deref().map(ToOwned::to_owned),
                None => self.actor_in_task(after, kind),
            };
            part.events.push(Draft {
                id: EventId::derive(step.at, &namespace, &step.task, kind.name()),
                before: before.cloned(),
                fields,
                swap: swap.filter(|_| kind == EventKind::Swapped).cloned(),
                actor,
                echo: inbound.is_some(),
                ..plain_draft(snapshot, kind, Arc::clone(after), step.at, step.ms)
            });
        }
        if let Some((with, _)) = swap.filter(|_| swap_part == SwapPart::Told)
            && self.mapping.swap_requests.is_some()
            && inbound.is_none()
        {
            part.approvals.push(Awaited { task: step.task.clone(), with: with.clone() });
        }
        let unknown = part.events[first..].iter().any(|draft| draft.actor.is_none());
        if let Some(before) = before.filter(|_| unknown && self.mapping.history.is_some()) {
            part.needs.push(Need {
                task: step.task.clone(),
                before: Arc::clone(before),
                after: Arc::clone(after),
                fields,
                events: first..part.events.len(),
            });
        }
    }

    /// The first of the mapping's actor paths that applies to an event of this kind.
    fn actor_in_task(&self, state: &TaskState, kind: EventKind) -> Option<String> {
        let sources = self.mapping.task.actors.iter().zip(&state.actors);
        let applies = sources.filter(|(source, _)| source.only.is_empty() || source.only.contains(&kind));
        applies.filter_map(|(_, actor)| actor.as_deref()).next().map(ToOwned::to_owned)
    }
}

fn add_version(version: Version, versions: &mut Versions, part: &mut Part) {
    if versions.add(version.clone()) {
        part.versions.push(version);
    }
}

fn next_snapshot(id: &DocId, at: StreamTime, last: Option<&Snapshot>, transition: &Transition) -> Snapshot {
    Snapshot {
        id: id.clone(),
        at,
        sequence: last.map_or(0, |snapshot| snapshot.sequence),
        state: transition.after().cloned(),
        // Nothing is known about an adopted task's past; a first sight is no reason to tell a review.
        reviewed: last.is_none_or(|snapshot| snapshot.reviewed),
        // A swap of another life is nobody's any more; its request is remembered.
        swap: last.and_then(|snapshot| snapshot.swap.clone()).map(|mark| {
            let over = matches!(transition, Transition::Created(_) | Transition::Deleted);
            SwapMark { spent: mark.spent || over, ..mark }
        }),
        unknown: FieldSet::default(),
    }
}

fn plain_draft(snapshot: &Snapshot, kind: EventKind, state: Arc<TaskState>, at: StreamTime, ms: i64) -> Draft {
    Draft {
        id: EventId::from(String::new()),
        kind,
        task: snapshot.id.clone(),
        at,
        ms,
        sequence: snapshot.sequence,
        state,
        before: None,
        fields: FieldSet::default(),
        swap: None,
        actor: None,
        echo: false,
        muted: false,
        recovered: false,
        subscribers: Vec::new(),
    }
}

fn raw_of(write: crate::change::TaskWrite) -> RawDocumentBuf {
    match write {
        crate::change::TaskWrite::Update(raw) => raw,
        // Only an update can fail to fold: whole documents were checked when they were read.
        _ => RawDocumentBuf::new(),
    }
}

#[cfg(test)]
mod swaps_tests;
#[cfg(test)]
mod tests;
