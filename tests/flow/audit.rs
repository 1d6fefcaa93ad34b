//! The audit: clean where nothing is wrong, also while everything runs; and whatever is broken by hand, it tells.

use std::time::Duration;

use anyhow::{Context, Result};
use bson::oid::ObjectId;
use bson::{DateTime, Document, doc};
use serde_json::{Value, json};
use taskwire_tests::expected::Actors;
use taskwire_tests::service::{Edit, NewTask};
use taskwire_tests::stack::HOOK;
use taskwire_tests::{Process, Profile, Program, Stack, eventually};

use crate::common::{SOON, log_matches};

mod broken;
mod size;

/// What an audit printed.
struct Audited {
    code: i32,
    report: Value,
}

impl Audited {
    /// The kinds that were found.
    fn kinds(&self) -> Vec<String> {
        let findings = self.report["findings"].as_array().cloned().unwrap_or_default();
        findings.iter().map(|line| line["kind"].as_str().unwrap_or_default().to_owned()).collect()
    }

    fn assert_clean(&self) {
        assert_eq!((self.code, self.kinds()), (0, Vec::new()), "{:#}", self.report);
    }
}

/// Runs the program's own audit.
async fn audit(stack: &Stack, arguments: &[&str]) -> Result<Audited> {
    let launch = stack.launch(Program::Indexer).arguments(&["audit", "--json"]).arguments(arguments);
    let mut process = launch.spawn()?;
    let code = process.wait_for_end(Duration::from_secs(120)).await?.context("the audit was killed")?;
    let log = process.log();
    let start = log.find("\n{").map(|at| at + 1).or_else(|| log.starts_with('{').then_some(0));
    let report = start.and_then(|at| serde_json::from_str(&log[at..]).ok()).with_context(|| log.clone())?;
    Ok(Audited { code, report })
}

/// A database with a webhook, whose indexer runs.
struct Scene {
    indexer: Process,
    api: Process,
    webhook: ObjectId,
    // Dropped last: it drops the database.
    stack: Stack,
}

impl Scene {
    async fn new() -> Result<Self> {
        let stack = Stack::new(Profile::TasksTracker).await?;
        let api = stack.launch(Program::Api).start().await?;
        let indexer = Self::start(&stack).await?;
        let webhook = stack.webhook(&stack.admin(&api.url())?).await?;
        let webhook = ObjectId::parse_str(webhook["id"].as_str().context("no id")?)?;
        Ok(Self { indexer, api, webhook, stack })
    }

    /// Stores its position often, so that it soon passes what an audit read.
    async fn start(stack: &Stack) -> Result<Process> {
        stack.launch(Program::Indexer).set("TASKWIRE_IDLE_CHECKPOINT_MS", "100").start().await
    }

    fn collection(&self, name: &str) -> mongodb::Collection<Document> {
        self.stack.db.collection(name)
    }

    /// Three tasks with a few events each; a task that was deleted and made anew; all delivered.
    async fn some_history(&self) -> Result<()> {
        let service = &self.stack.service;
        for number in 0..3 {
            let (task, _) = service.create(NewTask::named(&format!("task {number}"))).await?;
            service.edit(task.id, &Edit::difficulty(7)).await?;
            service.complete(task.id).await?;
            if number == 0 {
                let document = service.tasks().find_one(doc! { "_id": task.id }).await?.context("the task")?;
                service.delete(task.id).await?;
                service.tasks().insert_one(document).await?;
            }
        }
        self.all_delivered(10).await
    }

    async fn some_history_begun(&self) -> Result<()> {
        let (task, _) = self.stack.service.create(NewTask::named("first")).await?;
        self.stack.service.complete(task.id).await?;
        log_matches(&self.stack, &self.stack.service.expected(), Actors::MayBeMissing).await
    }

    async fn all_delivered(&self, count: u64) -> Result<()> {
        eventually("all is delivered", SOON, async || {
            let rows = self.collection("webhookDeliveries");
            let now = rows.count_documents(doc! { "status": "delivered" }).await.map_err(|error| error.to_string())?;
            if now == count { Ok(()) } else { Err(format!("{now} are")) }
        })
        .await
    }

