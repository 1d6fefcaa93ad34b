//! Deriving: a transition gives the events whose rules hold, and the body that partners get. Pure and deterministic.

use std::sync::Arc;

use serde::ser::{Serialize, SerializeMap, Serializer};
use taskwire::mapping::value::rfc3339;
use taskwire::mapping::{Mapping, Show, TaskState, Value};
use taskwire::model::{DocId, EventId, EventKind, PayloadSummary, StreamTime, TaskEvent};

use crate::fan_out::{Subscriber, Versions};
use crate::field_set::FieldSet;

/// The mapping's rules, with fields as places.
#[derive(Debug, Clone)]
pub struct Rules {
    rules: Vec<Rule>,
    assignee: FieldSet,
}

#[derive(Debug, Clone)]
struct Rule {
    event: EventKind,
    when: Vec<When>,
    explains: FieldSet,
}

#[derive(Debug, Clone)]
struct When {
    field: usize,
    from: Vec<String>,
    to: Vec<String>,
    same: FieldSet,
}

impl Rules {
    /// The rules of a checked mapping.
    #[must_use]
    pub fn of(mapping: &Mapping) -> Self {
        let set = |names: &[String]| {
            let fields = names.iter().filter_map(|name| mapping.field(name));
            fields.fold(FieldSet::default(), |set, field| set.with(FieldSet::one(field)))
        };
        let mut rules: Vec<Rule> = mapping
            .rules
            .iter()
            .map(|rule| Rule {
                event: rule.event,
                explains: set(&rule.explains),
                when: rule
                    .when
                    .iter()
                    .filter_map(|when| {
                        let field = mapping.field(&when.field)?;
                        Some(When { field, from: when.from.clone(), to: when.to.clone(), same: set(&when.same) })
                    })
                    .collect(),
            })
            .collect();
        rules.sort_by_key(|rule| rule.event);
        Self { rules, assignee: FieldSet::one(mapping.assignee()) }
    }

    /// The events of a change of `fields`, in order. `swap` says what a swap explains of it.
    #[must_use]
    pub fn events(&self, before: &TaskState, after: &TaskState, fields: FieldSet, swap: SwapPart) -> Vec<EventKind> {
        let mut kinds = Vec::new();
        let mut explained = FieldSet::default();
        for rule in &self.rules {
            if rule.when.iter().any(|when| when.holds(before, after, fields)) {
                explained = explained.with(rule.explains);
                if !kinds.contains(&rule.event) {
                    kinds.push(rule.event);
                }
            }
        }
        match swap {
            SwapPart::None => {}
            SwapPart::Explained => explained = explained.with(self.assignee),
            SwapPart::Told => {
                explained = explained.with(self.assignee);
                kinds.push(EventKind::Swapped);
            }
        }
        if !fields.without(explained).is_empty() {
            kinds.push(EventKind::Updated);
        }
        kinds
    }
}

impl When {
    fn holds(&self, before: &TaskState, after: &TaskState, fields: FieldSet) -> bool {
        let is = |value: &Value, names: &[String]| matches!(value, Value::Text(text) if names.iter().any(|name| **name == **text));
        fields.has(self.field)
            && is(&after.values[self.field], &self.to)
            && (self.from.is_empty() || is(&before.values[self.field], &self.from))
            && fields.without(self.same) == fields
    }
}

/// What a swap means for one change of a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SwapPart {
    /// Nothing.
    None,
    /// The change of assignee is part of a swap told elsewhere.
    Explained,
    /// This change tells the swap.
    Told,
}

/// A derived event, before its actor is known.
#[derive(Debug, Clone)]
pub struct Draft {
    /// Its id.
    pub id: EventId,
    /// Which of the six.
    pub kind: EventKind,
    /// The task.
    pub task: DocId,
    /// The change's place in the stream.
    pub at: StreamTime,
    /// The change's own time, in milliseconds.
    pub ms: i64,
    /// The task's event count, this one included.
    pub sequence: i64,
    /// The state after.
    pub state: Arc<TaskState>,
    /// The state before, where there was one.
    pub before: Option<Arc<TaskState>>,
    /// The fields that changed.
    pub fields: FieldSet,
    /// Swaps: the task whose old assignee this one received, and the assignee before the whole transaction.
    pub swap: Option<(DocId, Value)>,
    /// Who did it, so far as it is known.
    pub actor: Option<String>,
    /// Whether it came in through the inbound endpoint.
    pub echo: bool,
    /// Whether its group was muted: it is in the log, and nobody gets it.
    pub muted: bool,
    /// Whether it was found while recovering a gap.
    pub recovered: bool,
    /// Who gets it.
    pub subscribers: Vec<Subscriber>,
}

