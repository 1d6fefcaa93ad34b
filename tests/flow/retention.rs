//! What is kept, and for how long: nothing that is still due ever ages out.

use std::time::Duration;

use anyhow::{Context, Result};
use bson::oid::ObjectId;
use bson::{DateTime, Document, Timestamp, doc};
use serde_json::{Value, json};
use taskwire::config::{EventRetention, MongoSettings, Retention};
use taskwire::model::{AuditAction, AuditEntry, DeliveryId, DocId, EventId, StreamTime, Webhook};
use taskwire::store::deliveries::{Replayed, replay};
use taskwire::store::{ServerClock, Store, connect, ensure_indexes};
use taskwire_indexer::retention::sweep;
use taskwire_tests::admin_api::webhook_for_all_events;
use taskwire_tests::service::NewTask;
use taskwire_tests::stack::HOOK;
use taskwire_tests::{Answer, Mongo, MongoOptions, Process, Profile, Program, Stack, eventually};
use tokio_util::sync::CancellationToken;

use crate::common::SOON;

const DAY: i64 = 86_400_000;

fn days_ago(days: i64) -> DateTime {
    DateTime::from_millis(DateTime::now().timestamp_millis() - days * DAY)
}

fn collection(stack: &Stack, name: &str) -> mongodb::Collection<Document> {
    stack.db.collection(name)
}

/// An event of so many days ago, number `n` of its second, and a row for it with these fields.
async fn old(stack: &Stack, days: i64, n: u32, row: Document) -> Result<EventId> {
    let seconds = u32::try_from(days_ago(days).timestamp_millis() / 1000)?;
    let (task, webhook, time) = (ObjectId::new(), ObjectId::new(), Timestamp { time: seconds, increment: n });
    let id = EventId::derive(StreamTime::new(time, 0), "db.tasks", &DocId::Oid(task), "task.updated");
    let group = stack.service.group().id;
    let event = doc! {
        "_id": id.as_str(), "groupId": group, "taskId": task, "event": "task.updated", "at": days_ago(days),
        "clusterTime": time, "sequence": 1i64, "actorId": null, "summary": { "status": null, "changed": [] }, "body": "{}",
    };
    collection(stack, "taskEvents").insert_one(event).await?;
    let mut delivery = doc! {
        "_id": DeliveryId::derive(&id, webhook).as_str(), "groupId": group, "webhookId": webhook, "eventId": id.as_str(),
        "eventType": "task.updated", "taskId": task, "sequence": 1i64, "payloadSummary": { "status": null, "changed": [] },
        "attempts": 1, "attemptsBase": 0, "createdAt": days_ago(days),
    };
    delivery.extend(row);
    collection(stack, "webhookDeliveries").insert_one(delivery).await?;
    Ok(id)
}

async fn stands(stack: &Stack, event: &EventId) -> Result<bool> {
    Ok(collection(stack, "taskEvents").find_one(doc! { "_id": event.as_str() }).await?.is_some())
}

async fn until_gone(stack: &Stack, name: &str, id: bson::Bson) -> Result<()> {
    eventually(&format!("{id} is removed from {name}"), SOON, async || {
        let found = collection(stack, name).find_one(doc! { "_id": id.clone() }).await;
        match found.map_err(|error| error.to_string())? {
            None => Ok(()),
            Some(document) => Err(document.to_string()),
        }
    })
    .await
}

/// An indexer that sweeps and delivers nothing, so that rows stay as they are.
async fn start_watching(stack: &Stack) -> Result<Process> {
    stack.launch(Program::Indexer).arguments(&["watch"]).start().await
}

/// Waits until a webhook's only row fits.
async fn row_of(stack: &Stack, webhook: &Value, fits: impl Fn(&Document) -> bool) -> Result<Document> {
    let id = ObjectId::parse_str(webhook["id"].as_str().context("no id")?)?;
    eventually("a row in that state", SOON, async || {
        let row = collection(stack, "webhookDeliveries").find_one(doc! { "webhookId": id }).await;
        match row.map_err(|error| error.to_string())? {
            Some(row) if fits(&row) => Ok(row),
            other => Err(format!("{other:?}")),
        }
    })
    .await
}

fn is(status: &str) -> impl Fn(&Document) -> bool {
    move |row| row.get_str("status").is_ok_and(|now| now == status)
}

