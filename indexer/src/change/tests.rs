use bson::{oid::ObjectId, rawdoc};

use super::*;

fn change(operation: &str, collection: &str, full: RawDocumentBuf) -> Change {
    let raw = rawdoc! {
        "_id": { "_data": "82" }, "operationType": operation, "clusterTime": Timestamp { time: 9, increment: 1 },
        "wallTime": bson::DateTime::from_millis(9_123), "ns": { "db": "d", "coll": collection },
        "documentKey": { "_id": ObjectId::new() }, "fullDocument": full,
    };
    Change::read(&raw, &Mapping::load("tasks-tracker").unwrap()).unwrap()
}

#[test]
fn a_task_that_does_not_fit_is_put_aside_with_its_raw_document_and_a_reason_without_values() {
    let change = change("insert", "tasks", rawdoc! { "Name": "private text", "Status": 0i32 });
    let What::Unreadable { reason, raw, .. } = change.what else { panic!("{change:?}") };
    assert_eq!(reason, "GroupId: missing");
    assert!(raw.get_document("fullDocument").is_ok());
}

#[test]
fn a_history_row_is_read_with_its_action_by_name() {
    let (task, user) = (ObjectId::new(), ObjectId::new());
    let row = rawdoc! {
        "TaskId": task, "ChangedByUserId": user, "Action": 2i32,
        "Changes": { "OldStatus": "Pending", "NewStatus": "InProgress" },
    };
    let What::Row(row) = change("insert", "taskHistories", row).what else { panic!() };
    assert_eq!((row.action.as_str(), row.actor), ("StatusChanged", user.to_hex()));
    assert_eq!(row.changes.len(), 2);
}

#[test]
fn only_an_approved_swap_request_counts() {
    let request = |status: &str| {
        rawdoc! {
            "status": status, "requester": { "taskId": ObjectId::new() }, "target": { "taskId": ObjectId::new() },
        }
    };
    assert!(matches!(change("insert", "swapRequests", request("Pending")).what, What::Ignored));
    let What::SwapApproved(approval) = change("replace", "swapRequests", request("Approved")).what else { panic!() };
    assert!(approval.tasks.is_some());
}

#[test]
fn an_update_approves_a_request_by_the_path_or_by_what_the_path_is_part_of() {
    let text = include_str!("../../../src/mapping/profiles/camel-case.toml");
    let nested = text.replace("status = \"status\"\napproved", "status = \"decision.status\"\napproved");
    let nested = nested.replace("approver = \"approvedBy\"", "approver = \"decision.by\"");
    let mapping = Mapping::from_toml(&nested).unwrap();
    let read = |updated: RawDocumentBuf| {
        let raw = rawdoc! {
            "_id": { "_data": "82" }, "operationType": "update", "clusterTime": Timestamp { time: 9, increment: 1 },
            "ns": { "db": "d", "coll": "swapRequests" }, "documentKey": { "_id": "r" },
            "updateDescription": { "updatedFields": updated },
        };
        match Change::read(&raw, &mapping).unwrap().what {
            What::SwapApproved(approval) => approval.approver,
            _ => Some("ignored".into()),
        }
    };
    assert_eq!(read(rawdoc! { "decision.status": "Approved", "decision.by": "u" }).as_deref(), Some("u"));
    assert_eq!(read(rawdoc! { "decision": { "status": "Approved", "by": "u" } }).as_deref(), Some("u"));
    assert_eq!(read(rawdoc! { "decision.status": "Approved" }), None);
    assert_eq!(read(rawdoc! { "decision": { "status": "Rejected" } }).as_deref(), Some("ignored"));
    assert_eq!(read(rawdoc! { "decisions": { "status": "Approved" } }).as_deref(), Some("ignored"));
}

#[test]
fn the_wall_clock_is_the_changes_time() {
    assert_eq!(change("insert", "other", rawdoc! {}).ms, 9_123);
}
