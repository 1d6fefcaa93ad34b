//! Every route for every kind of caller.

use bson::oid::ObjectId;
use bson::{Document, doc};
use data_encoding::BASE64URL_NOPAD;
use serde_json::{Value, json};

use crate::harness::{Api, EVENTS, MASTER_KEY, WEBHOOKS, claims, request, sign, token};
use crate::openapi::{matches, operations};

/// What one route answers to someone without a good token (always 401), to a stranger, and to the group's admin.
struct Route {
    method: &'static str,
    path: String,
    body: Option<Value>,
    stranger: u16,
    admin: u16,
}

async fn routes(api: &Api) -> Vec<Route> {
    // Nothing listens there, so a test of it fails at once.
    let mut body = api.body();
    body["targetUrl"] = json!("http://127.0.0.1:1/private-target");
    let made = api.admin("POST", WEBHOOKS, Some(&body)).await.expect(201);
    let webhook = format!("{WEBHOOKS}/{}", made["id"].as_str().expect("an id"));
    let row = api.delivery(&webhook, 1, |_| {}).await;
    let (delivery, event) = (row.id, row.event_id);
    let begun = api.admin("POST", &format!("{webhook}/replay"), Some(&json!({}))).await.expect(202);
    let replay = begun["replayId"].as_str().unwrap().to_owned();
    let since = "2025-01-01T00:00:00Z";
    let route = |method, path, body, stranger, admin| Route { method, path, body, stranger, admin };
    let group = api.group_a.to_hex();
    vec![
        route("GET", "/api/integrations/groups".to_owned(), None, 200, 200),
        route("GET", WEBHOOKS.to_owned(), None, 200, 200),
        route("GET", format!("{WEBHOOKS}?groupId={group}"), None, 403, 200),
        route("POST", WEBHOOKS.to_owned(), Some(api.body()), 403, 201),
        route("GET", webhook.clone(), None, 404, 200),
        route("PUT", webhook.clone(), Some(json!({"name": "PRIVATE-NAME"})), 404, 200),
        route("PUT", webhook.clone(), Some(json!({"colour": 1})), 404, 422),
        route("GET", format!("{webhook}/deliveries"), None, 404, 200),
        route("GET", format!("{webhook}/deliveries?limit=0"), None, 404, 422),
        route("GET", format!("{webhook}/deliveries/{delivery}"), None, 404, 200),
        route("POST", format!("{webhook}/replay/{delivery}"), None, 404, 202),
        route("POST", format!("{webhook}/test"), Some(json!({})), 404, 200),
        route("POST", format!("{webhook}/test"), Some(json!({"eventType": "task.lost"})), 404, 422),
        route("POST", format!("{webhook}/verify-receiver"), None, 404, 200),
        route("GET", format!("/api/integrations/settings?groupId={group}"), None, 403, 200),
        route("PUT", format!("/api/integrations/settings?groupId={group}"), Some(json!({"alertEvents": []})), 403, 422),
        route("GET", format!("/api/integrations/audit?groupId={group}"), None, 403, 200),
        route("GET", format!("/api/integrations/inbound?groupId={group}"), None, 403, 200),
        route("PUT", format!("/api/integrations/inbound?groupId={group}"), Some(json!({"enabled": 1})), 403, 422),
        route("GET", format!("/api/integrations/inbound/receipts?groupId={group}"), None, 403, 200),
        route("GET", "/api/integrations/event-types".to_owned(), None, 200, 200),
        route("POST", format!("{webhook}/replay"), Some(json!({"dryRun": true})), 404, 202),
        route("POST", format!("{webhook}/replay"), Some(json!({"status": "queued"})), 404, 422),
        route("POST", format!("{webhook}/backfill"), Some(json!({"since": since, "dryRun": true})), 404, 202),
        route("GET", format!("{webhook}/replays"), None, 404, 200),
        route("GET", format!("{webhook}/replays/{replay}"), None, 404, 200),
        route("DELETE", format!("{webhook}/replays/{replay}"), None, 404, 200),
        route("GET", EVENTS.to_owned(), None, 200, 200),
        route("GET", format!("{EVENTS}?groupId={group}"), None, 403, 200),
        route("GET", format!("{EVENTS}/{event}/trace"), None, 404, 200),
        route("GET", format!("{webhook}/stats"), None, 404, 200),
        route("GET", format!("{webhook}/stats?window=x"), None, 404, 422),
        route("GET", "/api/integrations/stats".to_owned(), None, 200, 200),
        route("GET", format!("/api/integrations/stats?groupId={group}"), None, 403, 200),
        route("GET", format!("/api/integrations/stats/webhooks?groupId={group}"), None, 403, 200),
        route("GET", "/api/integrations/status".to_owned(), None, 403, 200),
        // Last: after it the webhook is gone for its admin too.
        route("DELETE", webhook, None, 404, 204),
    ]
}

fn bad_tokens(admin: ObjectId) -> Vec<(&'static str, Option<String>)> {
    let with = |key: &str, value: Value| {
        let mut claims = claims(admin);
        claims[key] = value;
        sign(&claims)
    };
    let part = |value: Value| BASE64URL_NOPAD.encode(value.to_string().as_bytes());
    let unsigned = format!("{}.{}.", part(json!({"alg": "none", "typ": "JWT"})), part(claims(admin)));
    vec![
        ("none", None),
        ("garbage", Some("garbage".into())),
        ("expired", Some(with("exp", json!(chrono::Utc::now().timestamp() - 120)))),
        ("alg none", Some(unsigned)),
        ("wrong audience", Some(with("aud", json!("Others")))),
        ("wrong issuer", Some(with("iss", json!("Others")))),
    ]
}