    async fn stop(mut self) -> Result<()> {
        self.indexer.stop(SOON).await?;
        self.api.stop(SOON).await?;
        Ok(())
    }
}

#[tokio::test]
async fn a_database_at_work_is_clean() -> Result<()> {
    let mut scene = Scene::new().await?;
    let (stack, admin) = (&scene.stack, scene.stack.admin(&scene.api.url())?);
    // Others than the plain one: in order; disabled halfway; deleted halfway; one that never answers well.
    let mut wanted =
        taskwire_tests::admin_api::webhook_for_all_events(stack.service.group().id, &stack.receiver.url(HOOK));
    wanted["ordering"] = json!("perTask");
    admin.create_webhook(&wanted).await?;
    let disabled = admin.create_webhook(&wanted).await?;
    let deleted = admin.create_webhook(&wanted).await?;
    wanted["targetUrl"] = json!("http://127.0.0.1:9/nobody");
    wanted["retryPolicy"] = json!({ "maxAttempts": 2, "backoffSeconds": 1 });
    admin.create_webhook(&wanted).await?;
    scene.some_history_begun().await?;
    for round in 0..4 {
        let writes = async {
            for number in 0..20 {
                let (task, _) = stack.service.create(NewTask::named(&format!("task {round} {number}"))).await?;
                stack.service.edit(task.id, &Edit::difficulty(7)).await?;
                stack.service.complete(task.id).await?;
            }
            anyhow::Ok(())
        };
        let (audited, written) = tokio::join!(audit(stack, &[]), writes);
        written?;
        audited?.assert_clean();
        match round {
            1 => {
                let path = format!("/api/integrations/webhooks/{}", disabled["id"].as_str().context("no id")?);
                admin.put(&path, &json!({ "enabled": false })).await?.expect(200)?;
            }
            2 => {
                let path = format!("/api/integrations/webhooks/{}", deleted["id"].as_str().context("no id")?);
                admin.delete(&path).await?.expect(204)?;
            }
            _ => {}
        }
    }
    log_matches(stack, &stack.service.expected(), Actors::MayBeMissing).await?;
    let last = audit(stack, &[]).await?;
    last.assert_clean();
    assert!(last.report["checked"]["events"].as_u64().is_some_and(|count| count >= 240), "{:#}", last.report);
    // At rest too, when nothing moves the position any more.
    scene.indexer.stop(SOON).await?;
    audit(stack, &["--wait", "0"]).await?.assert_clean();
    scene.api.stop(SOON).await?;
    Ok(())
}

#[tokio::test]
async fn each_thing_that_is_wrong_is_told_by_its_kind() -> Result<()> {
    let scene = Scene::new().await?;
    scene.some_history().await?;
    audit(&scene.stack, &[]).await?.assert_clean();
    for broken in broken::of_the_log(&scene).await?.into_iter().chain(broken::of_the_snapshots(&scene).await?) {
        broken.is_told(&scene).await?;
    }
    audit(&scene.stack, &[]).await?.assert_clean();
    scene.stop().await
}

#[tokio::test]
async fn a_task_that_was_put_aside_explains_its_missing_snapshot() -> Result<()> {
    let scene = Scene::new().await?;
    let group = scene.stack.service.group().id;
    let odd = doc! { "_id": ObjectId::new(), "GroupId": group, "Status": "open" };
    scene.stack.service.tasks().insert_one(odd).await?;
    scene.some_history().await?;
    audit(&scene.stack, &[]).await?.assert_clean();
    scene.collection("quarantinedChanges").delete_many(doc! {}).await?;
    assert_eq!(audit(&scene.stack, &[]).await?.kinds(), ["task-unreadable"]);
    scene.stop().await
}

