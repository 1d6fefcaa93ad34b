use bson::{RawDocumentBuf, doc};

use super::*;

const NOW: DateTime = DateTime::from_millis(1_765_802_096_123);

struct Scene {
    mapping: Mapping,
    group: DocId,
    user: DocId,
}

impl Scene {
    fn of(profile: &str) -> Self {
        let id = |byte| DocId::Oid(ObjectId::from_bytes([byte; 12]));
        Self { mapping: Mapping::load(profile).unwrap(), group: id(1), user: id(2) }
    }

    fn writer(&self) -> Writer<'_> {
        Writer::new(&self.mapping, self.mapping.writer.as_ref().unwrap(), &self.group, &self.user, NOW)
    }

    fn values(&self, given: &[(&str, Value)]) -> Vec<Value> {
        let mut values = vec![Value::Null; self.mapping.task.fields.len()];
        let standard = [
            ("name", text("Wash <b>up</b>")),
            ("status", text("Pending")),
            ("assignedUserId", Value::Oid(ObjectId::from_bytes([3; 12]))),
            ("difficulty", Value::Int(4)),
            ("dueAt", Value::Date(1_765_802_096_000)),
            ("requiresApproval", Value::Bool(true)),
            ("frequency", text("Weekly")),
        ];
        for (name, value) in standard.iter().chain(given) {
            values[self.mapping.field(name).unwrap()] = value.clone();
        }
        values
    }

    fn status(&self, status: &str) -> Vec<Value> {
        self.values(&[("status", text(status))])
    }

    fn review(&self, from: &str, to: &str) -> Option<Review> {
        self.mapping.review(Some(&self.status(from)), &self.status(to))
    }

    fn needs_approver(&self, from: &str, to: &str) -> bool {
        self.mapping.needs_approver(Some(&self.status(from)), &self.status(to))
    }
}

fn text(text: &str) -> Value {
    Value::Text(text.into())
}

fn oid(byte: u8) -> ObjectId {
    ObjectId::from_bytes([byte; 12])
}

#[test]
fn a_new_task_has_exactly_the_services_fields_in_their_types_and_is_read_back_as_it_was_given() {
    let scene = Scene::of("tasks-tracker");
    let values = scene.values(&[]);
    let task = scene.writer().new_task(oid(9), &values);
    let expected = doc! {
        "_id": oid(9), "GroupId": oid(1), "TemplateId": null, "AssignedUserId": oid(3), "Name": "Wash <b>up</b>",
        "Description": null, "Difficulty": 4_i32, "Status": 0_i32, "RequiresApproval": true,
        "DueAt": DateTime::from_millis(1_765_802_096_000), "Frequency": 2_i32, "CreatedAt": NOW,
        "CreatedByUserId": oid(2).to_hex(),
    };
    assert_eq!(task, expected);
    let read = scene.mapping.read_task(&RawDocumentBuf::try_from(&task).unwrap()).unwrap();
    assert_eq!(&*read.values, values);
}

#[test]
fn a_change_replaces_what_differs_and_keeps_everything_else_also_what_nobody_knows() {
    let scene = Scene::of("tasks-tracker");
    let old = scene.values(&[]);
    let mut before = scene.writer().new_task(oid(9), &old);
    before.insert("CreatedAt", DateTime::from_millis(5));
    before.insert("Unknown", 7);
    let new = scene.values(&[("difficulty", Value::Int(5)), ("description", text("more"))]);
    let mut expected = before.clone();
    expected.insert("Difficulty", 5_i32);
    expected.insert("Description", "more");
    assert_eq!(scene.writer().changed_task(&before, &old, &new), expected);
}

#[test]
fn each_action_of_a_change_has_a_row_of_its_own_with_names_and_not_numbers() {
    let scene = Scene::of("tasks-tracker");
    let (old, task) = (scene.values(&[]), DocId::Oid(oid(9)));
    let new = scene.values(&[
        ("status", text("InProgress")),
        ("assignedUserId", Value::Oid(oid(4))),
        ("requiresApproval", Value::Bool(false)),
        ("dueAt", Value::Date(1_765_802_096_120)),
    ]);
    let writer = scene.writer();
    let deeds = writer.deeds(&old, &new);
    assert_eq!(deeds, [Deed::Status, Deed::Assignee, Deed::Edited]);
    let mut rows: Vec<_> = deeds.iter().map(|deed| writer.row(*deed, &task, Some(&old), &new).unwrap()).collect();
    assert!(rows.iter_mut().all(|row| row.remove("_id").unwrap().as_object_id().is_some()));
    let row = |action: i32, changes: Document| {
        doc! {
            "TaskId": oid(9), "GroupId": oid(1), "ChangedByUserId": oid(2), "Action": action, "ChangedAt": NOW,
            "Changes": changes, "Notes": null,
        }
    };
    let edit = doc! {
        "OldDueAt": "2025-12-15T12:34:56.0000000Z", "NewDueAt": "2025-12-15T12:34:56.1200000Z",
        "OldRequiresApproval": "True", "NewRequiresApproval": "False",
    };
    assert_eq!(rows[0], row(2, doc! { "OldStatus": "Pending", "NewStatus": "InProgress" }));
    assert_eq!(rows[1], row(3, doc! { "OldAssignee": oid(3).to_hex(), "NewAssignee": oid(4).to_hex() }));
    assert_eq!(rows[2], row(1, edit));
}