fn assert_tells_nothing(what: &str, text: &str) {
    for private in ["PRIVATE-NAME", "private-target", "PRIVATE-HEADER", "whsec_", "Ünïcode"] {
        assert!(!text.contains(private), "{what} shows {private}: {text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_route_answers_each_kind_of_caller_as_it_must_and_shows_strangers_nothing() {
    let api = Api::start_with_local_targets(&[]).await;
    let routes = routes(&api).await;
    // A partner's calls are signed; no token helps there (tests/inbound).
    for (method, path, _) in operations().filter(|(_, _, operation)| operation["security"][0]["bearer"].is_array()) {
        let has_row = routes.iter().any(|row| method == row.method && matches(path, &row.path));
        assert!(has_row, "{method} {path} has no row here");
    }
    for route in routes {
        for (kind, token) in bad_tokens(api.admin_a) {
            let what = format!("{} {} with token {kind}", route.method, route.path);
            let asked = request(token.as_deref(), route.method, &route.path, route.body.as_ref(), &[]);
            let answer = api.send(asked).await;
            assert_eq!(answer.status, 401, "{what}: {}", answer.text);
            assert!(answer.headers["www-authenticate"].to_str().unwrap().starts_with("Bearer"), "{what}");
            assert_eq!(answer.headers["content-type"], "application/problem+json", "{what}");
            assert_tells_nothing(&what, &answer.text);
        }
        for (kind, user) in [("member", api.member_a), ("other admin", api.admin_b), ("nobody", ObjectId::new())] {
            let what = format!("{} {} as {kind}", route.method, route.path);
            let answer = api.ask(user, route.method, &route.path, route.body.as_ref()).await;
            // The watcher's standing is for the admins of any group.
            let is_for_any_admin = route.path == "/api/integrations/status" && kind == "other admin";
            let expected = if is_for_any_admin { route.admin } else { route.stranger };
            assert_eq!(answer.status, expected, "{what}: {}", answer.text);
            assert_tells_nothing(&what, &answer.text);
        }
        let answer = api.admin(route.method, &route.path, route.body.as_ref()).await;
        assert_eq!(answer.status, route.admin, "{} {} as admin: {}", route.method, route.path, answer.text);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kept_answer_is_given_to_an_admin_of_its_group_and_to_nobody_who_is_none_any_more() {
    let api = Api::start_with_local_targets(&[]).await;
    let made: Vec<_> = routes(&api).await.into_iter().filter(|r| r.method == "POST" && r.admin < 300).collect();
    let call = async |api: &Api, at: usize, route: &Route| {
        let key = format!("key-{at}");
        let headers = [("idempotency-key", key.as_str())];
        let bearer = token(api.admin_a);
        api.send(request(Some(&bearer), "POST", &route.path, route.body.as_ref(), &headers)).await
    };
    let mut first = Vec::new();
    for (at, route) in made.iter().enumerate() {
        let answer = call(&api, at, route).await;
        assert_eq!(answer.status, route.admin, "{}: {}", route.path, answer.text);
        first.push(answer.text);
    }
    for (at, route) in made.iter().enumerate() {
        let again = call(&api, at, route).await;
        assert!(again.headers.contains_key("idempotent-replayed"), "{}", route.path);
        assert_eq!((again.status.as_u16(), &again.text), (route.admin, &first[at]), "{}", route.path);
    }
    let demoted = doc! { "$set": { "members.0.role": "RegularUser" } };
    api.store.collection::<Document>("groups").update_one(doc! { "_id": api.group_a }, demoted).await.unwrap();
    // Another process remembers nothing of who was an admin.
    let api = api.with_master_key(MASTER_KEY).await;
    for (at, route) in made.iter().enumerate() {
        let refused = call(&api, at, route).await;
        assert_eq!(refused.status, route.stranger, "{}: {}", route.path, refused.text);
        assert!(!refused.headers.contains_key("idempotent-replayed"), "{}", route.path);
        assert_tells_nothing(&route.path, &refused.text);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_that_does_not_exist_looks_like_one_of_others() {
    let api = Api::start().await;
    let mut texts = Vec::new();
    for group in [api.group_b.to_hex(), ObjectId::new().to_hex(), "no-id-at-all".to_owned()] {
        let mut body = api.body();
        body["groupId"] = json!(group);
        let answer = api.admin("POST", WEBHOOKS, Some(&body)).await;
        assert_eq!(answer.status, 403);
        texts.push(answer.text);
        let answer = api.admin("GET", &format!("{WEBHOOKS}?groupId={group}"), None).await;
        assert_eq!(answer.status, 403);
        texts.push(answer.text);
    }
    texts.dedup();
    assert_eq!(texts.len(), 1, "{texts:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_taken_only_as_bearer_and_only_once() {
    let api = Api::start().await;
    let good = token(api.admin_a);
    for (values, status) in [
        (vec![format!("bearer {good}")], 200),
        (vec![good.clone()], 401),
        (vec![format!("Basic {good}")], 401),
        (vec![format!("Bearer {good}"), format!("Bearer {good}")], 401),
    ] {
        let headers: Vec<_> = values.iter().map(|value| ("authorization", value.as_str())).collect();
        let answer = api.send(request(None, "GET", WEBHOOKS, None, &headers)).await;
        assert_eq!(answer.status, status, "{values:?}");
    }
    let in_query = request(None, "GET", &format!("{WEBHOOKS}?access_token={good}"), None, &[]);
    assert_eq!(api.send(in_query).await.status, 401);
}
