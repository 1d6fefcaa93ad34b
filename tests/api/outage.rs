//! A database in trouble.

use std::time::Duration;

use bson::{Bson, Document, doc};
use serde_json::json;
use taskwire_tests::mongo::Mongo;

use crate::harness::{Api, WEBHOOKS};

/// Makes these commands of this test's own client fail as `mode` says; needs `--setParameter enableTestCommands=1`.
async fn fail(api: &Api, commands: &[&str], code: i32, mode: impl Into<Bson>) {
    let data = doc! { "failCommands": commands.to_vec(), "errorCode": code, "appName": &api.app_name };
    let command = doc! { "configureFailPoint": "failCommand", "mode": mode.into(), "data": data };
    let done: Result<Document, _> = api.store.client.database("admin").run_command(command).await;
    done.expect("a mongod started with --setParameter enableTestCommands=1");
}

#[tokio::test(flavor = "multi_thread")]
async fn trouble_of_the_database_is_a_503_when_it_may_pass_and_a_500_otherwise_and_its_text_stays_inside() {
    let api = Api::start().await;
    let path = api.webhook_path().await;
    // Shutting down; then an error of the server's own.
    for (code, status) in [(91, 503), (8, 500)] {
        fail(&api, &["find"], code, "alwaysOn").await;
        let answer = api.admin("GET", &path, None).await;
        assert_eq!(answer.status, status, "{}", answer.text);
        assert_eq!(answer.headers["content-type"], "application/problem+json");
        for inner in ["failCommand", "failpoint", "mongo", "ShutdownInProgress"] {
            assert!(!answer.text.contains(inner), "{}", answer.text);
        }
        fail(&api, &["find"], code, "off").await;
        assert_eq!(api.admin("GET", &path, None).await.status, 200);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_survives_a_transaction_that_the_server_ends() {
    let api = Api::start().await;
    // WriteConflict, as another transaction would cause it.
    fail(&api, &["insert"], 112, doc! { "times": 2 }).await;
    let made = api.webhook().await;
    let list = api.admin("GET", WEBHOOKS, None).await.expect(200);
    assert_eq!(list["items"].as_array().unwrap().len(), 1);
    assert_eq!(list["items"][0]["id"], made["id"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_that_meets_others_again_and_again_is_told_to_come_back_and_not_that_the_database_is_away() {
    let mongo = Mongo::single().await.unwrap();
    let api = Api::start_at(&mongo.uri(), &[]).await;
    fail(&api, &["insert"], 112, "alwaysOn").await;
    let answer = api.admin("POST", WEBHOOKS, Some(&api.body())).await;
    fail(&api, &["insert"], 112, "off").await;
    assert_eq!(answer.headers["retry-after"], "1");
    assert_eq!(answer.expect(503)["type"], "urn:taskwire:problem:busy");
    assert_eq!(api.admin("GET", WEBHOOKS, None).await.expect(200)["items"], json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_that_meets_one_not_yet_on_a_majority_waits_for_it() {
    // Its own, since everything that is written there is held up.
    let mongo = Mongo::single().await.unwrap();
    let api = Api::start_at(&mongo.uri(), &[]).await;
    let path = api.webhook_path().await;
    let (name, timeout) = (json!({"name": "n"}), json!({"timeoutSeconds": 9}));
    let set = |mode: &'static str| mongo.fail_point(doc! { "configureFailPoint": "disableSnapshotting", "mode": mode });
    set("alwaysOn").await.unwrap();
    let held_up = async {
        // How long the trouble lasts.
        tokio::time::sleep(Duration::from_millis(400)).await;
        set("off").await.unwrap();
        // The point that a majority has moves with the next write.
        let next = doc! { "insert": "next", "documents": [{}], "writeConcern": { "w": 1 } };
        api.store.db.run_command(next).await.unwrap();
    };
    let (first, second, ()) =
        tokio::join!(api.admin("PUT", &path, Some(&name)), api.admin("PUT", &path, Some(&timeout)), held_up);
    for answer in [first, second] {
        assert_eq!(answer.status, 200, "{}", answer.text);
    }
    let found = api.admin("GET", &path, None).await.expect(200);
    assert_eq!((&found["name"], &found["timeoutSeconds"]), (&json!("n"), &json!(9)));
}
