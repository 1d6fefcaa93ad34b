use bson::RawDocumentBuf;
use serde_json::json;

use super::*;
use crate::http::inbound::task_input::read_tasks;

const NOW: DateTime = DateTime::from_millis(1_765_802_096_123);

struct Scene {
    mapping: Mapping,
    group: DocId,
    user: DocId,
    scopes: Vec<Scope>,
    present: Present,
}

fn oid(byte: u8) -> ObjectId {
    ObjectId::from_bytes([byte; 12])
}

impl Scene {
    fn new() -> Self {
        let members = [2, 3, 4].map(|byte| DocId::Oid(oid(byte))).into();
        Self {
            mapping: Mapping::load("tasks-tracker").unwrap(),
            group: DocId::Oid(oid(1)),
            user: DocId::Oid(oid(2)),
            scopes: vec![Scope::TasksWrite],
            present: Present { members, ..Present::default() },
        }
    }

    fn plan(&self, body: &serde_json::Value) -> ApiResult<Plan> {
        let writer = Writer::new(&self.mapping, self.mapping.writer.as_ref().unwrap(), &self.group, &self.user, NOW);
        let planner = Planner { mapping: &self.mapping, writer, group: &self.group, scopes: &self.scopes, now: NOW };
        planner.tasks(&read_tasks(body.to_string().as_bytes(), &self.mapping).unwrap(), &self.present)
    }

    /// A task that stands under this partner's id, as a call would have made it, with one field changed.
    fn with_task(mut self, external: &str, field: &str, value: serde_json::Value) -> Self {
        let mut body = new(external);
        body["requiresApproval"] = json!(true);
        let scopes = std::mem::replace(&mut self.scopes, vec![Scope::TasksWrite, Scope::TasksApprove]);
        body[field] = value;
        let plan = self.plan(&body).unwrap();
        self.scopes = scopes;
        let document = plan.documents.inserts[0].clone();
        let raw = RawDocumentBuf::try_from(&document).unwrap();
        let values = self.mapping.read_task(&raw).map(|state| state.values);
        let id = document.get_object_id("_id").unwrap();
        self.present.refs.insert(external.to_owned(), id);
        self.present.tasks.insert(id, Stored { document, values });
        self
    }

    fn fault(&self, body: &serde_json::Value) -> String {
        format!("{:?}", self.plan(body).unwrap_err())
    }
}

fn new(external: &str) -> serde_json::Value {
    json!({
        "externalId": external, "name": "Wash up", "assignedUserId": oid(3).to_hex(), "dueAt": "2026-01-31T12:00:00Z",
    })
}

#[test]
fn a_first_call_creates_with_defaults_and_one_row_and_counts_in_the_group() {
    let plan = Scene::new().plan(&new("a")).unwrap();
    let task = &plan.documents.inserts[0];
    assert_eq!((task.get_i32("Status").unwrap(), task.get_i32("Difficulty").unwrap()), (0, 1));
    assert_eq!(plan.rows.len(), 1);
    assert_eq!(plan.new_refs[0].target_id, task.get_object_id("_id").unwrap());
    assert_eq!(plan.results[0].outcome, ItemOutcome::Created);
    let mapping = Mapping::load("tasks-tracker").unwrap();
    let update = group_update(&mapping.writer.unwrap().group, &plan, NOW);
    let set = doc! { "lastActivity": NOW, "updatedAt": NOW };
    assert_eq!(update, doc! { "$set": set, "$inc": { "taskCount": 1_i32 } });
}

#[test]
fn a_later_call_changes_only_what_it_carries_and_only_if_it_differs() {
    let scene = Scene::new().with_task("a", "description", json!("kept"));
    let plan = scene.plan(&json!({"externalId": "a", "name": "Wash up", "difficulty": 7})).unwrap();
    let Replace { before, after } = &plan.documents.replaces[0];
    let mut expected = before.clone();
    expected.insert("Difficulty", 7_i32);
    assert_eq!(*after, expected);
    assert_eq!((plan.rows.len(), plan.results[0].outcome), (1, ItemOutcome::Updated));
    let same = scene.plan(&json!({"externalId": "a", "name": "Wash up"})).unwrap();
    assert_eq!(same.results[0].outcome, ItemOutcome::Unchanged);
    assert!(!same.writes() && same.rows.is_empty());
}

#[test]
fn what_a_new_task_needs_is_named_also_where_the_service_deleted_the_old_one() {
    let mut scene = Scene::new();
    let text = scene.fault(&json!({"tasks": [{"externalId": "a"}]}));
    for field in ["name", "assignedUserId", "dueAt"] {
        assert!(text.contains(&format!("tasks[0].{field}")), "{text}");
    }
    scene.present.refs.insert("a".into(), oid(9));
    assert!(scene.fault(&json!({"externalId": "a", "name": "x"})).contains("has deleted"));
    let plan = scene.plan(&new("a")).unwrap();
    assert_eq!((plan.moved_refs[0].1, plan.results[0].recreated), (oid(9), true));
    assert!(plan.new_refs.is_empty());
}

#[test]
fn an_assignee_must_be_a_member_and_a_template_usable_but_only_where_they_change() {
    let mut scene = Scene::new().with_task("a", "name", json!("n"));
    let mut body = new("b");
    body["assignedUserId"] = json!(oid(8).to_hex());
    body["templateId"] = json!(oid(7).to_hex());
    let text = scene.fault(&json!({"tasks": [{"externalId": "a"}, body]}));
    assert!(text.contains("tasks[1].assignedUserId") && text.contains("tasks[1].templateId"), "{text}");
    // Who has left the group keeps the task.
    scene.present.members.clear();
    let kept = json!({"externalId": "a", "assignedUserId": oid(3).to_hex(), "difficulty": 2});
    assert!(scene.plan(&kept).is_ok());
}

#[test]
fn approving_and_rejecting_need_their_scope() {
    let mut scene = Scene::new().with_task("a", "status", json!("WaitingForApproval"));
    for status in ["Completed", "Pending", "InProgress"] {
        let text = scene.fault(&json!({"externalId": "a", "status": status}));
        assert!(text.contains("\"status\"") && text.contains("tasks:approve"), "{status}: {text}");
    }
    scene.scopes.push(Scope::TasksApprove);
    let plan = scene.plan(&json!({"externalId": "a", "status": "Completed"})).unwrap();
    assert_eq!(plan.rows[0].get_i32("Action").unwrap(), 5);
    let plan = scene.plan(&json!({"externalId": "a", "status": "InProgress"})).unwrap();
    assert_eq!(plan.rows[0].get_i32("Action").unwrap(), 6);
}

#[test]
fn one_task_under_two_names_or_in_another_group_is_refused() {
    let scene = Scene::new().with_task("a", "name", json!("n"));
    let id = scene.present.refs["a"].to_hex();
    let text = scene.fault(&json!({"tasks": [{"externalId": "a"}, {"id": id, "difficulty": 2}]}));
    assert!(text.contains("tasks[1].id") && text.contains("tasks[0]"), "{text}");
    assert!(scene.fault(&json!({"id": oid(9).to_hex()})).contains("no task of this group"));
}

#[test]
fn a_stored_task_in_another_form_is_left_alone_and_told() {
    let mut scene = Scene::new().with_task("a", "name", json!("n"));
    let id = scene.present.refs["a"];
    scene.present.tasks.get_mut(&id).unwrap().values = Err(Misfit::new("Status", "not one of the names"));
    assert!(scene.fault(&json!({"externalId": "a", "difficulty": 2})).contains("Status: not one"));
}