#[tokio::test]
async fn what_a_watcher_has_not_passed_is_not_provable() -> Result<()> {
    let mut scene = Scene::new().await?;
    scene.some_history().await?;
    scene.indexer.stop(SOON).await?;
    // Nothing differs: that is proof enough, whoever runs.
    audit(&scene.stack, &["--wait", "0"]).await?.assert_clean();
    let task = scene.stack.service.create(NewTask::named("unseen")).await?.0.id;
    let behind = audit(&scene.stack, &["--wait", "1"]).await?;
    assert_eq!((behind.code, behind.kinds()), (1, vec!["not-provable".to_owned()]), "{:#}", behind.report);
    assert_eq!(behind.report["findings"][0]["first"][0]["task"], json!(task.to_hex()));
    scene.indexer = Scene::start(&scene.stack).await?;
    audit(&scene.stack, &[]).await?.assert_clean();
    scene.stop().await
}

#[tokio::test]
async fn what_was_removed_in_its_time_is_not_missed_and_what_is_open_is() -> Result<()> {
    let scene = Scene::new().await?;
    scene.some_history().await?;
    let (events, rows) = (scene.collection("taskEvents"), scene.collection("webhookDeliveries"));
    let old = events.find_one(doc! {}).sort(doc! { "_id": 1 }).await?.context("an event")?;
    let id = old.get_str("_id")?;
    let row = rows.find_one(doc! { "eventId": id }).await?.context("its row")?;
    events.delete_one(doc! { "_id": id }).await?;
    assert_eq!(audit(&scene.stack, &[]).await?.kinds(), ["delivery-orphan", "sequence-hole"]);
    // The period begins behind it.
    let second = i64::from(old.get_timestamp("clusterTime")?.time) + 1;
    audit(&scene.stack, &["--since", &second.to_string()]).await?.assert_clean();
    // The horizon does.
    let horizon = doc! { "$set": { "eventsFrom": DateTime::from_millis(second * 1000) } };
    let checkpoints = scene.collection("watcherCheckpoints");
    checkpoints.update_one(doc! { "_id": "retention" }, horizon).upsert(true).await?;
    audit(&scene.stack, &[]).await?.assert_clean();
    // A finished row may have aged out, by the horizon of the deliveries.
    rows.delete_one(doc! { "eventId": { "$ne": id }, "status": "delivered" }).await?;
    assert_eq!(audit(&scene.stack, &[]).await?.kinds(), ["delivery-missing"]);
    let horizon = doc! { "$set": { "deliveriesFrom": DateTime::now() } };
    checkpoints.update_one(doc! { "_id": "retention" }, horizon).await?;
    audit(&scene.stack, &[]).await?.assert_clean();
    // An event is never removed before its deliveries are finished. (Due in a day, so that nobody takes it.)
    let due = DateTime::from_millis(DateTime::now().timestamp_millis() + 86_400_000);
    let reopened = doc! {
        "$set": { "status": "queued", "due": due, "nextAttemptAt": due, "attemptsBase": row.get_i32("attempts")? },
        "$unset": { "deliveredAt": "", "expireAt": "" },
    };
    rows.update_one(doc! { "eventId": id }, reopened).await?;
    assert_eq!(audit(&scene.stack, &[]).await?.kinds(), ["delivery-orphan"]);
    scene.stop().await
}

#[tokio::test]
async fn an_audit_of_nothing_and_one_that_cannot_be_read_say_so() -> Result<()> {
    let stack = Stack::new(Profile::TasksTracker).await?;
    for (arguments, code, says) in [
        (vec!["audit"], 1, "start taskwire-indexer once"),
        (vec!["audit", "--since", "yesterday"], 2, "RFC 3339"),
        (vec!["audit", "--wait", "x"], 2, "--wait"),
    ] {
        let mut process = stack.launch(Program::Indexer).arguments(&arguments).spawn()?;
        assert_eq!(process.wait_for_end(SOON).await?, Some(code), "{arguments:?}");
        assert!(process.log().contains(says), "{arguments:?}: {}", process.log());
    }
    Ok(())
}
