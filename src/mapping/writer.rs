//! Writing documents of the task service, as a profile's `[writer]` says: what the service itself would have written. Pure.

use bson::{Bson, DateTime, Document, oid::ObjectId};

use super::shape::{Field, Stored};
use super::value::FieldType;
use super::written::{Constant, Source, WriterShape, Written};
use super::{Mapping, Value};
use crate::model::{DocId, EventKind};

/// An action of which the service keeps a history.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Deed {
    /// A task was made.
    Created,
    /// Its status was set.
    Status,
    /// Its completion was approved.
    Approved,
    /// Its completion was rejected.
    Rejected,
    /// It was given to somebody else.
    Assignee,
    /// Other fields were changed.
    Edited,
}

/// What a move of the status decides about a completion.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Review {
    /// It is approved.
    Approved,
    /// It is rejected.
    Rejected,
}

impl Mapping {
    /// What a change from `old` (`None`: a new task) to `new` decides, by the rules of `task.approved` and
    /// `task.rejected`.
    #[must_use]
    pub fn review(&self, old: Option<&[Value]>, new: &[Value]) -> Option<Review> {
        self.reviewed(old, new, true)
    }

    /// Whether this change may be made only by who may approve: it approves, it rejects (whatever else it changes), it brings
    /// a task that requires an approval to where an approval would, or it is the first step on the way around one: it takes
    /// the requirement away, or moves a task that waits to be reviewed elsewhere.
    #[must_use]
    pub fn needs_approver(&self, old: Option<&[Value]>, new: &[Value]) -> bool {
        let requires =
            |values: &[Value]| self.field("requiresApproval").is_some_and(|place| values[place] == Value::Bool(true));
        let decides = self.reviewed(old, new, false).is_some();
        let waives = old.is_some_and(requires) && !requires(new);
        let evades = old.is_some_and(|old| self.leaves_its_review(old, new));
        decides || waives || evades || (requires(new) && self.arrives_approved(old, new))
    }

    /// Whether a field moves away from where an approval or a rejection finds it, wherever to.
    fn leaves_its_review(&self, old: &[Value], new: &[Value]) -> bool {
        let reviews = |event: EventKind| matches!(event, EventKind::Approved | EventKind::Rejected);
        let mut whens = self.rules.iter().filter(|rule| reviews(rule.event)).flat_map(|rule| &rule.when);
        whens.any(|when| {
            let places = self.field(&when.field).filter(|place| old[*place] != new[*place]);
            places.is_some_and(|place| when.from.iter().any(|name| old[place].is_text(name)))
        })
    }

    fn reviewed(&self, old: Option<&[Value]>, new: &[Value], exact: bool) -> Option<Review> {
        let holds = |event: EventKind| {
            let whens = self.rules.iter().filter(|rule| rule.event == event).flat_map(|rule| &rule.when);
            whens.filter_map(|when| Some((when, self.field(&when.field)?))).any(|(when, place)| {
                let names = |list: &[String], value: &Value| list.iter().any(|name| value.is_text(name));
                let same =
                    |name: &String| self.field(name).is_none_or(|place| old.is_none_or(|old| old[place] == new[place]));
                old.is_none_or(|old| old[place] != new[place])
                    && names(&when.to, &new[place])
                    && (when.from.is_empty() || old.is_some_and(|old| names(&when.from, &old[place])))
                    && (!exact || when.same.iter().all(same))
            })
        };
        if holds(EventKind::Approved) {
            Some(Review::Approved)
        } else {
            holds(EventKind::Rejected).then_some(Review::Rejected)
        }
    }

    /// Whether the status becomes one that an approval leads to.
    fn arrives_approved(&self, old: Option<&[Value]>, new: &[Value]) -> bool {
        let status = self.status();
        let rules = self.rules.iter().filter(|rule| rule.event == EventKind::Approved);
        let mut goals = rules.flat_map(|rule| &rule.when).filter(|when| when.field == self.task.status);
        old.is_none_or(|old| old[status] != new[status])
            && goals.any(|when| when.to.iter().any(|name| new[status].is_text(name)))
    }
}

/// Writes for one group, in one user's name, at one moment.
#[derive(Debug, Clone, Copy)]
pub struct Writer<'a> {
    mapping: &'a Mapping,
    shape: &'a WriterShape,
    group: &'a DocId,
    user: &'a DocId,
    now: DateTime,
}

/// What a document is written about.
#[derive(Clone, Copy)]
struct About<'a> {
    id: ObjectId,
    task: Option<&'a DocId>,
    deed: Option<Deed>,
    values: &'a [Value],
}

impl<'a> Writer<'a> {
    /// A writer that goes by `shape`, which is the mapping's own.
    #[must_use]
    pub const fn new(
        mapping: &'a Mapping,
        shape: &'a WriterShape,
        group: &'a DocId,
        user: &'a DocId,
        now: DateTime,
    ) -> Self {
        Self { mapping, shape, group, user, now }
    }