impl Draft {
    /// Finds who gets it, by the configurations as of its point of the stream.
    pub fn address(&mut self, versions: &Versions) {
        let group = &self.state.group;
        self.muted = versions.muted(group, self.at, self.ms);
        if !self.muted {
            self.subscribers = versions.subscribers(group, self.at, self.kind, self.echo);
        }
    }

    /// The event as it is recorded: its body is fixed here.
    #[must_use]
    pub fn finish(&self, mapping: &Mapping) -> TaskEvent {
        let changed = (0..mapping.task.fields.len()).filter(|at| self.fields.has(*at));
        TaskEvent {
            id: self.id.clone(),
            group_id: self.state.group.clone(),
            task_id: self.task.clone(),
            event: self.kind,
            at: bson::DateTime::from_millis(self.ms),
            cluster_time: self.at.timestamp(),
            sequence: self.sequence,
            actor_id: self.actor.clone(),
            summary: PayloadSummary {
                status: self.state.values[mapping.status()].to_text(),
                changed: changed.map(|at| mapping.task.fields[at].name.clone()).collect(),
            },
            // Serialising strings, numbers and maps with text keys into memory has no failing case.
            body: serde_json::to_string(&Body { draft: self, mapping }).unwrap_or_default(),
            echo: self.echo,
            muted: self.muted,
            recovered: self.recovered,
        }
    }
}

struct Body<'a> {
    draft: &'a Draft,
    mapping: &'a Mapping,
}

impl Serialize for Body<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let draft = self.draft;
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("id", &draft.id)?;
        map.serialize_entry("event", draft.kind.name())?;
        map.serialize_entry("groupId", &draft.state.group.to_string())?;
        map.serialize_entry("timestamp", &rfc3339(draft.ms))?;
        map.serialize_entry("actorId", &draft.actor)?;
        if draft.recovered {
            map.serialize_entry("recovered", &true)?;
        }
        map.serialize_entry("data", &Data { draft, mapping: self.mapping })?;
        map.end()
    }
}

struct Data<'a> {
    draft: &'a Draft,
    mapping: &'a Mapping,
}

impl Serialize for Data<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let draft = self.draft;
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("id", &draft.task.to_string())?;
        for (field, value) in self.mapping.task.fields.iter().zip(&draft.state.values) {
            if field.show == Show::Data {
                map.serialize_entry(&field.name, value)?;
            }
        }
        map.serialize_entry("updatedAt", &rfc3339(draft.ms))?;
        map.serialize_entry("sequence", &draft.sequence)?;
        if let Some((with, _)) = &draft.swap {
            map.serialize_entry("swappedWithTaskId", &with.to_string())?;
        }
        map.serialize_entry("changes", &Changes { draft, mapping: self.mapping })?;
        map.end()
    }
}

struct Changes<'a> {
    draft: &'a Draft,
    mapping: &'a Mapping,
}

#[derive(serde::Serialize)]
struct FromTo<'a> {
    from: &'a Value,
    to: &'a Value,
}

impl Serialize for Changes<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let draft = self.draft;
        let mut map = serializer.serialize_map(None)?;
        let Some(before) = &draft.before else { return map.end() };
        for (at, field) in self.mapping.task.fields.iter().enumerate() {
            if !draft.fields.has(at) || field.show == Show::Never {
                continue;
            }
            let net_from = draft.swap.as_ref().filter(|_| at == self.mapping.assignee()).map(|(_, from)| from);
            let from = net_from.unwrap_or(&before.values[at]);
            map.serialize_entry(&field.name, &FromTo { from, to: &draft.state.values[at] })?;
        }
        map.end()
    }
}

#[cfg(test)]
mod tests;
