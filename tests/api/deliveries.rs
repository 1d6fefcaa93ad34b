//! The log of deliveries, and the replay of one.

use bson::{DateTime, Document, doc, oid::ObjectId};
use serde_json::{Value, json};
use taskwire::model::{DeliveryStatus, EventKind};
use taskwire::store::names;

use crate::harness::Api;

async fn ids(api: &Api, path: &str) -> Vec<String> {
    let page = api.admin("GET", path, None).await.expect(200);
    page["items"].as_array().unwrap().iter().map(|item| item["id"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_item_has_exactly_the_fields_that_were_promised_and_no_text_of_the_task() {
    let api = Api::start().await;
    let path = api.webhook_path().await;
    let row = api.delivery(&path, 1, |_| {}).await;
    let answer = api.admin("GET", &format!("{path}/deliveries"), None).await;
    assert!(!answer.text.contains("Ünïcode"));
    let page = answer.expect(200);
    let webhook = path.rsplit('/').next().unwrap();
    assert_eq!(
        page,
        json!({"items": [{
            "id": row.id.to_string(),
            "groupId": api.group_a.to_hex(),
            "webhookId": webhook,
            "eventId": row.event_id.to_string(),
            "eventType": "task.completed",
            "taskId": row.task_id.to_string(),
            "payloadSummary": {"taskId": row.task_id.to_string(), "status": "Completed", "changed": ["status"]},
            "status": "delivered",
            "attempts": 1,
            "createdAt": "2025-10-09T08:53:21.000Z",
            "lastAttemptAt": "2025-10-09T08:53:21.000Z",
            "nextAttemptAt": null,
            "deliveredAt": "2025-10-09T08:53:21.000Z",
            "responseStatus": 200,
            "durationMs": 12,
            "errorMessage": null,
        }], "nextCursor": null})
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn one_delivery_has_its_attempts_and_the_exact_body_while_the_event_is_kept() {
    let api = Api::start().await;
    let path = api.webhook_path().await;
    let row = api.delivery(&path, 1, |row| row.log[0].response_body = Some("no such hook".into())).await;
    let one = format!("{path}/deliveries/{}", row.id);
    let found = api.admin("GET", &one, None).await.expect(200);
    let body = format!(r#"{{"id":"{}","event":"task.completed","data":{{"name":"Ünïcode  1"}}}}"#, row.event_id);
    assert_eq!(found["body"], body);
    assert_eq!(
        found["attemptLog"],
        json!([{"attempt": 1, "at": "2025-10-09T08:53:21.000Z", "outcome": "delivered", "durationMs": 12,
                "responseStatus": 200, "errorMessage": null, "responseBody": "no such hook"}])
    );
    api.store.collection::<Document>(names::EVENTS).delete_many(doc! {}).await.unwrap();
    assert_eq!(api.admin("GET", &one, None).await.expect(200)["body"], Value::Null);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_filter_finds_its_own() {
    let api = Api::start().await;
    let path = api.webhook_path().await;
    let other_task = ObjectId::new();
    let a = api.delivery(&path, 1, |row| row.status = DeliveryStatus::DeadLetter).await;
    let b = api.delivery(&path, 2, |row| row.event_type = EventKind::Created).await;
    let c = api.delivery(&path, 3, |row| row.task_id = other_task.into()).await;
    let [a, b, c] = [a, b, c].map(|row| row.id.to_string());
    for (query, expected) in [
        (String::new(), vec![&c, &b, &a]),
        ("?status=dead-letter".into(), vec![&a]),
        ("?status=delivered".into(), vec![&c, &b]),
        ("?status=queued".into(), vec![]),
        ("?eventType=task.created".into(), vec![&b]),
        (format!("?taskId={other_task}"), vec![&c]),
        ("?since=2025-10-09T08:53:22Z".into(), vec![&c, &b]),
        ("?until=2025-10-09T08:53:22Z".into(), vec![&a]),
        ("?since=2025-10-09T10:53:22%2B02:00&until=2025-10-09T08:53:23Z".into(), vec![&b]),
        ("?status=delivered&eventType=task.completed".into(), vec![&c]),
    ] {
        assert_eq!(
            ids(&api, &format!("{path}/deliveries{query}")).await,
            expected.into_iter().cloned().collect::<Vec<_>>(),
            "{query}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_hold_every_row_once_newest_first_also_within_one_millisecond_and_while_rows_come() {
    let api = Api::start().await;
    let path = api.webhook_path().await;
    let mut rows = Vec::new();
    for n in 1..=7 {
        // Rows 2 to 6 were made in the same millisecond.
        let at = DateTime::from_millis(if (2..=6).contains(&n) {
            1_760_000_002_000
        } else {
            1_760_000_000_000 + i64::from(n) * 1000
        });
        rows.push(api.delivery(&path, n, |row| row.created_at = at).await);
    }
    rows.sort_by(|a, b| (b.created_at, &b.id).cmp(&(a.created_at, &a.id)));
    let expected: Vec<_> = rows.iter().map(|row| row.id.to_string()).collect();
    let base = format!("{path}/deliveries?limit=3&eventType=task.completed");
    let (mut seen, mut next) = (Vec::new(), base.clone());
    let mut newer = 100;
    loop {
        let page = api.admin("GET", &next, None).await.expect(200);
        seen.extend(page["items"].as_array().unwrap().iter().map(|item| item["id"].as_str().unwrap().to_owned()));
        let Some(cursor) = page["nextCursor"].as_str() else { break };
        next = format!("{base}&cursor={cursor}");
        newer += 1;
        api.delivery(&path, newer, |_| {}).await;
    }
    assert_eq!(seen, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cursor_of_another_webhook_or_filter_is_refused() {
    let api = Api::start().await;
    let (path, other) = (api.webhook_path().await, api.webhook_path().await);
    for n in 1..=2 {
        api.delivery(&path, n, |_| {}).await;
    }
    let page = api.admin("GET", &format!("{path}/deliveries?limit=1"), None).await.expect(200);
    let cursor = page["nextCursor"].as_str().unwrap();
    for foreign in [
        format!("{path}/deliveries?limit=1&status=delivered&cursor={cursor}"),
        format!("{other}/deliveries?limit=1&cursor={cursor}"),
        format!("{path}/deliveries?cursor=AAAA"),
        format!("{}?cursor={cursor}", crate::harness::WEBHOOKS),
    ] {
        assert_eq!(api.admin("GET", &foreign, None).await.faulty_fields(), ["cursor"], "{foreign}");
    }
    api.admin("GET", &format!("{path}/deliveries?limit=2&cursor={cursor}"), None).await.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replay_queues_a_finished_delivery_with_fresh_attempts_while_the_count_goes_on() {
    let api = Api::start().await;
    let path = api.webhook_path().await;
    let finished = api
        .delivery(&path, 1, |row| {
            row.status = DeliveryStatus::DeadLetter;
            row.attempts = 14;
            row.error_message = Some("refused".into());
        })
        .await;
    let answer = api.admin("POST", &format!("{path}/replay/{}", finished.id), None).await.expect(202);
    assert_eq!(answer, json!({"id": finished.id.to_string(), "status": "queued"}));
    let row = api.row(&finished.id).await;
    assert_eq!((row.status, row.attempts, row.attempts_base), (DeliveryStatus::Queued, 14, 14));
    assert!(row.due.is_some() && row.next_attempt_at == row.due && row.due.unwrap() > finished.created_at);
    assert_eq!((row.delivered_at, row.error_message, row.response_status, row.duration_ms), (None, None, None, None));
    assert_eq!((row.lease, row.ordered), (None, None));
    assert_eq!((row.log, row.last_attempt_at), (finished.log, finished.last_attempt_at));
    api.admin("POST", &format!("{path}/replay/{}", finished.id), None).await.expect(409);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replay_for_a_per_task_webhook_goes_in_order() {
    let api = Api::start().await;
    let path = api.webhook_path().await;
    api.admin("PUT", &path, Some(&json!({"ordering": "perTask"}))).await.expect(200);
    let row = api.delivery(&path, 1, |_| {}).await;
    api.admin("POST", &format!("{path}/replay/{}", row.id), None).await.expect(202);
    assert_eq!(api.row(&row.id).await.ordered, Some(true));
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_replays_at_once_one_is_taken() {
    let api = Api::start().await;
    let path = api.webhook_path().await;
    let row = api.delivery(&path, 1, |_| {}).await;
    let replay = format!("{path}/replay/{}", row.id);
    let answers = futures::future::join_all((0..8).map(|_| api.admin("POST", &replay, None))).await;
    let taken = answers.iter().filter(|answer| answer.status == 202).count();
    let refused = answers.iter().filter(|answer| answer.status == 409).count();
    assert_eq!((taken, refused), (1, 7));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_open_unknown_or_without_its_event_cannot_be_replayed() {
    let api = Api::start().await;
    let (path, other) = (api.webhook_path().await, api.webhook_path().await);
    for (n, status) in [(1, DeliveryStatus::Queued), (2, DeliveryStatus::Failed)] {
        let open = api.delivery(&path, n, |row| row.status = status).await;
        api.admin("POST", &format!("{path}/replay/{}", open.id), None).await.expect(409);
        assert_eq!(api.row(&open.id).await, open);
    }
    let done = api.delivery(&path, 3, |_| {}).await;
    for missing in [format!("{path}/replay/dlv_none"), format!("{other}/replay/{}", done.id)] {
        api.admin("POST", &missing, None).await.expect(404);
    }
    api.store.collection::<Document>(names::EVENTS).delete_many(doc! {}).await.unwrap();
    api.admin("POST", &format!("{path}/replay/{}", done.id), None).await.expect(409);
    assert_eq!(api.row(&done.id).await, done);
}
