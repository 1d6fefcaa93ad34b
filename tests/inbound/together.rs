//! Many writers at once, beside the task service that edits the same tasks.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bson::oid::ObjectId;
use bson::{Document, doc};
use serde_json::{Value, json};
use taskwire_tests::service::{Edit, Group};
use taskwire_tests::{Mongo, Profile, TaskService};
use tokio::task::JoinSet;

use crate::scene::{Answer, Call, SETTINGS, Scene, now, send};

const WRITERS: usize = 16;

/// A further group of the same database with an integration of its own: its service, and its secret.
async fn another_group(scene: &Scene) -> (TaskService, String) {
    let group = Group::create(&scene.db).await.unwrap();
    let path = format!("{SETTINGS}?groupId={}", group.id);
    let wanted = json!({"scopes": ["tasks:write"], "rateLimitPerMinute": 60_000});
    let made = scene.as_user(group.admin, "PUT", &path, Some(&wanted), &[]).await.expect(200);
    let secret = made["secret"].as_str().unwrap().to_owned();
    (TaskService::for_group(&scene.db, scene.service.profile(), group), secret)
}

/// Posts until it is taken: what is told to come again comes again, as the very same request.
async fn surely(desk: &axum::Router, call: &Call) -> Answer {
    for _ in 0..50 {
        let answer = send(desk, call.request()).await;
        if answer.status != 503 {
            return answer;
        }
    }
    panic!("told to come again for ever");
}

