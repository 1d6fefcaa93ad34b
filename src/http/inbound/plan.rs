//! What a call's tasks make of what stands: which documents are written, and the answer. Pure.

use std::collections::{HashMap, HashSet};

use bson::{DateTime, Document, doc, oid::ObjectId};

use super::json::Faults;
use super::task_input::{Target, TaskInput};
use crate::http::error::ApiResult;
use crate::mapping::{Deed, GroupWriter, Mapping, Misfit, Value, Writer};
use crate::model::{DocId, ExternalRef, InboundKind, ItemOutcome, ItemResult, RefKey, Scope};
use crate::store::inbound_writes::{Documents, Replace};

/// A task as it stands.
#[derive(Debug)]
pub(super) struct Stored {
    /// Whole, as it was read.
    pub(super) document: Document,
    /// Its tracked fields, or why they cannot be read.
    pub(super) values: Result<Box<[Value]>, Misfit>,
}

/// What stands, as far as the call is about it.
#[derive(Debug, Default)]
pub(super) struct Present {
    /// What the partner's ids name.
    pub(super) refs: HashMap<String, ObjectId>,
    /// The group's tasks that they, or the call itself, name.
    pub(super) tasks: HashMap<ObjectId, Stored>,
    /// The group's members.
    pub(super) members: HashSet<DocId>,
    /// The templates that the call names and the group may use.
    pub(super) templates: HashSet<DocId>,
}

/// What the call writes, and what it answers.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Plan {
    pub(super) new_refs: Vec<ExternalRef>,
    /// With the target that is gone.
    pub(super) moved_refs: Vec<(ExternalRef, ObjectId)>,
    pub(super) rows: Vec<Document>,
    pub(super) documents: Documents,
    pub(super) results: Vec<ItemResult>,
}

impl Plan {
    /// Whether anything of the service's is written.
    pub(super) fn writes(&self) -> bool {
        !self.documents.inserts.is_empty() || !self.documents.replaces.is_empty()
    }

    /// The answer to an item that was created, and the reference that names it from now on.
    pub(super) fn created(&mut self, key: RefKey, target_id: ObjectId, old: Option<ObjectId>, at: DateTime) {
        self.results.push(ItemResult {
            external_id: Some(key.external_id.clone()),
            id: target_id.to_hex(),
            outcome: ItemOutcome::Created,
            recreated: old.is_some(),
        });
        let reference = ExternalRef { key, target_id, at };
        match old {
            Some(old) => self.moved_refs.push((reference, old)),
            None => self.new_refs.push(reference),
        }
    }

    /// The answer to an item that was there.
    pub(super) fn kept(&mut self, external_id: Option<&str>, id: ObjectId, outcome: ItemOutcome) {
        let external_id = external_id.map(str::to_owned);
        self.results.push(ItemResult { external_id, id: id.to_hex(), outcome, recreated: false });
    }
}

/// Who plans, for which group, with which scopes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Planner<'a> {
    pub(super) mapping: &'a Mapping,
    pub(super) writer: Writer<'a>,
    pub(super) group: &'a DocId,
    pub(super) scopes: &'a [Scope],
    pub(super) now: DateTime,
}

