//! Categories of a group.

use bson::{Document, doc};
use serde_json::json;
use taskwire_tests::Profile;

use crate::scene::{Call, Scene, send};

#[tokio::test(flavor = "multi_thread")]
async fn a_category_is_created_with_the_services_fields_and_changed_only_where_it_differs() {
    for profile in [Profile::TasksTracker, Profile::CamelCase] {
        let scene = Scene::new(profile, 1).await;
        let group_before = scene.group_document().await;
        let first = scene.post("categories", &json!({"externalId": "c-1", "name": "Garden"})).await.result(201);
        let stored = scene.documents("categories").await;
        let expected = doc! {
            "_id": stored[0].get_object_id("_id").unwrap(), "groupId": scene.group().id, "name": "Garden",
            "icon": "folder", "color": "blue-500", "isSystemCategory": false,
            "createdAt": *stored[0].get_datetime("createdAt").unwrap(), "createdBy": scene.group().admin,
            "schemaVersion": 1,
        };
        assert_eq!(stored, std::slice::from_ref(&expected));
        let change = json!({"externalId": "c-1", "name": "garden", "color": "green-700"});
        let second = scene.post("categories", &change).await.result(200);
        assert_eq!((&second["outcome"], &second["id"]), (&json!("updated"), &first["id"]));
        let mut expected = expected;
        expected.extend(doc! { "name": "garden", "color": "green-700" });
        assert_eq!(scene.documents("categories").await, [expected]);
        assert_eq!(scene.post("categories", &change).await.result(200)["outcome"], "unchanged");
        assert_eq!(scene.group_document().await, group_before);
        scene.strictly_read().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_is_taken_once_in_a_group_without_regard_to_case_by_whomever() {
    let scene = Scene::new(Profile::TasksTracker, 1).await;
    scene.post("categories", &json!({"externalId": "c-1", "name": "Küche"})).await.expect(201);
    let foreign = doc! { "groupId": bson::oid::ObjectId::new(), "name": "Garden" };
    let own = doc! { "groupId": scene.group().id, "name": "Garage" };
    let (other, category) = (scene.desk(&[]).await, scene.db.collection::<Document>("categories"));
    category.insert_many([foreign, own]).await.unwrap();
    let before = scene.everything().await;
    for (name, place) in [("KÜCHE", "name"), ("garage", "name")] {
        let answer = scene.post("categories", &json!({"externalId": "c-2", "name": name})).await;
        assert_eq!(answer.faulty_fields(), [place], "{name}");
    }
    let items = json!([{"externalId": "a", "name": "Attic"}, {"externalId": "b", "name": "ATTIC"}]);
    let answer = scene.post("categories", &json!({ "categories": items })).await;
    assert_eq!(answer.faulty_fields(), ["categories[1].name"]);
    assert_eq!(scene.everything().await, before);
    scene.post("categories", &json!({"externalId": "c-2", "name": "garden"})).await.expect(201);

    // At the same moment, in two processes: one of them.
    for round in 0..10 {
        let calls: Vec<_> = (0..4)
            .map(|at| {
                let name = if at % 2 == 0 { format!("Room {round}") } else { format!("rOOM {round}") };
                let body = json!({"externalId": format!("r{round}-{at}"), "name": name}).to_string();
                Call::post(scene.path("categories"), body.as_bytes(), &scene.secret)
            })
            .collect();
        let desks = [&scene.desks[0], &other];
        let sent = calls.iter().enumerate().map(|(at, call)| send(desks[at % 2], call.request()));
        let answers = futures::future::join_all(sent).await;
        let mut statuses: Vec<_> = answers.iter().map(|answer| answer.status.as_u16()).collect();
        statuses.sort_unstable();
        assert_eq!(statuses, [201, 422, 422, 422]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_category_that_was_deleted_is_created_again_and_faults_are_named() {
    let scene = Scene::new(Profile::TasksTracker, 1).await;
    let first = scene.post("categories", &json!({"externalId": "c-1", "name": "Garden"})).await.result(201);
    scene.db.collection::<Document>("categories").delete_many(doc! {}).await.unwrap();
    let partial = scene.post("categories", &json!({"externalId": "c-1", "color": "red-100"})).await;
    assert_eq!(partial.faulty_fields(), ["name"]);
    let again = scene.post("categories", &json!({"externalId": "c-1", "name": "Garden"})).await.result(201);
    assert_ne!(first["id"], again["id"]);
    assert_eq!(again["recreated"], true);
    let bad = json!({"categories": [{"externalId": "c-2", "name": "x", "color": "blue", "icon": "", "id": 1}]});
    let mut named = scene.post("categories", &bad).await.faulty_fields();
    named.sort();
    assert_eq!(named, ["color", "icon", "id", "name"].map(|field| format!("categories[0].{field}")));
    // A task's id and a category's are two.
    scene.post("tasks", &scene.task("c-1")).await.expect(201);
    assert_eq!(scene.strictly_read().await, 1);
}
