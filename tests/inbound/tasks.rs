//! Creating and changing tasks: exactly as the service would have.

use bson::{DateTime, Document, doc};
use serde_json::json;
use taskwire_tests::Profile;
use taskwire_tests::service::{Edit, NewTask, Status};

use crate::scene::Scene;

const MULTI: [Profile; 2] = [Profile::TasksTracker, Profile::CamelCase];

fn without_id(mut document: Document) -> Document {
    document.remove("_id");
    document
}

#[tokio::test(flavor = "multi_thread")]
async fn a_first_call_leaves_what_the_service_would_have_left_and_later_ones_change_what_they_carry() {
    let scene = Scene::new(Profile::TasksTracker, 1).await;
    let before = scene.group_document().await;
    let created = scene.post("tasks", &scene.task("a-1")).await.result(201);
    assert_eq!((&created["externalId"], &created["outcome"]), (&json!("a-1"), &json!("created")));

    let tasks = scene.documents("tasks").await;
    let at = *tasks[0].get_datetime("CreatedAt").unwrap();
    let group = scene.group();
    let expected = doc! {
        "_id": tasks[0].get_object_id("_id").unwrap(), "GroupId": group.id, "TemplateId": null,
        "AssignedUserId": group.members[0], "Name": "Wash <b>up</b> & dry", "Description": "Twice\n\"well\"",
        "Difficulty": 4, "Status": 0, "RequiresApproval": true, "DueAt": DateTime::from_millis(1_769_860_800_500),
        "Frequency": 2, "CreatedAt": at, "CreatedByUserId": group.admin.to_hex(),
    };
    assert_eq!(tasks, std::slice::from_ref(&expected));
    assert_eq!(created["id"], expected.get_object_id("_id").unwrap().to_hex());
    let changes = doc! {
        "Name": "Wash <b>up</b> & dry", "AssignedTo": group.members[0].to_hex(), "Difficulty": "4",
        "DueAt": "2026-01-31T12:00:00.5000000Z", "Status": "Pending",
    };
    let row = doc! {
        "TaskId": expected.get_object_id("_id").unwrap(), "GroupId": group.id, "ChangedByUserId": group.admin,
        "Action": 0, "ChangedAt": at, "Changes": changes, "Notes": null,
    };
    assert_eq!(scene.documents("taskHistories").await.into_iter().map(without_id).collect::<Vec<_>>(), [row]);
    let mut group_after = before.clone();
    group_after.extend(doc! { "taskCount": 1, "lastActivity": at, "updatedAt": at });
    assert_eq!(scene.group_document().await, group_after);

    let change = json!({"externalId": "a-1", "difficulty": 5, "status": "InProgress", "name": "Wash <b>up</b> & dry"});
    assert_eq!(scene.post("tasks", &change).await.result(200)["outcome"], "updated");
    let mut expected = expected;
    expected.extend(doc! { "Difficulty": 5, "Status": 1 });
    assert_eq!(scene.documents("tasks").await, [expected]);
    let rows = scene.documents("taskHistories").await;
    let changes: Vec<_> = rows[1..].iter().map(|row| row.get_document("Changes").unwrap().clone()).collect();
    let status = doc! { "OldStatus": "Pending", "NewStatus": "InProgress" };
    assert_eq!(changes, [status, doc! { "OldDifficulty": "4", "NewDifficulty": "5" }]);
    let group = scene.group_document().await;
    assert_eq!(group.get_i32("taskCount").unwrap(), 1);
    assert!(group.get_datetime("lastActivity").unwrap() > &at);
    assert_eq!(scene.strictly_read().await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_changes_nothing_writes_nothing_but_its_receipt() {
    for profile in MULTI {
        let scene = Scene::new(profile, 1).await;
        scene.post("tasks", &scene.task("a-1")).await.expect(201);
        let of_the_service = async || {
            let (tasks, rows) = (scene.documents("tasks").await, scene.documents("taskHistories").await);
            (tasks, rows, scene.group_document().await, scene.documents("externalRefs").await)
        };
        let before = of_the_service().await;
        let again = scene.post("tasks", &scene.task("a-1")).await;
        assert!(!again.is_replay());
        assert_eq!(again.result(200)["outcome"], "unchanged");
        assert_eq!(of_the_service().await, before);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_is_applied_whole_in_its_order_or_not_at_all() {
    for profile in MULTI {
        let scene = Scene::new(profile, 1).await;
        scene.post("tasks", &scene.task("t0")).await.expect(201);
        let mut items: Vec<_> = (0..100).map(|at| scene.task(&format!("t{at}"))).collect();
        items[0]["name"] = json!("changed");
        let results = scene.post("tasks", &json!({ "tasks": items })).await.expect(201);
        let outcomes: Vec<_> = results["results"].as_array().unwrap().iter().map(|item| &item["outcome"]).collect();
        assert_eq!((outcomes[0], outcomes[1], outcomes[99]), (&json!("updated"), &json!("created"), &json!("created")));
        assert_eq!(results["results"][57]["externalId"], "t57");
        assert_eq!(scene.strictly_read().await, 100);
        assert_eq!(scene.group_document().await.get_i32("taskCount").unwrap(), 100);

        let before = scene.everything().await;
        items[98]["externalId"] = json!("new");
        items[99]["assignedUserId"] = json!(bson::oid::ObjectId::new().to_hex());
        let refused = scene.post("tasks", &json!({ "tasks": items })).await;
        assert_eq!(refused.faulty_fields(), ["tasks[99].assignedUserId"]);
        assert_eq!(scene.everything().await, before);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_services_own_id_updates_and_never_creates() {
    let scene = Scene::new(Profile::TasksTracker, 1).await;
    let (task, _) = scene.service.create(NewTask::named("the service's")).await.unwrap();
    let answer = scene.post("tasks", &json!({"id": task.id.to_hex(), "name": "ours"})).await.result(200);
    assert_eq!((&answer["externalId"], &answer["outcome"]), (&json!(null), &json!("updated")));
    assert_eq!(scene.service.task(task.id).await.unwrap().name, "ours");
    let other = Scene::new(Profile::TasksTracker, 1).await;
    let (foreign, _) = other.service.create(NewTask::named("another group's")).await.unwrap();
    scene.db.collection::<Document>("tasks").insert_one(&other.documents("tasks").await[0]).await.unwrap();
    for id in [bson::oid::ObjectId::new(), foreign.id] {
        let answer = scene.post("tasks", &json!({"id": id.to_hex(), "name": "x"})).await;
        assert_eq!(answer.faulty_fields(), ["id"]);
    }
    scene.strictly_read().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_that_the_service_deleted_is_created_again_under_a_new_id_and_the_answer_says_so() {
    for profile in MULTI {
        let scene = Scene::new(profile, 1).await;
        let first = scene.post("tasks", &scene.task("a-1")).await.result(201);
        scene.service.delete(first["id"].as_str().unwrap().parse().unwrap()).await.unwrap();
        assert_eq!(scene.get("a-1").await.status, 404);
        let partial = scene.post("tasks", &json!({"externalId": "a-1", "difficulty": 2})).await;
        assert_eq!(partial.faulty_fields(), ["name", "assignedUserId", "dueAt"]);
        let second = scene.post("tasks", &scene.task("a-1")).await.result(201);
        assert_ne!(first["id"], second["id"]);
        assert_eq!((&second["outcome"], &second["recreated"]), (&json!("created"), &json!(true)));
        let third = scene.post("tasks", &json!({"externalId": "a-1", "difficulty": 2})).await.result(200);
        assert_eq!(third["id"], second["id"]);
        assert_eq!(scene.strictly_read().await, 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn approving_and_rejecting_need_their_scope_and_leave_their_own_rows() {
    for profile in MULTI {
        let scene = Scene::new(profile, 1).await;
        let (done, goes_back) = match profile {
            Profile::TasksTracker => ("Completed", "InProgress"),
            Profile::CamelCase => ("Approved", "Pending"),
        };
        let waits = if profile == Profile::TasksTracker { "WaitingForApproval" } else { "Completed" };
        scene.post("tasks", &scene.task("a-1")).await.expect(201);
        scene.post("tasks", &json!({"externalId": "a-1", "status": waits})).await.expect(200);
        scene.configure(&json!({"scopes": ["tasks:write"]})).await.expect(200);
        for status in [done, goes_back] {
            let refused = scene.post("tasks", &json!({"externalId": "a-1", "status": status})).await;
            assert_eq!(refused.faulty_fields(), ["status"], "{status}");
        }
        scene.configure(&json!({"scopes": ["tasks:write", "tasks:approve"]})).await.expect(200);
        scene.post("tasks", &json!({"externalId": "a-1", "status": goes_back})).await.expect(200);
        scene.post("tasks", &json!({"externalId": "a-1", "status": waits})).await.expect(200);
        scene.post("tasks", &json!({"externalId": "a-1", "status": done})).await.expect(200);
        let actions: Vec<i32> =
            scene.documents("taskHistories").await.iter().map(|row| row.get_i32("Action").unwrap()).collect();
        match profile {
            Profile::TasksTracker => assert_eq!(actions, [0, 2, 6, 2, 5]),
            Profile::CamelCase => {
                let task = &scene.documents("tasks").await[0];
                let review = task.get_document("approval").unwrap();
                assert_eq!(review, &doc! { "status": "Approved", "reviewedBy": scene.group().admin });
            }
        }
        scene.strictly_read().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_is_shown_as_the_service_has_it() {
    for profile in MULTI {
        let scene = Scene::new(profile, 1).await;
        let id = scene.post("tasks", &scene.task("a/1 ü")).await.result(201)["id"].clone();
        scene.service.edit(id.as_str().unwrap().parse().unwrap(), &Edit::name("the service's")).await.unwrap();
        let shown = scene.get("a%2F1%20%C3%BC").await.expect(200);
        let mut expected = scene.task("a/1 ü");
        expected["name"] = json!("the service's");
        expected["dueAt"] = json!("2026-01-31T12:00:00.500Z");
        for (field, value) in expected.as_object().unwrap() {
            assert_eq!(&shown[field], value, "{field}");
        }
        assert_eq!((&shown["id"], &shown["groupId"]), (&id, &json!(scene.group().id.to_hex())));
        assert_eq!(scene.get("nothing").await.status, 404);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_systems_and_the_groups_own_templates_are_taken() {
    let scene = Scene::new(Profile::TasksTracker, 1).await;
    let [system, own, foreign, deleted] = [(); 4].map(|()| bson::oid::ObjectId::new());
    let templates = [
        doc! { "_id": system, "groupId": null, "isDeleted": false },
        doc! { "_id": own, "groupId": scene.group().id, "isDeleted": false },
        doc! { "_id": foreign, "groupId": bson::oid::ObjectId::new(), "isDeleted": false },
        doc! { "_id": deleted, "groupId": scene.group().id, "isDeleted": true },
    ];
    scene.db.collection::<Document>("taskLibrary").insert_many(templates).await.unwrap();
    for (template, good) in [(system, true), (own, true), (foreign, false), (deleted, false)] {
        let mut task = scene.task(&template.to_hex());
        task["templateId"] = json!(template.to_hex());
        let answer = scene.post("tasks", &task).await;
        if good {
            answer.expect(201);
        } else {
            assert_eq!(answer.faulty_fields(), ["templateId"]);
        }
    }
    assert_eq!(scene.strictly_read().await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_old_task_with_an_overlong_name_can_be_changed_and_keeps_it() {
    let scene = Scene::new(Profile::TasksTracker, 1).await;
    let (task, _) = scene.service.create(NewTask::named(&"x".repeat(300))).await.unwrap();
    scene.service.set_status(task.id, Status::Overdue).await.unwrap();
    scene.post("tasks", &json!({"id": task.id.to_hex(), "difficulty": 9})).await.expect(200);
    let after = scene.service.task(task.id).await.unwrap();
    assert_eq!((after.name.len(), after.difficulty, after.status), (300, 9, Status::Overdue));
}

#[tokio::test(flavor = "multi_thread")]
async fn once_its_user_administers_the_group_no_more_nothing_is_written_until_an_admin_names_another() {
    let scene = Scene::new(Profile::TasksTracker, 1).await;
    let other = scene.group().members[0];
    let role = async |user, role: &str| {
        let groups = scene.db.collection::<Document>("groups");
        let filter = doc! { "_id": scene.group().id, "members.userId": user };
        groups.update_one(filter, doc! { "$set": { "members.$.role": role } }).await.unwrap();
    };
    role(other, "owner").await;
    assert_eq!(
        scene.configure(&json!({"userId": scene.group().members[1].to_hex()})).await.faulty_fields(),
        ["userId"]
    );
    scene.configure(&json!({"userId": other.to_hex()})).await.expect(200);
    scene.post("tasks", &scene.task("a-1")).await.expect(201);
    assert_eq!(scene.documents("tasks").await[0].get_str("CreatedByUserId").unwrap(), other.to_hex());
    role(other, "RegularUser").await;
    let refused = scene.post("tasks", &scene.task("a-2")).await;
    assert_eq!(refused.status, 409);
    assert!(refused.text.contains("userId"), "{}", refused.text);
    assert_eq!(scene.strictly_read().await, 1);
}
