//! Bad input, each by its name.

use axum::body::Body;
use axum::http::Request;
use serde_json::{Value, json};

use crate::harness::{Api, WEBHOOKS, request, token};

fn with(api: &Api, key: &str, value: Value) -> Value {
    let mut body = api.body();
    body[key] = value;
    body
}

#[tokio::test(flavor = "multi_thread")]
async fn a_field_that_is_unknown_or_wrong_is_a_422_that_names_it() {
    let api = Api::start().await;
    for (field, key, value) in [
        ("colour", "colour", json!(1)),
        ("id", "id", json!("65a000000000000000000001")),
        ("events.taskBorn", "events", json!({"taskBorn": true})),
        ("retryPolicy.tries", "retryPolicy", json!({"tries": 3})),
        ("name", "name", json!(7)),
        ("name", "name", Value::Null),
        ("enabled", "enabled", json!("yes")),
        ("events", "events", json!(["taskCreated"])),
        ("events.taskCreated", "events", json!({"taskCreated": 1})),
        ("headers.X-A", "headers", json!({"X-A": 1})),
        ("headers.X-Signature", "headers", json!({"X-Signature": "x"})),
        ("headers.Transfer-Encoding", "headers", json!({"Transfer-Encoding": "chunked"})),
        ("headers.X-A", "headers", json!({"X-A": "1\r\nX-B: 2"})),
        ("retryPolicy.maxAttempts", "retryPolicy", json!({"maxAttempts": 21})),
        ("timeoutSeconds", "timeoutSeconds", json!(1.5)),
        ("timeoutSeconds", "timeoutSeconds", json!(0)),
        ("rateLimitPerSecond", "rateLimitPerSecond", json!(1001)),
        ("ordering", "ordering", json!("sometimes")),
        ("secret", "secret", json!("short")),
        ("secret", "secret", json!(" ".repeat(16))),
        ("headers.X_Signature", "headers", json!({"X_Signature": "x"})),
        ("headers.Accept_Encoding", "headers", json!({"Accept_Encoding": "x"})),
        ("targetUrl", "targetUrl", json!("https://e.com\\@127.0.0.1/")),
        ("targetUrl", "targetUrl", json!("https://e.com/a?b=\\")),
        ("targetUrl", "targetUrl", json!("ftp://example.com/")),
        ("targetUrl", "targetUrl", json!("https://[::1]/")),
        ("targetUrl", "targetUrl", json!("https://169.254.169.254/latest")),
        ("targetUrl", "targetUrl", json!("https://0x7f000001/")),
        ("targetUrl", "targetUrl", json!("https://user:PASSWORD@example.com/")),
        ("targetUrl", "targetUrl", json!("https://example.com/#part")),
        ("targetUrl", "targetUrl", json!("https://example.com:0/")),
        ("targetUrl", "targetUrl", json!("https://example.com:65536/")),
        ("targetUrl", "targetUrl", json!("https://exa mple.com/")),
        ("targetUrl", "targetUrl", json!(format!("https://example.com/{}", "x".repeat(2048)))),
        ("headers.Über", "headers", json!({"Über": "1"})),
        ("headers.X\r\nY", "headers", json!({"X\r\nY": "1"})),
        ("headers.Keep-Alive", "headers", json!({"Keep-Alive": "1"})),
        ("headers", "headers", json!({"X-A": "v".repeat(5000)})),
        ("name", "name", json!("a\u{0}b")),
        ("name", "name", json!("n".repeat(201))),
        ("secret", "secret", json!("whsec_no base64 at all")),
        ("retryPolicy.backoffSeconds", "retryPolicy", json!({"backoffSeconds": 0})),
        ("retryPolicy.backoffSeconds", "retryPolicy", json!({"backoffSeconds": 1e300})),
    ] {
        let answer = api.admin("POST", WEBHOOKS, Some(&with(&api, key, value.clone()))).await;
        assert!(!answer.text.contains("PASSWORD"), "{}", answer.text);
        assert_eq!(answer.faulty_fields(), [field], "{key}: {value}");
    }
    assert_eq!(api.admin("GET", WEBHOOKS, None).await.expect(200)["items"], json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_header_given_twice_is_a_422_that_names_it() {
    let api = Api::start().await;
    let body = api.body().to_string().replace(r#"{"X-Api-Key":"#, r#"{"X-Api-Key":"1","X-Api-Key":"#);
    assert!(body.matches("X-Api-Key").count() == 2, "{body}");
    let asked = Request::post(WEBHOOKS)
        .header("authorization", format!("Bearer {}", token(api.admin_a)))
        .header("content-type", "application/json")
        .body(Body::from(body))
        .unwrap();
    let refused = api.send(asked).await;
    assert!(refused.text.contains("is given twice"), "{}", refused.text);
    assert_eq!(refused.faulty_fields(), ["headers.X-Api-Key"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_secret_is_not_repeated() {
    let api = Api::start().await;
    for value in [json!("SHORT-SECRET"), json!(["SHORT-SECRET"]), json!({"SHORT-SECRET": 1})] {
        let answer = api.admin("POST", WEBHOOKS, Some(&with(&api, "secret", value))).await;
        assert_eq!(answer.faulty_fields(), ["secret"]);
        assert!(!answer.text.contains("SHORT-SECRET"), "{}", answer.text);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_parameter_that_is_unknown_or_wrong_is_a_422_that_names_it() {
    let api = Api::start().await;
    let path = api.webhook_path().await;
    for (name, query) in [
        ("limit", format!("{path}/deliveries?limit=201")),
        ("limit", format!("{path}/deliveries?limit=")),
        ("taskId", format!("{path}/deliveries?taskId=")),
        ("limit", format!("{path}/deliveries?limit=-1")),
        ("limit", format!("{path}/deliveries?limit=%2B5")),
        ("limit", format!("{WEBHOOKS}?limit=many")),
        ("status", format!("{path}/deliveries?status=lost")),
        ("eventType", format!("{path}/deliveries?eventType=task.lost")),
        ("since", format!("{path}/deliveries?since=yesterday")),
        ("until", format!("{path}/deliveries?until=2025-02-30T00:00:00Z")),
        ("cursor", format!("{path}/deliveries?cursor=1")),
        ("statuss", format!("{path}/deliveries?statuss=queued")),
        ("status", format!("{path}/deliveries?status=queued&status=failed")),
    ] {
        assert_eq!(api.admin("GET", &query, None).await.faulty_fields(), [name], "{query}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_id_that_is_none_is_not_found() {
    let api = Api::start().await;
    for path in ["x", "65a00000000000000000000", "65a000000000000000000001", "%00", "..%2f", "%ff"] {
        let answer = api.admin("GET", &format!("{WEBHOOKS}/{path}"), None).await;
        assert!(answer.status == 404 || answer.status == 400, "{path}: {}", answer.status);
        assert_eq!(answer.headers["content-type"], "application/problem+json", "{path}");
    }
}

async fn post(api: &Api, content_type: Option<&str>, body: String) -> u16 {
    let mut request = Request::builder().method("POST").uri(WEBHOOKS);
    request = request.header("authorization", format!("Bearer {}", token(api.admin_a)));
    if let Some(content_type) = content_type {
        request = request.header("content-type", content_type);
    }
    let answer = api.send(request.body(Body::from(body)).unwrap()).await;
    assert_eq!(answer.headers["content-type"], "application/problem+json");
    answer.status.as_u16()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_is_no_json_too_large_or_undeclared_is_refused_as_what_it_is() {
    let api = Api::start().await;
    let json = Some("application/json");
    assert_eq!(post(&api, json, String::new()).await, 400);
    assert_eq!(post(&api, None, String::new()).await, 422, "an object without fields");
    assert_eq!(post(&api, json, "{\"name\": ".into()).await, 400);
    assert_eq!(post(&api, json, "[".repeat(50_000)).await, 422, "an array is no object, however deep");
    assert_eq!(post(&api, json, format!("{{\"x\":{}", "[".repeat(50_000))).await, 400);
    assert_eq!(post(&api, json, "[]".into()).await, 422);
    let name = |text: &str| api.body().to_string().replace("PRIVATE-NAME", text);
    assert_eq!(post(&api, json, name("\\ud800")).await, 400, "half of a character");
    assert_eq!(post(&api, json, name("\u{0}")).await, 400, "a NUL as it is");
    assert_eq!(post(&api, json, "x".repeat(64 * 1024 + 1)).await, 413);
    assert_eq!(post(&api, Some("text/plain"), api.body().to_string()).await, 415);
    assert_eq!(post(&api, None, api.body().to_string()).await, 415);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_compressed_body_is_not_unfolded() {
    let api = Api::start().await;
    let request = Request::post(WEBHOOKS)
        .header("authorization", format!("Bearer {}", token(api.admin_a)))
        .header("content-type", "application/json")
        .header("content-encoding", "gzip")
        .body(Body::from(vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3]))
        .unwrap();
    assert_eq!(api.send(request).await.status, 415);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_in_any_script_is_taken_and_shown_as_it_was_given() {
    let api = Api::start().await;
    let made = api.admin("POST", WEBHOOKS, Some(&with(&api, "targetUrl", json!("https://bücher.example/")))).await;
    assert_eq!(made.expect(201)["targetUrl"], "https://bücher.example/");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_there_is_a_problem_too() {
    let api = Api::start().await;
    for (method, path, status) in [
        ("GET", "/", 404),
        ("GET", "/api/integrations/nothing", 404),
        ("PATCH", WEBHOOKS, 405),
        ("GET", "/.git/config", 404),
    ] {
        let answer = api.send(request(None, method, path, None, &[])).await;
        assert_eq!(answer.status, status, "{method} {path}");
        assert_eq!(answer.headers["content-type"], "application/problem+json");
        assert_eq!(answer.json()["status"], status);
    }
    let page = api.send(request(None, "GET", "/admin/", None, &[])).await;
    assert!(page.status == 200 && (page.text.contains("is not built") || page.text.contains("id=\"root\"")));
}
