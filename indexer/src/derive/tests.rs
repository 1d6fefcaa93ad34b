use bson::{Document, RawDocumentBuf, Timestamp, doc, oid::ObjectId};
use taskwire::model::{EventFilter, Ordering, Version};

use super::*;

fn state(mapping: &Mapping, group: ObjectId, fields: Document) -> TaskState {
    let mut doc = doc! { "GroupId": group, "groupId": group };
    doc.extend(fields);
    mapping.read_task(&RawDocumentBuf::try_from(&doc).unwrap()).unwrap()
}

fn kinds(profile: &str, before: Document, after: Document, swap: SwapPart) -> Vec<&'static str> {
    let mapping = Mapping::load(profile).unwrap();
    let group = ObjectId::new();
    let (before, after) = (state(&mapping, group, before), state(&mapping, group, after));
    let fields = FieldSet::difference(&before, &after);
    Rules::of(&mapping).events(&before, &after, fields, swap).into_iter().map(EventKind::name).collect()
}

fn tracker(before: Document, after: Document) -> Vec<&'static str> {
    kinds("tasks-tracker", before, after, SwapPart::None)
}

fn camel(before: Document, after: Document) -> Vec<&'static str> {
    kinds("camel-case", before, after, SwapPart::None)
}

#[test]
fn the_rules_of_the_service_profile() {
    let status = |status: i32| doc! { "Status": status, "Name": "n" };
    assert_eq!(tracker(status(1), status(2)), ["task.completed"]);
    assert_eq!(tracker(status(3), status(2)), ["task.completed"]);
    assert_eq!(tracker(status(4), status(2)), ["task.completed", "task.approved"]);
    assert_eq!(tracker(status(4), status(0)), ["task.rejected"]);
    assert_eq!(tracker(status(4), status(1)), ["task.rejected"]);
    assert_eq!(tracker(status(4), status(3)), ["task.updated"]);
    assert_eq!(tracker(status(0), status(1)), ["task.updated"]);
    assert_eq!(tracker(status(2), status(2)), [""; 0]);
    assert_eq!(tracker(status(1), doc! { "Status": 2, "Name": "m" }), ["task.completed", "task.updated"]);
    let assigned = |status: i32, user: &str| doc! { "Status": status, "AssignedUserId": user };
    assert_eq!(tracker(assigned(4, "a"), assigned(1, "b")), ["task.updated"]);
    assert_eq!(tracker(assigned(1, "a"), assigned(1, "b")), ["task.updated"]);
}

#[test]
fn the_rules_of_the_camel_case_profile() {
    let status = |status: &str| doc! { "status": status };
    let approval = |status: &str| doc! { "status": "Completed", "approval": { "status": status } };
    assert_eq!(camel(status("InProgress"), status("Completed")), ["task.completed"]);
    assert_eq!(camel(status("Completed"), status("Approved")), ["task.approved"]);
    assert_eq!(camel(status("Completed"), status("Rejected")), ["task.rejected"]);
    assert_eq!(camel(status("Completed"), status("Pending")), ["task.rejected"]);
    assert_eq!(camel(approval("Pending"), approval("Approved")), ["task.approved"]);
    assert_eq!(camel(approval("Pending"), approval("Rejected")), ["task.rejected"]);
}

/// The contract's table for every move of the status, with and without another assignee and another name.
#[test]
fn every_move_of_the_service_profile_gives_what_the_table_says() {
    let (waiting, completed) = (4, 2);
    for (from, to, moves, named) in (0..5).flat_map(|from| (0..5).map(move |to| (from, to))).flat_map(|(from, to)| {
        [(false, false), (false, true), (true, false), (true, true)].map(|(moves, named)| (from, to, moves, named))
    }) {
        let task = |status: i32, other: bool| {
            let (user, name) = (if other && moves { "b" } else { "a" }, if other && named { "m" } else { "n" });
            doc! { "Status": status, "AssignedUserId": user, "Name": name }
        };
        let mut expected = Vec::new();
        if from != to {
            expected.extend((to == completed).then_some("task.completed"));
            expected.extend((from == waiting && to == completed).then_some("task.approved"));
            expected.extend((from == waiting && to <= 1 && !moves).then_some("task.rejected"));
        }
        let unexplained = (from != to && expected.is_empty()) || moves || named;
        expected.extend(unexplained.then_some("task.updated"));
        assert_eq!(tracker(task(from, false), task(to, true)), expected, "{from} to {to}, {moves}, {named}");
    }
}

#[test]
fn a_swap_explains_the_assignee_and_nothing_else() {
    let task = |user: &str, name: &str| doc! { "Status": 1, "AssignedUserId": user, "Name": name };
    let profile = "tasks-tracker";
    assert_eq!(kinds(profile, task("a", "n"), task("b", "n"), SwapPart::Told), ["task.swapped"]);
    assert_eq!(kinds(profile, task("a", "n"), task("b", "n"), SwapPart::Explained), [""; 0]);
    assert_eq!(kinds(profile, task("a", "n"), task("b", "m"), SwapPart::Told), ["task.swapped", "task.updated"]);
}