/// Days from a row's end to its expiry.
fn days_kept(row: &Document) -> Result<i64> {
    let end = row.get_datetime("deliveredAt").or_else(|_| row.get_datetime("lastAttemptAt"));
    let end = end.or_else(|_| row.get_datetime("createdAt"))?;
    Ok((row.get_datetime("expireAt")?.timestamp_millis() - end.timestamp_millis()) / DAY)
}

#[tokio::test]
async fn a_delivery_expires_after_its_end_however_it_ends_and_a_replay_takes_that_back() -> Result<()> {
    let stack = Stack::new(Profile::TasksTracker).await?;
    let mut api = stack.launch(Program::Api).start().await?;
    let admin = stack.admin(&api.url())?;
    let settings = stack.launch(Program::Indexer).set("TASKWIRE_DELIVERY_RETENTION_DAYS", "7");
    let mut indexer = settings.clone().start().await?;
    let delivered = stack.webhook(&admin).await?;
    let mut wanted = webhook_for_all_events(stack.service.group().id, "http://127.0.0.1:9/nobody");
    let deleted = admin.create_webhook(&wanted).await?;
    wanted["retryPolicy"] = json!({ "maxAttempts": 1, "backoffSeconds": 1 });
    let failed = admin.create_webhook(&wanted).await?;
    stack.service.create(NewTask::named("wash")).await?;

    let row = row_of(&stack, &delivered, is("delivered")).await?;
    assert_eq!(days_kept(&row)?, 7);
    assert_eq!(days_kept(&row_of(&stack, &failed, is("dead-letter")).await?)?, 7);
    // An open row has none; it gets one when its webhook is deleted.
    assert!(!row_of(&stack, &deleted, is("failed")).await?.contains_key("expireAt"));
    admin.delete(&format!("/api/integrations/webhooks/{}", deleted["id"].as_str().context("no id")?)).await?;
    assert_eq!(days_kept(&row_of(&stack, &deleted, is("dead-letter")).await?)?, 7);

    indexer.stop(SOON).await?;
    let path = |call: &str, id: &str| {
        format!("/api/integrations/webhooks/{}/{call}/{id}", delivered["id"].as_str().unwrap_or_default())
    };
    let id = row.get_str("_id")?;
    admin.post(&path("replay", id), &Value::Null).await?.expect(202)?;
    let open = row_of(&stack, &delivered, is("queued")).await?;
    assert!(!open.contains_key("expireAt"), "{open}");
    stack.receiver.script(HOOK, [Answer::Status(500)]);
    let mut indexer = settings.set("TASKWIRE_DELIVERY_RETENTION_DAYS", "9").start().await?;
    assert!(!row_of(&stack, &delivered, is("failed")).await?.contains_key("expireAt"));
    let due_now = doc! { "$set": { "due": DateTime::now(), "nextAttemptAt": DateTime::now() } };
    collection(&stack, "webhookDeliveries").update_one(doc! { "_id": id }, due_now).await?;
    assert_eq!(days_kept(&row_of(&stack, &delivered, is("delivered")).await?)?, 9);
    // Its event is gone: a replay is refused, and the row expires as before.
    let event = EventId::from(row.get_str("eventId")?.to_owned());
    collection(&stack, "taskEvents").delete_one(doc! { "_id": event.as_str() }).await?;
    admin.post(&path("replay", id), &Value::Null).await?.expect(409)?;
    assert_eq!(days_kept(&row_of(&stack, &delivered, is("delivered")).await?)?, 9);
    indexer.stop(SOON).await?;
    api.stop(SOON).await?;
    Ok(())
}

#[tokio::test]
async fn an_open_row_never_ages_out_whatever_it_carries_and_what_is_past_its_time_does() -> Result<()> {
    // A server that looks every second, not every minute.
    let arguments = ["--setParameter", "ttlMonitorSleepSecs=1"].map(str::to_owned).to_vec();
    let mongo = Mongo::start(&MongoOptions { arguments, ..MongoOptions::default() }).await?;
    let stack = Stack::on(mongo.db().await?, Profile::TasksTracker).await?;
    ensure_indexes(&open(&stack, "taskwire-tests").await?).await?;
    let (past, ahead) = (days_ago(1), days_ago(-1));
    let rows = collection(&stack, "webhookDeliveries");
    rows.insert_many([
        doc! { "_id": "queued", "status": "queued", "due": past, "expireAt": past },
        doc! { "_id": "failed", "status": "failed", "due": past, "expireAt": past },
        doc! { "_id": "kept", "status": "delivered", "expireAt": ahead },
        doc! { "_id": "without", "status": "dead-letter" },
        doc! { "_id": "delivered", "status": "delivered", "expireAt": past },
        doc! { "_id": "dead", "status": "dead-letter", "expireAt": past },
    ])
    .await?;
    for name in ["inboundReceipts", "gaps"] {
        let documents = [
            doc! { "_id": "past", "expireAt": past },
            doc! { "_id": "ahead", "expireAt": ahead },
            doc! { "_id": "without" },
        ];
        collection(&stack, name).insert_many(documents).await?;
    }
    for id in ["delivered", "dead"] {
        until_gone(&stack, "webhookDeliveries", id.into()).await?;
    }
    for name in ["inboundReceipts", "gaps"] {
        until_gone(&stack, name, "past".into()).await?;
        assert_eq!(collection(&stack, name).count_documents(doc! {}).await?, 2);
    }
    // The same pass that removed the finished ones saw these.
    let left = rows.distinct("_id", doc! {}).await?;
    assert_eq!(left, ["failed", "kept", "queued", "without"].map(bson::Bson::from));
    Ok(())
}

