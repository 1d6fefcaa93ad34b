//! The event log and the trace of an event.

use bson::{DateTime, Document, Timestamp, doc, oid::ObjectId};
use serde_json::{Value, json};
use taskwire::model::{DeliveryStatus, DocId, EventFilter, EventKind, Ordering, StreamTime, Version};
use taskwire::store::names;

use crate::harness::{Api, EVENTS};

async fn ids(api: &Api, path: &str) -> Vec<String> {
    let page = api.admin("GET", path, None).await.expect(200);
    page["items"].as_array().unwrap().iter().map(|item| item["id"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_is_read_newest_first_page_by_page_while_it_grows() {
    let api = Api::start().await;
    let path = api.webhook_path().await;
    let mut made = Vec::new();
    for n in 1..=5 {
        made.insert(0, api.delivery(&path, n, |_| {}).await.event_id.to_string());
    }
    let first = api.admin("GET", &format!("{EVENTS}?limit=2"), None).await.expect(200);
    assert_eq!(first["items"][0]["id"], made[0]);
    assert_eq!(
        first["items"][0],
        json!({"id": made[0], "groupId": api.group_a.to_hex(), "taskId": "070707070707070707070707",
               "eventType": "task.completed", "timestamp": "2025-10-09T08:53:25.000Z", "sequence": 5, "actorId": null,
               "status": "Completed", "changed": ["status"], "echo": false, "muted": false, "recovered": false})
    );
    api.delivery(&path, 9, |_| {}).await;
    let cursor = first["nextCursor"].as_str().unwrap();
    assert_eq!(ids(&api, &format!("{EVENTS}?limit=2&cursor={cursor}")).await, made[2..4]);
    let other = format!("{EVENTS}?limit=2&eventType=task.completed&cursor={cursor}");
    assert_eq!(api.admin("GET", &other, None).await.faulty_fields(), ["cursor"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_filter_of_the_log_finds_its_own() {
    let api = Api::start().await;
    let path = api.webhook_path().await;
    let task = ObjectId::new();
    let a = api.delivery(&path, 1, |row| row.task_id = task.into()).await.event_id.to_string();
    let b = api.delivery(&path, 2, |row| row.event_type = EventKind::Created).await.event_id.to_string();
    let c = api.delivery(&path, 3, |_| {}).await.event_id.to_string();
    let second = |n: u32| format!("2025-10-09T08:53:2{n}.000Z");
    for (query, expected) in [
        (format!("taskId={task}"), vec![&a]),
        ("eventType=task.created".to_owned(), vec![&b]),
        (format!("since={}", second(2)), vec![&c, &b]),
        (format!("until={}", second(2)), vec![&a]),
        (format!("groupId={}", api.group_a), vec![&c, &b, &a]),
        ("taskId=none".to_owned(), vec![]),
    ] {
        assert_eq!(&ids(&api, &format!("{EVENTS}?{query}")).await.iter().collect::<Vec<_>>(), &expected, "{query}");
    }
    let bad = api.admin("GET", &format!("{EVENTS}?eventType=x&since=y&limit=0&z=1"), None).await;
    let mut fields = bad.faulty_fields();
    fields.sort();
    assert_eq!(fields, ["eventType", "limit", "since", "z"]);
}

/// What the trace says of a webhook with this version as of the event, and no delivery.
async fn told(change: impl FnOnce(&mut Version, &mut Document)) -> (Value, Value) {
    let api = Api::start().await;
    let path = api.webhook_path().await;
    let row = api.delivery(&path, 1, |_| {}).await;
    api.store.collection::<Document>(names::DELIVERIES).delete_many(doc! {}).await.unwrap();
    let mut version = Version {
        webhook_id: row.webhook_id,
        group_id: row.group_id,
        at: StreamTime::new(Timestamp { time: 1_760_000_000, increment: 1 }, 0),
        live: true,
        reason: None,
        events: EventFilter { task_completed: true, ..EventFilter::default() },
        ordering: Ordering::None,
        skip_inbound_echoes: false,
        mute_until: None,
    };
    let mut of_event = Document::new();
    change(&mut version, &mut of_event);
    api.store.collection::<Version>(names::WEBHOOK_VERSIONS).insert_one(version).await.unwrap();
    if !of_event.is_empty() {
        let events = api.store.collection::<Document>(names::EVENTS);
        events.update_one(doc! {}, doc! { "$set": of_event }).await.unwrap();
    }
    let trace = api.admin("GET", &format!("{EVENTS}/{}/trace", row.event_id), None).await.expect(200);
    assert_eq!(trace["event"]["id"], row.event_id.to_string());
    let item = &trace["items"][0];
    assert_eq!(item["webhookName"], "PRIVATE-NAME");
    assert_eq!(item["deliveryId"], Value::Null);
    (item["outcome"].clone(), item["reason"].clone())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trace_says_why_a_webhook_did_not_get_an_event() {
    let not_sent = |reason: &str| (json!("not-sent"), json!(reason));
    assert_eq!(told(|version, _| version.events = EventFilter::default()).await, not_sent("filter"));
    let stopped = |reason: &'static str| {
        told(move |version, _| (version.live, version.reason) = (false, Some(reason.to_owned())))
    };
    assert_eq!(stopped("disabled").await, not_sent("disabled"));
    assert_eq!(stopped("deleted").await, not_sent("deleted"));
    assert_eq!(told(|version, _| version.at.t += 60).await, not_sent("created-later"));
    let echo = |version: &mut Version, event: &mut Document| {
        version.skip_inbound_echoes = true;
        event.insert("echo", true);
    };
    assert_eq!(told(echo).await, not_sent("echo"));
    assert_eq!(told(|_, event| drop(event.insert("muted", true))).await, not_sent("muted"));
    assert_eq!(told(|_, _| {}).await, (json!("expired"), Value::Null));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trace_shows_what_became_of_the_delivery_also_of_a_deleted_webhook() {
    let api = Api::start().await;
    let path = api.webhook_path().await;
    let row = api.delivery(&path, 1, |row| {
        row.status = DeliveryStatus::DeadLetter;
        row.error_message = Some("HTTP 500".into());
    });
    let row = row.await;
    api.admin("DELETE", &path, None).await.expect(204);
    let trace = api.admin("GET", &format!("{EVENTS}/{}/trace", row.event_id), None).await.expect(200);
    let item = &trace["items"][0];
    assert_eq!(item["outcome"], "dead-letter");
    assert_eq!((&item["deleted"], &item["attempts"]), (&json!(true), &json!(1)));
    assert_eq!((&item["deliveryId"], &item["errorMessage"]), (&json!(row.id.to_string()), &json!("HTTP 500")));
    for unknown in ["evt_0", "x"] {
        assert_eq!(api.admin("GET", &format!("{EVENTS}/{unknown}/trace"), None).await.status, 404);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trace_shows_the_newest_thousand_webhooks_and_says_how_many_it_leaves_out() {
    let api = Api::start().await;
    let path = api.webhook_path().await;
    let row = api.delivery(&path, 1, |_| {}).await;
    let trace = format!("{EVENTS}/{}/trace", row.event_id);
    assert_eq!(api.admin("GET", &trace, None).await.expect(200)["itemsLeftOut"], 0);
    // Older than the one above, and long deleted.
    let webhooks = api.store.collection::<Document>(names::WEBHOOKS);
    let mut old = webhooks.find_one(doc! {}).await.unwrap().unwrap();
    let many = (0..1003_u32).map(|n| {
        let mut id = [0; 12];
        id[8..].copy_from_slice(&n.to_be_bytes());
        old.insert("_id", ObjectId::from_bytes(id));
        old.insert("deletedAt", DateTime::now());
        old.clone()
    });
    webhooks.insert_many(many).await.unwrap();
    let told = api.admin("GET", &trace, None).await.expect(200);
    let items = told["items"].as_array().unwrap();
    assert_eq!((items.len(), &told["itemsLeftOut"]), (1000, &json!(4)));
    assert_eq!((&items[0]["deliveryId"], &items[0]["deleted"]), (&json!(row.id.to_string()), &json!(false)));
    assert_eq!(items[999]["webhookId"], "000000000000000000000004");
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_go_by_an_index_and_look_at_little_more_than_they_show() {
    let api = Api::start().await;
    let path = api.webhook_path().await;
    for n in 1..=60 {
        api.delivery(&path, n, |row| {
            row.task_id = DocId::Oid(ObjectId::from_bytes([(n % 20) as u8; 12]));
            row.event_type = if n % 2 == 0 { EventKind::Created } else { EventKind::Completed };
        })
        .await;
    }
    let explain = async |filter: Document| {
        let find = doc! { "find": names::EVENTS, "filter": filter, "sort": { "_id": -1 }, "limit": 5 };
        let plan = api.store.db.run_command(doc! { "explain": find, "verbosity": "executionStats" }).await.unwrap();
        plan.get_document("executionStats").unwrap().get_i32("totalKeysExamined").unwrap()
    };
    let group = doc! { "$in": [api.group_a] };
    assert!(explain(doc! { "groupId": group.clone() }).await <= 6);
    let task = ObjectId::from_bytes([3; 12]);
    assert!(explain(doc! { "groupId": group, "taskId": task }).await <= 6);
}
