//! Which events must follow from what the task service wrote, which did, and how the two differ.

use std::collections::BTreeMap;
use std::fmt;

use anyhow::{Context, Result};
use bson::oid::ObjectId;
use serde_json::{Map, Value};
use taskwire::model::{EventKind, TaskEvent};

/// An event that must be told exactly once.
#[derive(Debug, Clone, PartialEq)]
pub struct Expected {
    /// Which.
    pub event: EventKind,
    /// The task.
    pub task: ObjectId,
    /// Its group at the change.
    pub group: ObjectId,
    /// Who made the change; `None` where no history row tells.
    pub actor: Option<String>,
    /// Payload field → (from, to), for the fields that partners see. Empty for `task.created`.
    pub changes: BTreeMap<&'static str, (Value, Value)>,
    /// Where it is a swap: the task whose old assignee this one received.
    pub swapped_with: Option<ObjectId>,
}

/// An event as a partner received it or as `taskEvents` holds it.
#[derive(Debug, Clone, PartialEq)]
pub struct Observed {
    /// The event's id.
    pub id: String,
    /// Its name.
    pub event: String,
    /// The task's id, as text.
    pub task: String,
    /// The group's id, as text.
    pub group: String,
    /// Who, if told.
    pub actor: Option<String>,
    /// This task's event count.
    pub sequence: i64,
    /// Payload field → `{from, to}`.
    pub changes: Map<String, Value>,
    /// For swaps.
    pub swapped_with: Option<String>,
}

impl Observed {
    /// Reads a body that a partner received.
    ///
    /// # Errors
    /// When a field that the payload must have is missing or of another type; the text names it.
    pub fn from_body(body: &Value) -> Result<Self> {
        let text = |at: &str| {
            body.pointer(at).and_then(Value::as_str).map(str::to_owned).with_context(|| format!("no text at {at}"))
        };
        Ok(Self {
            id: text("/id")?,
            event: text("/event")?,
            task: text("/data/id")?,
            group: text("/groupId")?,
            actor: body.get("actorId").context("no actorId")?.as_str().map(str::to_owned),
            sequence: body.pointer("/data/sequence").and_then(Value::as_i64).context("no number at /data/sequence")?,
            changes: body.pointer("/data/changes").and_then(Value::as_object).cloned().unwrap_or_default(),
            swapped_with: body.pointer("/data/swappedWithTaskId").and_then(Value::as_str).map(str::to_owned),
        })
    }

    /// Reads a row of `taskEvents`.
    ///
    /// # Errors
    /// When its body is not what a partner must receive.
    pub fn from_event(event: &TaskEvent) -> Result<Self> {
        let body = serde_json::from_str(&event.body).context("the stored body is no JSON")?;
        Self::from_body(&body).with_context(|| format!("the stored body of {}", event.id))
    }
}

impl fmt::Display for Expected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.event.name())?;
        for (name, (from, to)) in &self.changes {
            write!(f, " {name} {from} -> {to}")?;
        }
        write!(f, " by {}", self.actor.as_deref().unwrap_or("nobody known"))
    }
}

/// How strictly actors are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Actors {
    /// Each must be told.
    Exact,
    /// It may be missing (a history row may come later than the wait allows), but never be another.
    MayBeMissing,
    /// Not at all, for events recovered from a gap.
    Ignored,
}

/// Compares event by event, for each task in the order of its sequence. Copies of one id count once: a delivery is
/// at-least-once. Gives a line for each difference; none means that every expected event was told exactly once.
#[must_use]
pub fn compare(expected: &[Expected], observed: &[Observed], actors: Actors) -> Vec<String> {
    let mut differences = Vec::new();
    let mut told: BTreeMap<&str, BTreeMap<(i64, &str), &Observed>> = BTreeMap::new();
    let mut by_id: BTreeMap<&str, &Observed> = BTreeMap::new();
    for event in observed {
        match by_id.insert(&event.id, event) {
            Some(first) if first != event => differences.push(format!("{} came with two contents", event.id)),
            _ => drop(told.entry(&event.task).or_default().insert((event.sequence, &event.id), event)),
        }
    }
    let mut wanted: BTreeMap<String, Vec<&Expected>> = BTreeMap::new();
    for event in expected {
        wanted.entry(event.task.to_hex()).or_default().push(event);
    }
    for (task, wanted) in &wanted {
        let told: Vec<&Observed> = told.remove(task.as_str()).unwrap_or_default().into_values().collect();
        differences.extend(compare_task(task, wanted, &told, actors));
    }
    for (task, events) in told {
        let names: Vec<&str> = events.values().map(|event| event.event.as_str()).collect();
        differences.push(format!("task {task}: unexpected {}", names.join(", ")));
    }
    differences
}

