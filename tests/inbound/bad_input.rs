//! What is wrong with a body is named, and nothing is written.

use serde_json::{Value, json};
use taskwire_tests::Profile;

use crate::scene::Scene;

#[tokio::test(flavor = "multi_thread")]
async fn every_fault_is_named_by_item_and_field_and_nothing_is_written() {
    let scene = Scene::new(Profile::TasksTracker, 1).await;
    scene.post("tasks", &scene.task("there")).await.expect(201);
    let with = |field: &str, value: Value| {
        let mut task = scene.task("bad");
        task[field] = value;
        task
    };
    let before = scene.everything().await;
    for (field, value) in [
        ("dueAt", json!("2026-01-31T12:00:00")),
        ("dueAt", json!("2026-01-31")),
        ("dueAt", json!("0000-01-01T00:00:00Z")),
        ("dueAt", json!("10000-01-01T00:00:00Z")),
        ("difficulty", json!("3")),
        ("difficulty", json!(11)),
        ("difficulty", json!(1e300)),
        ("requiresApproval", json!("true")),
        ("name", json!("x".repeat(201))),
        ("name", json!({"$ne": null})),
        ("name", Value::Null),
        ("status", json!("Done")),
        ("frequency", json!("Hourly")),
        ("assignedUserId", json!(bson::oid::ObjectId::new().to_hex())),
        ("assignedUserId", json!("nobody")),
        ("assignedUserId", json!("000000000000000000000000")),
        ("templateId", json!(bson::oid::ObjectId::new().to_hex())),
        ("externalId", json!("x".repeat(129))),
        ("colour", json!("blue")),
        ("_id", json!("65a000000000000000000001")),
        ("$set", json!({"a": 1})),
        ("groupId", json!("65a000000000000000000001")),
    ] {
        let single = scene.post("tasks", &with(field, value.clone())).await;
        assert_eq!(single.faulty_fields(), [field], "{field}: {value}");
        let batch = json!({"tasks": [{"externalId": "there", "difficulty": 9}, with(field, value.clone())]});
        let batch = scene.post("tasks", &batch).await;
        assert_eq!(batch.faulty_fields(), [format!("tasks[1].{field}")], "{field}: {value}");
    }
    let twice = json!({"tasks": [{"externalId": "there", "difficulty": 9}, scene.task("x"), scene.task("x")]});
    assert_eq!(scene.post("tasks", &twice).await.faulty_fields(), ["tasks[2].externalId"]);
    assert_eq!(scene.post("tasks", &json!({"tasks": []})).await.faulty_fields(), ["tasks"]);
    let many: Vec<_> = (0..101).map(|at| scene.task(&at.to_string())).collect();
    assert_eq!(scene.post("tasks", &json!({ "tasks": many })).await.faulty_fields(), ["tasks"]);
    assert_eq!(scene.post("tasks", &json!({"categories": [{}]})).await.faulty_fields(), ["categories", "externalId"]);
    assert_eq!(scene.everything().await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_that_are_no_body_are_refused_as_what_they_are_and_nothing_is_written() {
    let scene = Scene::new(Profile::TasksTracker, 1).await;
    let before = scene.everything().await;
    let deep = |length: usize| [b"{\"name\":".as_slice(), &vec![b'['; length]].concat();
    for (status, body) in [
        (400, b"".to_vec()),
        (400, b"{".to_vec()),
        (400, b"{} {}".to_vec()),
        (400, b"{\"externalId\": \"\xff\xfe\"}".to_vec()),
        (400, br#"{"externalId": "\ud800"}"#.to_vec()),
        (400, br#"{"difficulty": 1e999}"#.to_vec()),
        (400, deep(200_000)),
        (413, deep(1 << 20)),
        (422, b"[]".to_vec()),
        (422, b"null".to_vec()),
        (422, br#"{"externalId": "a", "externalId": "b", "name": "x"}"#.to_vec()),
    ] {
        for kind in ["tasks", "categories"] {
            let answer = scene.post_bytes(kind, &body).await;
            assert_eq!(answer.status, status, "{kind}: {:?}: {}", &body[..body.len().min(60)], answer.text);
            assert_eq!(answer.headers["content-type"], "application/problem+json");
        }
    }
    let duplicate = br#"{"externalId": "a", "name": "x", "name": "y"}"#;
    assert_eq!(scene.post_bytes("tasks", duplicate).await.faulty_fields()[0], "name");
    assert_eq!(scene.everything().await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_stored_in_another_form_is_named_and_left_alone() {
    let scene = Scene::new(Profile::TasksTracker, 1).await;
    let id = scene.post("tasks", &scene.task("a")).await.result(201)["id"].clone();
    let id: bson::oid::ObjectId = id.as_str().unwrap().parse().unwrap();
    let spoil = bson::doc! { "$set": { "Status": "private text" } };
    scene.service.tasks().update_one(bson::doc! { "_id": id }, spoil).await.unwrap();
    let before = scene.everything().await;
    let answer = scene.post("tasks", &json!({"externalId": "a", "difficulty": 9})).await;
    assert!(answer.text.contains("Status") && !answer.text.contains("private text"), "{}", answer.text);
    assert_eq!(answer.faulty_fields(), ["externalId"]);
    assert_eq!(scene.get("a").await.status, 409);
    assert_eq!(scene.everything().await, before);
}
