use bson::{Document, RawDocumentBuf, doc, oid::ObjectId, rawdoc};

use super::*;

fn raw(doc: &Document) -> RawDocumentBuf {
    RawDocumentBuf::try_from(doc).unwrap()
}

fn task() -> Document {
    doc! {
        "_id": ObjectId::new(), "GroupId": ObjectId::new(), "TemplateId": null, "AssignedUserId": ObjectId::new(),
        "Name": "wash", "Description": "d", "Difficulty": 3, "Status": 1, "RequiresApproval": false,
        "DueAt": bson::DateTime::from_millis(1_700_000_000_123), "Frequency": 2,
        "CreatedAt": bson::DateTime::now(), "CreatedByUserId": "65a000000000000000000001",
    }
}

fn tracker() -> Mapping {
    Mapping::load("tasks-tracker").unwrap()
}

fn camel() -> Mapping {
    Mapping::load("camel-case").unwrap()
}

fn value(mapping: &Mapping, state: &TaskState, name: &str) -> Value {
    state.values[mapping.field(name).unwrap()].clone()
}

#[test]
fn a_text_that_no_event_or_snapshot_could_hold_is_a_misfit_and_one_of_old_documents_is_not() {
    let with = |field: &str, length: usize| {
        let mut doc = task();
        doc.insert(field, "x".repeat(length));
        tracker().read_task(&raw(&doc))
    };
    assert!(with("Name", 10_000).is_ok() && with("Description", 4 << 20).is_ok());
    assert_eq!(with("Name", 1 << 20).unwrap_err().to_string(), "Name: too long to be recorded");
    assert!(with("Description", 9 << 20).is_err());
}

#[test]
fn a_document_of_the_service_is_read_in_full() {
    let mapping = tracker();
    let state = mapping.read_task(&raw(&task())).unwrap();
    assert_eq!(value(&mapping, &state, "status"), Value::Text("InProgress".into()));
    assert_eq!(value(&mapping, &state, "frequency"), Value::Text("Weekly".into()));
    assert_eq!(value(&mapping, &state, "dueAt"), Value::Date(1_700_000_000_123));
    assert_eq!(value(&mapping, &state, "templateId"), Value::Null);
    assert_eq!(state.created_by.as_deref(), Some("65a000000000000000000001"));
}

#[test]
fn a_document_without_its_group_or_with_a_wrong_type_is_a_misfit_that_names_the_path() {
    let mapping = tracker();
    let misfit = |change: &dyn Fn(&mut Document)| {
        let mut doc = task();
        change(&mut doc);
        mapping.read_task(&raw(&doc)).unwrap_err().path
    };
    assert_eq!(misfit(&|doc| drop(doc.remove("GroupId"))), "GroupId");
    assert_eq!(misfit(&|doc| drop(doc.insert("GroupId", 5))), "GroupId");
    assert_eq!(misfit(&|doc| drop(doc.insert("Status", "Pending"))), "Status");
    assert_eq!(misfit(&|doc| drop(doc.insert("Status", 17))), "Status");
    assert_eq!(misfit(&|doc| drop(doc.remove("Status"))), "Status");
    assert_eq!(misfit(&|doc| drop(doc.insert("DueAt", "tomorrow"))), "DueAt");
    assert_eq!(misfit(&|doc| drop(doc.insert("Difficulty", 1.5))), "Difficulty");
}

#[test]
fn a_name_over_200_characters_is_read() {
    let mut doc = task();
    doc.insert("Name", "n".repeat(300));
    assert!(tracker().read_task(&raw(&doc)).is_ok());
}

fn camel_task() -> Document {
    doc! {
        "_id": ObjectId::new(), "groupId": ObjectId::new(), "name": "wash", "status": "Pending",
        "approval": { "status": "Pending" }, "history": [{ "userId": "u1" }], "updatedBy": "u0",
    }
}

fn applied(updated: &RawDocumentBuf, removed: &[&str], truncated: Option<&str>) -> Result<TaskState, Misfit> {
    let mapping = camel();
    let before = mapping.read_task(&raw(&camel_task())).unwrap();
    let mut gone = bson::RawArrayBuf::new();
    removed.iter().for_each(|key| gone.push(*key));
    let mut cut = bson::RawArrayBuf::new();
    truncated.iter().for_each(|key| cut.push(rawdoc! { "field": *key, "newSize": 0 }));
    let update =
        UpdateDescription { updated: Some(updated), removed: Some(&gone), truncated: Some(&cut), disambiguated: None };
    mapping.apply_update(&before, update)
}

#[test]
fn an_update_is_folded_by_nested_path_by_whole_subdocument_and_by_removal() {
    let mapping = camel();
    let approved = Value::Text("Approved".into());
    let nested = applied(&rawdoc! { "approval.status": "Approved", "approval.reviewedBy": "u9" }, &[], None).unwrap();
    assert_eq!(value(&mapping, &nested, "approvalStatus"), approved);
    assert_eq!(nested.actors[0].as_deref(), Some("u9"));
    let whole = applied(&rawdoc! { "approval": { "status": "Approved", "reviewedBy": "u9" } }, &[], None).unwrap();
    assert_eq!((whole.values, whole.actors), (nested.values, nested.actors));
    let removed = applied(&rawdoc! { "name": "rinse" }, &["approval"], None).unwrap();
    assert_eq!(value(&mapping, &removed, "approvalStatus"), Value::Null);
    assert_eq!(value(&mapping, &removed, "name"), Value::Text("rinse".into()));
}

#[test]
fn the_newest_history_entry_names_the_actor() {
    let pushed = applied(&rawdoc! { "history.1": { "userId": "u2" }, "history.2": { "userId": "u3" } }, &[], None);
    assert_eq!(pushed.unwrap().actors[1].as_deref(), Some("u3"));
    let replaced = applied(&rawdoc! { "history": [{ "userId": "u4" }, { "userId": "u5" }] }, &[], None);
    assert_eq!(replaced.unwrap().actors[1].as_deref(), Some("u5"));
    assert_eq!(applied(&rawdoc! {}, &[], Some("history")).unwrap().actors[1], None);
    assert_eq!(applied(&rawdoc! {}, &[], None).unwrap().actors[1].as_deref(), Some("u1"));
}

#[test]
fn an_update_that_breaks_a_field_is_a_misfit() {
    assert_eq!(applied(&rawdoc! { "status": 3 }, &[], None).unwrap_err().path, "status");
    assert_eq!(applied(&rawdoc! { "name.first": "x" }, &[], None).unwrap_err().path, "name.first");
    assert_eq!(applied(&rawdoc! {}, &["groupId"], None).unwrap_err().path, "groupId");
}
