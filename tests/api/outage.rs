//! A database in trouble.

use bson::{Bson, Document, doc};

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
