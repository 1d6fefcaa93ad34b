//! The same signed request has one effect.

use serde_json::json;
use taskwire_tests::{Profile, receiver::hex_signature};

use crate::scene::{Call, Scene, now, send};

#[tokio::test(flavor = "multi_thread")]
async fn the_same_request_again_gets_the_first_answer_and_has_no_second_effect() {
    let scene = Scene::new(Profile::TasksTracker, 1).await;
    let call = Call::post(scene.path("tasks"), scene.task("a-1").to_string().as_bytes(), &scene.secret);
    let first = scene.call(&call).await;
    assert!(!first.is_replay());
    let (status, text) = (first.status, first.text);
    // What came in between stays.
    scene.post("tasks", &json!({"externalId": "a-1", "difficulty": 9})).await.expect(200);
    let before = scene.everything().await;
    for _ in 0..3 {
        let again = scene.call(&call).await;
        assert!(again.is_replay());
        assert_eq!((again.status, &again.text), (status, &text));
    }
    assert_eq!(scene.everything().await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_changed_nothing_has_no_later_effect_either() {
    let scene = Scene::new(Profile::TasksTracker, 1).await;
    scene.post("tasks", &scene.task("a-1")).await.expect(201);
    let body = json!({"externalId": "a-1", "difficulty": 4}).to_string();
    let call = Call::post(scene.path("tasks"), body.as_bytes(), &scene.secret);
    assert_eq!(scene.call(&call).await.result(200)["outcome"], "unchanged");
    scene.post("tasks", &json!({"externalId": "a-1", "difficulty": 9})).await.expect(200);
    let again = scene.call(&call).await;
    assert!(again.is_replay());
    assert_eq!(again.result(200)["outcome"], "unchanged");
    assert_eq!(scene.get("a-1").await.expect(200)["difficulty"], 9);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_captured_request_is_the_same_one_with_either_signature_of_a_rotation() {
    let scene = Scene::new(Profile::TasksTracker, 1).await;
    let rotated = scene.configure(&json!({"rotateSecret": true})).await.expect(200);
    let (new, old) = (rotated["secret"].as_str().unwrap(), scene.secret.as_str());
    let (body, timestamp) = (scene.task("a-1").to_string().into_bytes(), now().to_string());
    let signed = |secret: &str| format!("sha256={}", hex_signature(secret, &timestamp, &body));
    let sent =
        |signature: String| Call { signature, ..Call::at(scene.path("tasks"), &body, old, timestamp.parse().unwrap()) };
    assert_eq!(scene.call(&sent(format!("{},{}", signed(new), signed(old)))).await.status, 201);
    for signature in [signed(old), signed(new)] {
        assert!(scene.call(&sent(signature)).await.is_replay());
    }
    assert_eq!(scene.documents("inboundReceipts").await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signature_that_was_used_for_tasks_is_not_taken_for_categories() {
    let scene = Scene::new(Profile::TasksTracker, 1).await;
    scene.post("tasks", &scene.task("a-1")).await.expect(201);
    let call = Call::post(scene.path("tasks"), br#"{"externalId": "a-1", "name": "Garden"}"#, &scene.secret);
    scene.call(&call).await.expect(200);
    let elsewhere = Call { path: scene.path("categories"), ..call };
    assert_eq!(scene.call(&elsewhere).await.status, 409);
    assert!(scene.documents("categories").await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_refused_can_be_sent_again_once_it_fits() {
    let scene = Scene::new(Profile::TasksTracker, 1).await;
    let stranger = bson::oid::ObjectId::new();
    let mut task = scene.task("a-1");
    task["assignedUserId"] = json!(stranger.to_hex());
    let call = Call::post(scene.path("tasks"), task.to_string().as_bytes(), &scene.secret);
    assert_eq!(scene.call(&call).await.faulty_fields(), ["assignedUserId"]);
    let joins = bson::doc! { "$push": { "members": { "userId": stranger, "role": "RegularUser" } } };
    let groups = scene.db.collection::<bson::Document>("groups");
    groups.update_one(bson::doc! { "_id": scene.group().id }, joins).await.unwrap();
    let taken = scene.call(&call).await;
    assert!(!taken.is_replay());
    taken.expect(201);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_request_at_the_same_moment_in_two_processes_has_one_effect_and_one_answer() {
    for profile in [Profile::TasksTracker, Profile::CamelCase] {
        let scene = Scene::new(profile, 2).await;
        for round in 0..10 {
            let items: Vec<_> = (0..3).map(|at| scene.task(&format!("r{round}-{at}"))).collect();
            let body = json!({ "tasks": items }).to_string();
            let call = Call::post(scene.path("tasks"), body.as_bytes(), &scene.secret);
            let sent = (0..6).map(|at| send(&scene.desks[at % 2], call.request()));
            let answers = futures::future::join_all(sent).await;
            assert!(answers.iter().all(|answer| answer.status == 201 && answer.text == answers[0].text));
            assert_eq!(answers.iter().filter(|answer| !answer.is_replay()).count(), 1);
        }
        assert_eq!(scene.strictly_read().await, 30);
        assert_eq!(scene.group_document().await.get_i32("taskCount").unwrap(), 30);
        assert_eq!(scene.documents("inboundReceipts").await.len(), 10);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_first_calls_with_one_id_at_once_make_one_task() {
    for profile in [Profile::TasksTracker, Profile::CamelCase] {
        let scene = Scene::new(profile, 2).await;
        for round in 0..10 {
            let body = scene.task(&format!("same-{round}")).to_string();
            let calls: Vec<_> =
                (0..6).map(|_| Call::post(scene.path("tasks"), body.as_bytes(), &scene.secret)).collect();
            let sent = calls.iter().enumerate().map(|(at, call)| send(&scene.desks[at % 2], call.request()));
            let answers = futures::future::join_all(sent).await;
            let created = answers.iter().filter(|answer| answer.status == 201).count();
            let ids: std::collections::HashSet<_> =
                answers.iter().map(|answer| answer.json()["results"][0]["id"].to_string()).collect();
            assert_eq!((created, ids.len()), (1, 1));
        }
        assert_eq!(scene.strictly_read().await, 10);
        assert_eq!(scene.group_document().await.get_i32("taskCount").unwrap(), 10);
    }
}
