//! How fast one may ask, and from which pages.

use crate::harness::{Api, WEBHOOKS, request, token};

#[tokio::test(flavor = "multi_thread")]
async fn a_user_who_asks_too_fast_is_told_to_wait_and_others_are_not() {
    let api = Api::start_with(&[("user_rate_per_minute", "5")]).await;
    for _ in 0..5 {
        api.admin("GET", WEBHOOKS, None).await.expect(200);
    }
    let refused = api.admin("POST", WEBHOOKS, Some(&api.body())).await;
    assert_eq!(
        (refused.status.as_u16(), &refused.headers["content-type"]),
        (429, &"application/problem+json".parse().unwrap())
    );
    let wait: u64 = refused.headers["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((1..=60).contains(&wait), "{wait}");
    api.ask(api.admin_b, "GET", WEBHOOKS, None).await.expect(200);
    // Without a good token nothing is counted, and nothing is told.
    assert_eq!(api.send(request(Some("bad"), "GET", WEBHOOKS, None, &[])).await.status, 401);
}

async fn preflight(api: &Api, origin: &str) -> Option<String> {
    let headers = [("origin", origin), ("access-control-request-method", "PUT")];
    let answer = api.send(request(None, "OPTIONS", WEBHOOKS, None, &headers)).await;
    answer.headers.get("access-control-allow-origin").map(|value| value.to_str().unwrap().to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_pages_that_a_setting_names_may_ask_from_a_browser() {
    let origin = "https://app.example";
    let api = Api::start_with(&[("cors_origins", "https://app.example, http://localhost:5173")]).await;
    assert_eq!(preflight(&api, origin).await.as_deref(), Some(origin));
    assert_eq!(preflight(&api, "http://localhost:5173").await.as_deref(), Some("http://localhost:5173"));
    assert_eq!(preflight(&api, "https://evil.example").await, None);
    let asked = request(Some(&token(api.admin_a)), "GET", WEBHOOKS, None, &[("origin", origin)]);
    let answer = api.send(asked).await;
    assert_eq!(answer.headers["access-control-allow-origin"], origin);
    let exposed = answer.headers["access-control-expose-headers"].to_str().unwrap();
    assert!(["etag", "location", "retry-after"].iter().all(|name| exposed.contains(name)), "{exposed}");
    assert_eq!(answer.headers.get("access-control-allow-credentials"), None);
    let without = Api::start().await;
    assert_eq!(preflight(&without, origin).await, None);
}
