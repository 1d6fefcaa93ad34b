use std::time::Instant;

use super::*;

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// A request signed as the contract says, except for what `tamper` does to it.
async fn post(
    receiver: &Receiver,
    path: &str,
    tamper: impl FnOnce(&mut HeaderMap, &mut Vec<u8>),
) -> reqwest::Result<reqwest::Response> {
    crate::init();
    let mut body = br#"{"id":"evt_1","event":"task.created","groupId":"g","timestamp":"2025-12-15T12:34:56.123Z",
        "actorId":null,"data":{"id":"t","sequence":1}}"#
        .to_vec();
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
    let standard = Webhook::new(SECRET).unwrap().sign("evt_1", i64::try_from(now).unwrap(), &body).unwrap();
    let mut headers = HeaderMap::new();
    for (name, value) in [
        ("x-signature", format!("sha256={}", hex_signature(SECRET, &now.to_string(), &body))),
        ("x-timestamp", now.to_string()),
        ("x-event", "task.created".to_owned()),
        ("x-delivery-id", "dlv_1".to_owned()),
        ("x-attempt", "1".to_owned()),
        ("webhook-id", "evt_1".to_owned()),
        ("webhook-timestamp", now.to_string()),
        ("webhook-signature", standard),
        ("user-agent", "Taskwire/0".to_owned()),
        ("content-type", "application/json".to_owned()),
    ] {
        headers.insert(name, value.parse().unwrap());
    }
    tamper(&mut headers, &mut body);
    reqwest::Client::new().post(receiver.url(path)).headers(headers).body(body).send().await
}

use standardwebhooks::Webhook;

async fn receiver() -> Receiver {
    let receiver = Receiver::start().await.unwrap();
    receiver.set_secret("/hook", SECRET);
    receiver
}

#[tokio::test]
async fn a_genuine_request_is_accepted_and_kept_whole() {
    let receiver = receiver().await;
    assert_eq!(post(&receiver, "/hook", |_, _| {}).await.unwrap().status(), 204);
    assert_eq!(receiver.accepted("/hook")[0].id, "evt_1");
    assert_eq!(receiver.complaints(), Vec::<String>::new());
}

#[tokio::test]
async fn a_changed_body_a_missing_header_and_an_unknown_secret_are_refused() {
    let receiver = receiver().await;
    assert_eq!(post(&receiver, "/hook", |_, body| body.push(b' ')).await.unwrap().status(), 401);
    for name in ["x-signature", "webhook-signature", "x-delivery-id", "x-attempt", "x-event", "webhook-id"] {
        let without = |headers: &mut HeaderMap, _: &mut Vec<u8>| drop(headers.remove(name));
        assert_eq!(post(&receiver, "/hook", without).await.unwrap().status(), 401, "{name}");
    }
    assert_eq!(post(&receiver, "/other", |_, _| {}).await.unwrap().status(), 401);
    assert_eq!(receiver.complaints().len(), 8);
    assert!(receiver.accepted("/hook").is_empty());
}

#[tokio::test]
async fn a_script_is_played_in_order_and_then_success_is_the_rule() {
    let receiver = receiver().await;
    receiver.fail_first("/hook", 1, 500);
    receiver.script("/hook", [Answer::retry_after(429, 7), Answer::slow(Duration::from_millis(200), 200)]);
    assert_eq!(post(&receiver, "/hook", |_, _| {}).await.unwrap().status(), 500);
    assert_eq!(post(&receiver, "/hook", |_, _| {}).await.unwrap().headers()["retry-after"], "7");
    let start = Instant::now();
    assert_eq!(post(&receiver, "/hook", |_, _| {}).await.unwrap().status(), 200);
    assert!(start.elapsed() >= Duration::from_millis(200));
    assert_eq!(post(&receiver, "/hook", |_, _| {}).await.unwrap().status(), 204);
    assert_eq!(receiver.received_at("/hook").len(), 4);
}

#[tokio::test]
async fn it_breaks_off_without_an_answer_halfway_through_one_and_never_ends_one() {
    let receiver = receiver().await;
    receiver.script("/hook", [Answer::Close, Answer::HalfBody, Answer::EndlessBody, Answer::Hang]);
    assert!(post(&receiver, "/hook", |_, _| {}).await.is_err());
    let half = post(&receiver, "/hook", |_, _| {}).await.unwrap();
    assert_eq!(half.status(), 200);
    assert!(half.bytes().await.is_err());
    let endless = post(&receiver, "/hook", |_, _| {}).await.unwrap();
    assert!(tokio::time::timeout(Duration::from_millis(500), endless.bytes()).await.is_err());
    assert!(tokio::time::timeout(Duration::from_millis(500), post(&receiver, "/hook", |_, _| {})).await.is_err());
}

#[tokio::test]
async fn refusing_closes_the_port_and_listening_again_takes_the_same_one() {
    let mut receiver = receiver().await;
    receiver.refuse().await;
    assert!(post(&receiver, "/hook", |_, _| {}).await.unwrap_err().is_connect());
    receiver.listen_again().await.unwrap();
    assert_eq!(post(&receiver, "/hook", |_, _| {}).await.unwrap().status(), 204);
}