#[tokio::test]
async fn events_past_their_retention_are_removed_unless_a_delivery_is_open() -> Result<()> {
    let stack = Stack::new(Profile::TasksTracker).await?;
    let far = days_ago(-1);
    let finished = || doc! { "status": "delivered", "deliveredAt": days_ago(5) };
    let waits = || doc! { "status": "failed", "due": far, "nextAttemptAt": far };
    let closed = old(&stack, 100, 1, finished()).await?;
    let due = old(&stack, 100, 2, waits()).await?;
    let also_closed = old(&stack, 91, 1, doc! { "status": "dead-letter" }).await?;
    let young = old(&stack, 89, 1, finished()).await?;
    let mut indexer = start_watching(&stack).await?;
    for event in [&closed, &also_closed] {
        until_gone(&stack, "taskEvents", event.as_str().into()).await?;
    }
    assert!(stands(&stack, &due).await? && stands(&stack, &young).await?);
    let horizon = collection(&stack, "watcherCheckpoints").find_one(doc! { "_id": "retention" }).await?;
    let horizon = horizon.context("the horizon")?;
    let kept = (days_ago(0).timestamp_millis() - horizon.get_datetime("eventsFrom")?.timestamp_millis()) / DAY;
    assert_eq!(kept, 90);
    eventually("two events are counted as removed", SOON, async || {
        let removed = indexer.metric("taskwire_events_removed_total").await.map_err(|error| error.to_string())?;
        if (removed - 2.0).abs() < 0.5 { Ok(()) } else { Err(removed.to_string()) }
    })
    .await?;
    // Finished rows from before there was an expiry have got one; the open one has not.
    let rows = collection(&stack, "webhookDeliveries");
    assert_eq!(rows.count_documents(doc! { "due": null, "expireAt": null }).await?, 0);
    assert_eq!(rows.count_documents(doc! { "due": { "$exists": true }, "expireAt": null }).await?, 1);
    indexer.stop(SOON).await?;
    // Once it is finished, the next sweep takes its event.
    let end = doc! { "$set": { "status": "dead-letter" }, "$unset": { "due": "", "nextAttemptAt": "" } };
    rows.update_one(doc! { "eventId": due.as_str() }, end).await?;
    let mut indexer = start_watching(&stack).await?;
    until_gone(&stack, "taskEvents", due.as_str().into()).await?;
    assert!(stands(&stack, &young).await?);
    indexer.stop(SOON).await?;
    Ok(())
}

async fn open(stack: &Stack, name: &str) -> Result<Store> {
    let settings = MongoSettings { uri: stack.db.uri().to_owned(), database: stack.db.name().to_owned() };
    Ok(connect(&settings, name).await?)
}

/// Begins sweeping in this process; it ends with the token.
async fn begin(store: &Store, events: EventRetention, stop: &CancellationToken) -> Result<tokio::task::JoinHandle<()>> {
    let clock = ServerClock::calibrated(&store.db).await?;
    let retention = Retention { deliveries: Duration::from_secs(30 * 86_400), events };
    Ok(tokio::spawn(sweep(store.clone(), clock, retention, stop.clone())))
}

const A_DAY: EventRetention = EventRetention::For(Duration::from_secs(86_400));

