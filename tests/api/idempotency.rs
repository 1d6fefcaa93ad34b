//! Calls that are made again under their `Idempotency-Key`.

use axum::body::Body;
use axum::http::Request;
use bson::oid::ObjectId;
use bson::{Bson, DateTime, Document, doc};
use serde_json::{Value, json};
use taskwire::secrets::MasterKeys;
use taskwire::store::idempotency::{self, KeptAnswer, Known};
use taskwire::store::names;
use taskwire_tests::mongo::Mongo;
use taskwire_tests::{SOON, eventually};

use crate::harness::{Answer, Api, MASTER_KEY, WEBHOOKS, request, token};

async fn post(api: &Api, user: bson::oid::ObjectId, key: &str, path: &str, body: &Value) -> Answer {
    api.send(request(Some(&token(user)), "POST", path, Some(body), &[("idempotency-key", key)])).await
}

async fn webhooks(api: &Api) -> u64 {
    api.store.collection::<Document>(names::WEBHOOKS).count_documents(doc! {}).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_made_again_under_its_key_has_no_second_effect_and_gets_the_first_answer() {
    let api = Api::start().await;
    let first = post(&api, api.admin_a, "key-1", WEBHOOKS, &api.body()).await;
    let again = post(&api, api.admin_a, "key-1", WEBHOOKS, &api.body()).await;
    assert_eq!((first.status.as_u16(), first.headers.get("idempotent-replayed")), (201, None));
    assert_eq!((again.status.as_u16(), &again.headers["idempotent-replayed"]), (201, &"true".parse().unwrap()));
    for name in ["location", "etag", "content-type"] {
        assert_eq!(first.headers[name], again.headers[name]);
    }
    assert_eq!(first.text, again.text);
    assert_eq!(webhooks(&api).await, 1);
    // The answer shows the secret; what is stored does not.
    let secret = first.json()["secret"].as_str().unwrap().to_owned();
    let stored = api.everything().await;
    assert!(stored.contains("idempotencyKeys") || !stored.is_empty());
    assert!(!stored.contains(&secret) && !stored.contains("key-1"));
    // Another user's key is another key.
    let mut body = api.body();
    body["groupId"] = json!(api.group_b.to_hex());
    assert_eq!(post(&api, api.admin_b, "key-1", WEBHOOKS, &body).await.status, 201);
    assert_eq!(webhooks(&api).await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_for_one_call_and_one_that_was_refused_may_be_mended() {
    let api = Api::start().await;
    let mut bad = api.body();
    bad["name"] = json!("");
    assert_eq!(post(&api, api.admin_a, "k", WEBHOOKS, &bad).await.faulty_fields(), ["name"]);
    post(&api, api.admin_a, "k", WEBHOOKS, &api.body()).await.expect(201);
    let mut other = api.body();
    other["name"] = json!("another");
    assert_eq!(post(&api, api.admin_a, "k", WEBHOOKS, &other).await.faulty_fields(), ["Idempotency-Key"]);
    for bad in ["two words", "", &"k".repeat(256)] {
        let answer = post(&api, api.admin_a, bad, WEBHOOKS, &api.body()).await;
        assert_eq!(answer.faulty_fields(), ["Idempotency-Key"], "{bad:?}");
    }
    assert_eq!(webhooks(&api).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_at_once_under_one_key_one_is_made() {
    let api = Api::start().await;
    let body = api.body();
    let calls = (0..8).map(|_| post(&api, api.admin_a, "same", WEBHOOKS, &body));
    let answers = futures::future::join_all(calls).await;
    assert!(answers.iter().any(|answer| answer.status == 201));
    for answer in &answers {
        assert!(matches!(answer.status.as_u16(), 201 | 409), "{} {}", answer.status, answer.text);
    }
    assert_eq!(webhooks(&api).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_whose_call_was_lost_is_free_again_and_all_are_kept_a_day() {
    let api = Api::start().await;
    post(&api, api.admin_a, "lost", WEBHOOKS, &api.body()).await.expect(201);
    let keys = api.store.collection::<Document>(names::IDEMPOTENCY);
    let kept = keys.find_one(doc! {}).await.unwrap().unwrap();
    let (begun, end) = (kept.get_datetime("startedAt").unwrap(), kept.get_datetime("expireAt").unwrap());
    assert_eq!(end.timestamp_millis() - begun.timestamp_millis(), 86_400_000);
    // As a killed process leaves it: at first it may still be under way.
    keys.update_one(doc! {}, doc! { "$unset": { "answer": "" } }).await.unwrap();
    post(&api, api.admin_a, "lost", WEBHOOKS, &api.body()).await.expect(409);
    let long_ago = DateTime::from_millis(begun.timestamp_millis() - 121_000);
    keys.update_one(doc! {}, doc! { "$set": { "startedAt": long_ago } }).await.unwrap();
    post(&api, api.admin_a, "lost", WEBHOOKS, &api.body()).await.expect(201);
}

#[tokio::test(flavor = "multi_thread")]
async fn under_a_key_a_body_is_as_bounded_as_without() {
    let api = Api::start().await;
    let request = Request::post(WEBHOOKS)
        .header("authorization", format!("Bearer {}", token(api.admin_a)))
        .header("content-type", "application/json")
        .header("idempotency-key", "large")
        .body(Body::from("x".repeat(64 * 1024 + 1)))
        .unwrap();
    assert_eq!(api.send(request).await.status, 413);
}

/// Makes these commands of this test's own client fail; needs `--setParameter enableTestCommands=1`.
async fn fail(api: &Api, mode: impl Into<Bson>, how: Document) {
    let mut data = doc! { "appName": &api.app_name };
    data.extend(how);
    let command = doc! { "configureFailPoint": "failCommand", "mode": mode.into(), "data": data };
    let done: Result<Document, _> = api.store.client.database("admin").run_command(command).await;
    done.expect("a mongod started with --setParameter enableTestCommands=1");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_was_taken_though_the_database_did_not_say_so_is_free_again_soon() {
    let mongo = Mongo::single().await.unwrap();
    let api = Api::start_at(&mongo.uri(), &[]).await;
    // It is inserted, and the answer is an error all the same.
    let concern = doc! { "code": 64, "errmsg": "PRIVATE: no majority in time" };
    let how = doc! { "failCommands": ["insert"], "writeConcernError": concern };
    fail(&api, doc! { "times": 1 }, how).await;
    let failed = post(&api, api.admin_a, "doubt", WEBHOOKS, &api.body()).await;
    assert!(failed.status.is_server_error() && !failed.text.contains("PRIVATE"), "{}", failed.text);
    let made = eventually("the key is free again", SOON, async || {
        let answer = post(&api, api.admin_a, "doubt", WEBHOOKS, &api.body()).await;
        if answer.status == 201 { Ok(()) } else { Err(answer.text) }
    });
    made.await.unwrap();
    assert_eq!(webhooks(&api).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn where_a_key_cannot_be_freed_the_answer_is_the_calls_own() {
    let mongo = Mongo::single().await.unwrap();
    let api = Api::start_at(&mongo.uri(), &[]).await;
    fail(&api, "alwaysOn", doc! { "failCommands": ["delete"], "errorCode": 8 }).await;
    let mut bad = api.body();
    bad["name"] = json!("");
    let answer = post(&api, api.admin_a, "k", WEBHOOKS, &bad).await;
    fail(&api, "off", doc! { "failCommands": ["delete"], "errorCode": 8 }).await;
    assert_eq!(answer.faulty_fields(), ["name"]);
    let made = eventually("the key is free again", SOON, async || {
        let answer = post(&api, api.admin_a, "k", WEBHOOKS, &bad).await;
        if answer.status == 422 { Ok(()) } else { Err(answer.text) }
    });
    made.await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_another_call_took_over_is_left_alone_by_the_one_that_had_it() {
    let api = Api::start().await;
    let [first, second, third] = [(); 3].map(|()| ObjectId::new());
    let now = DateTime::now();
    let later = DateTime::from_millis(now.timestamp_millis() + 121_000);
    let begin = |owner, at| idempotency::begin(&api.store, "k", owner, "asked", at);
    let body = MasterKeys::parse(MASTER_KEY).unwrap().seal("x", "x").unwrap();
    let answer = KeptAnswer { group_id: None, status: 201, headers: Vec::new(), body };
    assert_eq!(begin(first, now).await.unwrap(), Known::New);
    assert_eq!(begin(second, later).await.unwrap(), Known::New);
    assert!(!idempotency::forget(&api.store, "k", first).await.unwrap());
    idempotency::keep(&api.store, "k", first, &answer).await.unwrap();
    assert_eq!(begin(third, later).await.unwrap(), Known::UnderWay);
    idempotency::keep(&api.store, "k", second, &answer).await.unwrap();
    assert_eq!(begin(third, later).await.unwrap(), Known::Answered(answer));
}
