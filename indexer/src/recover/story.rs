//! What happened to one task inside a gap, told by its state before and after and by the history rows between. Pure.
//!
//! The difference tells what is different; rows tell the statuses between and who did it. A row is believed where it does
//! not contradict the state it is applied to; what the rows leave unexplained is told by the difference alone. Each kind of
//! event is told at most once a task and gap, because its id is a function of the two.

use std::sync::Arc;

use taskwire::mapping::{HistoryShape, Mapping, TaskState, Value};
use taskwire::model::EventKind;

use crate::change::HistoryRow;
use crate::derive::{Rules, SwapPart};
use crate::field_set::FieldSet;

/// An event that is told of a gap.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Telling {
    pub(super) kind: EventKind,
    /// `None`: created.
    pub(super) before: Option<Arc<TaskState>>,
    pub(super) after: Arc<TaskState>,
    pub(super) fields: FieldSet,
    pub(super) actor: Option<String>,
    /// Whether rows alone tell it: the difference does not.
    pub(super) inferred: bool,
}

/// A task's past, as far as it matters to a story.
#[derive(Debug, Clone)]
pub(super) struct Past {
    /// The state; `None`: there was no such task.
    pub(super) state: Option<Arc<TaskState>>,
    /// Fields of which nothing is known.
    pub(super) unknown: FieldSet,
    /// Whether an approval or rejection was told since the last change of status.
    pub(super) reviewed: bool,
}

/// The events, in order, and whether a review was told since the last change of status.
#[derive(Debug)]
pub(super) struct Story {
    pub(super) tellings: Vec<Telling>,
    pub(super) reviewed: bool,
}

/// Tells a task's story from `past` to `now`, by `rows` in the order in which they were written.
pub(super) fn tell(mapping: &Mapping, rules: &Rules, past: &Past, now: &Arc<TaskState>, rows: &[HistoryRow]) -> Story {
    let net = net_kinds(rules, past, now);
    let mut teller = Teller { mapping, rules, past, net, tellings: Vec::new(), reviewed: past.reviewed };
    let mut state = match &past.state {
        Some(state) => Arc::clone(state),
        None => teller.birth(now, rows),
    };
    let mut unused = Vec::new();
    for row in rows {
        match teller.step(&state, row) {
            Some(next) => state = next,
            None => unused.push(row),
        }
    }
    teller.rest(&state, now, &unused);
    Story { reviewed: teller.reviewed, tellings: teller.tellings }
}

fn net_kinds(rules: &Rules, past: &Past, now: &TaskState) -> Vec<EventKind> {
    let Some(before) = &past.state else { return vec![EventKind::Created] };
    rules.events(before, now, FieldSet::difference(before, now).without(past.unknown), SwapPart::None)
}

struct Teller<'a> {
    mapping: &'a Mapping,
    rules: &'a Rules,
    past: &'a Past,
    net: Vec<EventKind>,
    tellings: Vec<Telling>,
    reviewed: bool,
}

