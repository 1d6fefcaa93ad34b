//! The log of changes, as admins read it.

use serde_json::{Value, json};

use crate::harness::Api;

#[tokio::test(flavor = "multi_thread")]
async fn pages_of_the_audit_hold_every_change_once_newest_first_and_nothing_secret() {
    let api = Api::start().await;
    let path = api.webhook_path().await;
    for n in 0..4 {
        api.admin("PUT", &path, Some(&json!({"name": format!("PRIVATE-{n}")}))).await.expect(200);
    }
    let secret = api.admin("PUT", &path, Some(&json!({"rotateSecret": true}))).await.expect(200)["secret"].clone();
    let base = format!("/api/integrations/audit?groupId={}&limit=2", api.group_a.to_hex());
    let (mut entries, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = api.admin("GET", &format!("{base}{cursor}"), None).await.expect(200);
        entries.extend(page["items"].as_array().unwrap().clone());
        // A change in between moves nothing.
        api.admin("PUT", &path, Some(&json!({"name": format!("n{}", entries.len())}))).await.expect(200);
        match page["nextCursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    let numbers: Vec<_> = entries.iter().map(|entry| entry["sequence"].as_i64().unwrap()).collect();
    assert_eq!(numbers, [6, 5, 4, 3, 2, 1]);
    assert_eq!(
        (&entries[0]["action"], &entries[5]["action"]),
        (&json!("webhook.secret-rotated"), &json!("webhook.created"))
    );
    assert_eq!(entries[1]["changed"], json!(["name"]));
    assert!(entries.iter().all(|entry| entry["actorId"] == api.admin_a.to_hex()));
    let text = Value::from(entries).to_string();
    assert!(!text.contains("PRIVATE") && !text.contains(secret.as_str().unwrap()), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_audit_is_of_one_group_which_must_be_named() {
    let api = Api::start().await;
    assert_eq!(api.admin("GET", "/api/integrations/audit", None).await.faulty_fields(), ["groupId"]);
    let of_b = format!("/api/integrations/audit?groupId={}", api.group_b.to_hex());
    api.webhook().await;
    assert_eq!(api.ask(api.admin_b, "GET", &of_b, None).await.expect(200)["items"], json!([]));
}
