//! What no log line, metric or error answer may show: names, descriptions, secrets, tokens, query strings. Everything private
//! in this scene carries a mark, and the mark is looked for in all that both programs say at their most talkative.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use bson::doc;
use serde_json::{Value, json};
use taskwire_tests::admin_api::{JWT_SECRET, claims, token, token_with};
use taskwire_tests::receiver::hex_signature;
use taskwire_tests::service::{Edit, NewTask, Status};
use taskwire_tests::stack::{HOOK, MASTER_KEY};
use taskwire_tests::{Answer, Process, Profile, Program, Stack, eventually};

use crate::common::SOON;

/// Stands in everything private.
const MARK: &str = "zqmark";
const WEBHOOKS: &str = "/api/integrations/webhooks";
const INBOUND: &str = "/api/integrations/inbound";
const OK: u16 = 200;

/// Private text of this kind.
fn private(kind: &str) -> String {
    format!("{MARK}-{kind}-{MARK}")
}

/// Calls the API by hand, and holds every error answer against the marks.
struct Caller {
    base: String,
    token: String,
    client: reqwest::Client,
    /// What was shown once and may be shown nowhere else.
    secrets: Vec<String>,
}

impl Caller {
    /// The answer's status and body. `headers` may replace the token.
    async fn call(&mut self, method: &str, path: &str, body: &str, headers: &[(&str, &str)]) -> Result<(u16, Value)> {
        let method = reqwest::Method::from_bytes(method.as_bytes())?;
        let mut request = self.client.request(method.clone(), format!("{}{path}", self.base));
        if !headers.iter().any(|(name, _)| matches!(*name, "authorization" | "x-signature")) {
            request = request.bearer_auth(&self.token);
        }
        if !body.is_empty() {
            request = request.header("content-type", "application/json").body(body.to_owned());
        }
        let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        let answer = request.send().await?;
        let (status, shown) = (answer.status().as_u16(), format!("{:?}", answer.headers()));
        let text = answer.text().await?;
        if status >= 400 {
            ensure!(!text.contains(MARK) && !shown.contains(MARK), "{method} {path} {body}\n{status}: {shown} {text}");
            ensure!(status < 500, "{method} {path} {body}\n{status}: {text}");
        }
        let body: Value = serde_json::from_str(&text).unwrap_or(Value::Null);
        self.secrets.extend(body["secret"].as_str().map(str::to_owned));
        Ok((status, body))
    }

    /// One that must end so.
    async fn expect(&mut self, status: u16, method: &str, path: &str, body: &Value) -> Result<Value> {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let (got, answer) = self.call(method, path, &body, &[]).await?;
        ensure!(got == status, "{method} {path} {body}: {got} instead of {status}: {answer}");
        Ok(answer)
    }

    /// One that must be refused.
    async fn refused(&mut self, method: &str, path: &str, body: &str, headers: &[(&str, &str)]) -> Result<()> {
        let (status, answer) = self.call(method, path, body, headers).await?;
        ensure!(status >= 400, "{method} {path} {body} was taken: {answer}");
        Ok(())
    }

    /// A partner's call, signed with this secret.
    async fn partner(&mut self, method: &str, path: &str, body: &str, secret: &str) -> Result<u16> {
        let now = chrono::Utc::now().timestamp().to_string();
        let signature = format!("sha256={}", hex_signature(secret, &now, body.as_bytes()));
        let headers = [("x-timestamp", now.as_str()), ("x-signature", signature.as_str())];
        Ok(self.call(method, path, body, &headers).await?.0)
    }
}

/// A webhook whose every text is private, for this path of the receiver.
fn webhook(stack: &Stack, path: &str, attempts: u32) -> Value {
    json!({
        "groupId": stack.service.group().id.to_hex(),
        "name": private("webhook"),
        "targetUrl": format!("{}?token={}", stack.receiver.url(path), private("query")),
        "events": {"taskCreated": true, "taskUpdated": true, "taskCompleted": true, "taskApproved": true},
        "headers": {"X-Api-Key": private("header")},
        "secret": private("chosen-secret"),
        "retryPolicy": {"maxAttempts": attempts, "backoffSeconds": 1},
    })
}

