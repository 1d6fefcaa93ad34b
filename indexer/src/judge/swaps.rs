//! Each task's swap, told once, whoever tells it first: a whole transaction by its net effect, or a swap request.
//!
//! Whoever comes second within [`SwapMark::LIFETIME`] adds nothing but, where it still can, the approver. A re-assignment
//! that is no part of a swap in its transaction is a `task.updated`, whatever requests say.

use std::collections::{HashMap, HashSet};

use bson::Timestamp;
use taskwire::mapping::{TaskState, Value};
use taskwire::model::{DocId, EventId, EventKind, StreamTime};

use super::{Judge, Part, Quarantined, Step, plain_draft};
use crate::change::SwapApproval;
use crate::derive::Draft;
use crate::fold::Transition;
use crate::memory::Memory;
use crate::snapshot::{Snapshot, SwapMark, SwapTeller};
use crate::swap::{self, Reassigned};

/// The tasks that a transaction swapped: with which one, and the assignee before it.
pub(super) type Swapped = HashMap<DocId, (DocId, Value)>;

impl Judge {
    /// Which tasks a whole transaction swapped, by what it did to each in all. A task that was born, deleted or first seen
    /// in it had no assignee to pass on, and one that changed its group passed none within a group.
    pub(super) fn net_swaps(&self, steps: &[Step]) -> Swapped {
        let assignee = self.mapping.assignee();
        let mut places: HashMap<&DocId, usize> = HashMap::new();
        let mut ends = Vec::new();
        let mut unfit: HashSet<&DocId> = HashSet::new();
        for (nth, step) in steps.iter().enumerate() {
            let Transition::Changed { before, after, fields } = &step.transition else {
                unfit.insert(&step.task);
                continue;
            };
            let place = *places.entry(&step.task).or_insert(ends.len());
            if place == ends.len() {
                ends.push((usize::MAX, &step.task, before, after));
            }
            ends[place].3 = after;
            if fields.has(assignee) {
                ends[place].0 = ends[place].0.min(nth);
            }
        }
        // In stream order of the re-assignments.
        ends.sort_by_key(|(moved, ..)| *moved);
        let is_net =
            |task: &DocId, before: &TaskState, after: &TaskState| !unfit.contains(task) && before.group == after.group;
        let net = ends.into_iter().filter(|(_, task, before, after)| is_net(task, before, after));
        let moves: Vec<Reassigned> = net
            .map(|(_, task, before, after)| Reassigned {
                task: task.clone(),
                group: after.group.clone(),
                from: before.values[assignee].clone(),
                to: after.values[assignee].clone(),
            })
            .collect();
        let mut pairs = swap::judge(&moves);
        let with_old = moves.into_iter().filter_map(|entry| {
            let with = pairs.remove(&entry.task)?;
            Some((entry.task, (with, entry.from)))
        });
        with_old.collect()
    }

    /// A swap request that moved to its approved status: names the approver of the swap in its own transaction, or tells
    /// each task's swap, once.
    pub(super) fn tell_approval(
        &self,
        mut approval: SwapApproval,
        (at, ms): (StreamTime, i64),
        swapped: &Swapped,
        memory: &mut Memory,
        part: &mut Part,
    ) {
        let Some(shape) = &self.mapping.swap_requests else { return };
        let Some([one, other]) = approval.tasks.clone() else {
            part.quarantined.extend(approval.raw.take().map(|raw| Quarantined {
                key: Some(approval.id.clone()),
                collection: shape.collection.clone(),
                reason:
                    "the update that approved it does not name its tasks, and the request is no longer there".into(),
                at,
                raw,
            }));
            return;
        };
        let request = approval.id.to_string();
        let told = [&one, &other].map(|task| memory.get(task).and_then(|snapshot| snapshot.swap.clone()));
        for (nth, (task, with)) in [(&one, &other), (&other, &one)].into_iter().enumerate() {
            // A snapshot from after the approval: this is read again, and what it told is in it.
            let current = |snapshot: &&Snapshot| snapshot.state.is_some() && !snapshot.at.is_later_than(at);
            let Some(mut snapshot) = memory.get(task).filter(current).cloned() else { continue };
            if snapshot.swap.as_ref().is_some_and(|mark| mark.requests.contains(&request)) {
                continue;
            }
            let in_transaction = swapped.contains_key(task);
            if in_transaction {
                name_approver(part, task, approval.approver.as_deref());
            }
            match &mut snapshot.swap {
                Some(mark) if in_transaction || is_told(mark, with, told[1 - nth].as_ref(), at.timestamp()) => {
                    mark.see(&request);
                    mark.spent = true;
                }
                _ => part.events.extend(self.told_by_request(&approval, with, (at, ms), &mut snapshot)),
            }
            part.snapshots.retain(|known| known.id != snapshot.id);
            part.snapshots.push(snapshot.clone());
            memory.put(snapshot, part.number);
        }
    }