#[tokio::test]
async fn a_log_that_is_kept_forever_stays_whole() -> Result<()> {
    let stack = Stack::new(Profile::TasksTracker).await?;
    let event = old(&stack, 3000, 1, doc! { "status": "delivered" }).await?;
    let (store, stop) = (open(&stack, "taskwire-tests").await?, CancellationToken::new());
    let sweeping = begin(&store, EventRetention::Forever, &stop).await?;
    eventually("the sweeper has been there", SOON, async || {
        let done = doc! { "_id": "retention", "allExpire": true };
        let found = collection(&stack, "watcherCheckpoints").find_one(done).await.map_err(|error| error.to_string())?;
        found.ok_or_else(|| "not yet".to_owned())
    })
    .await?;
    // What it would remove after that, it would have removed by its end.
    stop.cancel();
    sweeping.await?;
    assert!(stands(&stack, &event).await?);
    let horizon = collection(&stack, "watcherCheckpoints").find_one(doc! { "_id": "retention" }).await?;
    assert!(!horizon.context("the horizon")?.contains_key("eventsFrom"));
    Ok(())
}

#[tokio::test]
async fn two_sweepers_at_once_remove_what_one_would() -> Result<()> {
    let stack = Stack::new(Profile::TasksTracker).await?;
    let far = days_ago(-1);
    let mut kept = Vec::new();
    for n in 1..=40 {
        let open = n % 4 == 0;
        let row = if open {
            doc! { "status": "failed", "due": far }
        } else {
            doc! { "status": "delivered" }
        };
        let event = old(&stack, 2, n, row).await?;
        kept.extend(open.then_some(event));
    }
    let (store, stop) = (open(&stack, "taskwire-tests").await?, CancellationToken::new());
    let (one, other) = (begin(&store, A_DAY, &stop).await?, begin(&store, A_DAY, &stop).await?);
    eventually("all closed ones are removed", SOON, async || {
        let left =
            collection(&stack, "taskEvents").count_documents(doc! {}).await.map_err(|error| error.to_string())?;
        if left == 10 { Ok(()) } else { Err(format!("{left} are left")) }
    })
    .await?;
    stop.cancel();
    one.await?;
    other.await?;
    for event in kept {
        assert!(stands(&stack, &event).await?);
    }
    Ok(())
}

#[tokio::test]
async fn a_replay_in_the_midst_of_a_sweep_keeps_its_event() -> Result<()> {
    let stack = Stack::new(Profile::TasksTracker).await?;
    let mut api = stack.launch(Program::Api).start().await?;
    let webhook = stack.webhook(&stack.admin(&api.url())?).await?;
    let webhook = ObjectId::parse_str(webhook["id"].as_str().context("no id")?)?;
    let webhook = stack.db.collection::<Webhook>("webhookConfigs").find_one(doc! { "_id": webhook }).await?;
    let webhook = webhook.context("the webhook")?;
    let replayed = old(&stack, 2, 1, doc! { "status": "delivered", "webhookId": webhook.id }).await?;
    let other = old(&stack, 2, 2, doc! { "status": "delivered" }).await?;
    // The sweeper has looked for open rows, and is held where it begins to remove.
    let name = format!("sweeper-{}", ObjectId::new());
    let (store, admin) = (open(&stack, &name).await?, open(&stack, "taskwire-tests").await?);
    let hold = doc! {
        "configureFailPoint": "failCommand", "mode": { "times": 1 },
        "data": { "failCommands": ["delete"], "appName": &name, "blockConnection": true, "blockTimeMS": 3000 },
    };
    let held = admin.client.database("admin").run_command(hold).await?;
    let entered = held.get_i32("count").map_or_else(|_| held.get_i64("count").unwrap_or(0), i64::from) + 1;
    let stop = CancellationToken::new();
    let sweeping = begin(&store, A_DAY, &stop).await?;
    let wait = doc! { "waitForFailPoint": "failCommand", "timesEntered": entered, "maxTimeMS": 20_000 };
    admin.client.database("admin").run_command(wait).await?;
    let row = collection(&stack, "webhookDeliveries").find_one(doc! { "eventId": replayed.as_str() }).await?;
    let row = row.context("its row")?;
    let by = webhook.created_by.clone();
    let entry = AuditEntry::of_webhook(&webhook, by, DateTime::now(), AuditAction::DeliveryReplayed);
    let done = replay(&admin, &webhook, row.get_str("_id")?, DateTime::now(), &entry).await?;
    assert_eq!(done, Replayed::Done);
    until_gone(&stack, "taskEvents", other.as_str().into()).await?;
    stop.cancel();
    sweeping.await?;
    assert!(stands(&stack, &replayed).await?, "an open delivery has lost its event");
    api.stop(SOON).await?;
    Ok(())
}