/// Webhooks that work, fail, are gone and lead nowhere, with every kind of change and refusal.
async fn webhooks(stack: &Stack, caller: &mut Caller) -> Result<Vec<String>> {
    stack.receiver.always("/fails", Answer::Status(500));
    stack.receiver.always("/gone", Answer::Status(410));
    stack.receiver.always("/closes", Answer::Close);
    let mut paths = Vec::new();
    for (path, attempts) in [(HOOK, 3), ("/fails", 1), ("/gone", 3), ("/closes", 2)] {
        let made = caller.expect(201, "POST", WEBHOOKS, &webhook(stack, path, attempts)).await?;
        stack.receiver.add_secret(path, &private("chosen-secret"));
        paths.push(format!("{WEBHOOKS}/{}", made["id"].as_str().context("no id")?));
    }
    let first = paths[0].clone();
    caller.expect(OK, "PUT", &first, &json!({"name": private("renamed")})).await?;
    let rotated = caller.expect(OK, "PUT", &first, &json!({"rotateSecret": true})).await?;
    stack.receiver.add_secret(HOOK, rotated["secret"].as_str().context("no new secret")?);
    caller.expect(409, "PUT", &first, &json!({"rotateSecret": true})).await.ok();
    caller.expect(OK, "PUT", &first, &json!({"finalizeRotation": true})).await?;
    let settings = format!("/api/integrations/settings?groupId={}", stack.service.group().id);
    let alert = format!("{}?token={}", stack.receiver.url("/alert"), private("query"));
    caller.expect(OK, "PUT", &settings, &json!({"alertUrl": alert})).await?;
    refusals(stack, caller, &first).await?;
    Ok(paths)
}

/// Wrong values at each place that takes one.
async fn refusals(stack: &Stack, caller: &mut Caller, first: &str) -> Result<()> {
    let good = webhook(stack, HOOK, 3);
    let long = private(&"x".repeat(3000));
    let wrong = [
        ("name", json!(long)),
        ("name", json!({ "text": long })),
        ("groupId", json!(private("group"))),
        ("targetUrl", json!(format!("https://{}:{MARK}@partner.example/", private("user")))),
        ("targetUrl", json!(format!("http://10.0.0.1/?token={}", private("query")))),
        ("targetUrl", json!(format!("{MARK}://partner.example"))),
        ("targetUrl", json!(format!("https://partner.example/#{MARK}"))),
        ("enabled", json!(private("flag"))),
        ("events", json!({"taskCreated": private("flag")})),
        ("events", json!(private("events"))),
        ("headers", json!({"X-Key": format!("{MARK}\n")})),
        ("headers", json!({"X-Key": [MARK]})),
        ("secret", json!(MARK)),
        ("secret", json!([MARK])),
        ("retryPolicy", json!({"maxAttempts": MARK})),
        ("timeoutSeconds", json!(private("number"))),
        ("rateLimitPerSecond", json!(private("number"))),
        ("ordering", json!(private("order"))),
    ];
    for (field, value) in wrong {
        let mut body = good.clone();
        body[field] = value;
        caller.refused("POST", WEBHOOKS, &body.to_string(), &[]).await?;
        if field != "groupId" {
            caller.refused("PUT", first, &json!({field: body[field]}).to_string(), &[]).await?;
        }
    }
    for body in [format!("{{\"name\": \"{MARK}"), format!("\"{MARK}\""), format!("[{MARK}]"), MARK.to_owned()] {
        caller.refused("POST", WEBHOOKS, &body, &[]).await?;
    }
    let group = stack.service.group().id.to_hex();
    for path in [
        format!("{WEBHOOKS}?groupId={MARK}"),
        format!("{WEBHOOKS}?groupId={group}&limit={MARK}"),
        format!("{WEBHOOKS}?groupId={group}&cursor={MARK}"),
        format!("{WEBHOOKS}/{MARK}"),
        format!("{first}/deliveries?status={MARK}"),
        format!("{first}/deliveries?eventType={MARK}"),
        format!("{first}/deliveries?since={MARK}"),
        format!("{first}/deliveries/{MARK}"),
        format!("{first}/stats?window={MARK}"),
        format!("/api/integrations/task-events?groupId={group}&eventType={MARK}"),
        format!("/api/integrations/task-events/{MARK}/trace"),
        format!("/api/integrations/audit?groupId={group}&cursor={MARK}"),
        format!("/api/{MARK}?token={MARK}"),
        format!("/{MARK}"),
    ] {
        caller.refused("GET", &path, "", &[]).await?;
    }
    for (path, body) in [
        (format!("{first}/replay"), json!({"since": MARK})),
        (format!("{first}/replay"), json!({"status": MARK, "eventTypes": [MARK]})),
        (format!("{first}/backfill"), json!({"since": MARK})),
        (format!("{first}/test"), json!({"eventType": MARK})),
    ] {
        caller.refused("POST", &path, &body.to_string(), &[]).await?;
    }
    let key = private("key");
    let other = json!({"name": MARK}).to_string();
    caller.call("POST", WEBHOOKS, &good.to_string(), &[("idempotency-key", &key)]).await?;
    caller.refused("POST", WEBHOOKS, &other, &[("idempotency-key", &key)]).await?;
    caller.refused("PUT", first, &other, &[("if-match", &format!("\"{MARK}\""))]).await?;
    tokens(stack, caller).await
}

