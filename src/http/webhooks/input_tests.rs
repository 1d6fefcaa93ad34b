use serde_json::{Value, json};

use super::*;
use crate::model::RetryPolicy;

pub(in crate::http) fn keys() -> MasterKeys {
    MasterKeys::parse("BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=").unwrap()
}

fn group() -> DocId {
    DocId::parse("65a000000000000000000001")
}

fn input(change: &Value) -> WebhookInput {
    let mut body = json!({"name": "n", "targetUrl": "https://example.com/", "events": {"taskCreated": true}});
    for (key, value) in change.as_object().unwrap() {
        body[key] = value.clone();
    }
    serde_json::from_value(body).unwrap()
}

/// A stored webhook whose secret is `the first secret`.
pub(in crate::http::webhooks) fn webhook() -> Webhook {
    let (group, checked) = input(&json!({})).check_new(Some(group()), &TargetPolicy::default()).unwrap();
    let secret = SecretString::from("the first secret");
    checked.into_webhook(&keys(), group, &DocId::parse("u"), &secret, DateTime::from_millis(1)).unwrap()
}

fn fields(error: &ApiError) -> String {
    format!("{error:?}")
}

#[test]
fn a_new_webhook_has_the_defaults() {
    let webhook = webhook();
    assert!(webhook.enabled && webhook.headers.is_none() && webhook.rate_limit_per_second.is_none());
    assert_eq!(webhook.retry_policy, RetryPolicy { max_attempts: 14, backoff_seconds: 30 });
    assert_eq!((webhook.timeout_seconds, webhook.ordering, webhook.revision), (15, Ordering::None, 1));
    assert!(!webhook.skip_inbound_echoes && webhook.disabled_reason.is_none());
}

#[test]
fn every_missing_field_is_named_at_once() {
    let error = WebhookInput::default().check_new(None, &TargetPolicy::default()).err().unwrap();
    for field in ["groupId", "name", "targetUrl", "events"] {
        assert!(fields(&error).contains(&format!("\"{field}\"")), "{field}");
    }
}

#[test]
fn every_value_out_of_its_range_is_named() {
    for (field, body) in [
        ("name", json!({"name": ""})),
        ("name", json!({"name": "   "})),
        ("name", json!({"name": "é".repeat(201)})),
        ("name", json!({"name": "a\nb"})),
        ("targetUrl", json!({"targetUrl": "nowhere"})),
        ("targetUrl", json!({"targetUrl": format!("https://example.com/{}", "a".repeat(2048))})),
        ("targetUrl", json!({"targetUrl": "http://example.com/"})),
        ("targetUrl", json!({"targetUrl": "https://127.0.0.1/"})),
        ("events", json!({"events": {}})),
        ("events", json!({"events": {"taskCreated": false}})),
        ("retryPolicy.maxAttempts", json!({"retryPolicy": {"maxAttempts": 0}})),
        ("retryPolicy.maxAttempts", json!({"retryPolicy": {"maxAttempts": 21}})),
        ("retryPolicy.backoffSeconds", json!({"retryPolicy": {"backoffSeconds": 86_401}})),
        ("retryPolicy.backoffSeconds", json!({"retryPolicy": {"backoffSeconds": 9_000_000_000_i64}})),
        ("timeoutSeconds", json!({"timeoutSeconds": 31})),
        ("rateLimitPerSecond", json!({"rateLimitPerSecond": 0})),
        ("rateLimitPerSecond", json!({"rateLimitPerSecond": 1001})),
        ("secret", json!({"secret": "fifteen chars.."})),
        ("secret", json!({"secret": "x".repeat(257)})),
        ("secret", json!({"secret": "whsec_not base64 at all"})),
        ("secret", json!({"secret": " sixteen chars ok"})),
        ("secret", json!({"secret": "sixteen chars ok\n"})),
        ("secret", json!({"secret": "sixteen\u{0}chars ok"})),
        ("headers.Host", json!({"headers": {"Host": "x"}})),
        ("rotateSecret", json!({"rotateSecret": true})),
    ] {
        let error = input(&body).check_new(Some(group()), &TargetPolicy::default()).err();
        let error = error.unwrap_or_else(|| panic!("{body} was taken"));
        assert!(fields(&error).contains(&format!("field: \"{field}\"")), "{body}: {error:?}");
    }
}

#[test]
fn the_ends_of_every_range_are_taken() {
    for body in [
        json!({"name": "é".repeat(200), "retryPolicy": {"maxAttempts": 1, "backoffSeconds": 86_400}}),
        json!({"retryPolicy": {"maxAttempts": 20, "backoffSeconds": 1}, "timeoutSeconds": 30}),
        json!({"timeoutSeconds": 1, "rateLimitPerSecond": 1000, "secret": "ü".repeat(256)}),
        json!({"rateLimitPerSecond": null, "secret": "sixteen chars ok"}),
    ] {
        assert!(input(&body).check_new(Some(group()), &TargetPolicy::default()).is_ok(), "{body}");
    }
}

fn changed(webhook: &mut Webhook, body: Value) -> Vec<&'static str> {
    let input: WebhookInput = serde_json::from_value(body).unwrap();
    input.check_change(&group(), &TargetPolicy::default()).unwrap().apply(&keys(), webhook).unwrap()
}

#[test]
fn a_change_keeps_what_it_leaves_out_and_names_what_it_changed() {
    let mut webhook = webhook();
    let body = json!({"headers": {"X-A": "1"}, "rateLimitPerSecond": 5, "retryPolicy": {"maxAttempts": 3}});
    assert_eq!(changed(&mut webhook, body.clone()), ["retryPolicy.maxAttempts", "rateLimitPerSecond", "headers"]);
    assert_eq!(webhook.retry_policy, RetryPolicy { max_attempts: 3, backoff_seconds: 30 });
    assert!(changed(&mut webhook, body).is_empty());
    assert!(changed(&mut webhook, json!({"name": "n", "groupId": group().to_string()})).is_empty());
    assert_eq!(changed(&mut webhook, json!({"rateLimitPerSecond": null})), ["rateLimitPerSecond"]);
    assert_eq!(webhook.rate_limit_per_second, None);
    assert_eq!(changed(&mut webhook, json!({"headers": {}})), ["headers"]);
    assert_eq!(webhook.headers, None);
}

#[test]
fn a_change_refuses_another_group_and_contradictions_about_the_secret() {
    for (field, body) in [
        ("groupId", json!({"groupId": "65a000000000000000000002"})),
        ("finalizeRotation", json!({"rotateSecret": true, "finalizeRotation": true})),
        ("secret", json!({"secret": "sixteen chars ok"})),
    ] {
        let input: WebhookInput = serde_json::from_value(body).unwrap();
        let error = input.check_change(&group(), &TargetPolicy::default()).err().unwrap();
        assert!(fields(&error).contains(&format!("field: \"{field}\"")), "{error:?}");
    }
}
