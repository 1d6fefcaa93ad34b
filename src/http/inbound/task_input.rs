//! Tasks as calls give them: each field read and checked by itself, before anything is looked up. Pure.

use bson::oid::ObjectId;

use super::json::{Faults, Item, Node, line};
use crate::http::error::ApiResult;
use crate::mapping::{Mapping, Value};
use crate::model::DocId;

/// The most items of a batch.
pub(super) const BATCH_MAX: usize = 100;
/// How long a partner's id may be.
const EXTERNAL_ID: std::ops::RangeInclusive<usize> = 1..=128;
/// The service's own limits of a name.
const NAME: std::ops::RangeInclusive<usize> = 1..=200;
/// The service's names of frequencies.
const FREQUENCIES: [&str; 7] = ["OneTime", "Daily", "Weekly", "BiWeekly", "Monthly", "Quarterly", "Yearly"];

/// What an item is about.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Target {
    /// The partner's id.
    External(String),
    /// The service's.
    Own(ObjectId),
}

impl Target {
    /// The partner's id, if it is one.
    pub(super) fn external(&self) -> Option<&str> {
        match self {
            Self::External(id) => Some(id),
            Self::Own(_) => None,
        }
    }

    /// The field that named it.
    pub(super) const fn field(&self) -> &'static str {
        match self {
            Self::External(_) => "externalId",
            Self::Own(_) => "id",
        }
    }
}

/// A task of a call.
#[derive(Debug)]
pub(super) struct TaskInput {
    pub(super) item: Item,
    pub(super) target: Target,
    /// The fields it carries: place in the mapping, value.
    pub(super) fields: Vec<(usize, Value)>,
}

impl TaskInput {
    /// The value that it carries for the field at this place of the mapping.
    pub(super) fn carried(&self, place: Option<usize>) -> Option<&Value> {
        self.fields.iter().find(|(at, _)| Some(*at) == place).map(|(_, value)| value)
    }
}

/// One field of a task.
enum Given {
    Target(Target),
    Field(usize, Value),
}

/// Reads the tasks of a body.
///
/// # Errors
/// 400 if it is no JSON; 422 naming every field that cannot be used.
pub(super) fn read_tasks(body: &[u8], mapping: &Mapping) -> ApiResult<Vec<TaskInput>> {
    let items = Item::all(Node::read(body)?, "tasks", BATCH_MAX)?;
    let mut faults = Faults::default();
    let mut tasks: Vec<TaskInput> = Vec::new();
    for item in items {
        let given = item.read(&mut faults, |name, node| field(name, node, mapping));
        let (mut targets, mut fields) = (Vec::new(), Vec::new());
        for given in given {
            match given {
                Given::Target(target) => targets.push(target),
                Given::Field(place, value) => fields.push((place, value)),
            }
        }
        match (targets.pop(), targets.pop()) {
            (Some(_), Some(_)) => faults.add(item.field("id"), "cannot be given together with externalId"),
            (Some(target), None) => match tasks.iter().find(|other| other.target == target) {
                Some(other) => {
                    let message = format!("is given twice: in {} too", other.item.name());
                    faults.add(item.field(target.field()), message);
                }
                None => tasks.push(TaskInput { item, target, fields }),
            },
            (None, _) if !item.has_any(&["externalId", "id"]) => {
                faults.add(item.field("externalId"), "is missing (or id, for a task that is not yours)");
            }
            (None, _) => {}
        }
    }
    faults.finish().map(|()| tasks)
}

/// `None`: there is no such field.
fn field(name: &str, node: &Node, mapping: &Mapping) -> Option<Result<Given, String>> {
    let value = match name {
        "externalId" => return Some(external_id(node).map(|id| Given::Target(Target::External(id)))),
        "id" => return Some(own_id(node).map(|id| Given::Target(Target::Own(id)))),
        "name" => line(node, NAME).map(|name| Value::Text(name.into())),
        "description" => description(node),
        "difficulty" => match node {
            Node::Int(number) if (1..=10).contains(number) => Ok(Value::Int(*number)),
            _ => Err("must be a whole number from 1 to 10".to_owned()),
        },
        "status" => {
            let names = &mapping.task.fields[mapping.status()].names;
            one_of(node, names.iter().map(String::as_str))
        }
        "assignedUserId" => match node {
            Node::Text(id) if !id.is_empty() => Ok(id_value(id)),
            _ => Err("must be the id of a member of the group, as text".to_owned()),
        },
        "dueAt" => time(node),
        "frequency" => one_of(node, FREQUENCIES.into_iter()),
        "requiresApproval" => match node {
            Node::Bool(flag) => Ok(Value::Bool(*flag)),
            _ => Err("must be true or false".to_owned()),
        },
        "templateId" => match node {
            Node::Null => Ok(Value::Null),
            Node::Text(id) if !id.is_empty() => Ok(id_value(id)),
            _ => Err("must be the id of a template, as text, or null".to_owned()),
        },
        _ => return None,
    };
    Some(match (mapping.field(name), value) {
        (Some(place), value) => value.map(|value| Given::Field(place, value)),
        (None, _) => Err("is no field of this task service".to_owned()),
    })
}

/// A partner's id.
pub(super) fn external_id(node: &Node) -> Result<String, String> {
    line(node, EXTERNAL_ID)
}

fn own_id(node: &Node) -> Result<ObjectId, String> {
    let id = match node {
        Node::Text(text) => ObjectId::parse_str(text).ok(),
        _ => None,
    };
    id.ok_or_else(|| "must be the service's id of a task: 24 hexadecimal digits".to_owned())
}

fn description(node: &Node) -> Result<Value, String> {
    match node {
        Node::Null => Ok(Value::Null),
        Node::Text(text) if !text.contains('\0') => Ok(Value::Text(text.as_str().into())),
        _ => Err("must be a text without NUL, or null".to_owned()),
    }
}

fn one_of<'a>(node: &Node, names: impl Iterator<Item = &'a str> + Clone) -> Result<Value, String> {
    match node {
        Node::Text(text) if names.clone().any(|name| name == text) => Ok(Value::Text(text.as_str().into())),
        _ => Err(format!("must be one of: {}", names.collect::<Vec<_>>().join(", "))),
    }
}

fn id_value(text: &str) -> Value {
    match DocId::parse(text) {
        DocId::Oid(oid) => Value::Oid(oid),
        DocId::Text(text) => Value::Text(text.into()),
    }
}

/// RFC 3339 with its offset, in the years that the service's times know. Finer parts of a second than milliseconds are cut,
/// as they are in the database.
fn time(node: &Node) -> Result<Value, String> {
    const YEAR_1: i64 = -62_135_596_800_000;
    const YEAR_10000: i64 = 253_402_300_800_000;
    let text = match node {
        // The library takes a space for the T.
        Node::Text(text) if text.as_bytes().get(10).is_some_and(|byte| byte.eq_ignore_ascii_case(&b'T')) => text,
        _ => return Err(TIME.to_owned()),
    };
    let time = chrono::DateTime::parse_from_rfc3339(text).map_err(|_| TIME.to_owned())?;
    let ms = time.timestamp_millis();
    if (YEAR_1..YEAR_10000).contains(&ms) { Ok(Value::Date(ms)) } else { Err(TIME.to_owned()) }
}

const TIME: &str =
    "must be a time in RFC 3339 with its offset, such as 2026-01-31T12:00:00Z, in the years 0001 to 9999 of UTC";

#[cfg(test)]
#[path = "task_input_tests.rs"]
mod tests;