    fn told_by_request(
        &self,
        approval: &SwapApproval,
        with: &DocId,
        (at, ms): (StreamTime, i64),
        snapshot: &mut Snapshot,
    ) -> Option<Draft> {
        let shape = self.mapping.swap_requests.as_ref()?;
        let state = snapshot.state.clone()?;
        snapshot.sequence += 1;
        let mut mark = SwapMark::told(snapshot.swap.as_ref(), with.clone(), SwapTeller::Request, at.timestamp());
        mark.see(&approval.id.to_string());
        snapshot.swap = Some(mark);
        let namespace = format!("{}.{}", self.database, shape.collection);
        let name = format!("{}/{}", EventKind::Swapped.name(), snapshot.id);
        Some(Draft {
            id: EventId::derive(at, &namespace, &approval.id, &name),
            swap: Some((with.clone(), Value::Null)),
            actor: approval.approver.clone(),
            ..plain_draft(snapshot, EventKind::Swapped, state, at, ms)
        })
    }
}

/// Whether a transaction told the swap of a task with `with` before its request came. `other` is the other task's mark:
/// where several tasks fit, a transaction may have told each with another, but it told both.
fn is_told(mark: &SwapMark, with: &DocId, other: Option<&SwapMark>, now: Timestamp) -> bool {
    let together = other.is_some_and(|other| other.told_by == SwapTeller::Transaction && other.at == mark.at);
    mark.awaits_other(SwapTeller::Transaction, now) && (mark.with == *with || together)
}

/// Marks that a transaction told the swap with `with`; false if a swap request told it before.
pub(super) fn mark_transaction(snapshot: &mut Snapshot, with: &DocId, swapped: &Swapped, at: StreamTime) -> bool {
    if let Some(mark) = &mut snapshot.swap
        && mark.awaits_other(SwapTeller::Request, at.timestamp())
        && (mark.with == *with || swapped.contains_key(&mark.with))
    {
        mark.spent = true;
        return false;
    }
    let last = snapshot.swap.as_ref();
    snapshot.swap = Some(SwapMark::told(last, with.clone(), SwapTeller::Transaction, at.timestamp()));
    true
}

/// Puts a swap's approver into the event that tells it, before whoever else may be known; only an inbound write's
/// integration goes before.
fn name_approver(part: &mut Part, task: &DocId, approver: Option<&str>) {
    part.approvals.retain(|awaited| awaited.task != *task);
    let Some(approver) = approver else { return };
    let told = |draft: &&mut Draft| draft.task == *task && draft.kind == EventKind::Swapped && !draft.echo;
    part.events.iter_mut().filter(told).for_each(|draft| draft.actor = Some(approver.to_owned()));
    let events = &part.events;
    part.needs
        .retain(|need| need.task != *task || events[need.events.clone()].iter().any(|draft| draft.actor.is_none()));
}

impl Part {
    /// A swap request was approved after the transaction that told the swap: its approver is the actor, if the events
    /// have not left yet.
    pub fn approve(&mut self, approval: &SwapApproval) {
        let Some([one, other]) = &approval.tasks else { return };
        for (task, with) in [(one, other), (other, one)] {
            let awaits = |task: &DocId| self.approvals.iter().find(|awaited| awaited.task == *task);
            if awaits(task).is_some_and(|awaited| awaited.with == *with || awaits(with).is_some()) {
                name_approver(self, task, approval.approver.as_deref());
            }
        }
    }
}
