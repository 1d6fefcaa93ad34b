//! Tests that an admin sends, and what receivers wrongly accept.

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
