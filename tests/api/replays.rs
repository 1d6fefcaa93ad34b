//! Bulk replays and backfills as they are asked for, watched and cancelled. What an indexer makes of them is in the flow
//! tests.

use bson::{DateTime, Document, doc};
use serde_json::{Value, json};
use taskwire::model::{DeliveryStatus, EventKind};
use taskwire::store::names;

use crate::harness::Api;

async fn dead(api: &Api, path: &str, n: u32) {
    api.delivery(path, n, |row| row.status = DeliveryStatus::DeadLetter).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_counts_what_fits_and_writes_nothing() {
    let api = Api::start().await;
    let path = api.webhook_path().await;
    dead(&api, &path, 1).await;
    dead(&api, &path, 2).await;
    api.delivery(&path, 3, |row| (row.status, row.event_type) = (DeliveryStatus::DeadLetter, EventKind::Created)).await;
    api.delivery(&path, 4, |_| {}).await;
    let before = api.everything().await;
    let second = |n: u32| format!("2025-10-09T08:53:2{n}.000Z");
    for (body, count) in [
        (json!({"dryRun": true}), 3),
        (json!({"dryRun": true, "status": "delivered"}), 1),
        (json!({"dryRun": true, "eventTypes": ["task.created"]}), 1),
        (json!({"dryRun": true, "since": second(2)}), 2),
        (json!({"dryRun": true, "until": second(2)}), 1),
    ] {
        let answer = api.admin("POST", &format!("{path}/replay"), Some(&body)).await.expect(202);
        assert_eq!(answer, json!({"count": count, "countIsMinimum": false, "replayId": null}), "{body}");
    }
    assert_eq!(api.everything().await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backfill_counts_events_that_have_no_delivery_and_that_the_webhook_asks_for() {
    let api = Api::start().await;
    let path = api.webhook_path().await;
    for n in 1..=4 {
        let kind = if n == 4 { EventKind::Swapped } else { EventKind::Completed };
        api.delivery(&path, n, |row| row.event_type = kind).await;
    }
    let rows = api.store.collection::<Document>(names::DELIVERIES);
    rows.delete_many(doc! { "sequence": { "$gt": 1 } }).await.unwrap();
    let count = async |body: Value| {
        api.admin("POST", &format!("{path}/backfill"), Some(&body)).await.expect(202)["count"].clone()
    };
    let since = "2025-10-09T00:00:00Z";
    assert_eq!(count(json!({"since": since, "dryRun": true})).await, 2);
    assert_eq!(count(json!({"since": since, "dryRun": true, "eventTypes": ["task.swapped"]})).await, 1);
    assert_eq!(count(json!({"since": "2025-10-09T08:53:23Z", "dryRun": true})).await, 1);
    let events = api.store.collection::<Document>(names::EVENTS);
    events.update_one(doc! { "sequence": 2 }, doc! { "$set": { "muted": true } }).await.unwrap();
    assert_eq!(count(json!({"since": since, "dryRun": true})).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replay_is_on_record_until_it_is_cancelled_and_only_one_runs_at_a_time() {
    let api = Api::start().await;
    let path = api.webhook_path().await;
    dead(&api, &path, 1).await;
    let begin = async || api.admin("POST", &format!("{path}/replay"), Some(&json!({}))).await;
    let begun = begin().await.expect(202);
    assert_eq!(begun["count"], 1);
    let one = format!("{path}/replays/{}", begun["replayId"].as_str().unwrap());
    let shown = api.admin("GET", &one, None).await.expect(200);
    assert_eq!(
        (&shown["status"], &shown["kind"], &shown["total"], &shown["done"], &shown["deliveryStatus"]),
        (&json!("running"), &json!("replay"), &json!(1), &json!(0), &json!("dead-letter"))
    );
    assert_eq!(begin().await.status, 409);
    let ended = api.admin("DELETE", &one, None).await.expect(200);
    assert_eq!(ended["status"], "cancelled");
    assert!(ended["finishedAt"].is_string());
    assert_eq!(api.admin("DELETE", &one, None).await.status, 409);
    begin().await.expect(202);
    let list = api.admin("GET", &format!("{path}/replays"), None).await.expect(200);
    let states: Vec<_> = list["items"].as_array().unwrap().iter().map(|item| &item["status"]).collect();
    assert_eq!(states, ["running", "cancelled"]);
    let audit = api.everything().await;
    for action in ["webhook.replay-started", "webhook.replay-cancelled"] {
        assert!(audit.contains(action));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_that_are_asked_for_at_once_one_begins() {
    let api = Api::start().await;
    let path = api.webhook_path().await;
    let (replay, body) = (format!("{path}/replay"), json!({}));
    let answers = futures::future::join_all((0..4).map(|_| api.admin("POST", &replay, Some(&body)))).await;
    let mut statuses: Vec<u16> = answers.iter().map(|answer| answer.status.as_u16()).collect();
    statuses.sort_unstable();
    assert_eq!(statuses, [202, 409, 409, 409]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_with_a_selection_is_named() {
    let api = Api::start().await;
    let path = api.webhook_path().await;
    let late = "2999-01-01T00:00:00Z";
    for (call, body, fields) in [
        ("replay", json!({"status": "failed"}), vec!["status"]),
        (
            "replay",
            json!({"eventTypes": ["task.completed", "x"], "since": "yesterday"}),
            vec!["since", "eventTypes[1]"],
        ),
        ("replay", json!({"eventTypes": vec!["task.created"; 101]}), vec!["eventTypes"]),
        ("replay", json!({"since": late}), vec!["since"]),
        ("replay", json!({"colour": 1}), vec!["colour"]),
        ("replay", json!({"dryRun": "yes"}), vec!["dryRun"]),
        ("replay", json!({"since": null}), vec!["since"]),
        ("backfill", json!({}), vec!["since"]),
        ("backfill", json!({"since": "2025-01-01T00:00:00Z", "until": "2024-01-01T00:00:00Z"}), vec!["since"]),
    ] {
        let answer = api.admin("POST", &format!("{path}/{call}"), Some(&body)).await;
        assert_eq!(answer.faulty_fields(), fields, "{call} {body}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backfill_does_not_reach_back_to_where_deliveries_were_sent_and_removed() {
    let api = Api::start().await;
    let path = api.webhook_path().await;
    let now = DateTime::now();
    let horizon = doc! { "_id": "retention", "deliveriesFrom": now };
    api.store.collection::<Document>(names::CHECKPOINTS).insert_one(horizon).await.unwrap();
    let body = json!({"since": "2025-01-01T00:00:00Z"});
    // Created before the horizon: some of its deliveries may be gone.
    let answer = api.admin("POST", &format!("{path}/backfill"), Some(&body)).await;
    assert_eq!(answer.faulty_fields(), ["since"]);
    // Before it was created there were none.
    let until = json!({"since": "2025-01-01T00:00:00Z", "until": "2025-02-01T00:00:00Z"});
    api.admin("POST", &format!("{path}/backfill"), Some(&until)).await.expect(202);
}
