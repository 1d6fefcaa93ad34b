//! Judging one unit: its changes folded in order, swaps by the net effect, events derived and fanned out. Pure, over the
//! snapshots that were loaded for it.

use std::collections::HashMap;
use std::sync::Arc;

use bson::{RawDocumentBuf, Timestamp};
use taskwire::mapping::{Mapping, TaskState, Value};
use taskwire::model::{DocId, EventId, EventKind, StreamTime};

use crate::change::{Gone, HistoryRow, SwapApproval, What};
use crate::derive::{Draft, Rules, SwapPart};
use crate::fan_out::{Version, Versions};
use crate::field_set::FieldSet;
use crate::fold::{Transition, fold};
use crate::memory::Memory;
use crate::quarantine::Reread;
use crate::snapshot::{Snapshot, SwapMark, SwapTeller};
use crate::swap::{self, Reassigned};
use crate::unit::Unit;

/// A change that could not be understood, for `quarantinedChanges`.
#[derive(Debug, Clone)]
pub struct Quarantined {
    /// The document.
    pub key: Option<DocId>,
    /// Its collection.
    pub collection: String,
    /// Why, without values.
    pub reason: String,
    /// The place in the stream.
    pub time: Timestamp,
    /// The whole raw change.
    pub raw: RawDocumentBuf,
}

/// A task's change whose actor a history row may name.
#[derive(Debug, Clone)]
pub struct Need {
    /// The task.
    pub task: DocId,
    /// Before.
    pub before: Arc<TaskState>,
    /// After.
    pub after: Arc<TaskState>,
    /// The fields that changed.
    pub fields: FieldSet,
    /// The events (places in [`Part::events`]) that get the actor.
    pub events: std::ops::Range<usize>,
}

/// What is recorded together: everything one unit does.
#[derive(Debug, Default)]
pub struct Part {
    /// The unit's number.
    pub number: u64,
    /// The time of its changes, in milliseconds.
    pub ms: i64,
    /// The snapshots after it, one a task.
    pub snapshots: Vec<Snapshot>,
    /// The events, in order.
    pub events: Vec<Draft>,
    /// The changes that wait for a history row.
    pub needs: Vec<Need>,
    /// Configurations that begin here.
    pub versions: Vec<Version>,
    /// Changes put aside.
    pub quarantined: Vec<Quarantined>,
    /// Entries of `quarantinedChanges` that this settles.
    pub reread: Vec<Reread>,
    /// The collection of tasks went away: every snapshot up to here is a tombstone.
    pub gone: Option<(StreamTime, Gone)>,
}

impl Part {
    /// Whether there is anything to record besides the position.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.snapshots.is_empty()
            && self.events.is_empty()
            && self.versions.is_empty()
            && self.quarantined.is_empty()
            && self.gone.is_none()
    }
}

/// A unit, judged.
#[derive(Debug, Default)]
pub struct Judged {
    /// What is recorded.
    pub part: Part,
    /// History rows in it, to be matched.
    pub rows: Vec<(HistoryRow, StreamTime, i64)>,
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
        let mut judged = Judged { part: Part { number, ms, ..Part::default() }, rows: Vec::new() };
        let (mut steps, mut approvals, mut inbound) = (Vec::new(), Vec::new(), None);
        for change in unit.changes {
            let at = StreamTime::new(time, 0);
            match change.what {
                What::Task { id, write } => {
                    let occurrence = self.occurrences.entry(id.clone()).or_default();
                    let at = StreamTime::new(time, *occurrence);
                    *occurrence += 1;
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
                            time,
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
                What::Inbound { integration } => inbound = Some(format!("integration:{integration}")),
                What::TasksGone(gone) => {
                    let at = StreamTime::new(time, StreamTime::END);
                    judged.part.gone = Some((at, gone));
                }
                What::Unreadable { key, collection, reason, raw } => {
                    judged.part.quarantined.push(Quarantined { key, collection, reason, time, raw });
                }
                What::Invalidate | What::Ignored => {}
            }
        }
        let swapped = if whole_transaction { self.net_swaps(&steps) } else { HashMap::new() };
        self.tell_steps(steps, &swapped, inbound.as_deref(), memory, &mut judged.part);
        for (approval, ms) in approvals {
            self.tell_approval(&approval, StreamTime::new(time, 0), ms, &swapped, memory, &mut judged.part);
        }
        for draft in &mut judged.part.events {
            draft.subscribers = versions.subscribers(&draft.state.group, draft.at, draft.kind, draft.echo);
        }
        judged
    }

