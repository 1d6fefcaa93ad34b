//! What an operator must see, made once: each kind of trouble that a healthy run has not.

use anyhow::{Context, Result, ensure};
use bson::oid::ObjectId;
use bson::{Document, doc};
use mongodb::Database;
use reqwest::StatusCode;
use serde_json::{Value, json};
use taskwire_tests::admin_api::webhook_for_all_events;
use taskwire_tests::receiver::hex_signature;
use taskwire_tests::service::Group;
use taskwire_tests::{AdminApi, Answer, Receiver};

/// Makes it; what fails does so as long as the receiver that is given lives.
pub(crate) async fn make(api: &AdminApi, base: &str, database: &Database, group: &Group) -> Result<Receiver> {
    let receiver = Receiver::start().await?;
    receiver.always("/failing", Answer::Status(500));
    receiver.always("/gone", Answer::Status(410));
    for (path, attempts) in [("/failing", 2), ("/gone", 1)] {
        let mut webhook = webhook_for_all_events(group.id, &receiver.url(path));
        webhook["retryPolicy"] = json!({ "maxAttempts": attempts, "backoffSeconds": 1 });
        api.create_webhook(&webhook).await?;
    }
    inbound(api, base, group).await?;
    // The service's names are texts.
    let misfit = doc! { "_id": ObjectId::new(), "GroupId": group.id, "Name": 5 };
    database.collection::<Document>("tasks").insert_one(misfit).await?;
    Ok(receiver)
}

/// One call that is taken and one that is refused.
async fn inbound(api: &AdminApi, base: &str, group: &Group) -> Result<()> {
    let path = format!("/api/integrations/inbound?groupId={}", group.id);
    let wanted = json!({ "enabled": true, "scopes": ["tasks:write"], "rateLimitPerMinute": 600 });
    let made = api.put(&path, &wanted).await?.expect(200)?;
    let secret = made.get("secret").and_then(Value::as_str).context("the answer holds no secret")?;
    let task = json!({
        "externalId": "load-1", "name": "From a partner", "difficulty": 4, "status": "Pending",
        "assignedUserId": group.members.first().context("a group without members")?.to_hex(),
        "dueAt": "2030-01-31T13:00:00Z", "frequency": "Weekly", "requiresApproval": false,
    });
    for (key, wanted) in [(secret, StatusCode::CREATED), ("a wrong secret altogether", StatusCode::UNAUTHORIZED)] {
        let got = post(base, group, key, &task.to_string()).await?;
        ensure!(got == wanted, "an inbound call was answered with {got}, not {wanted}");
    }
    Ok(())
}

async fn post(base: &str, group: &Group, key: &str, body: &str) -> Result<StatusCode> {
    let timestamp = chrono::Utc::now().timestamp().to_string();
    let signature = format!("sha256={}", hex_signature(key, &timestamp, body.as_bytes()));
    let client = reqwest::Client::builder().no_proxy().build()?;
    let request = client.post(format!("{base}/api/integrations/inbound/{}/tasks", group.id));
    let request = request.header("x-timestamp", timestamp).header("x-signature", signature);
    let answer = request.header("content-type", "application/json").body(body.to_owned()).send().await?;
    Ok(answer.status())
}