/// The service edits descriptions of the group's tasks, which no partner carries; what it wrote last, by task.
async fn edit(service: Arc<TaskService>, stop: Arc<AtomicBool>) -> (HashMap<ObjectId, String>, u32) {
    let (mut last, mut count) = (HashMap::new(), 0);
    while !stop.load(Ordering::Relaxed) {
        let found = service.tasks().distinct("_id", doc! {}).await.unwrap();
        for id in found.iter().filter_map(bson::Bson::as_object_id) {
            if stop.load(Ordering::Relaxed) {
                break;
            }
            count += 1;
            let text = format!("edit {count}");
            let edit = Edit { description: Some(Some(text.clone())), ..Edit::default() };
            // Tasks of the other groups are theirs.
            if service.task(id).await.is_ok_and(|task| task.group == service.group().id) {
                service.edit(id, &edit).await.unwrap();
                last.insert(id, text);
            }
        }
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    (last, count)
}

/// The service replaces its group whole, as it does, again and again; the name that it wrote last.
async fn rename_group(scene_db: mongodb::Database, id: ObjectId, stop: Arc<AtomicBool>) -> String {
    let groups = scene_db.collection::<Document>("groups");
    let mut count = 0;
    loop {
        let mut group = groups.find_one(doc! { "_id": id }).await.unwrap().unwrap();
        count += 1;
        let name = format!("Household {count}");
        group.insert("name", &name);
        groups.replace_one(doc! { "_id": id }, group).await.unwrap();
        if stop.load(Ordering::Relaxed) {
            return name;
        }
        tokio::time::sleep(std::time::Duration::from_millis(3)).await;
    }
}

async fn writers_beside_the_service(profile: Profile, rounds: usize) {
    let scene = Scene::new(profile, 2).await;
    let (other, other_secret) = another_group(&scene).await;
    let other_group = other.group().id;
    let member = |group: &Group| group.members[0].to_hex();
    let groups = [
        (scene.path("tasks"), scene.secret.clone(), member(scene.group())),
        (format!("{SETTINGS}/{other_group}/tasks"), other_secret, member(other.group())),
    ];
    let stop = Arc::new(AtomicBool::new(false));
    let main = Arc::new(TaskService::for_group(&scene.db, profile, scene.group().clone()));
    let editor = tokio::spawn(edit(Arc::clone(&main), Arc::clone(&stop)));
    let renamer = tokio::spawn(rename_group(scene.db.database().clone(), other_group, Arc::clone(&stop)));
    let mut writers = JoinSet::new();
    for number in 0..WRITERS {
        let (desk, groups) = (scene.desks[number % 2].clone(), groups.clone());
        writers.spawn(async move {
            let mut seen = Vec::new();
            for round in 0..rounds {
                let place = usize::from((number + round) % 4 == 3);
                let (path, secret, member) = &groups[place];
                // Ids that all write, ids of one's own, and both in batches.
                let ids = [format!("shared-{}", round % 5), format!("own-{number}-{}", round / 3)];
                let items: Vec<Value> = ids
                    .iter()
                    .map(|id| {
                        json!({
                            "externalId": id, "name": format!("by {number} in {round}"), "difficulty": 1 + round % 10,
                            "assignedUserId": member, "dueAt": "2026-01-31T12:00:00Z",
                        })
                    })
                    .collect();
                let body = if round % 2 == 0 { json!({ "tasks": items }) } else { items[round / 2 % 2].clone() };
                let call = Call::post(path.clone(), body.to_string().as_bytes(), secret);
                let answer = surely(&desk, &call).await;
                assert!(answer.status == 200 || answer.status == 201, "{}", answer.text);
                for result in answer.json()["results"].as_array().unwrap() {
                    seen.push((place, result["externalId"].clone(), result["id"].clone(), result["outcome"].clone()));
                }
            }
            seen
        });
    }
    let mut seen = Vec::new();
    while let Some(written) = writers.join_next().await {
        seen.extend(written.unwrap());
    }
    stop.store(true, Ordering::Relaxed);
    let ((last, edits), name) = (editor.await.unwrap(), renamer.await.unwrap());
    assert!(edits > 0 && !last.is_empty(), "the service took part");

    let tasks = scene.documents("tasks").await;
    let description = if profile == Profile::TasksTracker { "Description" } else { "description" };
    for task in tasks.iter().filter(|task| last.contains_key(&task.get_object_id("_id").unwrap())) {
        let id = task.get_object_id("_id").unwrap();
        assert_eq!(task.get_str(description).ok(), Some(last[&id].as_str()), "a write of the service is lost");
    }
    let named: HashSet<_> = seen.iter().map(|(place, external, _, _)| (place, external.to_string())).collect();
    let made: HashSet<_> = seen.iter().map(|(_, _, id, _)| id.to_string()).collect();
    let created = seen.iter().filter(|(_, _, _, outcome)| outcome == "created").count();
    assert_eq!((tasks.len(), made.len(), created), (named.len(), named.len(), named.len()), "one task an id");
    assert_eq!(scene.strictly_read().await, named.len());
    let in_main = named.iter().filter(|(place, _)| **place == 0).count();
    let group = scene.group_document().await;
    assert_eq!(group.get_i32("taskCount").unwrap(), i32::try_from(in_main).unwrap());
    let other = scene.db.collection::<Document>("groups").find_one(doc! { "_id": other_group }).await.unwrap().unwrap();
    assert_eq!(other.get_str("name").unwrap(), name, "the group was only ever touched");
}

#[tokio::test(flavor = "multi_thread")]
async fn sixteen_writers_beside_the_service_lose_none_of_its_writes_and_make_one_task_an_id() {
    writers_beside_the_service(Profile::TasksTracker, 8).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sixteen_writers_beside_a_service_that_writes_parts_lose_none_of_its_writes() {
    writers_beside_the_service(Profile::CamelCase, 4).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "long: a minute or more of both profiles"]
async fn sixteen_writers_for_long() {
    for profile in [Profile::TasksTracker, Profile::CamelCase] {
        writers_beside_the_service(profile, 80).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_statement_of_the_transaction_may_fail_and_the_call_has_one_effect() {
    let scene = Scene::new(Profile::TasksTracker, 1).await;
    let admin = scene.db.client().database("admin");
    let fail = async |command: &str, mode: bson::Bson| {
        // WriteConflict, as another transaction would cause it; to this test's own client.
        let data = doc! { "failCommands": [command], "errorCode": 112, "appName": scene.db.name(),
        "errorLabels": ["TransientTransactionError"] };
        let done = admin.run_command(doc! { "configureFailPoint": "failCommand", "mode": mode, "data": data }).await;
        done.expect("a mongod started with --setParameter enableTestCommands=1");
    };
    scene.post("tasks", &scene.task("a-0")).await.expect(201);
    for (round, command) in ["insert", "update", "commitTransaction"].into_iter().cycle().take(9).enumerate() {
        fail(command, doc! { "times": i32::try_from(round / 3 + 1).unwrap() }.into()).await;
        let created = scene.task(&format!("b-{round}"));
        let changed = json!({"externalId": "a-0", "name": format!("round {round}")});
        scene.post("tasks", &json!({"tasks": [created, changed]})).await.expect(201);
        fail(command, "off".into()).await;
    }
    assert_eq!(scene.strictly_read().await, 10);
    assert_eq!(scene.group_document().await.get_i32("taskCount").unwrap(), 10);
    assert_eq!(scene.documents("taskHistories").await.len(), 1 + 9 * 2);
}

/// As after a kill between the last write and the commit: the transaction stays open, and nobody ends it but the server,
/// once it is as old as it may get.
async fn cut_off(oldest_seconds: i32) -> std::time::Duration {
    let mongo = Mongo::single().await.unwrap();
    let scene = Scene::on(mongo.db().await.unwrap(), Profile::TasksTracker, 1).await;
    let admin = scene.db.client().database("admin");
    admin.run_command(doc! { "setParameter": 1, "transactionLifetimeLimitSeconds": oldest_seconds }).await.unwrap();
    let id = scene.post("tasks", &scene.task("a-1")).await.result(201)["id"].clone();
    let id: ObjectId = id.as_str().unwrap().parse().unwrap();
    let fail = async |mode: &str| {
        let data = doc! { "failCommands": ["commitTransaction"], "closeConnection": true, "appName": scene.db.name() };
        mongo.fail_point(doc! { "configureFailPoint": "failCommand", "mode": mode, "data": data }).await.unwrap();
    };
    fail("alwaysOn").await;
    let body = json!({"externalId": "a-1", "difficulty": 9}).to_string();
    // Its time must be good for as long as the wait lasts.
    let call = Call::at(scene.path("tasks"), body.as_bytes(), &scene.secret, now());
    assert_eq!(scene.call(&call).await.status, 503);
    let begun = std::time::Instant::now();
    assert_eq!(scene.service.task(id).await.unwrap().difficulty, 4, "reads do not wait");
    scene.service.edit(id, &Edit::name("the service's")).await.unwrap();
    let waited = begun.elapsed();
    fail("off").await;
    let answer = scene.call(&call).await;
    assert!(!answer.is_replay());
    assert_eq!(answer.result(200)["outcome"], "updated");
    let task = scene.service.task(id).await.unwrap();
    assert_eq!((task.name.as_str(), task.difficulty), ("the service's", 9));
    assert_eq!(scene.group_document().await.get_i32("taskCount").unwrap(), 1);
    waited
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_call_that_was_cut_off_left_open_is_undone_and_the_service_goes_on() {
    let waited = cut_off(3).await;
    assert!(waited < std::time::Duration::from_secs(30), "{waited:?}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "long: as long as the server's own default lets the service wait"]
async fn what_a_cut_off_call_costs_the_service_by_the_servers_default() {
    let waited = cut_off(60).await;
    eprintln!("the service's write waited {waited:?}");
    assert!(waited < std::time::Duration::from_secs(150), "{waited:?}");
}
