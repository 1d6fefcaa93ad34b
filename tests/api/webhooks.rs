//! Create, list, get, change, delete.

use bson::{Document, doc};
use futures::StreamExt;
use mongodb::change_stream::event::OperationType;
use serde_json::{Value, json};
use taskwire::store::names;

use crate::harness::{Api, WEBHOOKS};

#[tokio::test(flavor = "multi_thread")]
async fn a_new_webhook_shows_its_secret_once_and_can_be_found_at_its_location() {
    let api = Api::start().await;
    let answer = api.admin("POST", WEBHOOKS, Some(&api.body())).await;
    let location = answer.headers["location"].to_str().unwrap().to_owned();
    assert_eq!(answer.headers["etag"], "\"1\"");
    let made = answer.expect(201);
    let secret = made["secret"].as_str().unwrap();
    assert!(secret.starts_with("whsec_"));

    let found = api.admin("GET", &location, None).await;
    assert_eq!(found.headers["etag"], "\"1\"");
    assert!(!found.text.contains(secret));
    let found = found.expect(200);
    assert_eq!(found["secretHint"], secret[secret.len() - 4..]);
    assert_eq!(found["health"], json!({"status": "healthy", "disabledReason": null, "lastSuccessAt": null}));
    assert_eq!(found["rotation"], Value::Null);
    assert_eq!(found["retryPolicy"], json!({"maxAttempts": 14, "backoffSeconds": 30}));
    assert_eq!(
        (&found["timeoutSeconds"], &found["ordering"], &found["enabled"]),
        (&json!(15), &json!("none"), &json!(true))
    );
    for (field, value) in api.body().as_object().unwrap() {
        if field != "events" {
            assert_eq!(&found[field], value);
        }
    }
    let stored = api.everything().await;
    assert!(!stored.contains(secret) && !stored.contains("PRIVATE-HEADER"), "stored in the open");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_can_be_sent_back_with_one_field_changed_and_the_rest_stays() {
    let api = Api::start().await;
    let path = api.webhook_path().await;
    let mut shown = api.admin("GET", &path, None).await.expect(200);
    shown["name"] = json!("another");
    let answer = api.admin("PUT", &path, Some(&shown)).await;
    assert_eq!(answer.headers["etag"], "\"2\"");
    let mut changed = answer.expect(200);
    assert!(changed.get("secret").is_none());
    changed["updatedAt"] = shown["updatedAt"].clone();
    assert_eq!(changed, shown);

    let again = api.admin("PUT", &path, Some(&shown)).await;
    assert_eq!(again.headers["etag"], "\"2\"", "a change that changes nothing makes no version");
}

#[tokio::test(flavor = "multi_thread")]
async fn if_match_lets_one_of_two_changes_through() {
    let api = Api::start().await;
    let path = api.webhook_path().await;
    let (first, second) = (json!({"name": "first"}), json!({"name": "second"}));
    let (one, two) = tokio::join!(
        api.admin_if("\"1\"", "PUT", &path, Some(&first)),
        api.admin_if("\"1\"", "PUT", &path, Some(&second))
    );
    let mut statuses = [one.status.as_u16(), two.status.as_u16()];
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 412]);
    assert_eq!(api.admin_if("\"1\"", "DELETE", &path, None).await.status, 412);
    assert_eq!(api.admin_if("\"2\"", "DELETE", &path, None).await.status, 204);
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_at_once_without_if_match_are_all_made() {
    let api = Api::start().await;
    let path = api.webhook_path().await;
    let bodies = [json!({"name": "n"}), json!({"timeoutSeconds": 9}), json!({"rateLimitPerSecond": 7})];
    let answers = futures::future::join_all(bodies.iter().map(|body| api.admin("PUT", &path, Some(body)))).await;
    assert!(answers.iter().all(|answer| answer.status == 200));
    let found = api.admin("GET", &path, None).await.expect(200);
    assert_eq!(
        (&found["name"], &found["timeoutSeconds"], &found["rateLimitPerSecond"]),
        (&json!("n"), &json!(9), &json!(7))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn disabling_says_why_and_enabling_forgets_it() {
    let api = Api::start().await;
    let path = api.webhook_path().await;
    let off = api.admin("PUT", &path, Some(&json!({"enabled": false}))).await.expect(200);
    assert_eq!((&off["health"]["status"], &off["health"]["disabledReason"]), (&json!("disabled"), &json!("admin")));
    let on = api.admin("PUT", &path, Some(&json!({"enabled": true}))).await.expect(200);
    assert_eq!((&on["health"]["status"], &on["health"]["disabledReason"]), (&json!("healthy"), &Value::Null));
}

#[tokio::test(flavor = "multi_thread")]
async fn health_comes_from_its_own_collection_and_leaves_the_etag_alone() {
    let api = Api::start().await;
    let path = api.webhook_path().await;
    let id = bson::oid::ObjectId::parse_str(path.rsplit('/').next().unwrap()).unwrap();
    let at = bson::DateTime::from_millis(1_760_000_000_123);
    let health = doc! { "_id": id, "failingSince": at, "lastSuccessAt": at };
    api.store.collection::<Document>(names::WEBHOOK_HEALTH).insert_one(health).await.unwrap();
    let answer = api.admin("GET", &path, None).await;
    assert_eq!(answer.headers["etag"], "\"1\"");
    let health = answer.expect(200)["health"].clone();
    assert_eq!(
        health,
        json!({"status": "failing", "disabledReason": null, "lastSuccessAt": "2025-10-09T08:53:20.123Z"})
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_webhook_is_gone_from_lists_while_its_log_stays_readable() {
    let api = Api::start().await;
    let path = api.webhook_path().await;
    let delivery = api.delivery(&path, 1, |_| {}).await.id;
    api.admin("DELETE", &path, None).await.expect(204);
    for (method, body) in [("GET", None), ("PUT", Some(json!({"name": "n"}))), ("DELETE", None)] {
        assert_eq!(api.admin(method, &path, body.as_ref()).await.status, 404, "{method}");
    }
    assert_eq!(api.admin("GET", WEBHOOKS, None).await.expect(200)["items"], json!([]));
    let log = api.admin("GET", &format!("{path}/deliveries"), None).await.expect(200);
    assert_eq!(log["items"].as_array().unwrap().len(), 1);
    api.admin("POST", &format!("{path}/replay/{delivery}"), None).await.expect(409);
    let stored = api.store.collection::<Document>(names::WEBHOOKS).find_one(doc! {}).await.unwrap().unwrap();
    assert!(stored.get_datetime("deletedAt").is_ok() && !stored.get_bool("enabled").unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_change_stream_brings_every_version_whole() {
    let api = Api::start().await;
    let mut stream = api.store.collection::<Document>(names::WEBHOOKS).watch().await.unwrap();
    let path = api.webhook_path().await;
    api.admin("PUT", &path, Some(&json!({"name": "n"}))).await.expect(200);
    api.admin("PUT", &path, Some(&json!({"rotateSecret": true}))).await.expect(200);
    api.admin("DELETE", &path, None).await.expect(204);
    for (revision, kind) in
        [OperationType::Insert, OperationType::Replace, OperationType::Replace, OperationType::Replace]
            .into_iter()
            .enumerate()
    {
        let change = stream.next().await.unwrap().unwrap();
        assert_eq!(change.operation_type, kind);
        let version = change.full_document.unwrap();
        assert_eq!(version.get_i64("revision").unwrap(), i64::try_from(revision).unwrap() + 1);
        assert!(version.get_str("targetUrl").is_ok());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_hold_every_webhook_once_newest_first_and_only_of_ones_own_groups() {
    let api = Api::start().await;
    let mut made = Vec::new();
    for _ in 0..5 {
        made.push(api.webhook().await["id"].as_str().unwrap().to_owned());
    }
    let mut foreign = api.body();
    foreign["groupId"] = json!(api.group_b.to_hex());
    api.ask(api.admin_b, "POST", WEBHOOKS, Some(&foreign)).await.expect(201);
    made.reverse();

    for base in [format!("{WEBHOOKS}?limit=2"), format!("{WEBHOOKS}?limit=2&groupId={}", api.group_a)] {
        let (mut seen, mut path) = (Vec::new(), base.clone());
        loop {
            let page = api.admin("GET", &path, None).await.expect(200);
            let items = page["items"].as_array().unwrap();
            assert!(items.len() <= 2);
            seen.extend(items.iter().map(|item| item["id"].as_str().unwrap().to_owned()));
            let Some(cursor) = page["nextCursor"].as_str() else { break };
            path = format!("{base}&cursor={cursor}");
        }
        assert_eq!(seen, made);
    }
    let page = api.admin("GET", &format!("{WEBHOOKS}?limit=2"), None).await.expect(200);
    let cursor = page["nextCursor"].as_str().unwrap();
    let mixed = format!("{WEBHOOKS}?groupId={}&cursor={cursor}", api.group_a);
    assert_eq!(api.admin("GET", &mixed, None).await.faulty_fields(), ["cursor"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_never_gets_more_than_its_hundred_webhooks_even_when_many_come_at_once() {
    let api = Api::start().await;
    for _ in 0..97 {
        api.webhook().await;
    }
    let body = api.body();
    let answers = futures::future::join_all((0..6).map(|_| api.admin("POST", WEBHOOKS, Some(&body)))).await;
    let count = |status: u16| answers.iter().filter(|answer| answer.status == status).count();
    assert_eq!((count(201), count(409)), (3, 3));
    let one = api.admin("GET", &format!("{WEBHOOKS}?limit=1"), None).await.expect(200);
    let path = format!("{WEBHOOKS}/{}", one["items"][0]["id"].as_str().unwrap());
    api.admin("DELETE", &path, None).await.expect(204);
    api.webhook().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_audit_tells_who_did_what_in_order_and_without_secrets() {
    let api = Api::start().await;
    let path = api.webhook_path().await;
    let delivery = api.delivery(&path, 1, |_| {}).await.id;
    let rename = json!({"name": "n", "headers": {"X-Api-Key": "PRIVATE-HEADER-2"}});
    api.admin("PUT", &path, Some(&rename)).await.expect(200);
    api.admin("PUT", &path, Some(&rename)).await.expect(200);
    api.admin("PUT", &path, Some(&json!({"rotateSecret": true}))).await.expect(200);
    api.admin("PUT", &path, Some(&json!({"finalizeRotation": true}))).await.expect(200);
    api.admin("POST", &format!("{path}/replay/{delivery}"), None).await.expect(202);
    api.admin("DELETE", &path, None).await.expect(204);

    use futures::TryStreamExt;
    let found =
        api.store.collection::<Document>(names::AUDIT).find(doc! {}).sort(doc! { "sequence": 1 }).await.unwrap();
    let entries: Vec<Document> = found.try_collect().await.unwrap();
    let told: Vec<_> = entries.iter().map(|e| (e.get_i64("sequence").unwrap(), e.get_str("action").unwrap())).collect();
    let actions = [
        "webhook.created",
        "webhook.updated",
        "webhook.secret-rotated",
        "webhook.rotation-finalized",
        "delivery.replayed",
        "webhook.deleted",
    ];
    assert_eq!(told, (1..).zip(actions).collect::<Vec<_>>());
    assert!(entries.iter().all(|entry| entry.get_object_id("actorId").is_ok_and(|id| id == api.admin_a)));
    assert_eq!(entries[1].get_array("changed").unwrap(), &["name".into(), "headers".into()]);
    assert!(!format!("{entries:?}").contains("PRIVATE"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_that_is_enabled_again_shows_what_it_missed_until_an_admin_has_decided() {
    let api = Api::start().await;
    let path = api.webhook_path().await;
    let missed = async || api.admin("GET", &path, None).await.expect(200)["missed"].clone();
    assert_eq!(missed().await, Value::Null);
    api.admin("PUT", &path, Some(&json!({"enabled": false}))).await.expect(200);
    assert_eq!(missed().await, Value::Null);
    let first = api.admin("PUT", &path, Some(&json!({"enabled": true}))).await.expect(200)["missed"].clone();
    assert!(first["since"].as_str().unwrap() < first["until"].as_str().unwrap(), "{first}");
    assert_eq!(missed().await, first);
    // Disabled and enabled once more before anybody decided: from the first to the last.
    api.admin("PUT", &path, Some(&json!({"enabled": false}))).await.expect(200);
    let second = api.admin("PUT", &path, Some(&json!({"enabled": true}))).await.expect(200)["missed"].clone();
    assert_eq!(second["since"], first["since"]);
    assert!(second["until"].as_str().unwrap() >= first["until"].as_str().unwrap());
    let settled = api.admin("PUT", &path, Some(&json!({"dismissMissed": true}))).await.expect(200);
    assert_eq!((&settled["missed"], missed().await), (&Value::Null, Value::Null));
    let mut new = api.body();
    new["dismissMissed"] = json!(true);
    assert_eq!(api.admin("POST", WEBHOOKS, Some(&new)).await.faulty_fields(), ["dismissMissed"]);
}
