//! What a partner writes comes back through the stream as its own, with the real programs.

use anyhow::{Context, Result};
use bson::doc;
use futures::TryStreamExt;
use reqwest::Method;
use serde_json::{Value, json};
use taskwire::model::TaskEvent;
use taskwire_tests::admin_api::webhook_for_all_events;
use taskwire_tests::receiver::hex_signature;
use taskwire_tests::service::{Edit, NewTask};
use taskwire_tests::stack::HOOK;
use taskwire_tests::{AdminApi, Process, Profile, Program, SOON, Stack, eventually};

use crate::scene::now;

/// The API's process, and a partner with all scopes.
pub struct Partner {
    pub api: Process,
    pub admin: AdminApi,
    pub group: String,
    pub secret: String,
    pub id: String,
}

impl Partner {
    pub async fn new(stack: &Stack) -> Result<Self> {
        let api = stack.launch(Program::Api).start().await?;
        let admin = stack.admin(&api.url())?;
        let group = stack.service.group().id.to_hex();
        let wanted = json!({
            "scopes": ["tasks:write", "tasks:approve", "categories:write"], "rateLimitPerMinute": 60_000,
            "ipAllowlist": ["127.0.0.0/8"],
        });
        let made = admin.put(&format!("/api/integrations/inbound?groupId={group}"), &wanted).await?.expect(200)?;
        let text = |field: &str| made[field].as_str().map(str::to_owned).context("a text");
        Ok(Self { api, admin, group, secret: text("secret")?, id: text("id")? })
    }

    pub async fn post(&self, kind: &str, body: &Value) -> Result<Value> {
        let timestamp = now().to_string();
        let signature = format!("sha256={}", hex_signature(&self.secret, &timestamp, body.to_string().as_bytes()));
        let headers = [("x-timestamp", timestamp.as_str()), ("x-signature", signature.as_str())];
        let path = format!("/api/integrations/inbound/{}/{kind}", self.group);
        let reply = self.admin.call_with(Method::POST, &path, Some(body), &headers).await?;
        anyhow::ensure!(reply.status.is_success(), "{}: {}", reply.status, reply.body);
        Ok(reply.body)
    }
}

async fn events(stack: &Stack) -> Result<Vec<TaskEvent>> {
    let events = stack.db.collection::<TaskEvent>("taskEvents");
    // All of one task: the ids of one change's events are in no order.
    Ok(events.find(doc! {}).sort(doc! { "sequence": 1 }).await?.try_collect().await?)
}

/// The log once it holds so many events, by name, actor and whether it was an echo.
async fn told(stack: &Stack, count: usize) -> Result<Vec<(&'static str, Option<String>, bool)>> {
    eventually("the log holds them", SOON, async || {
        let events = events(stack).await.map_err(|error| error.to_string())?;
        if events.len() < count { Err(format!("{} events", events.len())) } else { Ok(()) }
    })
    .await?;
    let events = events(stack).await?.into_iter();
    Ok(events.map(|event| (event.event.name(), event.actor_id, event.echo)).collect())
}