impl Planner<'_> {
    /// Plans all tasks of a call.
    ///
    /// # Errors
    /// 422 naming every field that does not fit what stands.
    pub(super) fn tasks(&self, inputs: &[TaskInput], present: &Present) -> ApiResult<Plan> {
        let collection = self.mapping.task.collection.clone();
        let mut plan = Plan { documents: Documents { collection, ..Documents::default() }, ..Plan::default() };
        let (mut faults, mut met) = (Faults::default(), HashMap::new());
        for input in inputs {
            let id = match &input.target {
                Target::External(id) => present.refs.get(id).copied(),
                Target::Own(id) => Some(*id),
            };
            let there = id.and_then(|id| Some((id, present.tasks.get(&id)?)));
            if let Some(other) = id.and_then(|id| met.insert(id, input.item.name())) {
                faults.add(input.item.field(input.target.field()), format!("names the same task as {other}"));
                continue;
            }
            match (&input.target, there) {
                (_, Some((id, stored))) => self.change(input, id, stored, present, &mut plan, &mut faults),
                (Target::External(key), None) => self.create(input, key, id, present, &mut plan, &mut faults),
                (Target::Own(_), None) => faults.add(input.item.field("id"), "is no task of this group"),
            }
        }
        faults.finish().map(|()| plan)
    }

    fn create(
        &self,
        input: &TaskInput,
        external_id: &str,
        old: Option<ObjectId>,
        present: &Present,
        plan: &mut Plan,
        faults: &mut Faults,
    ) {
        let mut fits = true;
        for name in ["name", "assignedUserId", "dueAt"] {
            let place = self.mapping.field(name);
            if place.is_some() && input.carried(place).is_none() {
                let why = if old.is_some() { "the service has deleted this task" } else { "a new task needs it" };
                faults.add(input.item.field(name), format!("is missing: {why}"));
                fits = false;
            }
        }
        let values = self.overlaid(self.defaults(), input);
        fits &= self.fits(input, None, &values, present, faults);
        if !fits {
            return;
        }
        let id = ObjectId::new();
        plan.documents.inserts.push(self.writer.new_task(id, &values));
        plan.rows.extend(self.writer.row(Deed::Created, &id.into(), None, &values));
        let key = RefKey { group: self.group.clone(), kind: InboundKind::Tasks, external_id: external_id.to_owned() };
        plan.created(key, id, old, self.now);
    }

    fn change(
        &self,
        input: &TaskInput,
        id: ObjectId,
        stored: &Stored,
        present: &Present,
        plan: &mut Plan,
        faults: &mut Faults,
    ) {
        let old = match &stored.values {
            Ok(values) => values,
            Err(misfit) => {
                let message = format!("names a task that the service stores in another form than is known ({misfit})");
                return faults.add(input.item.field(input.target.field()), message);
            }
        };
        let new = self.overlaid(old.to_vec(), input);
        if !self.fits(input, Some(old), &new, present, faults) {
            return;
        }
        if **old == *new {
            return plan.kept(input.target.external(), id, ItemOutcome::Unchanged);
        }
        let after = self.writer.changed_task(&stored.document, old, &new);
        plan.documents.replaces.push(Replace { before: stored.document.clone(), after });
        let rows = self.writer.deeds(old, &new).into_iter();
        plan.rows.extend(rows.filter_map(|deed| self.writer.row(deed, &id.into(), Some(old), &new)));
        plan.kept(input.target.external(), id, ItemOutcome::Updated);
    }

    /// A new task before the call's own fields.
    fn defaults(&self) -> Vec<Value> {
        let mut values = vec![Value::Null; self.mapping.task.fields.len()];
        for (name, value) in [
            ("difficulty", Value::Int(1)),
            ("status", Value::Text("Pending".into())),
            ("frequency", Value::Text("OneTime".into())),
            ("requiresApproval", Value::Bool(false)),
        ] {
            if let Some(place) = self.mapping.field(name) {
                values[place] = value;
            }
        }
        values
    }

    fn overlaid(&self, mut values: Vec<Value>, input: &TaskInput) -> Vec<Value> {
        input.fields.iter().for_each(|(place, value)| values[*place] = value.clone());
        values
    }

    /// Whether the values may stand: what changes must name members and templates of the group, and what decides about a
    /// completion needs its scope.
    fn fits(
        &self,
        input: &TaskInput,
        old: Option<&[Value]>,
        new: &[Value],
        present: &Present,
        faults: &mut Faults,
    ) -> bool {
        let mut fits = true;
        let mut refuse = |name: &str, message: &str| {
            faults.add(input.item.field(name), message);
            fits = false;
        };
        let named = |name: &str| {
            let place = self.mapping.field(name);
            let value = input.carried(place)?;
            let is_new = old.is_none_or(|old| place.is_some_and(|place| old[place] != *value));
            is_new.then(|| doc_id(value))?
        };
        if named("assignedUserId").is_some_and(|user| !present.members.contains(&user)) {
            refuse("assignedUserId", "is no member of the group");
        }
        if named("templateId").is_some_and(|template| !present.templates.contains(&template)) {
            refuse("templateId", "is no template that this group may use");
        }
        if !self.scopes.contains(&Scope::TasksApprove) && self.mapping.needs_approver(old, new) {
            let message =
                format!("would approve or reject a completion, which needs the scope {}", Scope::TasksApprove.name());
            refuse("status", &message);
        }
        fits
    }
}

/// The id that a value is.
pub(super) fn doc_id(value: &Value) -> Option<DocId> {
    match value {
        Value::Oid(oid) => Some(DocId::Oid(*oid)),
        Value::Text(text) => Some(DocId::Text(text.to_string())),
        Value::Null | Value::Bool(_) | Value::Int(_) | Value::Date(_) => None,
    }
}

/// What a call that wrote leaves in its group.
pub(super) fn group_update(shape: &GroupWriter, plan: &Plan, now: DateTime) -> Document {
    let mut set = Document::new();
    shape.times.iter().for_each(|path| drop(set.insert(path.clone(), now)));
    let mut update = doc! { "$set": set };
    if let Ok(count @ 1..) = i32::try_from(plan.documents.inserts.len()) {
        update.insert("$inc", doc! { shape.task_count.clone(): count });
    }
    update
}

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;