/// Tokens that are none, and those whose claims are.
async fn tokens(stack: &Stack, caller: &mut Caller) -> Result<()> {
    let user = stack.service.group().admin.to_hex();
    let mut odd = claims(&user, Duration::from_secs(60));
    odd["exp"] = json!(private("claim"));
    let mut foreign = claims(&user, Duration::from_secs(60));
    foreign["aud"] = json!(private("claim"));
    let mut bad = vec![format!("{MARK}.{MARK}.{MARK}"), private("token")];
    for claims in [odd, foreign, claims(&private("sub"), Duration::from_secs(60))] {
        bad.push(token_with(&claims, JWT_SECRET)?);
    }
    bad.push(token_with(&claims(&user, Duration::from_secs(60)), "another-secret-of-some-length")?);
    for token in bad {
        let bearer = format!("Bearer {token}");
        let path = format!("{WEBHOOKS}?groupId={}", stack.service.group().id);
        caller.refused("GET", &path, "", &[("authorization", &bearer)]).await?;
        caller.secrets.push(token);
    }
    Ok(())
}

/// Good calls of a partner and bad ones.
async fn inbound(stack: &Stack, caller: &mut Caller) -> Result<()> {
    let group = stack.service.group();
    let settings = format!("{INBOUND}?groupId={}", group.id);
    let wanted = json!({
        "scopes": ["tasks:write", "categories:write"], "rateLimitPerMinute": 60_000, "secret": private("inbound-secret"),
    });
    let made = caller.expect(OK, "PUT", &settings, &wanted).await?;
    let first = made["secret"].as_str().map_or_else(|| private("inbound-secret"), str::to_owned);
    let rotated = caller.expect(OK, "PUT", &settings, &json!({"rotateSecret": true})).await?;
    let secret = rotated["secret"].as_str().context("no new secret")?.to_owned();
    let (tasks, categories) = (format!("{INBOUND}/{}/tasks", group.id), format!("{INBOUND}/{}/categories", group.id));
    let task = json!({
        "externalId": "order-1", "name": private("task"), "description": private("description"), "difficulty": 4,
        "assignedUserId": group.members[0].to_hex(), "dueAt": "2026-12-31T13:00:00Z",
    });
    ensure!(caller.partner("POST", &tasks, &task.to_string(), &first).await? == 201);
    let category = json!({"externalId": "c-1", "name": private("category"), "icon": "x", "color": "blue-500"});
    ensure!(caller.partner("POST", &categories, &category.to_string(), &secret).await? == 201);
    ensure!(caller.partner("GET", &format!("{tasks}/order-1"), "", &secret).await? == OK);
    ensure!(caller.partner("POST", &tasks, &task.to_string(), &private("wrong-secret")).await? == 401);
    for (path, field, value) in [
        (&tasks, "name", json!(private(&"x".repeat(300)))),
        (&tasks, "name", json!([MARK])),
        (&tasks, "description", json!({"text": MARK})),
        (&tasks, "difficulty", json!(MARK)),
        (&tasks, "status", json!(MARK)),
        (&tasks, "status", json!("Completed")),
        (&tasks, "assignedUserId", json!(MARK)),
        (&tasks, "dueAt", json!(MARK)),
        (&tasks, "frequency", json!(MARK)),
        (&tasks, "requiresApproval", json!(MARK)),
        (&tasks, "templateId", json!(MARK)),
        (&categories, "name", json!(private(&"x".repeat(60)))),
        (&categories, "color", json!(MARK)),
        (&categories, "icon", json!([MARK])),
    ] {
        let mut body = if path == &tasks { task.clone() } else { category.clone() };
        body[field] = value;
        let status = caller.partner("POST", path, &body.to_string(), &secret).await?;
        ensure!(field == "status" || status >= 400, "{body} was taken: {status}");
    }
    // The name stands already, under another id.
    let again = json!({"externalId": "c-2", "name": private("category"), "icon": "x", "color": "blue-500"});
    caller.partner("POST", &categories, &again.to_string(), &secret).await?;
    for body in [format!("{{\"name\": \"{MARK}"), format!("[\"{MARK}\"]"), MARK.to_owned()] {
        ensure!(caller.partner("POST", &tasks, &body, &secret).await? >= 400);
    }
    caller.partner("GET", &format!("{tasks}/{MARK}"), "", &secret).await?;
    Ok(())
}

/// The service at work, on tasks that fit the mapping and on one that does not.
async fn writes(stack: &Stack) -> Result<()> {
    let service = &stack.service;
    let task = service.create(NewTask::named(&private("task")).requiring_approval()).await?.0.id;
    let described = Edit { description: Some(Some(private("description"))), ..Edit::name(&private("edited")) };
    service.edit(task, &described).await?;
    service.set_status(task, Status::InProgress).await?;
    service.request_approval(task).await?;
    service.approve(task).await?;
    let odd = doc! { "Name": [private("odd")], "GroupId": private("group"), "Status": private("status") };
    service.tasks().insert_one(odd).await?;
    Ok(())
}

