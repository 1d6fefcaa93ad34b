//! What a history of writes must tell, by one who sees every state of every task: the rules of both profiles once more, in
//! plain code that shares nothing with the indexer's fold, rules and mapping.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result};
use bson::{Bson, Document};
use serde_json::{Map, Value, json};

use crate::Profile;
use crate::service::task::{FREQUENCIES, NOBODY, Status, payload_time};

/// An event with everything that a partner sees of it but times and its id.
#[derive(Debug, Clone, PartialEq)]
#[allow(missing_docs, reason = "the payload's own names")]
pub struct Told {
    pub event: String,
    pub task: String,
    pub group: String,
    pub sequence: i64,
    pub actor: Option<String>,
    pub data: Map<String, Value>,
    pub changes: Map<String, Value>,
    pub swapped_with: Option<String>,
}

impl Told {
    /// Reads a body that a partner receives.
    ///
    /// # Errors
    /// When it lacks what every body has.
    pub fn from_body(body: &str) -> Result<Self> {
        let body: Value = serde_json::from_str(body)?;
        let text =
            |at: &str| body.pointer(at).and_then(Value::as_str).map(str::to_owned).with_context(|| at.to_owned());
        let mut data = body.get("data").and_then(Value::as_object).cloned().context("data")?;
        let changes = data.remove("changes");
        let told = Self {
            event: text("/event")?,
            task: text("/data/id")?,
            group: text("/groupId")?,
            sequence: body.pointer("/data/sequence").and_then(Value::as_i64).context("sequence")?,
            actor: text("/actorId").ok(),
            changes: changes.as_ref().and_then(Value::as_object).cloned().context("changes")?,
            swapped_with: text("/data/swappedWithTaskId").ok(),
            data: data.into_iter().filter(|(name, _)| SHOWN.contains(&name.as_str())).collect(),
        };
        Ok(told)
    }
}

/// What every payload shows of a task's state.
const SHOWN: [&str; 6] = ["name", "status", "assignedUserId", "difficulty", "dueAt", "requiresApproval"];

/// A task as one looks at it.
#[derive(Debug, Clone, PartialEq)]
struct Seen {
    group: String,
    /// By payload name; `description` counts and is never shown.
    fields: BTreeMap<&'static str, Value>,
    created_by: Option<String>,
    reviewed_by: Option<String>,
    last_by: Option<String>,
}

fn id_text(value: Option<&Bson>) -> Option<String> {
    match value? {
        Bson::ObjectId(id) => Some(id.to_hex()),
        Bson::String(text) => Some(text.clone()),
        _ => None,
    }
}

fn look(profile: Profile, doc: &Document) -> Result<Seen> {
    let text = |name: &str| doc.get_str(name).map_or(Value::Null, |text| json!(text));
    let id = |name: &str| json!(id_text(doc.get(name)));
    let whole = |name: &str| doc.get_i32(name).map_or(Value::Null, |number| json!(number));
    let flag = |name: &str| doc.get_bool(name).map_or(Value::Null, |flag| json!(flag));
    let time = |name: &str| doc.get_datetime(name).map_or(Value::Null, |time| json!(payload_time(*time)));
    let named = |name: &str, names: &[&str]| {
        let number = doc.get_i32(name).ok().and_then(|number| usize::try_from(number).ok());
        number.and_then(|number| names.get(number)).map_or(Value::Null, |name| json!(name))
    };
    Ok(match profile {
        Profile::TasksTracker => Seen {
            group: id_text(doc.get("GroupId")).context("GroupId")?,
            fields: BTreeMap::from([
                ("name", text("Name")),
                ("status", named("Status", &Status::ALL.map(Status::name)[..5])),
                ("assignedUserId", id("AssignedUserId")),
                ("difficulty", whole("Difficulty")),
                ("dueAt", time("DueAt")),
                ("requiresApproval", flag("RequiresApproval")),
                ("frequency", named("Frequency", &FREQUENCIES)),
                ("templateId", id("TemplateId")),
                ("description", text("Description")),
            ]),
            created_by: id_text(doc.get("CreatedByUserId")),
            reviewed_by: None,
            last_by: None,
        },
        Profile::CamelCase => {
            let approval = doc.get_document("approval").ok();
            let newest = doc.get_array("history").ok().and_then(|list| list.last()).and_then(Bson::as_document);
            let by = newest.and_then(|entry| id_text(entry.get("userId")));
            let review = approval.and_then(|approval| approval.get_str("status").ok());
            Seen {
                group: id_text(doc.get("groupId")).context("groupId")?,
                fields: BTreeMap::from([
                    ("name", text("name")),
                    ("status", text("status")),
                    ("assignedUserId", id("assignedTo")),
                    ("difficulty", whole("difficulty")),
                    ("dueAt", time("dueAt")),
                    ("requiresApproval", flag("requiresApproval")),
                    ("frequency", text("frequency")),
                    ("templateId", id("templateId")),
                    ("approvalStatus", json!(review)),
                    ("description", text("description")),
                ]),
                created_by: id_text(doc.get("createdBy")),
                reviewed_by: approval.and_then(|approval| id_text(approval.get("reviewedBy"))),
                last_by: by.or_else(|| id_text(doc.get("updatedBy"))),
            }
        }
    })
}

