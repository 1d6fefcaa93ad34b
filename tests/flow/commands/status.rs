//! What `status` says, whatever state things are in.

use anyhow::{Context, Result};
use bson::{Document, Timestamp, doc, oid::ObjectId};
use serde_json::{Value, json};
use taskwire_tests::expected::Actors;
use taskwire_tests::service::NewTask;
use taskwire_tests::{Process, Profile, Program, Stack, eventually};

use super::{command, watcher};
use crate::common::{SOON, log_matches};

async fn status(stack: &Stack, code: i32) -> Result<Value> {
    command(stack, &["status", "--json"]).await?.expect(code)?.json()
}

fn problems(status: &Value) -> String {
    status["problems"].as_array().into_iter().flatten().filter_map(Value::as_str).collect::<Vec<_>>().join("\n")
}

async fn watching(stack: &Stack) -> Result<Process> {
    let launch = stack.launch(Program::Indexer).arguments(&["watch"]);
    launch.set("TASKWIRE_LEASE_MS", "500").set("TASKWIRE_IDLE_CHECKPOINT_MS", "100").start().await
}

#[tokio::test]
async fn status_tells_a_fresh_a_running_a_stopped_a_killed_and_a_lagging_indexer() -> Result<()> {
    let stack = Stack::new(Profile::TasksTracker).await?;
    let fresh = status(&stack, 1).await?;
    assert_eq!((&fresh["leader"]["state"], &fresh["position"]), (&json!("none"), &Value::Null));
    assert_eq!(fresh["firstStart"]["state"], "pending");
    assert!(problems(&fresh).contains("nobody has led yet"), "{fresh}");

    let mut api = stack.launch(Program::Api).start().await?;
    let webhook = stack.webhook(&stack.admin(&api.url())?).await?;
    let mut indexer = watching(&stack).await?;
    let task = stack.service.create(NewTask::named("secret name").requiring_approval()).await?.0.id;
    stack.service.request_approval(task).await?;
    stack.service.approve(task).await?;
    log_matches(&stack, &stack.service.expected(), Actors::MayBeMissing).await?;
    let running = status(&stack, 0).await?;
    assert_eq!((&running["leader"]["state"], &running["leader"]["epoch"]), (&json!("alive"), &json!(1)));
    assert_eq!((&running["firstStart"]["state"], &running["gaps"]["open"]), (&json!("complete"), &json!(0)));
    assert!(running["oplog"]["headroomSeconds"].as_i64().is_some_and(|left| left >= 0), "{running}");
    let queue = &running["queue"];
    assert_eq!([&queue["open"], &queue["due"], &queue["byState"]["queued"]], [&json!(4), &json!(4), &json!(4)]);
    assert_eq!((&queue["webhooks"][0]["webhookId"], &queue["deadLetters"]), (&webhook["id"], &json!(0)));
    let kinds = &running["events"]["kinds"];
    let told = |kind: &str| kinds[kind]["told"].as_i64().context("no count");
    assert_eq!([told("task.created")?, told("task.approved")?, told("task.swapped")?], [1, 1, 0]);
    assert_eq!(kinds["task.approved"]["toldBy"], json!(["writes of tasks", "history rows"]));
    assert_eq!(kinds["task.swapped"]["toldBy"], json!(["transactions of tasks"]));
    let text = command(&stack, &["status"]).await?.expect(0)?.out;
    assert!(text.contains("alive") && text.contains("4 open, 4 of them due") && !text.contains("secret"), "{text}");
    assert!(text.contains("0 failing, 0 disabled by Taskwire") && !text.contains("(disabled)"), "{text}");

    whose_webhooks_are_in_trouble(&stack, webhook["id"].as_str().context("no id")?).await?;

    indexer.stop(SOON).await?;
    let stopped = status(&stack, 1).await?;
    assert_eq!(stopped["leader"]["state"], "released");
    assert!(problems(&stopped).contains("nobody leads"), "{stopped}");

    indexer = watching(&stack).await?;
    indexer.kill().await?;
    assert_eq!(status(&stack, 1).await?["leader"]["state"], "silent");

    let time = watcher(&stack).await?.get_timestamp("time")?;
    let back = Timestamp { time: time.time - 7200, increment: 1 };
    let checkpoints = stack.db.collection::<Document>("watcherCheckpoints");
    checkpoints.update_one(doc! { "_id": "watcher" }, doc! { "$set": { "time": back } }).await?;
    let lagging = status(&stack, 1).await?;
    assert!(lagging["position"]["lagSeconds"].as_i64().is_some_and(|lag| lag >= 7200), "{lagging}");
    assert!(problems(&lagging).contains("the position is 2 h"), "{lagging}");
    api.stop(SOON).await?;
    Ok(())
}

