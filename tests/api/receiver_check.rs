//! Tests that an admin sends, and what receivers wrongly accept.

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use bson::{Document, doc};
use secrecy::SecretString;
use serde_json::{Value, json};
use taskwire::signing::{SigningKey, verify};
use taskwire::store::names;
use taskwire_tests::{Answer, Receiver};
use tokio::sync::Notify;

use crate::harness::{Api, WEBHOOKS};

const SECRET: &str = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

async fn webhook(api: &Api, url: &str) -> String {
    let mut body = api.body();
    (body["targetUrl"], body["secret"]) = (json!(url), json!(SECRET));
    let made = api.admin("POST", WEBHOOKS, Some(&body)).await.expect(201);
    format!("{WEBHOOKS}/{}", made["id"].as_str().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_test_is_one_signed_request_marked_as_such_and_leaves_no_row() {
    let (api, receiver) = (Api::start_with_local_targets(&[]).await, Receiver::start().await.unwrap());
    receiver.set_secret("/hook", SECRET);
    let path = webhook(&api, &receiver.url("/hook")).await;
    // A disabled webhook too.
    api.admin("PUT", &path, Some(&json!({"enabled": false}))).await.expect(200);
    let test = async |body: Value| api.admin("POST", &format!("{path}/test"), Some(&body)).await;
    let done = test(json!({})).await.expect(200);
    assert_eq!((&done["status"], &done["responseStatus"]), (&json!("delivered"), &json!(204)));
    test(json!({"eventType": "task.swapped"})).await.expect(200);
    assert_eq!(test(json!({"eventType": "task.lost"})).await.faulty_fields(), ["eventType"]);
    receiver.script("/hook", [Answer::Status(410), Answer::Status(500)]);
    for reason in ["HTTP 410: the target is gone", "HTTP 500"] {
        let failed = test(json!({})).await.expect(200);
        assert_eq!((&failed["status"], &failed["errorMessage"]), (&json!("failed"), &json!(reason)));
    }
    assert_eq!(receiver.complaints(), Vec::<String>::new());
    let received = receiver.received();
    let bodies: Vec<Value> = received.iter().map(|one| serde_json::from_slice(&one.body).unwrap()).collect();
    assert_eq!(bodies.len(), 4);
    assert!(bodies.iter().all(|body| body["test"] == true && body["groupId"] == api.group_a.to_hex()));
    assert_eq!((&bodies[0]["event"], &bodies[1]["event"]), (&json!("webhook.test"), &json!("task.swapped")));
    let (id, shown) = (path.rsplit('/').next().unwrap(), api.admin("GET", &path, None).await.expect(200));
    assert_eq!(bodies[0]["data"], json!({"webhookId": id, "webhookName": shown["name"]}));
    test(json!({"eventType": "webhook.disabled"})).await.expect(200);
    let notice: Value = serde_json::from_slice(&receiver.received()[4].body).unwrap();
    assert_eq!(notice["data"]["webhookId"], id);
    assert_eq!(notice["data"]["mend"]["path"], format!("{path}/backfill"));
    assert_eq!(received[1].header("x-event"), "task.swapped");
    assert_ne!(bodies[0]["id"], bodies[2]["id"]);
    let rows = api.store.collection::<Document>(names::DELIVERIES).count_documents(doc! {}).await.unwrap();
    assert_eq!(rows, 0);
}

/// A receiver that verifies with the project's own code, or one that takes everything; its URL.
async fn serve(strict: bool) -> String {
    let key = SigningKey::new(&SecretString::from(SECRET)).unwrap();
    let answer = async move |headers: HeaderMap, body: Bytes| {
        let header = |name: &str| headers[name].to_str().unwrap().to_owned();
        let now = chrono::Utc::now().timestamp();
        let checked = verify(&[key], now, &header("x-timestamp"), &header("x-signature"), &body);
        if strict && checked.is_err() { StatusCode::UNAUTHORIZED } else { StatusCode::NO_CONTENT }
    };
    let routes = Router::new().route("/", post(answer));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, routes).await });
    format!("http://{address}/")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_check_tells_what_a_receiver_wrongly_accepts() {
    let api = Api::start_with_local_targets(&[]).await;
    for (strict, ok) in [(true, [true, true, true, true]), (false, [true, false, false, true])] {
        let path = webhook(&api, &serve(strict).await).await;
        let check = api.admin("POST", &format!("{path}/verify-receiver"), None).await.expect(200);
        let results = check["results"].as_array().unwrap();
        let cases: Vec<_> = results.iter().map(|result| result["case"].as_str().unwrap()).collect();
        assert_eq!(cases, ["good", "tampered", "stale", "repeated"]);
        let found: Vec<_> = results.iter().map(|result| result["ok"].as_bool().unwrap()).collect();
        assert_eq!(found, ok, "{check}");
        assert_eq!(results[1]["got"], if strict { "HTTP 401" } else { "HTTP 204" });
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tests_of_a_group_are_limited_by_the_minute_and_each_is_in_the_audit() {
    let api = Api::start_with_local_targets(&[]).await;
    let receiver = Receiver::start().await.unwrap();
    let path = webhook(&api, &receiver.url("/hook")).await;
    let (test, check) = (format!("{path}/test"), format!("{path}/verify-receiver"));
    for _ in 0..4 {
        api.admin("POST", &test, Some(&json!({}))).await.expect(200);
    }
    // What is refused counts for nothing.
    assert_eq!(api.admin("POST", &test, Some(&json!({"eventType": "x"}))).await.faulty_fields(), ["eventType"]);
    assert_eq!(api.ask(api.admin_b, "POST", &check, None).await.status, 404);
    api.admin("POST", &check, None).await.expect(200);
    assert_eq!(receiver.received().len(), 8);
    let audit = api.admin("GET", &format!("/api/integrations/audit?groupId={}", api.group_a), None).await.expect(200);
    let entries = audit["items"].as_array().unwrap();
    let actions: Vec<_> = entries.iter().map(|entry| entry["action"].as_str().unwrap()).collect();
    assert_eq!(
        actions[..5],
        ["webhook.verified", "webhook.tested", "webhook.tested", "webhook.tested", "webhook.tested"]
    );
    assert_eq!(actions.len(), 6);
    assert!(entries.iter().all(|entry| entry["actorId"] == api.admin_a.to_hex() && entry["sequence"].is_i64()));
    assert!(path.ends_with(entries[0]["webhookId"].as_str().unwrap()) && !audit.to_string().contains(SECRET));
    // The rest of what a minute has, and what has come to it meanwhile.
    let mut more = 0;
    while api.admin("POST", &test, Some(&json!({}))).await.status == 200 {
        more += 1;
        assert!(more < 200, "there is no limit");
    }
    assert!(more >= 25, "{more}");
    for (path, body) in [(&test, Some(json!({}))), (&check, None)] {
        let refused = api.admin("POST", path, body.as_ref()).await;
        let wait: u64 = refused.headers["retry-after"].to_str().unwrap().parse().unwrap();
        assert!((1..=60).contains(&wait), "{wait}");
        assert!(refused.expect(429)["detail"].as_str().unwrap().contains("30 tests"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_one_webhook_one_test_is_under_way_at_a_time() {
    let api = Api::start_with_local_targets(&[]).await;
    let (arrived, release) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (seen, go) = (arrived.clone(), release.clone());
    let answer = async move || {
        seen.notify_one();
        go.notified().await;
        StatusCode::NO_CONTENT
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, Router::new().route("/", post(answer))).await });
    let path = webhook(&api, &url).await;
    let (test, check) = (format!("{path}/test"), format!("{path}/verify-receiver"));
    let body = json!({});
    let first = api.admin("POST", &test, Some(&body));
    let others = async {
        arrived.notified().await;
        let refused = [api.admin("POST", &test, Some(&body)).await, api.admin("POST", &check, None).await];
        release.notify_one();
        refused.map(|answer| answer.status.as_u16())
    };
    let (first, others) = tokio::join!(first, others);
    assert_eq!((first.status.as_u16(), others), (200, [409, 409]));
    release.notify_one();
    api.admin("POST", &test, Some(&body)).await.expect(200);
}
