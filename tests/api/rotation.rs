//! Secrets and their rotation.

use serde_json::{Value, json};

use crate::harness::Api;

#[tokio::test(flavor = "multi_thread")]
async fn a_rotation_shows_the_new_secret_once_and_stays_open_until_it_is_finalized() {
    let api = Api::start().await;
    let path = api.webhook_path().await;
    let rotated = api.admin("PUT", &path, Some(&json!({"rotateSecret": true}))).await.expect(200);
    let secret = rotated["secret"].as_str().unwrap();
    assert_eq!(rotated["secretHint"], secret[secret.len() - 4..]);
    assert!(rotated["rotation"]["startedAt"].is_string() && rotated["rotation"]["expiresAt"].is_null());

    let shown = api.admin("GET", &path, None).await;
    assert!(!shown.text.contains(secret));
    assert!(shown.expect(200)["rotation"].is_object());
    api.admin("PUT", &path, Some(&json!({"rotateSecret": true}))).await.expect(409);

    let done = api.admin("PUT", &path, Some(&json!({"finalizeRotation": true}))).await.expect(200);
    assert_eq!((&done["rotation"], done.get("secret")), (&Value::Null, None));
    api.admin("PUT", &path, Some(&json!({"finalizeRotation": true}))).await.expect(409);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_of_ones_own_is_taken_at_creation_and_at_a_rotation() {
    let api = Api::start().await;
    let mut body = api.body();
    body["secret"] = json!("my own secret, 1234");
    let made = api.admin("POST", crate::harness::WEBHOOKS, Some(&body)).await.expect(201);
    assert_eq!((&made["secret"], &made["secretHint"]), (&json!("my own secret, 1234"), &json!("1234")));
    let path = format!("{}/{}", crate::harness::WEBHOOKS, made["id"].as_str().unwrap());
    let change = json!({"rotateSecret": true, "secret": "my other secret, 5678"});
    let rotated = api.admin("PUT", &path, Some(&change)).await.expect(200);
    assert_eq!((&rotated["secret"], &rotated["secretHint"]), (&json!("my other secret, 5678"), &json!("5678")));
    assert!(!api.everything().await.contains("my o"), "stored in the open");
}