#[tokio::test]
async fn a_partners_write_is_told_as_its_own_and_not_to_webhooks_that_skip_echoes() -> Result<()> {
    for profile in [Profile::TasksTracker, Profile::CamelCase] {
        let stack = Stack::new(profile).await?;
        let mut partner = Partner::new(&stack).await?;
        stack.webhook(&partner.admin).await?;
        let mut quiet = webhook_for_all_events(stack.service.group().id, &stack.receiver.url("/quiet"));
        quiet["skipInboundEchoes"] = json!(true);
        let made = partner.admin.create_webhook(&quiet).await?;
        stack.receiver.set_secret("/quiet", made["secret"].as_str().context("a secret")?);
        let mut indexer = stack.launch(Program::Indexer).start().await?;

        let members = &stack.service.group().members;
        let task = json!({
            "externalId": "a-1", "name": "Wash up", "assignedUserId": members[0].to_hex(), "requiresApproval": true,
            "dueAt": "2026-01-31T12:00:00Z",
        });
        let made = partner.post("tasks", &task).await?;
        let id = made["results"][0]["id"].as_str().context("an id")?.parse()?;
        let (waits, done) = match profile {
            Profile::TasksTracker => ("WaitingForApproval", "Completed"),
            Profile::CamelCase => ("Completed", "Approved"),
        };
        partner.post("tasks", &json!({"externalId": "a-1", "status": waits})).await?;
        stack.service.edit(id, &Edit::name("the service's")).await?;
        let last = json!({"externalId": "a-1", "status": done, "difficulty": 7});
        partner.post("tasks", &last).await?;
        // A call that changes nothing has a receipt and no event.
        partner.post("tasks", &json!({"externalId": "a-1", "difficulty": 7})).await?;
        stack.service.edit(id, &Edit::difficulty(3)).await?;

        let integration = Some(format!("integration:{}", partner.id));
        let admin = Some(stack.service.group().admin.to_hex());
        let ours = |name: &'static str| (name, integration.clone(), true);
        let theirs = ("task.updated", admin.clone(), false);
        let expected = match profile {
            Profile::TasksTracker => vec![
                ours("task.created"),
                ours("task.updated"),
                theirs.clone(),
                ours("task.completed"),
                ours("task.approved"),
                ours("task.updated"),
                theirs,
            ],
            Profile::CamelCase => vec![
                ours("task.created"),
                ours("task.completed"),
                theirs.clone(),
                ours("task.approved"),
                ours("task.updated"),
                theirs,
            ],
        };
        assert_eq!(told(&stack, expected.len()).await?, expected, "{}", profile.name());
        let all = stack.receiver.wait_for_events(HOOK, expected.len(), SOON).await?;
        let actors: Vec<_> = all.iter().map(|event| event.actor.clone()).collect();
        assert_eq!(actors.iter().filter(|actor| **actor == integration).count(), expected.len() - 2);
        let skipped = stack.receiver.wait_for_events("/quiet", 2, SOON).await?;
        assert!(skipped.iter().all(|event| event.actor == admin), "{skipped:?}");
        indexer.stop(SOON).await?;
        // Whatever was still under way has gone out by now.
        assert_eq!(stack.receiver.accepted("/quiet").len(), 2);
        assert!(stack.receiver.complaints().is_empty(), "{:?}", stack.receiver.complaints());
        partner.api.stop(SOON).await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_partners_row_is_never_taken_for_that_of_the_services_change_that_waits_for_its_own() -> Result<()> {
    let stack = Stack::new(Profile::TasksTracker).await?;
    let mut partner = Partner::new(&stack).await?;
    let launch = stack.launch(Program::Indexer).set("TASKWIRE_ACTOR_WAIT_MS", "2000");
    let mut indexer = launch.start().await?;
    let (task, _) = stack.service.create(NewTask::named("wash")).await?;
    let id = task.id.to_hex();
    // The service sets a difficulty and leaves no row; the partner takes it back and sets it again, with rows.
    let set = async |difficulty: i32| {
        let update = doc! { "$set": { "Difficulty": difficulty } };
        stack.service.tasks().update_one(doc! { "_id": task.id }, update).await
    };
    set(8).await?;
    partner.post("tasks", &json!({"id": id, "difficulty": 3})).await?;
    partner.post("tasks", &json!({"id": id, "difficulty": 8})).await?;
    let integration = Some(format!("integration:{}", partner.id));
    let expected = [
        ("task.created", Some(stack.service.group().admin.to_hex()), false),
        ("task.updated", None, false),
        ("task.updated", integration.clone(), true),
        ("task.updated", integration, true),
    ];
    assert_eq!(told(&stack, 4).await?, expected);
    indexer.stop(SOON).await?;
    partner.api.stop(SOON).await?;
    Ok(())
}

#[tokio::test]
async fn the_calls_are_counted_by_their_outcome() -> Result<()> {
    let stack = Stack::new(Profile::TasksTracker).await?;
    let mut partner = Partner::new(&stack).await?;
    let category = json!({"externalId": "c", "name": "Garden"});
    partner.post("categories", &category).await?;
    assert!(partner.post("categories", &json!({"externalId": "d", "name": "garden"})).await.is_err());
    let path = format!("/api/integrations/inbound/{}/tasks/a", partner.group);
    partner.admin.get(&path).await?.expect(401)?;
    let metrics = partner.admin.get("/metrics").await?.expect(200)?;
    for outcome in ["created", "invalid", "unauthorized"] {
        let line = format!("taskwire_inbound_requests_total{{outcome=\"{outcome}\"}} 1\n");
        assert!(metrics.as_str().is_some_and(|text| text.contains(&line)), "{line}{metrics}");
    }
    partner.api.stop(SOON).await?;
    Ok(())
}