/// One document as a write left it; `None`: it was deleted.
pub type Left = (String, Option<Document>);

/// Sees each write and says what it must tell.
#[derive(Debug)]
pub struct Model {
    profile: Profile,
    now: BTreeMap<String, Seen>,
    told: BTreeMap<String, Vec<Told>>,
}

struct Step {
    task: String,
    before: Option<Seen>,
    after: Option<Seen>,
}

impl Step {
    fn moves(&self) -> Option<(&Value, &Value)> {
        let (before, after) = (self.before.as_ref()?, self.after.as_ref()?);
        let (from, to) = (&before.fields["assignedUserId"], &after.fields["assignedUserId"]);
        (from != to).then_some((from, to))
    }
}

/// A task's way from one person to another in a whole transaction.
struct Edge {
    task: String,
    group: String,
    from: Value,
    to: Value,
}

impl Model {
    /// One who has seen nothing yet.
    #[must_use]
    pub const fn new(profile: Profile) -> Self {
        Self { profile, now: BTreeMap::new(), told: BTreeMap::new() }
    }

    /// Everything to be told so far, each task's in order.
    #[must_use]
    pub const fn told(&self) -> &BTreeMap<String, Vec<Told>> {
        &self.told
    }

    /// The collection went away: no task is there any more, and nobody is told.
    pub fn all_gone(&mut self) {
        self.now.clear();
    }

    /// Sees what one write left, or all writes of one transaction, in their order.
    ///
    /// # Errors
    /// When a document is not in the profile's form.
    pub fn see(&mut self, writes: &[Left], transaction: bool) -> Result<()> {
        let mut steps = Vec::new();
        for (task, left) in writes {
            let after = left.as_ref().map(|doc| look(self.profile, doc)).transpose()?;
            let before = match &after {
                Some(after) => self.now.insert(task.clone(), after.clone()),
                None => self.now.remove(task),
            };
            steps.push(Step { task: task.clone(), before, after });
        }
        let swapped = if transaction { swaps(&steps) } else { BTreeMap::new() };
        for (nth, step) in steps.iter().enumerate() {
            let later = |task: &str| steps[nth + 1..].iter().any(|step| step.task == task && step.moves().is_some());
            let swap = swapped.get(&step.task).filter(|_| step.moves().is_some());
            let told = swap.filter(|_| !later(&step.task));
            self.tell(step, swap.is_some(), told);
        }
        Ok(())
    }

    fn tell(&mut self, step: &Step, swap_explains: bool, swap: Option<&(String, Value)>) {
        let Some(after) = &step.after else { return };
        let changed: Vec<&str> = step.before.as_ref().map_or_else(Vec::new, |before| {
            after.fields.iter().filter(|(name, value)| before.fields[*name] != **value).map(|(name, _)| *name).collect()
        });
        let mut events = match &step.before {
            None => vec!["task.created"],
            Some(before) => specific(self.profile, before, after),
        };
        let reviewed = events.iter().any(|event| matches!(*event, "task.approved" | "task.rejected"));
        let mut explained: Vec<&str> = if events.is_empty() { Vec::new() } else { vec!["status"] };
        explained.extend(reviewed.then_some("approvalStatus"));
        explained.extend(swap_explains.then_some("assignedUserId"));
        events.extend(swap.map(|_| "task.swapped"));
        events.extend(changed.iter().any(|name| !explained.contains(name)).then_some("task.updated"));
        let list = self.told.entry(step.task.clone()).or_default();
        for event in events {
            let changes = changed.iter().filter(|name| **name != "description").map(|name| {
                let before = step.before.as_ref().map_or(Value::Null, |before| before.fields[*name].clone());
                let net = swap.filter(|_| event == "task.swapped" && *name == "assignedUserId");
                let from = net.map_or(before, |(_, from)| from.clone());
                ((*name).to_owned(), json!({ "from": from, "to": after.fields[*name] }))
            });
            let reviewer = after.reviewed_by.clone().filter(|_| matches!(event, "task.approved" | "task.rejected"));
            list.push(Told {
                event: event.to_owned(),
                task: step.task.clone(),
                group: after.group.clone(),
                sequence: i64::try_from(list.len()).unwrap_or(i64::MAX) + 1,
                actor: if event == "task.created" {
                    after.created_by.clone()
                } else {
                    reviewer.or_else(|| after.last_by.clone())
                },
                data: SHOWN.iter().map(|name| ((*name).to_owned(), after.fields[name].clone())).collect(),
                changes: changes.collect(),
                swapped_with: swap.filter(|_| event == "task.swapped").map(|(with, _)| with.clone()),
            });
        }
    }
}

