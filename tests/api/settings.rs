//! A group's alert address.

use bson::{Document, doc};
use serde_json::{Value, json};
use taskwire::store::names;

use crate::harness::{Api, WEBHOOKS};

const URL: &str = "https://alerts.example/hook";

fn path(api: &Api) -> String {
    format!("/api/integrations/settings?groupId={}", api.group_a.to_hex())
}

async fn put(api: &Api, change: Value) -> crate::harness::Answer {
    api.admin("PUT", &path(api), Some(&change)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_alert_address_has_a_secret_of_its_own_and_no_list_of_webhooks_shows_it() {
    let api = Api::start().await;
    let none = api.admin("GET", &path(&api), None).await;
    assert_eq!(none.headers["etag"], "\"0\"");
    let none = none.expect(200);
    assert_eq!((&none["alertUrl"], none["alertEvents"].as_array().unwrap().len()), (&Value::Null, 4));
    put(&api, json!({"alertEvents": ["webhook.failing"]})).await.expect(409);

    let made = put(&api, json!({"alertUrl": URL})).await.expect(200);
    let secret = made["secret"].as_str().unwrap().to_owned();
    assert!(secret.starts_with("whsec_"));
    let shown = api.admin("GET", &path(&api), None).await;
    assert!(!shown.text.contains(&secret) && !api.everything().await.contains(&secret));
    let shown = shown.expect(200);
    assert_eq!((&shown["alertUrl"], &shown["health"]["status"]), (&json!(URL), &json!("healthy")));

    let id = shown["webhookId"].as_str().unwrap();
    assert_eq!(api.admin("GET", WEBHOOKS, None).await.expect(200)["items"], json!([]));
    for (method, body) in [("GET", None), ("PUT", Some(json!({"name": "x"}))), ("DELETE", None)] {
        api.admin(method, &format!("{WEBHOOKS}/{id}"), body.as_ref()).await.expect(404);
    }
    api.admin("GET", &format!("{WEBHOOKS}/{id}/deliveries"), None).await.expect(200);
    api.ask(api.admin_b, "GET", &format!("{WEBHOOKS}/{id}/deliveries"), None).await.expect(404);
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_are_changed_rotated_and_removed_and_a_stale_change_is_refused() {
    let api = Api::start().await;
    put(&api, json!({"alertUrl": URL, "secret": "a secret of ones own"})).await.expect(200);
    let changed =
        put(&api, json!({"alertEvents": ["delivery.dead-letter", "webhook.failing", "webhook.failing"]})).await;
    assert_eq!(changed.headers["etag"], "\"2\"");
    assert_eq!(changed.expect(200)["alertEvents"], json!(["webhook.failing", "delivery.dead-letter"]));
    api.admin_if("\"1\"", "PUT", &path(&api), Some(&json!({"alertUrl": URL}))).await.expect(412);

    let rotated = put(&api, json!({"rotateSecret": true})).await.expect(200);
    assert!(rotated["secret"].is_string() && rotated["rotation"]["expiresAt"].is_null());
    put(&api, json!({"rotateSecret": true})).await.expect(409);
    // An answer can be sent back.
    let mut back = api.admin("GET", &path(&api), None).await.expect(200);
    back["finalizeRotation"] = json!(true);
    assert_eq!(put(&api, back).await.expect(200)["rotation"], Value::Null);

    assert_eq!(put(&api, json!({"alertUrl": null})).await.expect(200)["alertUrl"], Value::Null);
    assert_eq!(api.admin("GET", &path(&api), None).await.expect(200)["webhookId"], Value::Null);
    put(&api, json!({"alertUrl": URL})).await.expect(200);
    let audit = format!("/api/integrations/audit?groupId={}", api.group_a.to_hex());
    let audit = api.admin("GET", &audit, None).await.expect(200);
    let told: Vec<_> =
        audit["items"].as_array().unwrap().iter().rev().map(|entry| entry["action"].as_str().unwrap()).collect();
    let expected = [
        "settings.updated",
        "settings.updated",
        "webhook.secret-rotated",
        "webhook.rotation-finalized",
        "settings.updated",
        "settings.updated",
    ];
    assert_eq!(told, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_alert_address_that_was_disabled_is_enabled_by_naming_it_again() {
    let api = Api::start().await;
    put(&api, json!({"alertUrl": URL})).await.expect(200);
    let off = doc! { "$set": { "enabled": false, "disabledReason": "gone" } };
    api.store.collection::<Document>(names::WEBHOOKS).update_many(doc! {}, off).await.unwrap();
    let shown = api.admin("GET", &path(&api), None).await.expect(200);
    assert_eq!(shown["health"], json!({"status": "disabled", "disabledReason": "gone", "lastSuccessAt": null}));
    let again = put(&api, json!({"alertUrl": URL})).await.expect(200);
    assert_eq!((&again["health"]["status"], &again["webhookId"]), (&json!("healthy"), &shown["webhookId"]));
    assert!(again.get("secret").is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_settings_are_named_and_nothing_is_written() {
    let api = Api::start().await;
    for (field, change) in [
        ("alertUrl", json!({"alertUrl": "http://alerts.example/"})),
        ("alertUrl", json!({"alertUrl": "https://user:pass@alerts.example/"})),
        ("alertUrl", json!({"alertUrl": 7})),
        ("alertEvents", json!({"alertUrl": URL, "alertEvents": []})),
        ("alertEvents[1]", json!({"alertUrl": URL, "alertEvents": ["webhook.failing", "task.created"]})),
        ("secret", json!({"alertUrl": URL, "secret": "short"})),
        ("finalizeRotation", json!({"rotateSecret": true, "finalizeRotation": true})),
        ("colour", json!({"alertUrl": URL, "colour": 1})),
    ] {
        assert_eq!(put(&api, change.clone()).await.faulty_fields(), [field], "{change}");
    }
    assert_eq!(api.admin("PUT", "/api/integrations/settings", Some(&json!({}))).await.faulty_fields(), ["groupId"]);
    let stored = api.store.collection::<Document>(names::WEBHOOKS).count_documents(doc! {}).await.unwrap();
    assert_eq!(stored, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_gets_one_alert_address_also_when_two_set_it_at_once() {
    let api = Api::start().await;
    let (one, other) = tokio::join!(put(&api, json!({"alertUrl": URL})), put(&api, json!({"alertUrl": URL})));
    let secrets = [one.expect(200), other.expect(200)].iter().filter(|answer| answer["secret"].is_string()).count();
    assert_eq!(secrets, 1);
    let live = doc! { "alert": { "$exists": true }, "deletedAt": { "$exists": false } };
    assert_eq!(api.store.collection::<Document>(names::WEBHOOKS).count_documents(live).await.unwrap(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_limited_rotation_ends_by_itself() {
    let api = Api::start_with(&[("rotation_max_hours", "1")]).await;
    let webhook = api.webhook_path().await;
    let rotated = api.admin("PUT", &webhook, Some(&json!({"rotateSecret": true}))).await.expect(200);
    assert!(rotated["rotation"]["expiresAt"].as_str() > rotated["rotation"]["startedAt"].as_str());
    api.admin("PUT", &webhook, Some(&json!({"rotateSecret": true}))).await.expect(409);
    let over = doc! { "$set": { "secret.rotationExpiresAt": bson::DateTime::now() } };
    api.store.collection::<Document>(names::WEBHOOKS).update_many(doc! {}, over).await.unwrap();
    assert_eq!(api.admin("GET", &webhook, None).await.expect(200)["rotation"], Value::Null);
    api.admin("PUT", &webhook, Some(&json!({"finalizeRotation": true}))).await.expect(409);
    api.admin("PUT", &webhook, Some(&json!({"rotateSecret": true}))).await.expect(200);
}