/// A webhook that fails, then the same one disabled, then deleted.
async fn whose_webhooks_are_in_trouble(stack: &Stack, webhook: &str) -> Result<()> {
    let (id, group) = (ObjectId::parse_str(webhook)?, stack.service.group().id.to_hex());
    let since = bson::DateTime::from_millis(1_765_802_096_000);
    let health = doc! { "_id": id, "failingSince": since, "lastError": "HTTP 503" };
    stack.db.collection::<Document>("webhookHealth").insert_one(health).await?;
    let failing = status(stack, 0).await?;
    let expected = json!({
        "failingCount": 1, "disabledCount": 0, "disabled": [],
        "failing": [{ "webhookId": webhook, "groupId": group, "since": "2025-12-15T12:34:56Z", "error": "HTTP 503" }],
    });
    assert_eq!(failing["webhooks"], expected);
    let text = command(stack, &["status"]).await?.expect(0)?.out;
    assert!(text.contains(&format!("webhook {webhook} of group {group}: failing since 2025-")), "{text}");

    let configs = stack.db.collection::<Document>("webhookConfigs");
    // As a whole, as all who write there do.
    let mut config = configs.find_one(doc! { "_id": id }).await?.context("no webhook")?;
    config.extend(doc! { "enabled": false, "disabledReason": "gone" });
    configs.replace_one(doc! { "_id": id }, &config).await?;
    let disabled = status(stack, 0).await?;
    let expected = json!([{ "webhookId": webhook, "groupId": group, "reason": "gone" }]);
    assert_eq!((&disabled["webhooks"]["failing"], &disabled["webhooks"]["disabled"]), (&json!([]), &expected));
    assert_eq!(disabled["queue"]["webhooks"][0]["live"], false);
    let text = command(stack, &["status"]).await?.expect(0)?.out;
    assert!(
        text.contains("(disabled): 4 open") && text.contains(&format!("of group {group}: disabled, gone")),
        "{text}"
    );

    config.insert("deletedAt", since);
    configs.replace_one(doc! { "_id": id }, &config).await?;
    let deleted = status(stack, 0).await?;
    assert_eq!((&deleted["webhooks"]["failingCount"], &deleted["webhooks"]["disabledCount"]), (&json!(0), &json!(0)));
    Ok(())
}

#[tokio::test]
async fn status_shows_a_first_start_a_gap_and_what_is_aside_while_it_watches_and_ends_with_0_when_asked() -> Result<()>
{
    let stack = Stack::new(Profile::CamelCase).await?;
    let started = bson::DateTime::from_millis(bson::DateTime::now().timestamp_millis() - 10_000);
    let scan = doc! { "done": 250i64, "total": 1000i64, "startedAt": started };
    let documents = [
        (
            "watcherCheckpoints",
            doc! { "_id": "watcher", "epoch": 3i64, "batch": 1i64, "bootstrapped": false, "scan": scan },
        ),
        ("gaps", doc! { "_id": "gap_1", "state": "open", "reason": "oplog", "detectedAt": started }),
        ("quarantinedChanges", doc! { "_id": "evt_1", "status": "aside" }),
    ];
    for (collection, document) in documents {
        stack.db.collection::<Document>(collection).insert_one(document).await?;
    }
    let text = command(&stack, &["status"]).await?.expect(1)?.out;
    for part in ["] 25 % 250 of about 1,000 tasks taken in", "1 open, 0 recovering", "1 changes are aside"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let mut watching = stack.launch(Program::Indexer).arguments(&["status", "--watch", "--json"]).spawn()?;
    let reports = eventually("two reports", SOON, async || {
        let log = watching.log();
        let reports: Vec<&str> = log.lines().filter(|line| line.starts_with('{')).collect();
        if reports.len() >= 2 { Ok(reports[0].to_owned()) } else { Err(log) }
    });
    let report: Value = serde_json::from_str(&reports.await?)?;
    assert_eq!((&report["firstStart"]["done"], &report["quarantine"]["aside"]), (&json!(250), &json!(1)));
    assert_eq!(watching.stop(SOON).await?, Some(0));
    Ok(())
}