/// The specific events of a change, swaps apart.
fn specific(profile: Profile, before: &Seen, after: &Seen) -> Vec<&'static str> {
    let stands = |seen: &Seen, name: &str, value: &str| seen.fields.get(name).and_then(Value::as_str) == Some(value);
    let becomes = |name: &str, value: &str| !stands(before, name, value) && stands(after, name, value);
    let goes = |from: &str, to: &str| stands(before, "status", from) && stands(after, "status", to);
    let waiting = "WaitingForApproval";
    let (approved, rejected) = match profile {
        Profile::TasksTracker => (
            goes(waiting, "Completed"),
            (goes(waiting, "Pending") || goes(waiting, "InProgress"))
                && before.fields["assignedUserId"] == after.fields["assignedUserId"],
        ),
        Profile::CamelCase => (
            becomes("status", "Approved") || becomes("approvalStatus", "Approved"),
            becomes("approvalStatus", "Rejected") || becomes("status", "Rejected") || goes("Completed", "Pending"),
        ),
    };
    let all =
        [(becomes("status", "Completed"), "task.completed"), (approved, "task.approved"), (rejected, "task.rejected")];
    all.into_iter().filter_map(|(holds, event)| holds.then_some(event)).collect()
}

/// Which tasks a transaction swapped: with which, and whose each was before.
fn swaps(steps: &[Step]) -> BTreeMap<String, (String, Value)> {
    let unfit: BTreeSet<&String> =
        steps.iter().filter(|step| step.before.is_none() || step.after.is_none()).map(|step| &step.task).collect();
    let mut edges: Vec<Edge> = Vec::new();
    for step in steps.iter().filter(|step| step.moves().is_some() && !unfit.contains(&step.task)) {
        let of_task: Vec<&Step> = steps.iter().filter(|other| other.task == step.task).collect();
        let before = of_task.first().and_then(|step| step.before.as_ref());
        let after = of_task.last().and_then(|step| step.after.as_ref());
        let (Some(before), Some(after)) = (before, after) else { continue };
        let (from, to) = (&before.fields["assignedUserId"], &after.fields["assignedUserId"]);
        let known = edges.iter().any(|edge| edge.task == step.task);
        let somebody = |value: &Value| value.is_string() && *value != json!(NOBODY.to_hex());
        if !known && before.group == after.group && from != to && somebody(from) && somebody(to) {
            let (from, to) = (from.clone(), to.clone());
            edges.push(Edge { task: step.task.clone(), group: after.group.clone(), from, to });
        }
    }
    let mut free = vec![true; edges.len()];
    for start in 0..edges.len() {
        let rings = (2..=edges.len()).filter(|_| free[start]).find_map(|length| ring(&edges, &free, &[start], length));
        rings.into_iter().flatten().for_each(|edge| free[edge] = false);
    }
    let swapped: Vec<&Edge> = edges.iter().zip(&free).filter(|(_, free)| !**free).map(|(edge, _)| edge).collect();
    let with = |edge: &Edge| swapped.iter().find(|other| other.group == edge.group && other.from == edge.to);
    swapped.iter().filter_map(|edge| Some((edge.task.clone(), (with(edge)?.task.clone(), edge.from.clone())))).collect()
}

/// The first ring of `length` free edges that begins with `way`.
fn ring(edges: &[Edge], free: &[bool], way: &[usize], length: usize) -> Option<Vec<usize>> {
    let (first, last) = (&edges[way[0]], &edges[way[way.len() - 1]]);
    if way.len() == length {
        return (last.to == first.from).then(|| way.to_vec());
    }
    let fits = |next: &usize| {
        let edge = &edges[*next];
        free[*next]
            && edge.group == last.group
            && edge.from == last.to
            && !way.iter().any(|at| edges[*at].from == edge.from)
    };
    (0..edges.len()).filter(fits).find_map(|next| ring(edges, free, &[way, &[next]].concat(), length))
}
