//! Statistics by hour, and whether the watcher is up to date.

use bson::{DateTime, Document, doc, oid::ObjectId};
use serde_json::{Value, json};
use taskwire::model::stats::{Counts, Durations, HOUR_MS, HourOfWebhook, hour_of};
use taskwire::store::{names, standing, stats};

use crate::harness::Api;

const STATS: &str = "/api/integrations/stats";
const STATUS: &str = "/api/integrations/status";

/// Counts of a webhook's hour, so many hours ago.
fn hour(api: &Api, webhook: ObjectId, ago: i64, successes: i64, failures: i64) -> HourOfWebhook {
    let mut counts = Counts { successes, failures, dead_letters: failures, durations: Durations::default() };
    counts.durations.add(4, successes + failures);
    let at = DateTime::from_millis(DateTime::now().timestamp_millis() - ago * HOUR_MS);
    HourOfWebhook { group_id: api.group_a.into(), webhook_id: webhook, hour: hour_of(at), counts }
}

fn id_in(path: &str) -> ObjectId {
    ObjectId::parse_str(path.rsplit('/').next().unwrap()).unwrap()
}

fn totals(stats: &Value) -> [i64; 4] {
    ["attempts", "successes", "failures", "deadLetters"].map(|name| stats[name].as_i64().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn hours_are_added_up_by_webhook_and_by_group_and_every_hour_of_the_window_is_there() {
    let api = Api::start().await;
    let (one, other) = (api.webhook_path().await, api.webhook_path().await);
    let of = |path: &str, ago, good, bad| hour(&api, id_in(path), ago, good, bad);
    stats::add(&api.store, &[of(&one, 0, 5, 1), of(&one, 2, 10, 0), of(&one, 30, 100, 0), of(&other, 0, 7, 0)])
        .await
        .unwrap();
    stats::add(&api.store, &[of(&one, 2, 1, 1)]).await.unwrap();
    let day = api.admin("GET", &format!("{one}/stats"), None).await.expect(200);
    assert_eq!((totals(&day), &day["window"]), ([18, 16, 2, 2], &json!("24h")));
    let hours = day["byHour"].as_array().unwrap();
    assert_eq!(hours.len(), 24);
    assert_eq!([21, 22, 23].map(|at: usize| totals(&hours[at])), [[12, 11, 1, 1], [0; 4], [6, 5, 1, 1]]);
    assert!((5..=7).contains(&day["latencyMs"]["p50"].as_i64().unwrap()), "{}", day["latencyMs"]);
    assert_eq!(hours[22]["latencyMs"], json!({"p50": null, "p95": null, "p99": null}));
    let two_days = api.admin("GET", &format!("{one}/stats?window=2d"), None).await.expect(200);
    assert_eq!(totals(&two_days), [118, 116, 2, 2]);
    let group = api.admin("GET", &format!("{STATS}?groupId={}&window=1h", api.group_a), None).await.expect(200);
    assert_eq!(totals(&group), [13, 12, 1, 1]);
    let of_other_group = api.ask(api.admin_b, "GET", STATS, None).await.expect(200);
    assert_eq!(totals(&of_other_group), [0; 4]);
    let each = api.admin("GET", &format!("{STATS}/webhooks?groupId={}", api.group_a), None).await.expect(200);
    let each = each["items"].as_array().unwrap();
    let named = |at: usize| (each[at]["webhookId"].as_str().unwrap().to_owned(), totals(&each[at]["stats"]));
    let mut expected = [(id_in(&one).to_hex(), [18, 16, 2, 2]), (id_in(&other).to_hex(), [7, 7, 0, 0])];
    expected.sort();
    assert_eq!((each.len(), [named(0), named(1)]), (2, expected));
    let too_long = format!("{STATS}/webhooks?groupId={}&window=8d", api.group_a);
    assert_eq!(api.admin("GET", &too_long, None).await.faulty_fields(), ["window"]);
    assert_eq!(api.admin("GET", &format!("{STATS}/webhooks"), None).await.faulty_fields(), ["groupId"]);
    for bad in ["x", "0h", "91d", "1h;"] {
        assert_eq!(api.admin("GET", &format!("{STATS}?window={bad}"), None).await.faulty_fields(), ["window"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_status_says_what_the_watcher_last_said_and_for_how_long_it_has_been_silent() {
    let api = Api::start().await;
    let look = async || api.admin("GET", STATUS, None).await.expect(200);
    let none =
        json!({"state": "stopped", "lagSeconds": null, "oplogRemainingSeconds": null, "paused": false, "at": null});
    assert_eq!(look().await, none);
    let now = DateTime::now().timestamp_millis();
    let say = async |lag: f64, ago_ms: i64| {
        let at = DateTime::from_millis(now - ago_ms);
        let said = standing::Standing { lag_seconds: lag, oplog_seconds: Some(7200.0), at };
        standing::say(&api.store, &said).await.unwrap();
        look().await
    };
    let live = say(1.0, 0).await;
    assert_eq!((&live["state"], &live["lagSeconds"]), (&json!("live"), &json!(1.0)));
    assert_eq!(live["oplogRemainingSeconds"], 7200.0);
    assert_eq!(say(60.0, 0).await["state"], "behind");
    let silent = say(1.0, 3_600_000).await;
    assert_eq!((&silent["state"], &silent["lagSeconds"]), (&json!("stopped"), &Value::Null));
    // It grows shorter while nobody reads.
    let left = silent["oplogRemainingSeconds"].as_f64().unwrap();
    assert!((3500.0..=3600.0).contains(&left), "{left}");
    let pause =
        doc! { "_id": format!("group/{}", api.group_b), "groupId": api.group_b, "since": DateTime::now(), "by": "x" };
    api.store.collection::<Document>(names::PAUSES).insert_one(pause).await.unwrap();
    assert_eq!(look().await["paused"], false);
    assert_eq!(api.ask(api.admin_b, "GET", STATUS, None).await.expect(200)["paused"], true);
    assert_eq!(api.ask(api.member_a, "GET", STATUS, None).await.status, 403);
}