fn draft(kind: EventKind, before: Arc<TaskState>, after: Arc<TaskState>) -> Draft {
    Draft {
        id: EventId::from("evt_x".to_owned()),
        kind,
        task: DocId::parse("65a000000000000000000002"),
        at: StreamTime::new(Timestamp { time: 10, increment: 1 }, 0),
        ms: 1_765_802_096_123,
        sequence: 7,
        fields: FieldSet::difference(&before, &after),
        state: after,
        before: Some(before),
        swap: None,
        actor: None,
        echo: false,
        muted: false,
        recovered: false,
        subscribers: Vec::new(),
    }
}

#[test]
fn the_body_is_compact_json_in_the_promised_form_and_leaves_the_description_out() {
    let mapping = Mapping::load("tasks-tracker").unwrap();
    let group = ObjectId::parse_str("65a000000000000000000001").unwrap();
    let with = |status: i32, description: &str| {
        let due = bson::DateTime::from_millis(1_765_802_096_123);
        let fields = doc! {
            "Status": status, "Name": "wash \"up\"", "Description": description, "DueAt": due, "Difficulty": 3,
            "RequiresApproval": false, "AssignedUserId": null,
        };
        Arc::new(state(&mapping, group, fields))
    };
    let (before, after) = (with(1, "old"), with(2, "new"));
    let draft = Draft { actor: Some("u1".into()), ..draft(EventKind::Completed, before, after) };
    let event = draft.finish(&mapping);
    assert_eq!(
        event.body,
        concat!(
            r#"{"id":"evt_x","event":"task.completed","groupId":"65a000000000000000000001","#,
            r#""timestamp":"2025-12-15T12:34:56.123Z","actorId":"u1","data":{"id":"65a000000000000000000002","#,
            r#""name":"wash \"up\"","status":"Completed","assignedUserId":null,"difficulty":3,"#,
            r#""dueAt":"2025-12-15T12:34:56.123Z","requiresApproval":false,"#,
            r#""updatedAt":"2025-12-15T12:34:56.123Z","sequence":7,"#,
            r#""changes":{"status":{"from":"InProgress","to":"Completed"}}}}"#
        )
    );
    assert_eq!(event.summary.changed, ["status", "description"]);
}

#[test]
fn a_swaps_body_tells_the_net_change_of_the_assignee_and_any_other_change_as_it_is() {
    let mapping = Mapping::load("tasks-tracker").unwrap();
    let group = ObjectId::new();
    let with = |user: &str, name: &str| {
        Arc::new(state(&mapping, group, doc! { "Status": 1, "AssignedUserId": user, "Name": name }))
    };
    let first = Value::Text("a".into());
    let swapped = Draft {
        swap: Some((DocId::parse("65a000000000000000000003"), first)),
        ..draft(EventKind::Swapped, with("meanwhile", "n"), with("b", "m"))
    };
    let body: serde_json::Value = serde_json::from_str(&swapped.finish(&mapping).body).unwrap();
    let expected = serde_json::json!({
        "assignedUserId": { "from": "a", "to": "b" }, "name": { "from": "n", "to": "m" },
    });
    assert_eq!(body["data"]["changes"], expected);
}

#[test]
fn an_event_is_addressed_by_the_configurations_of_its_point_unless_its_group_was_muted() {
    let mapping = Mapping::load("tasks-tracker").unwrap();
    let (group, webhook) = (ObjectId::new(), ObjectId::new());
    let state = Arc::new(state(&mapping, group, doc! { "Status": 1 }));
    let at = StreamTime::new(Timestamp { time: 5, increment: 1 }, 0);
    let mut versions = Versions::default();
    versions.add(Version {
        webhook_id: webhook,
        group_id: DocId::Oid(group),
        at,
        live: true,
        reason: None,
        events: EventFilter { task_completed: true, ..EventFilter::default() },
        ordering: Ordering::None,
        skip_inbound_echoes: true,
        mute_until: None,
    });
    let addressed = |versions: &Versions| {
        let mut draft = draft(EventKind::Completed, Arc::clone(&state), Arc::clone(&state));
        draft.address(versions);
        (draft.muted, draft.subscribers.iter().map(|subscriber| subscriber.webhook).collect::<Vec<_>>())
    };
    assert_eq!(addressed(&versions), (false, vec![webhook]));
    let until = bson::DateTime::from_millis(1_765_802_096_124);
    versions.add(Version::mute(&DocId::Oid(group), at, until));
    assert_eq!(addressed(&versions), (true, Vec::new()));
}