    /// The document of a new task.
    #[must_use]
    pub fn new_task(&self, id: ObjectId, values: &[Value]) -> Document {
        let about = About { id, task: None, deed: Some(Deed::Created), values };
        let mut task = self.document(&self.shape.task, about);
        let requires = self.mapping.field("requiresApproval").map(|place| &values[place]);
        if let Some(review) = self.shape.review.as_ref().filter(|_| requires == Some(&Value::Bool(true))) {
            set(&mut task, &review.status, Bson::String(review.waiting.clone()));
            set(&mut task, &review.by, Bson::Null);
        }
        task
    }

    /// The whole document of a task after its tracked fields went from `old` to `new`. All else stays as it is.
    #[must_use]
    pub fn changed_task(&self, before: &Document, old: &[Value], new: &[Value]) -> Document {
        let mut task = before.clone();
        for (field, (old, new)) in self.mapping.task.fields.iter().zip(old.iter().zip(new)) {
            if old != new {
                set(&mut task, &field.path, to_bson(field, new));
            }
        }
        let review = self.mapping.review(Some(old), new);
        if let (Some(shape), Some(review)) = (&self.shape.review, review) {
            let status = match review {
                Review::Approved => &shape.approved,
                Review::Rejected => &shape.rejected,
            };
            set(&mut task, &shape.status, Bson::String(status.clone()));
            set(&mut task, &shape.by, self.user.clone().into());
        }
        let about = About { id: ObjectId::from_bytes([0; 12]), task: None, deed: None, values: new };
        for written in &self.shape.touch {
            set(&mut task, &written.path, self.value(written, about));
        }
        if let Some(journal) = &self.shape.journal {
            let deeds = self.deeds(old, new).into_iter();
            let entries = deeds.map(|deed| About { deed: Some(deed), ..about });
            let entries = entries.map(|about| Bson::Document(self.document(&journal.entry, about)));
            match task.get_array_mut(&journal.path) {
                Ok(array) => array.extend(entries),
                Err(_) => set(&mut task, &journal.path, Bson::Array(entries.collect())),
            }
        }
        task
    }

    /// What was done to a task whose tracked fields went from `old` to `new`: one deed each for its status, its assignee and
    /// everything else.
    #[must_use]
    pub fn deeds(&self, old: &[Value], new: &[Value]) -> Vec<Deed> {
        let (status, assignee) = (self.mapping.status(), self.mapping.assignee());
        let changed = |place: usize| old[place] != new[place];
        let mut deeds = Vec::new();
        if changed(status) {
            deeds.push(match self.mapping.review(Some(old), new) {
                Some(Review::Approved) => Deed::Approved,
                Some(Review::Rejected) => Deed::Rejected,
                None => Deed::Status,
            });
        }
        if changed(assignee) {
            deeds.push(Deed::Assignee);
        }
        if (0..old.len()).any(|place| place != status && place != assignee && changed(place)) {
            deeds.push(Deed::Edited);
        }
        deeds
    }

    /// The history's row of a deed; `None` where the service keeps no rows. `old` is `None` for a new task.
    #[must_use]
    pub fn row(&self, deed: Deed, task: &DocId, old: Option<&[Value]>, new: &[Value]) -> Option<Document> {
        let history = self.mapping.history.as_ref().filter(|_| !self.shape.row.is_empty())?;
        let mut changes = Document::new();
        match old {
            None => {
                for told in &self.shape.created {
                    if let Some(place) = self.mapping.field(&told.field) {
                        changes.insert(told.key.clone(), history_text(&new[place]));
                    }
                }
            }
            Some(old) => {
                for key in &history.keys {
                    let Some(place) = self.mapping.field(&key.field) else { continue };
                    if old[place] != new[place] && self.belongs(place, deed) {
                        changes.insert(key.old.clone(), history_text(&old[place]));
                        changes.insert(key.new.clone(), history_text(&new[place]));
                    }
                }
            }
        }
        let about = About { id: ObjectId::new(), task: Some(task), deed: Some(deed), values: new };
        let mut row = self.document(&self.shape.row, about);
        for written in self.shape.row.iter().filter(|written| written.from == Some(Source::Changes)) {
            set(&mut row, &written.path, Bson::Document(changes.clone()));
        }
        Some(row)
    }

    /// The document of a new category.
    #[must_use]
    pub fn new_category(&self, id: ObjectId, name: &str, icon: &str, color: &str) -> Document {
        let about = About { id, task: None, deed: None, values: &[] };
        let given = |field: &str| match field {
            "name" => name,
            "icon" => icon,
            _ => color,
        };
        let mut category = Document::new();
        for written in &self.shape.categories.fields {
            let value = match &written.from {
                Some(Source::Field(field)) => Bson::String(given(field).to_owned()),
                _ => self.value(written, about),
            };
            set(&mut category, &written.path, value);
        }
        category
    }