#[test]
fn the_row_of_a_creation_tells_name_assignee_difficulty_due_time_and_status() {
    let scene = Scene::of("tasks-tracker");
    let row = scene.writer().row(Deed::Created, &DocId::Oid(oid(9)), None, &scene.values(&[])).unwrap();
    let expected = doc! {
        "Name": "Wash <b>up</b>", "AssignedTo": oid(3).to_hex(), "Difficulty": "4",
        "DueAt": "2025-12-15T12:34:56.0000000Z", "Status": "Pending",
    };
    assert_eq!((row.get_document("Changes").unwrap(), row.get_i32("Action").unwrap()), (&expected, 0));
}

#[test]
fn approving_and_rejecting_are_told_from_other_moves_of_the_status() {
    let scene = Scene::of("tasks-tracker");
    assert_eq!(scene.review("WaitingForApproval", "Completed"), Some(Review::Approved));
    assert_eq!(scene.review("WaitingForApproval", "InProgress"), Some(Review::Rejected));
    assert_eq!(scene.review("InProgress", "Completed"), None);
    assert_eq!(scene.review("WaitingForApproval", "Overdue"), None);
    let camel = Scene::of("camel-case");
    assert_eq!(camel.review("Completed", "Approved"), Some(Review::Approved));
    assert_eq!(camel.review("Completed", "Pending"), Some(Review::Rejected));
    assert_eq!(camel.review("Pending", "Completed"), None);
}

#[test]
fn no_way_around_an_approval_is_open_to_who_may_not_approve() {
    let scene = Scene::of("tasks-tracker");
    assert!(scene.needs_approver("WaitingForApproval", "Completed"));
    assert!(scene.needs_approver("WaitingForApproval", "Pending"));
    assert!(!scene.needs_approver("Pending", "WaitingForApproval"));
    assert!(!scene.needs_approver("Pending", "InProgress"));
    // Past the approval that the task requires, also with the requirement taken away in the same call.
    assert!(scene.needs_approver("InProgress", "Completed"));
    let freed = scene.values(&[("status", text("Completed")), ("requiresApproval", Value::Bool(false))]);
    assert!(scene.mapping.needs_approver(Some(&scene.status("InProgress")), &freed));
    assert!(scene.mapping.needs_approver(None, &scene.status("Completed")));
    // A rejection that also moves the task to somebody else.
    let moved = scene.values(&[("status", text("InProgress")), ("assignedUserId", Value::Oid(oid(4)))]);
    assert!(scene.mapping.needs_approver(Some(&scene.status("WaitingForApproval")), &moved));
    // Nor in small steps: first the requirement away, or first to where no review is awaited.
    let waived = scene.values(&[("requiresApproval", Value::Bool(false)), ("status", text("Pending"))]);
    assert!(scene.mapping.needs_approver(Some(&scene.status("Pending")), &waived));
    assert!(scene.needs_approver("WaitingForApproval", "Overdue"));
    let free = [("requiresApproval", Value::Bool(false))];
    let done = scene.values(&[("requiresApproval", Value::Bool(false)), ("status", text("Completed"))]);
    assert!(!scene.mapping.needs_approver(Some(&scene.values(&free)), &done));
    let camel = Scene::of("camel-case");
    assert!(!camel.needs_approver("Pending", "Completed"), "there it asks for the approval");
    assert!(camel.needs_approver("Completed", "Approved"));
    assert!(camel.needs_approver("Completed", "InProgress"), "a rejection's first step");
    assert!(camel.mapping.needs_approver(None, &camel.status("Rejected")));
}

#[test]
fn under_camel_case_a_write_leaves_its_entry_its_author_and_its_review_in_the_task() {
    let scene = Scene::of("camel-case");
    let old = scene.status("Completed");
    let mut task = scene.writer().new_task(oid(9), &old);
    let entry = |action: &str| doc! { "action": action, "userId": oid(2), "at": NOW };
    let expected = doc! {
        "_id": oid(9), "groupId": oid(1), "templateId": null, "assignedTo": oid(3), "name": "Wash <b>up</b>",
        "description": null, "difficulty": 4_i32, "status": "Completed", "requiresApproval": true,
        "dueAt": DateTime::from_millis(1_765_802_096_000), "frequency": "Weekly", "createdAt": NOW, "createdBy": oid(2),
        "updatedAt": NOW, "updatedBy": oid(2), "history": [entry("created")],
        "approval": { "status": "Pending", "reviewedBy": null },
    };
    assert_eq!(task, expected);
    let new = scene.values(&[("status", text("Approved")), ("name", text("n"))]);
    task.insert("updatedBy", oid(8));
    let after = scene.writer().changed_task(&task, &old, &new);
    assert_eq!(after.get_document("approval").unwrap(), &doc! { "status": "Approved", "reviewedBy": oid(2) });
    assert_eq!(after.get_object_id("updatedBy").unwrap(), oid(2));
    let history: Vec<Bson> = ["created", "approved", "updated"].map(|action| entry(action).into()).into();
    assert_eq!(after.get_array("history").unwrap(), &history);
    assert!(scene.writer().row(Deed::Edited, &DocId::Oid(oid(9)), Some(&old), &new).is_none());
}

#[test]
fn a_category_has_exactly_the_services_fields() {
    let scene = Scene::of("tasks-tracker");
    let expected = doc! {
        "_id": oid(9), "groupId": oid(1), "name": "Garden", "icon": "leaf", "color": "green-500",
        "isSystemCategory": false, "createdAt": NOW, "createdBy": oid(2), "schemaVersion": 1_i32,
    };
    assert_eq!(scene.writer().new_category(oid(9), "Garden", "leaf", "green-500"), expected);
}