fn compare_task(task: &str, wanted: &[&Expected], told: &[&Observed], actors: Actors) -> Vec<String> {
    let mut differences = Vec::new();
    let names = |list: &[String]| if list.is_empty() { "nothing".to_owned() } else { list.join(", ") };
    let wanted_names: Vec<String> = wanted.iter().map(|event| event.event.name().to_owned()).collect();
    let told_names: Vec<String> = told.iter().map(|event| event.event.clone()).collect();
    if wanted_names != told_names {
        return vec![format!("task {task}: expected {} and got {}", names(&wanted_names), names(&told_names))];
    }
    if told.windows(2).any(|pair| pair[0].sequence >= pair[1].sequence) {
        let sequences: Vec<i64> = told.iter().map(|event| event.sequence).collect();
        differences.push(format!("task {task}: sequences {sequences:?} are not distinct"));
    }
    for (number, (wanted, told)) in wanted.iter().zip(told).enumerate() {
        for difference in compare_event(wanted, told, actors) {
            differences.push(format!("task {task}, event {number} ({wanted}): {difference}"));
        }
    }
    differences
}

fn compare_event(wanted: &Expected, told: &Observed, actors: Actors) -> Vec<String> {
    let mut differences = Vec::new();
    let actor_fits = match actors {
        Actors::Exact => told.actor == wanted.actor,
        Actors::MayBeMissing => told.actor.is_none() || told.actor == wanted.actor,
        Actors::Ignored => true,
    };
    if !actor_fits {
        differences.push(format!("the actor is {:?}", told.actor));
    }
    if told.group != wanted.group.to_hex() {
        differences.push(format!("the group is {}", told.group));
    }
    for (name, (from, to)) in &wanted.changes {
        let change = told.changes.get(*name);
        if change.and_then(|change| change.get("from")) != Some(from)
            || change.and_then(|change| change.get("to")) != Some(to)
        {
            differences.push(format!("the change of {name} is {change:?}"));
        }
    }
    if told.swapped_with != wanted.swapped_with.map(|task| task.to_hex()) {
        differences.push(format!("it is a swap with {:?}, not {:?}", told.swapped_with, wanted.swapped_with));
    }
    differences
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn wanted(event: EventKind, task: ObjectId) -> Expected {
        Expected { event, task, group: task, actor: Some("u".into()), changes: BTreeMap::new(), swapped_with: None }
    }

    fn told(id: &str, event: &str, task: ObjectId, sequence: i64) -> Observed {
        let body = json!({"id": id, "event": event, "groupId": task.to_hex(), "actorId": "u",
                          "data": {"id": task.to_hex(), "sequence": sequence}});
        Observed::from_body(&body).unwrap()
    }

    #[test]
    fn the_expected_events_in_any_order_of_arrival_and_with_copies_are_no_difference() {
        let task = ObjectId::new();
        let expected = [wanted(EventKind::Created, task), wanted(EventKind::Completed, task)];
        let second = told("b", "task.completed", task, 2);
        let observed = [second.clone(), told("a", "task.created", task, 1), second];
        assert_eq!(compare(&expected, &observed, Actors::Exact), Vec::<String>::new());
    }

    #[test]
    fn a_missing_a_doubled_an_unexpected_and_a_wrongly_attributed_event_are_each_told() {
        let (task, other) = (ObjectId::new(), ObjectId::new());
        let created = [wanted(EventKind::Created, task)];
        assert_eq!(compare(&created, &[], Actors::Exact).len(), 1);
        let doubled = [told("a", "task.created", task, 1), told("b", "task.created", task, 2)];
        assert_eq!(compare(&created, &doubled, Actors::Exact).len(), 1);
        let more = [told("a", "task.created", task, 1), told("c", "task.created", other, 1)];
        assert_eq!(compare(&created, &more, Actors::Exact).len(), 1);
        let mut stranger = told("a", "task.created", task, 1);
        stranger.actor = Some("x".into());
        assert_eq!(compare(&created, &[stranger.clone()], Actors::MayBeMissing).len(), 1);
        stranger.actor = None;
        assert_eq!(compare(&created, &[stranger.clone()], Actors::MayBeMissing).len(), 0);
        assert_eq!(compare(&created, &[stranger], Actors::Exact).len(), 1);
    }
}
