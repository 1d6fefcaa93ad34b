//! `GET|PUT /api/integrations/inbound`

use bson::doc;
use bson::oid::ObjectId;
use serde_json::{Value, json};
use taskwire_tests::Profile;

use crate::scene::{Answer, Call, SETTINGS, Scene};

fn etag(answer: &Answer) -> String {
    answer.headers["etag"].to_str().unwrap().to_owned()
}

async fn get(scene: &Scene) -> Answer {
    scene.admin("GET", &format!("{SETTINGS}?groupId={}", scene.group().id), None, &[]).await
}

/// A scene whose integration was removed again: as before the first `PUT`.
async fn unset() -> Scene {
    let scene = Scene::new(Profile::TasksTracker, 1).await;
    for name in ["inboundIntegrations", "integrationAudit"] {
        scene.db.collection::<bson::Document>(name).delete_many(doc! {}).await.unwrap();
    }
    scene
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_put_sets_it_up_and_shows_its_secret_once_and_it_is_sealed_at_rest() {
    let scene = unset().await;
    let before = get(&scene).await;
    assert_eq!(etag(&before), "\"0\"");
    let before = before.expect(200);
    assert_eq!((&before["enabled"], &before["secretHint"], &before["id"]), (&json!(false), &Value::Null, &Value::Null));
    let wanted = json!({
        "scopes": ["categories:write", "tasks:write", "tasks:write"], "ipAllowlist": ["203.0.113.7/24", "2001:db8::1", "::ffff:198.51.100.0/120"],
        "rateLimitPerMinute": 60,
    });
    let made = scene.configure(&wanted).await;
    assert_eq!(etag(&made), "\"1\"");
    let made = made.expect(200);
    let secret = made["secret"].as_str().unwrap().to_owned();
    assert!(secret.starts_with("whsec_"));
    assert_eq!(made["scopes"], json!(["tasks:write", "categories:write"]));
    assert_eq!(made["ipAllowlist"], json!(["203.0.113.0/24", "2001:db8::1/128", "198.51.100.0/24"]));
    assert_eq!((&made["enabled"], &made["userId"]), (&json!(true), &json!(scene.group().admin.to_hex())));
    let shown = get(&scene).await.expect(200);
    assert_eq!(shown.get("secret"), None);
    assert_eq!(shown["secretHint"], secret[secret.len() - 4..]);
    assert!(!scene.everything().await.contains(&secret[6..]));
    // What was shown can be sent back.
    let same = scene.configure(&shown).await;
    assert_eq!((etag(&same), same.expect(200)), ("\"1\"".to_owned(), shown));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_keeps_what_it_leaves_out_honours_if_match_and_is_told_by_the_audit() {
    let scene = unset().await;
    scene.configure(&json!({"scopes": ["tasks:write"], "rateLimitPerMinute": 60})).await.expect(200);
    let path = format!("{SETTINGS}?groupId={}", scene.group().id);
    let stale = scene.admin("PUT", &path, Some(&json!({"enabled": false})), &[("if-match", "\"0\"")]).await;
    assert_eq!(stale.status, 412);
    let changed = scene.admin("PUT", &path, Some(&json!({"enabled": false})), &[("if-match", "\"1\"")]).await;
    assert_eq!(etag(&changed), "\"2\"");
    let changed = changed.expect(200);
    assert_eq!((&changed["enabled"], &changed["rateLimitPerMinute"]), (&json!(false), &json!(60)));
    scene.configure(&json!({"rotateSecret": true})).await.expect(200);
    scene.configure(&json!({"finalizeRotation": true})).await.expect(200);
    let audit = scene.documents("integrationAudit").await;
    let told: Vec<_> = audit.iter().map(|entry| entry.get_str("action").unwrap()).collect();
    let all = ["inbound.created", "inbound.updated", "inbound.secret-rotated", "inbound.rotation-finalized"];
    assert_eq!(told, all);
    assert_eq!(audit[1].get_array("changed").unwrap(), &["enabled".into()]);
    assert_eq!(audit[0].get_object_id("actorId").unwrap(), scene.group().admin);
}

#[tokio::test(flavor = "multi_thread")]
async fn while_a_rotation_is_open_both_secrets_are_taken_and_afterwards_only_the_new_one() {
    let scene = Scene::new(Profile::TasksTracker, 1).await;
    let old = scene.secret.clone();
    let rotated = scene.configure(&json!({"rotateSecret": true, "secret": "a secret of one's own"})).await.expect(200);
    assert_eq!(rotated["secret"], "a secret of one's own");
    assert!(rotated["rotation"]["startedAt"].is_string() && rotated["rotation"]["expiresAt"].is_null());
    assert_eq!(scene.configure(&json!({"rotateSecret": true})).await.status, 409);
    let taken = async |external: &str, secret: &str| {
        let body = scene.task(external).to_string();
        scene.call(&Call::post(scene.path("tasks"), body.as_bytes(), secret)).await.status.as_u16()
    };
    assert_eq!(taken("a", &old).await, 201);
    assert_eq!(taken("b", "a secret of one's own").await, 201);
    scene.configure(&json!({"finalizeRotation": true})).await.expect(200);
    assert_eq!(scene.configure(&json!({"finalizeRotation": true})).await.status, 409);
    assert_eq!(taken("c", &old).await, 401);
    assert_eq!(taken("d", "a secret of one's own").await, 201);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_used_is_named_and_changes_nothing() {
    let scene = Scene::new(Profile::TasksTracker, 1).await;
    let before = scene.everything().await;
    for (body, field) in [
        (json!({"scopes": ["tasks:read"]}), "scopes[0]"),
        (json!({"scopes": "tasks:write"}), "scopes"),
        (json!({"ipAllowlist": ["10.0.0.0/8", "10.0.0.0/33"]}), "ipAllowlist[1]"),
        (json!({"ipAllowlist": ["example.org"]}), "ipAllowlist[0]"),
        (json!({"ipAllowlist": ["127.0.0.5/0"]}), "ipAllowlist[0]"),
        (json!({"rateLimitPerMinute": 0}), "rateLimitPerMinute"),
        (json!({"rateLimitPerMinute": 60_001}), "rateLimitPerMinute"),
        (json!({"rateLimitPerMinute": 5_000_000_000_i64}), "rateLimitPerMinute"),
        (json!({"userId": ObjectId::new().to_hex()}), "userId"),
        (json!({"secret": "without a rotation"}), "secret"),
        (json!({"secret": "short", "rotateSecret": true}), "secret"),
        (json!({"rotateSecret": true, "finalizeRotation": true}), "finalizeRotation"),
        (json!({"colour": 1}), "colour"),
        (json!({"enabled": null}), "enabled"),
    ] {
        assert_eq!(scene.configure(&body).await.faulty_fields(), [field], "{body}");
    }
    assert_eq!(scene.admin("PUT", SETTINGS, Some(&json!({})), &[]).await.faulty_fields(), ["groupId"]);
    assert_eq!(scene.everything().await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_does_not_administer_the_group_learns_nothing() {
    let scene = Scene::new(Profile::TasksTracker, 1).await;
    let paths = [SETTINGS.to_owned(), format!("{SETTINGS}/receipts")];
    for user in [scene.group().members[0], ObjectId::new()] {
        let mut texts = Vec::new();
        for group in [scene.group().id, ObjectId::new()] {
            for path in &paths {
                let answer = scene.as_user(user, "GET", &format!("{path}?groupId={group}"), None, &[]).await;
                assert_eq!(answer.status, 403);
                texts.push(answer.text);
            }
            let put = format!("{SETTINGS}?groupId={group}");
            let answer = scene.as_user(user, "PUT", &put, Some(&json!({"enabled": false})), &[]).await;
            assert_eq!(answer.status, 403);
            texts.push(answer.text);
        }
        texts.dedup();
        assert_eq!(texts.len(), 1, "{texts:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_first_puts_at_once_one_sets_it_up_and_the_other_changes_it() {
    let scene = unset().await;
    let (write, approve) = (json!({"scopes": ["tasks:write"]}), json!({"scopes": ["tasks:approve"]}));
    let (one, other) = tokio::join!(scene.configure(&write), scene.configure(&approve));
    let secrets = [one.expect(200), other.expect(200)].iter().filter(|made| made.get("secret").is_some()).count();
    assert_eq!(secrets, 1);
    assert_eq!(scene.documents("inboundIntegrations").await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_newest_calls_that_were_taken_are_listed_without_their_text() {
    let scene = Scene::new(Profile::TasksTracker, 1).await;
    scene.post("tasks", &scene.task("a")).await.expect(201);
    scene.post("tasks", &json!({"tasks": [scene.task("a"), scene.task("b")]})).await.expect(201);
    let path = format!("{SETTINGS}/receipts?groupId={}", scene.group().id);
    let listed = scene.admin("GET", &path, None, &[]).await;
    assert!(!listed.text.contains("Wash"), "{}", listed.text);
    let items = listed.expect(200)["items"].clone();
    assert_eq!(items.as_array().unwrap().len(), 2);
    let newest = &items[0];
    assert_eq!((&newest["created"], &newest["unchanged"], &newest["status"]), (&json!(1), &json!(1), &json!(201)));
}
