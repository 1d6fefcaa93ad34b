//! Who is let in, and in which order it is asked.

use bson::oid::ObjectId;
use serde_json::json;
use taskwire_tests::Profile;
use taskwire_tests::admin_api::token;
use taskwire_tests::receiver::hex_signature;

use crate::scene::{Call, SETTINGS, Scene, now, send};

#[tokio::test(flavor = "multi_thread")]
async fn one_401_answers_everything_that_is_wrong_with_a_signature_group_or_integration() {
    let scene = Scene::new(Profile::TasksTracker, 1).await;
    let other = Scene::new(Profile::TasksTracker, 1).await;
    let body = scene.task("a-1").to_string().into_bytes();
    let path = scene.path("tasks");
    let good = || Call::at(path.clone(), &body, &scene.secret, now());
    let elsewhere = |group: &str| Call { path: format!("{SETTINGS}/{group}/tasks"), ..good() };
    let at = |offset: i64| Call::at(path.clone(), &body, &scene.secret, now() + offset);
    let wrong = [
        ("another secret", Call::at(path.clone(), &body, &other.secret, now())),
        ("too old", at(-310)),
        ("too new", at(310)),
        ("another time", Call { timestamp: (now() - 1).to_string(), ..good() }),
        ("another body", Call { body: scene.task("a-2").to_string().into_bytes(), ..good() }),
        ("no time", Call { timestamp: String::new(), ..good() }),
        ("a time with a sign", Call { timestamp: format!("+{}", now()), ..good() }),
        ("no signature", Call { signature: String::new(), ..good() }),
        ("a cut signature", Call { signature: good().signature[..70].to_owned(), ..good() }),
        ("no scheme", Call { signature: good().signature[7..].to_owned(), ..good() }),
        ("two times", Call { headers: vec![("x-timestamp", now().to_string())], ..good() }),
        ("two signature headers", Call { headers: vec![("x-signature", good().signature)], ..good() }),
        ("another group", elsewhere(&other.group().id.to_hex())),
        ("no group", elsewhere(&ObjectId::new().to_hex())),
        ("no id", elsewhere("nobody")),
        ("a get of it", Call { method: "GET", path: format!("{path}/a-1"), ..at(-310) }),
        ("nothing but a wrong body", Call { body: b"{".to_vec(), ..good() }),
    ];
    let before = scene.everything().await;
    let mut answers = Vec::new();
    for (what, call) in wrong {
        let answer = scene.call(&call).await;
        assert_eq!(answer.status, 401, "{what}: {}", answer.text);
        answers.push(answer.text);
    }
    assert_eq!(scene.everything().await, before);
    scene.configure(&json!({"enabled": false})).await.expect(200);
    answers.push(scene.call(&good()).await.text);
    scene.configure(&json!({"enabled": true})).await.expect(200);
    answers.dedup();
    assert_eq!(answers.len(), 1, "{answers:?}");
    for almost in [-290, 290] {
        scene.call(&at(almost)).await.expect(if almost < 0 { 201 } else { 200 });
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn any_of_several_signatures_and_any_case_of_its_digits_will_do() {
    let scene = Scene::new(Profile::TasksTracker, 1).await;
    let body = scene.task("a-1").to_string().into_bytes();
    let mut call = Call::post(scene.path("tasks"), &body, &scene.secret);
    call.signature = format!("sha256={}, {}", "0".repeat(64), call.signature.to_uppercase().replace("SHA", "sha"));
    scene.call(&call).await.expect(201);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_over_the_limit_is_refused_before_its_signature_is_looked_at() {
    let scene = Scene::new(Profile::TasksTracker, 1).await;
    let mut task = scene.task("a-1");
    task["description"] = json!("x".repeat(256 * 1024));
    assert_eq!(scene.post("tasks", &task).await.status, 413);
    let unsigned = Call { signature: String::new(), ..Call::post(scene.path("tasks"), &vec![b'['; 1 << 20], "") };
    assert_eq!(scene.call(&unsigned).await.status, 413);
    task["description"] = json!("x".repeat(255 * 1024));
    scene.post("tasks", &task).await.expect(201);
}

#[tokio::test(flavor = "multi_thread")]
async fn only_addresses_of_the_allowlist_are_let_in_and_proxies_are_believed_only_if_trusted() {
    let mut scene = Scene::new(Profile::TasksTracker, 1).await;
    scene.configure(&json!({"ipAllowlist": ["203.0.113.0/24", "2001:db8::/32"]})).await.expect(200);
    let desk = scene.desk(&[("trusted_proxies", "10.0.0.0/8,fd00::/8")]).await;
    scene.desks[0] = desk;
    let get = |peer: &str, forwarded: Option<&str>| {
        let mut call = Call::get(format!("{}/none", scene.path("tasks")), &scene.secret);
        call.peer = Some(std::net::SocketAddr::new(peer.parse().unwrap(), 1));
        call.headers.extend(forwarded.map(|value| ("x-forwarded-for", value.to_owned())));
        call
    };
    for (peer, forwarded, status) in [
        ("203.0.113.9", None, 404),
        ("2001:db8::5", None, 404),
        ("::ffff:203.0.113.9", None, 404),
        ("192.0.2.1", None, 403),
        ("192.0.2.1", Some("203.0.113.9"), 403),
        ("10.0.0.1", Some("203.0.113.9"), 404),
        ("fd00::1", Some("2001:db8::5, 10.1.1.1"), 404),
        ("10.0.0.1", Some("203.0.113.9, 192.0.2.1"), 403),
        ("10.0.0.1", Some("unknown"), 403),
        ("10.0.0.1", None, 403),
    ] {
        let answer = scene.call(&get(peer, forwarded)).await;
        assert_eq!(answer.status, status, "{peer} {forwarded:?}: {}", answer.text);
    }
    let nobody = Call { peer: None, ..get("203.0.113.9", None) };
    assert_eq!(scene.call(&nobody).await.status, 403);
    // The signature comes first: whoever has none does not learn about the list.
    let unsigned = Call { signature: String::new(), ..get("192.0.2.1", None) };
    assert_eq!(scene.call(&unsigned).await.status, 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn each_call_needs_its_scope_and_a_wrong_body_is_told_only_to_who_has_it() {
    let scene = Scene::new(Profile::TasksTracker, 1).await;
    let category = json!({"externalId": "c", "name": "Garden"});
    for (scopes, tasks, categories) in [
        (json!([]), 403, 403),
        (json!(["tasks:write"]), 422, 403),
        (json!(["tasks:approve"]), 403, 403),
        (json!(["categories:write"]), 403, 201),
    ] {
        scene.configure(&json!({ "scopes": scopes })).await.expect(200);
        assert_eq!(scene.post("tasks", &json!({"colour": 1})).await.status, tasks, "{scopes}");
        assert_eq!(scene.post("categories", &category).await.status, categories, "{scopes}");
        let shown = if tasks == 422 { 404 } else { 403 };
        assert_eq!(scene.get("a").await.status, shown, "{scopes}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_over_the_groups_limit_are_told_when_to_come_again() {
    let scene = Scene::new(Profile::TasksTracker, 1).await;
    let other = Scene::new(Profile::TasksTracker, 1).await;
    scene.configure(&json!({"rateLimitPerMinute": 3})).await.expect(200);
    for _ in 0..3 {
        assert_eq!(scene.get("a").await.status, 404);
    }
    let refused = scene.get("a").await;
    assert_eq!(refused.status, 429);
    let wait: u64 = refused.headers["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((1..=20).contains(&wait), "{wait}");
    assert_eq!(other.get("a").await.status, 404, "another group has its own");
    // What is not let in counts for nothing.
    scene.configure(&json!({"rateLimitPerMinute": 1})).await.expect(200);
    for _ in 0..3 {
        assert_eq!(scene.call(&Call::get(format!("{}/a", scene.path("tasks")), "wrong")).await.status, 401);
    }
    assert_eq!(scene.get("a").await.status, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_get_is_signed_over_an_empty_body() {
    let scene = Scene::new(Profile::TasksTracker, 1).await;
    scene.post("tasks", &scene.task("a-1")).await.expect(201);
    scene.get("a-1").await.expect(200);
    let timestamp = now().to_string();
    let signature = format!("sha256={}", hex_signature(&scene.secret, &timestamp, b"{}"));
    let path = format!("{}/a-1", scene.path("tasks"));
    let wrong = Call { timestamp, signature, ..Call::get(path, &scene.secret) };
    assert_eq!(send(&scene.desks[0], wrong.request()).await.status, 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_users_token_and_key_stand_for_nothing_at_a_signed_call() {
    let scene = Scene::new(Profile::TasksTracker, 1).await;
    let desk = scene.desk(&[("user_rate_per_minute", "1")]).await;
    let bearer = format!("Bearer {}", token(scene.group().members[0]).unwrap());
    let at = now();
    let call = |body: &[u8], secret: &str| {
        let mut call = Call::at(scene.path("tasks"), body, secret, at);
        call.headers = vec![("authorization", bearer.clone()), ("idempotency-key", "one".to_owned())];
        call.request()
    };
    let body = scene.task("a-1").to_string();
    assert_eq!(send(&desk, call(body.as_bytes(), &scene.secret)).await.status, 201);
    // Neither a kept answer nor the user's own rate goes before the signature.
    assert_eq!(send(&desk, call(body.as_bytes(), "another secret")).await.status, 401);
    let again = send(&desk, call(body.as_bytes(), &scene.secret)).await;
    assert!(again.status == 201 && again.is_replay(), "the receipt's answer: {}", again.text);
    // Nor does the limit of an admin's body.
    let large = format!("{}{}", scene.task("a-2"), " ".repeat(100 * 1024));
    assert_eq!(send(&desk, call(large.as_bytes(), &scene.secret)).await.status, 201);
}