impl Teller<'_> {
    /// A task that was born in the gap: as it was at first, so far as the rows undo what came after.
    fn birth(&mut self, now: &Arc<TaskState>, rows: &[HistoryRow]) -> Arc<TaskState> {
        let mut first = TaskState::clone(now);
        if let Some(history) = &self.mapping.history {
            for row in rows.iter().rev() {
                for (at, old, _) in said(self.mapping, history, row) {
                    if let Some(old) = old {
                        first.values[at] = old;
                    }
                }
            }
        }
        let first = Arc::new(first);
        self.reviewed = false;
        self.add(EventKind::Created, None, &first, FieldSet::default(), first.created_by.as_deref());
        first
    }

    /// Applies a row; `None` if it contradicts the state or says nothing of it.
    fn step(&mut self, before: &Arc<TaskState>, row: &HistoryRow) -> Option<Arc<TaskState>> {
        let history = self.mapping.history.as_ref()?;
        let mut next = TaskState::clone(before);
        for (at, old, new) in said(self.mapping, history, row) {
            if old.is_some_and(|old| old != before.values[at]) {
                return None;
            }
            if let Some(new) = new {
                next.values[at] = new;
            }
        }
        let fields = FieldSet::difference(before, &next);
        let mut kinds = self.rules.events(before, &next, fields, SwapPart::None);
        self.note_reviews(&kinds, fields);
        if let Some(kind) = history.tells.get(&row.action).filter(|_| !self.reviewed) {
            kinds.push(*kind);
            kinds.sort_unstable();
            self.reviewed = true;
        }
        if kinds.is_empty() {
            return None;
        }
        let next = Arc::new(next);
        for kind in kinds {
            self.add(kind, Some(before), &next, fields, Some(&row.actor));
        }
        Some(next)
    }

    /// What is left between the state that the rows lead to and the one that is there.
    fn rest(&mut self, before: &Arc<TaskState>, now: &Arc<TaskState>, unused: &[&HistoryRow]) {
        let fields = FieldSet::difference(before, now).without(self.past.unknown);
        if fields.is_empty() {
            // What nobody tracks (who changed it last) may still differ.
            self.tellings.retain(|telling| !telling.is_void());
            return;
        }
        let kinds = self.rules.events(before, now, fields, SwapPart::None);
        self.note_reviews(&kinds, fields);
        let actor = unused.iter().rev().find(|row| self.fits(row, fields)).map(|row| row.actor.as_str());
        for kind in kinds {
            self.add(kind, Some(before), now, fields, actor);
        }
        self.tellings.retain(|telling| !telling.is_void());
    }

    /// Whether a row of this action can belong to a change of `fields`.
    fn fits(&self, row: &HistoryRow, fields: FieldSet) -> bool {
        let names = self.mapping.history.as_ref().and_then(|history| history.fits.get(&row.action));
        let changed = |name: &String| name == "*" || self.mapping.field(name).is_some_and(|at| fields.has(at));
        names.is_some_and(|names| names.iter().any(changed))
    }

    fn note_reviews(&mut self, kinds: &[EventKind], fields: FieldSet) {
        let reviews = kinds.iter().any(|kind| matches!(kind, EventKind::Approved | EventKind::Rejected));
        if reviews || fields.has(self.mapping.status()) {
            self.reviewed = reviews;
        }
    }

    /// A kind told before gives way to its later telling; updates are told as one, from the first state to the last.
    fn add(
        &mut self,
        kind: EventKind,
        before: Option<&Arc<TaskState>>,
        after: &Arc<TaskState>,
        fields: FieldSet,
        actor: Option<&str>,
    ) {
        let mut before = before.map(Arc::clone);
        let mut fields = fields;
        let mut actor = actor.map(ToOwned::to_owned);
        if let Some(at) = self.tellings.iter().position(|telling| telling.kind == kind) {
            let earlier = self.tellings.remove(at);
            actor = actor.or(earlier.actor);
            if let (EventKind::Updated, Some(first)) = (kind, earlier.before) {
                fields = FieldSet::difference(&first, after).without(self.past.unknown);
                before = Some(first);
            }
        }
        let inferred = !self.net.contains(&kind);
        self.tellings.push(Telling { kind, before, after: Arc::clone(after), fields, actor, inferred });
    }
}

impl Telling {
    /// An update that was taken back.
    fn is_void(&self) -> bool {
        self.kind == EventKind::Updated && self.fields.is_empty()
    }
}

/// What a row says of tracked fields: the value before and after, where they can be told.
fn said<'a>(
    mapping: &'a Mapping,
    history: &'a HistoryShape,
    row: &'a HistoryRow,
) -> impl Iterator<Item = (usize, Option<Value>, Option<Value>)> {
    history.keys.iter().filter_map(|key| {
        let at = mapping.field(&key.field)?;
        let field = &mapping.task.fields[at];
        let value = |name: &str| {
            let (_, text) = row.changes.iter().find(|(key, _)| key == name)?;
            Value::from_text(field, text)
        };
        let (old, new) = (value(&key.old), value(&key.new));
        (old.is_some() || new.is_some()).then_some((at, old, new))
    })
}

#[cfg(test)]
#[path = "story_tests.rs"]
mod tests;
