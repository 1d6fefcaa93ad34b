use bson::spec::ElementType;
use futures::TryStreamExt;
use taskwire::model::EventKind;

use super::*;
use crate::mongo::{Db, Mongo};

/// Names and types of the service's task class; it refuses any other field.
const TASK_FIELDS: [(&str, ElementType); 13] = [
    ("_id", ElementType::ObjectId),
    ("GroupId", ElementType::ObjectId),
    ("TemplateId", ElementType::Null),
    ("AssignedUserId", ElementType::ObjectId),
    ("Name", ElementType::String),
    ("Description", ElementType::String),
    ("Difficulty", ElementType::Int32),
    ("Status", ElementType::Int32),
    ("RequiresApproval", ElementType::Boolean),
    ("DueAt", ElementType::DateTime),
    ("Frequency", ElementType::Int32),
    ("CreatedAt", ElementType::DateTime),
    ("CreatedByUserId", ElementType::String),
];

fn kinds(events: &[Expected]) -> Vec<EventKind> {
    events.iter().map(|event| event.event).collect()
}

/// Runs every operation once and gives the kinds of events that must follow.
async fn play_all(service: &TaskService) -> Vec<EventKind> {
    let others = service.group().members.clone();
    let (a, _) = service.create(NewTask::named("a").requiring_approval()).await.unwrap();
    let (b, _) = service.create(NewTask::named("b").assigned_to(others[1])).await.unwrap();
    service.edit(a.id, &Edit::name("a2")).await.unwrap();
    service.save_unchanged(a.id).await.unwrap();
    service.request_approval(a.id).await.unwrap();
    service.reject(a.id).await.unwrap();
    service.request_approval(a.id).await.unwrap();
    service.approve(a.id).await.unwrap();
    service.swap(a.id, b.id).await.unwrap();
    service.complete(b.id).await.unwrap();
    service.reassign(b.id, others[2]).await.unwrap();
    service.unassign(b.id).await.unwrap();
    service.distribute(&[b.id]).await.unwrap();
    service.delete(a.id).await.unwrap();
    kinds(&service.expected())
}

#[tokio::test]
async fn under_tasks_tracker_every_operation_is_followed_by_the_events_of_the_contract() {
    use EventKind::{Approved, Completed, Created, Rejected, Swapped, Updated};
    let db = Db::fresh().await.unwrap();
    let service = TaskService::new(&db, Profile::TasksTracker).await.unwrap();
    let expected = [
        [Created, Created, Updated, Updated].as_slice(), // an edit, and a request for approval
        &[Rejected, Updated, Completed, Approved],
        &[Swapped, Swapped, Completed, Updated, Updated, Updated],
    ];
    assert_eq!(play_all(&service).await, expected.concat());
}

#[tokio::test]
async fn under_camel_case_every_operation_is_followed_by_the_events_of_the_contract() {
    use EventKind::{Approved, Completed, Created, Rejected, Swapped, Updated};
    let db = Db::fresh().await.unwrap();
    let service = TaskService::new(&db, Profile::CamelCase).await.unwrap();
    let expected = [
        [Created, Created, Updated, Completed].as_slice(), // an edit, and a request for approval
        &[Rejected, Completed, Approved],
        &[Swapped, Swapped, Completed, Updated, Updated, Updated],
    ];
    assert_eq!(play_all(&service).await, expected.concat());
}

#[tokio::test]
async fn tasks_hold_exactly_the_services_fields_and_types_after_every_kind_of_write() {
    let db = Db::fresh().await.unwrap();
    let service = TaskService::new(&db, Profile::TasksTracker).await.unwrap();
    play_all(&service).await;
    let tasks: Vec<Document> = service.tasks().find(doc! {}).await.unwrap().try_collect().await.unwrap();
    assert_eq!(tasks.len(), 1);
    let fields: Vec<_> = tasks[0].iter().map(|(name, value)| (name.as_str(), value.element_type())).collect();
    assert_eq!(fields, TASK_FIELDS);
}

#[tokio::test]
async fn every_write_but_the_first_is_a_replace_and_is_followed_by_its_row_with_names_in_changes() {
    let db = Db::fresh().await.unwrap();
    let service = TaskService::new(&db, Profile::TasksTracker).await.unwrap();
    let mut stream = db.watch().await.unwrap();
    let (task, _) = service.create(NewTask::default()).await.unwrap();
    service.complete(task.id).await.unwrap();
    let mut seen = Vec::new();
    while seen.len() < 5 {
        let change = stream.try_next().await.unwrap().unwrap();
        let collection = change.ns.and_then(|ns| ns.coll).unwrap();
        seen.push(format!("{:?} {collection}", change.operation_type));
    }
    let expected = ["Insert tasks", "Insert taskHistories", "Update groups", "Replace tasks", "Insert taskHistories"];
    assert_eq!(seen, expected);
    let row = service.histories().find_one(doc! { "Action": 2 }).await.unwrap().unwrap();
    let changes = row.get_document("Changes").unwrap();
    assert_eq!(*changes, doc! { "OldStatus": "Pending", "NewStatus": "Completed" });
    assert_eq!(row.get_object_id("ChangedByUserId").unwrap(), task.assignee);
}

/// The next writes fail: some before they are made, some after.
fn failing(how: &Document) -> Document {
    let mut data = doc! { "failCommands": ["insert", "update", "delete", "commitTransaction"] };
    data.extend(how.clone());
    // The driver tries twice by itself.
    doc! { "configureFailPoint": "failCommand", "mode": { "times": 3 }, "data": data }
}

#[tokio::test]
async fn what_is_written_surely_is_written_once_whether_it_failed_before_or_after() {
    let mongo = Mongo::single().await.unwrap();
    let db = Db::at(&format!("{}&w=majority&readConcernLevel=majority", mongo.uri())).await.unwrap();
    for how in [doc! { "closeConnection": true }, doc! { "writeConcernError": { "code": 64, "errmsg": "no majority" } }]
    {
        let service = TaskService::new(&db, Profile::TasksTracker).await.unwrap().surely().await.unwrap();
        let other = service.group().members[1];
        let fail = || mongo.fail_point(failing(&how));
        let mut stream = service.tasks().watch().await.unwrap();
        fail().await.unwrap();
        let a = service.create(NewTask::named("a")).await.unwrap().0.id;
        let b = service.create(NewTask::named("b").assigned_to(other)).await.unwrap().0.id;
        fail().await.unwrap();
        service.edit(a, &Edit::difficulty(5)).await.unwrap();
        fail().await.unwrap();
        service.swap(a, b).await.unwrap();
        fail().await.unwrap();
        service.delete(b).await.unwrap();
        service.delete(a).await.unwrap();
        assert!(service.doubts().await >= 4, "{}", service.doubts().await);
        let mut seen = Vec::new();
        while seen.len() < 7 {
            let next = tokio::time::timeout(std::time::Duration::from_secs(30), stream.try_next()).await;
            seen.push(format!("{:?}", next.unwrap().unwrap().unwrap().operation_type));
        }
        assert_eq!(seen, ["Insert", "Insert", "Replace", "Replace", "Replace", "Delete", "Delete"]);
    }
}
