//! Reading a task: whole, or by what an update changed.

use std::sync::Arc;

use bson::{RawArray, RawBsonRef, RawDocument};

use super::Mapping;
use super::path::{Part, Slot, Touch};
use super::shape::{Field, Show, Stored};
use super::value::{FieldType, Value};
use crate::model::DocId;

/// The tracked fields of a task at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskState {
    /// Its group.
    pub group: DocId,
    /// The tracked fields, in the mapping's order.
    pub values: Box<[Value]>,
    /// Who created it, if the task says so.
    pub created_by: Option<Arc<str>>,
    /// What stands at each of the mapping's actor paths.
    pub actors: Box<[Option<Arc<str>>]>,
    /// How long each of [`Mapping::arrays`] is (`None`: no array), so that an update's `history.3` can be told from its
    /// newest entry. 0 where it is not known: then whatever is written is the newest.
    pub lengths: Box<[Option<u32>]>,
}

impl TaskState {
    /// About how many bytes it takes: its texts, and something for the rest.
    #[must_use]
    pub fn bytes(&self) -> usize {
        /// Of a state with short texts.
        const REST: usize = 256;
        let text = |value: &Value| if let Value::Text(text) = value { text.len() } else { 0 };
        REST + self.values.iter().map(text).sum::<usize>()
    }
}

/// Why a document does not fit the mapping. Holds no value of the document.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{path}: {why}")]
pub struct Misfit {
    /// Where in the document.
    pub path: String,
    /// What was expected.
    pub why: String,
}

impl Misfit {
    /// A misfit at a path.
    #[must_use]
    pub fn new(path: &str, why: &str) -> Self {
        Self { path: path.to_owned(), why: why.to_owned() }
    }
}

/// A change stream's `updateDescription`.
#[derive(Debug, Clone, Copy)]
pub struct UpdateDescription<'a> {
    /// Dotted path → new value.
    pub updated: Option<&'a RawDocument>,
    /// Dotted paths that are gone.
    pub removed: Option<&'a RawArray>,
    /// Arrays that were cut: `{field, newSize}`.
    pub truncated: Option<&'a RawArray>,
    /// From MongoDB 6.1 on: the parts of those paths that can be read in two ways.
    pub disambiguated: Option<&'a RawDocument>,
}

/// A state in the making: the group may still be missing.
struct Draft {
    group: Option<DocId>,
    values: Box<[Value]>,
    creators: Vec<Option<Arc<str>>>,
    actors: Box<[Option<Arc<str>>]>,
    lengths: Box<[Option<u32>]>,
}

impl Mapping {
    /// Reads a whole document.
    ///
    /// # Errors
    /// [`Misfit`] where it lacks its group or a required field, or a field has another type.
    pub fn read_task(&self, doc: &RawDocument) -> Result<TaskState, Misfit> {
        let mut draft = Draft {
            group: None,
            values: vec![Value::Null; self.task.fields.len()].into(),
            creators: vec![None; self.task.created_by.len()],
            actors: vec![None; self.task.actors.len()].into(),
            lengths: vec![None; self.targets.arrays.len()].into(),
        };
        let broken = || Misfit::new("(document)", "broken BSON");
        self.targets.visit(doc, |slot, value| self.set(&mut draft, slot, value), broken)?;
        self.finish(draft)
    }

    /// The state after an update of `before`. Who created a task does not change by it.
    ///
    /// # Errors
    /// [`Misfit`] as in [`Mapping::read_task`], and where an update writes inside a plain field.
    pub fn apply_update(&self, before: &TaskState, update: UpdateDescription<'_>) -> Result<TaskState, Misfit> {
        let mut draft = Draft {
            group: Some(before.group.clone()),
            values: before.values.clone(),
            creators: vec![before.created_by.clone()],
            actors: before.actors.clone(),
            lengths: before.lengths.clone(),
        };
        let broken = || Misfit::new("updateDescription", "broken BSON");
        for entry in update.truncated.into_iter().flatten() {
            let entry = entry.map_err(|_| broken())?.as_document().ok_or_else(broken)?;
            let key = entry.get_str("field").map_err(|_| broken())?;
            let size = entry.get("newSize").ok().flatten().and_then(Value::whole_number);
            let size = size.and_then(|size| u32::try_from(size).ok()).ok_or_else(broken)?;
            self.cut(&mut draft, &Part::all(key, update.disambiguated), size)?;
        }
        for element in update.updated.into_iter().flatten() {
            let (key, value) = element.map_err(|_| broken())?;
            self.touch(&mut draft, key.as_str(), Some(value), update.disambiguated)?;
        }
        for key in update.removed.into_iter().flatten() {
            let key = key.map_err(|_| broken())?.as_str().ok_or_else(broken)?;
            self.touch(&mut draft, key, None, update.disambiguated)?;
        }
        self.finish(draft)
    }