    /// The event a history row alone tells, if nothing told it since the task's last change of status. A row from before
    /// the snapshot's last change is read again: what it told is in the snapshot.
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
        snapshot.reviewed = true;
        snapshot.sequence += 1;
        let namespace = format!("{}.{}", self.database, history.collection);
        let draft = Draft {
            id: EventId::derive(at, &namespace, &row.id, kind.name()),
            actor: Some(row.actor.clone()),
            ..plain_draft(&snapshot, kind, state, at, ms)
        };
        let subscribers = versions.subscribers(&draft.state.group, at, kind, false);
        memory.put(snapshot.clone(), number);
        let events = vec![Draft { subscribers, ..draft }];
        Some(Part { number, ms, snapshots: vec![snapshot], events, ..Part::default() })
    }

    /// Which tasks a whole transaction swapped, and the assignee each had before it.
    fn net_swaps(&self, steps: &[Step]) -> HashMap<DocId, (DocId, Value)> {
        let assignee = self.mapping.assignee();
        let mut moves: Vec<Reassigned> = Vec::new();
        for step in steps {
            let Transition::Changed { before, after, .. } = &step.transition else {
                moves.retain(|entry| entry.task != step.task);
                continue;
            };
            let to = after.values[assignee].clone();
            match moves.iter_mut().find(|entry| entry.task == step.task) {
                Some(entry) => entry.to = to,
                None if before.group == after.group => moves.push(Reassigned {
                    task: step.task.clone(),
                    group: after.group.clone(),
                    from: before.values[assignee].clone(),
                    to,
                }),
                None => {}
            }
        }
        if moves.len() < 2 {
            return HashMap::new();
        }
        let mut pairs = swap::judge(&moves);
        let with_old = moves.into_iter().filter_map(|entry| {
            let with = pairs.remove(&entry.task)?;
            Some((entry.task, (with, entry.from)))
        });
        with_old.collect()
    }

    fn tell_steps(
        &self,
        steps: Vec<Step>,
        swapped: &HashMap<DocId, (DocId, Value)>,
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
        for (nth, step) in steps.into_iter().enumerate() {
            let Some(mut snapshot) = memory.get(&step.task).cloned() else { continue };
            let swap = swapped.get(&step.task).filter(|_| reassigns(&step));
            let tells = swap.is_some() && last_reassigned.get(&step.task) == Some(&nth);
            let swap_part = match swap {
                None => SwapPart::None,
                Some((with, _)) if tells && mark_transaction(&mut snapshot, with, step.at) => SwapPart::Told,
                Some(_) => SwapPart::Explained,
            };
            self.tell_step(&step, swap_part, swap, inbound, &mut snapshot, part);
            part.snapshots.retain(|known| known.id != snapshot.id);
            part.snapshots.push(snapshot.clone());
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

    /// A swap request that moved to its approved status: names the approver of the swap in its own transaction, or tells
    /// each task's swap, once.
    fn tell_approval(
        &self,
        approval: &SwapApproval,
        at: StreamTime,
        ms: i64,
        swapped: &HashMap<DocId, (DocId, Value)>,
        memory: &mut Memory,
        part: &mut Part,
    ) {
        let (Some(shape), Some([one, other])) = (&self.mapping.swap_requests, &approval.tasks) else { return };
        let request = approval.id.to_string();
        for (task, with) in [(one, other), (other, one)] {
            // A snapshot from after the approval: this is read again, and what it told is in it.
            let current = |snapshot: &&Snapshot| snapshot.state.is_some() && !snapshot.at.is_later_than(at);
            let Some(mut snapshot) = memory.get(task).filter(current).cloned() else { continue };
            if swapped.contains_key(task) {
                let told = |draft: &&mut Draft| draft.task == *task && draft.kind == EventKind::Swapped;
                for draft in part.events.iter_mut().filter(told) {
                    draft.actor.clone_from(&approval.approver);
                }
                part.needs.retain(|need| {
                    need.task != *task || part.events[need.events.clone()].iter().any(|draft| draft.actor.is_none())
                });
                spend(&mut snapshot, &request);
            } else if snapshot.swap.as_ref().is_some_and(|mark| mark.request.as_ref() == Some(&request)) {
                continue;
            } else if snapshot
                .swap
                .as_ref()
                .is_some_and(|mark| mark.awaits_other(with, SwapTeller::Transaction, at.timestamp()))
            {
                spend(&mut snapshot, &request);
            } else {
                let Some(state) = snapshot.state.clone() else { continue };
                snapshot.sequence += 1;
                snapshot.swap = Some(SwapMark {
                    with: with.clone(),
                    told_by: SwapTeller::Request,
                    at: at.t,
                    request: Some(request.clone()),
                    spent: false,
                });
                let namespace = format!("{}.{}", self.database, shape.collection);
                let name = format!("{}/{task}", EventKind::Swapped.name());
                part.events.push(Draft {
                    id: EventId::derive(at, &namespace, &approval.id, &name),
                    swap: Some((with.clone(), Value::Null)),
                    actor: approval.approver.clone(),
                    ..plain_draft(&snapshot, EventKind::Swapped, state, at, ms)
                });
            }
            part.snapshots.retain(|known| known.id != snapshot.id);
            part.snapshots.push(snapshot.clone());
            memory.put(snapshot, part.number);
        }
    }
}

fn add_version(version: Version, versions: &mut Versions, part: &mut Part) {
    if versions.add(version.clone()) {
        part.versions.push(version);
    }
}

/// Marks that a transaction told the swap with `with`; false if the swap request told it before.
fn mark_transaction(snapshot: &mut Snapshot, with: &DocId, at: StreamTime) -> bool {
    if let Some(mark) = &mut snapshot.swap
        && mark.awaits_other(with, SwapTeller::Request, at.timestamp())
    {
        mark.spent = true;
        return false;
    }
    let told_by = SwapTeller::Transaction;
    snapshot.swap = Some(SwapMark { with: with.clone(), told_by, at: at.t, request: None, spent: false });
    true
}

fn spend(snapshot: &mut Snapshot, request: &str) {
    if let Some(mark) = &mut snapshot.swap {
        mark.request = Some(request.to_owned());
        mark.spent = true;
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
        swap: last.and_then(|snapshot| snapshot.swap.clone()),
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
mod tests;