/// Lines in which something private stands.
fn shown(what: &str, text: &str, secrets: &[String]) -> Vec<String> {
    let is_private = |line: &&str| {
        line.contains(MARK)
            || [JWT_SECRET, MASTER_KEY].iter().any(|key| line.contains(key))
            || secrets.iter().any(|secret| line.contains(secret.as_str()))
    };
    text.lines().filter(is_private).map(|line| format!("{what}: {line}")).collect()
}

async fn metrics(process: &Process) -> Result<String> {
    Ok(reqwest::get(format!("{}/metrics", process.url())).await?.text().await?)
}

/// Waits until everything was tried, given up and told.
async fn until_settled(stack: &Stack, indexer: &Process) -> Result<()> {
    for line in ["a delivery was given up", "attempt failed", "delivered", "a change was put aside", "410 Gone"] {
        indexer.wait_for_log(line, SOON).await?;
    }
    eventually("nothing is due", SOON, async || {
        let open = doc! { "status": "queued" };
        let left = stack.db.collection::<bson::Document>("webhookDeliveries").count_documents(open).await;
        match left {
            // What waits for the webhook that is gone.
            Ok(left) if left <= 8 => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await
}

#[tokio::test]
async fn no_log_line_metric_error_answer_or_command_shows_a_name_a_secret_or_a_query_string() -> Result<()> {
    let stack = Stack::new(Profile::TasksTracker).await?;
    let talkative = |program| stack.launch(program).set("RUST_LOG", "trace").set("TASKWIRE_ACTOR_WAIT_MS", "0");
    let mut indexer = talkative(Program::Indexer).set("TASKWIRE_LOG_FORMAT", "json").start().await?;
    let mut api = talkative(Program::Api).start().await?;
    let mut caller = Caller {
        base: api.url(),
        token: token(stack.service.group().admin)?,
        client: reqwest::Client::builder().no_proxy().build()?,
        secrets: Vec::new(),
    };
    caller.secrets.push(caller.token.clone());
    let hooks = webhooks(&stack, &mut caller).await?;
    writes(&stack).await?;
    inbound(&stack, &mut caller).await?;
    until_settled(&stack, &indexer).await?;
    caller.expect(OK, "POST", &format!("{}/test", hooks[0]), &json!({})).await?;
    caller.expect(202, "POST", &format!("{}/replay", hooks[1]), &json!({})).await?;
    caller.expect(204, "DELETE", &hooks[3], &Value::Null).await?;

    let mut found = Vec::new();
    for arguments in [&["status"][..], &["quarantine", "list"], &["doctor"], &["audit"], &["pause"], &["resume"]] {
        let ran = stack.launch(Program::Indexer).set("RUST_LOG", "trace").arguments(arguments).run().await?;
        found.extend(shown(arguments[0], &format!("{}\n{}", ran.out, ran.err), &caller.secrets));
    }
    for (name, process) in [("api", &api), ("indexer", &indexer)] {
        found.extend(shown(&format!("metrics of {name}"), &metrics(process).await?, &caller.secrets));
    }
    assert_eq!((indexer.stop(SOON).await?, api.stop(SOON).await?), (Some(0), Some(0)));
    let logs = [("api", api.log()), ("indexer", indexer.log())];
    for (name, log) in &logs {
        found.extend(shown(&format!("log of {name}"), log, &caller.secrets));
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
    one_object_a_line_with_its_ids(&logs[1].1)?;
    // In text, a request's lines carry its id.
    let refused = logs[0].1.lines().find(|line| line.contains("a token was refused")).context("no such line")?;
    assert!(refused.contains("request{id=") && refused.contains("route="), "{refused}");
    Ok(())
}

/// The JSON format: each line is one object, and what is told of a delivery names it, its event and its webhook.
fn one_object_a_line_with_its_ids(log: &str) -> Result<()> {
    let mut attempts = 0;
    for line in log.lines() {
        let line: Value = serde_json::from_str(line).with_context(|| format!("no JSON: {line}"))?;
        for key in ["timestamp", "level", "target", "message"] {
            ensure!(line[key].is_string(), "no {key}: {line}");
        }
        if matches!(line["message"].as_str(), Some("delivered" | "attempt failed" | "a delivery was given up")) {
            let has = |key: &str, prefix: &str| line[key].as_str().is_some_and(|id| id.starts_with(prefix));
            // Notices are delivered like events.
            let delivery = has("delivery", "dlv_") || has("delivery", "ntc_");
            ensure!(delivery && has("event", "evt_") && line["webhook"].is_string(), "{line}");
            attempts += 1;
        }
    }
    ensure!(attempts > 8, "{attempts} lines told of attempts");
    Ok(())
}