    /// Whether a change of this field is told by a row of this deed.
    fn belongs(&self, place: usize, deed: Deed) -> bool {
        match deed {
            Deed::Created => true,
            Deed::Status | Deed::Approved | Deed::Rejected => place == self.mapping.status(),
            Deed::Assignee => place == self.mapping.assignee(),
            Deed::Edited => place != self.mapping.status() && place != self.mapping.assignee(),
        }
    }

    fn document(&self, fields: &[Written], about: About<'_>) -> Document {
        let mut document = Document::new();
        for written in fields {
            set(&mut document, &written.path, self.value(written, about));
        }
        document
    }

    fn value(&self, written: &Written, about: About<'_>) -> Bson {
        match (&written.from, &written.constant) {
            (_, Some(Constant::Bool(flag))) => Bson::Boolean(*flag),
            (_, Some(Constant::Int(number))) => Bson::Int32(*number),
            (_, Some(Constant::Text(text))) => Bson::String(text.clone()),
            (Some(Source::Id), None) => Bson::ObjectId(about.id),
            (Some(Source::Group), None) => self.group.clone().into(),
            (Some(Source::User), None) => self.user.clone().into(),
            (Some(Source::UserText), None) => Bson::String(self.user.to_string()),
            (Some(Source::Now), None) => Bson::DateTime(self.now),
            (Some(Source::Task), None) => about.task.cloned().map_or(Bson::Null, Bson::from),
            (Some(Source::Action), None) => {
                about.deed.map_or(Bson::Null, |deed| self.action(deed, about.task.is_some()))
            }
            (Some(Source::Journal), None) => match &self.shape.journal {
                Some(journal) => Bson::Array(vec![Bson::Document(self.document(&journal.entry, about))]),
                None => Bson::Null,
            },
            (Some(Source::Field(name)), None) => match self.mapping.field(name) {
                Some(place) => to_bson(&self.mapping.task.fields[place], &about.values[place]),
                None => Bson::Null,
            },
            (Some(Source::Null | Source::Changes) | None, None) => Bson::Null,
        }
    }

    /// A row names its action by its place in the history's list, a journal by its name.
    fn action(&self, deed: Deed, in_row: bool) -> Bson {
        let deeds = &self.shape.deeds;
        let name = match deed {
            Deed::Created => &deeds.created,
            Deed::Edited => &deeds.edited,
            Deed::Status => &deeds.status,
            Deed::Assignee => &deeds.assignee,
            Deed::Approved => &deeds.approved,
            Deed::Rejected => &deeds.rejected,
        };
        let actions = self.mapping.history.as_ref().filter(|_| in_row).map(|history| &history.actions);
        match actions.and_then(|actions| actions.iter().position(|action| action == name)) {
            Some(place) => i32::try_from(place).map_or(Bson::Null, Bson::Int32),
            None => Bson::String(name.clone()),
        }
    }
}

/// A tracked field's value as the service stores it.
fn to_bson(field: &Field, value: &Value) -> Bson {
    match value {
        Value::Null => Bson::Null,
        Value::Bool(flag) => Bson::Boolean(*flag),
        Value::Int(number) => i32::try_from(*number).map_or(Bson::Int64(*number), Bson::Int32),
        Value::Date(ms) => Bson::DateTime(DateTime::from_millis(*ms)),
        Value::Oid(oid) => Bson::ObjectId(*oid),
        Value::Text(text) => {
            let is_number = field.kind == FieldType::Enum && field.stored == Stored::Int;
            let place = field.names.iter().position(|name| **name == **text).filter(|_| is_number);
            match place.and_then(|place| i32::try_from(place).ok()) {
                Some(place) => Bson::Int32(place),
                None => Bson::String(text.to_string()),
            }
        }
    }
}

/// A value as history rows tell it: .NET's text of a bool, and its round-trip form of a time (`O`).
fn history_text(value: &Value) -> String {
    match value {
        Value::Bool(true) => "True".to_owned(),
        Value::Bool(false) => "False".to_owned(),
        Value::Date(ms) => chrono::DateTime::from_timestamp_millis(*ms)
            .map_or_else(String::new, |time| time.format("%Y-%m-%dT%H:%M:%S%.3f0000Z").to_string()),
        Value::Null | Value::Int(_) | Value::Text(_) | Value::Oid(_) => value.to_text().unwrap_or_default(),
    }
}

/// Sets the field at a dotted path; what is missing on the way is made.
fn set(document: &mut Document, path: &str, value: Bson) {
    match path.split_once('.') {
        None => {
            document.insert(path, value);
        }
        Some((head, rest)) => {
            if document.get_document(head).is_err() {
                document.insert(head, Document::new());
            }
            if let Ok(inner) = document.get_document_mut(head) {
                set(inner, rest, value);
            }
        }
    }
}

#[cfg(test)]
#[path = "writer_tests.rs"]
mod tests;