    /// The array at `parts` was cut to `size` entries.
    fn cut(&self, draft: &mut Draft, parts: &[Part<'_>], size: u32) -> Result<(), Misfit> {
        for target in &self.targets.all {
            let is_it =
                target.path.0.len() == parts.len() && matches!(target.path.touched(parts, None, None), Touch::Set(_));
            match target.slot {
                Slot::Length(at) if is_it => draft.lengths[at] = Some(size),
                _ if target.path.cut_by(parts, size) => self.set(draft, target.slot, None)?,
                _ => {}
            }
        }
        Ok(())
    }

    /// An update sets the dotted path `key` to `value`, or removes it.
    fn touch(
        &self,
        draft: &mut Draft,
        key: &str,
        value: Option<RawBsonRef<'_>>,
        disambiguated: Option<&RawDocument>,
    ) -> Result<(), Misfit> {
        let parts = Part::all(key, disambiguated);
        for target in &self.targets.all {
            let length = target.array.and_then(|array| draft.lengths[array]);
            match (target.path.touched(&parts, value, length), target.slot) {
                (Touch::None, _) | (Touch::Set(_), Slot::Creator(_)) => {}
                (Touch::Set(value), slot) => self.set(draft, slot, value)?,
                (Touch::Inside, Slot::Field(_) | Slot::Group) => {
                    return Err(Misfit::new(key, "written inside a field that is a plain value"));
                }
                (Touch::Inside, Slot::Length(at)) => {
                    // An entry of the array, perhaps a new one; in a document digits are a name like any other.
                    let index = parts.get(target.path.0.len()).and_then(|part| part.index());
                    draft.lengths[at] = draft.lengths[at].map(|length| length.max(index.map_or(0, |index| index + 1)));
                }
                (Touch::Inside, Slot::Creator(_) | Slot::Actor(_)) => {}
            }
        }
        Ok(())
    }

    fn set(&self, draft: &mut Draft, slot: Slot, value: Option<RawBsonRef<'_>>) -> Result<(), Misfit> {
        match slot {
            Slot::Field(at) => draft.values[at] = read_value(&self.task.fields[at], value)?,
            Slot::Group => {
                draft.group = match value {
                    Some(raw) => Some(DocId::from_raw(raw).ok_or_else(|| Misfit::new(&self.task.group, "no id"))?),
                    None => None,
                }
            }
            Slot::Creator(at) => draft.creators[at] = value.and_then(id_text),
            Slot::Actor(at) => draft.actors[at] = value.and_then(id_text),
            Slot::Length(at) => {
                let entries = value.and_then(RawBsonRef::as_array).map(|array| array.into_iter().count());
                draft.lengths[at] = entries.and_then(|entries| u32::try_from(entries).ok());
            }
        }
        Ok(())
    }

    fn finish(&self, draft: Draft) -> Result<TaskState, Misfit> {
        let group = draft.group.ok_or_else(|| Misfit::new(&self.task.group, "missing"))?;
        for (field, value) in self.task.fields.iter().zip(&draft.values) {
            if field.required && *value == Value::Null {
                return Err(Misfit::new(&field.path, "missing"));
            }
        }
        let created_by = draft.creators.into_iter().flatten().next();
        Ok(TaskState { group, values: draft.values, created_by, actors: draft.actors, lengths: draft.lengths })
    }
}

fn id_text(raw: RawBsonRef<'_>) -> Option<Arc<str>> {
    DocId::from_raw(raw).map(|id| id.to_string().into())
}

fn read_value(field: &Field, raw: Option<RawBsonRef<'_>>) -> Result<Value, Misfit> {
    let raw = match raw {
        None | Some(RawBsonRef::Null | RawBsonRef::Undefined) => return Ok(Value::Null),
        Some(raw) => raw,
    };
    if raw.as_str().is_some_and(|text| text.len() > longest(field)) {
        return Err(Misfit::new(&field.path, "too long to be recorded"));
    }
    let value = match field.kind {
        FieldType::Text => raw.as_str().map(|text| Value::Text(text.into())),
        FieldType::Int => Value::whole_number(raw).map(Value::Int),
        FieldType::Bool => raw.as_bool().map(Value::Bool),
        FieldType::Date => raw.as_datetime().map(|date| Value::Date(date.timestamp_millis())),
        FieldType::Id => DocId::from_raw(raw).map(|id| match id {
            DocId::Oid(oid) => Value::Oid(oid),
            DocId::Text(text) => Value::Text(text.into()),
        }),
        FieldType::Enum => enum_name(field, raw).map(|name| Value::Text(name.into())),
    };
    value.ok_or_else(|| Misfit { path: field.path.clone(), why: format!("not {}", field.kind.describe()) })
}

/// The longest text of a field, in bytes: a body holds what it shows three times, each byte as up to six, and a snapshot
/// holds everything; both must fit into a document of 16 MB.
const fn longest(field: &Field) -> usize {
    match field.show {
        Show::Data | Show::Changes => 512 << 10,
        Show::Never => 8 << 20,
    }
}

fn enum_name<'a>(field: &'a Field, raw: RawBsonRef<'_>) -> Option<&'a str> {
    match field.stored {
        Stored::Int => field.names.get(usize::try_from(Value::whole_number(raw)?).ok()?).map(String::as_str),
        Stored::Text => field.names.iter().find(|name| Some(name.as_str()) == raw.as_str()).map(String::as_str),
    }
}

#[cfg(test)]
mod tests;
