//! The roles of the README, on a MongoDB with users and TLS: both programs and every command do their work as a user of
//! exactly that role, and say nothing of how they signed in.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use bson::{Bson, Document, doc};
use mongodb::Client;
use mongodb::options::{ReadConcern, ReadPreference, SelectionCriteria, WriteConcern};
use serde_json::json;
use taskwire::config::MongoSettings;
use taskwire::store::{connect, names};
use taskwire_tests::expected::Actors;
use taskwire_tests::mongo::{Mongo, MongoOptions};
use taskwire_tests::process::{Launch, Ran};
use taskwire_tests::receiver::hex_signature;
use taskwire_tests::service::NewTask;
use taskwire_tests::{Answer, Db, Profile, Program, Stack, eventually};
use tempfile::TempDir;

use crate::common::{SOON, log_matches};

/// What the programs sign in with; all of it must be percent-encoded.
const PASSWORD: &str = "zq/mark:pass@word";
const ENCODED: &str = "zq%2Fmark%3Apass%40word";
/// The text of a task.
const PRIVATE: &str = "zqmark-private";

/// A MongoDB that asks for users, and takes TLS.
struct Guarded {
    stack: Stack,
    root: Client,
    port: u16,
    _mongo: Mongo,
    _files: TempDir,
}

impl Guarded {
    async fn start() -> Result<Self> {
        let files = tempfile::tempdir()?;
        let key = files.path().join("key");
        std::fs::write(&key, "a".repeat(64))?;
        std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o600))?;
        let arguments = [
            ("--keyFile", key.display().to_string()),
            ("--tlsMode", "preferTLS".to_owned()),
            ("--tlsCertificateKeyFile", tls_file("mongod.pem")),
            ("--tlsCAFile", tls_file("ca.pem")),
        ];
        let mut arguments: Vec<String> =
            arguments.into_iter().flat_map(|(name, value)| [name.to_owned(), value]).collect();
        arguments.push("--tlsAllowConnectionsWithoutCertificates".to_owned());
        let mut mongo = Mongo::start(&MongoOptions { arguments, ..MongoOptions::default() }).await?;
        // The first user may be made from this machine by anybody.
        let first = mongo.node(0).client().await?;
        first.database("admin").run_command(doc! { "createUser": "root", "pwd": PASSWORD, "roles": ["root"] }).await?;
        let port = mongo.node(0).port();
        let uri = format!("mongodb://root:{ENCODED}@127.0.0.1:{port}/?replicaSet=rs0&authSource=admin");
        let db = Db::at(&uri).await?;
        let root = db.client().clone();
        Ok(Self { stack: Stack::on(db, Profile::TasksTracker).await?, root, port, _mongo: mongo, _files: files })
    }

    /// Makes the README's role of this name, and a user of the same name who has it alone.
    async fn user(&self, name: &str) -> Result<()> {
        let admin = self.root.database("admin");
        let privileges = privileges_in_readme(name, self.stack.db.name())?;
        admin.run_command(doc! { "createRole": name, "privileges": privileges, "roles": [] }).await?;
        admin.run_command(doc! { "createUser": name, "pwd": PASSWORD, "roles": [name] }).await?;
        Ok(())
    }

    /// A program that signs in as this user, over TLS.
    fn launch(&self, program: Program, user: &str) -> Launch {
        let (port, ca) = (self.port, tls_file("ca.pem"));
        let uri = format!(
            "mongodb://{user}:{ENCODED}@127.0.0.1:{port}/?replicaSet=rs0&authSource=admin&tls=true&tlsCAFile={ca}"
        );
        let launch = self.stack.launch(program).set("TASKWIRE_MONGODB_URI", &uri).set("RUST_LOG", "debug");
        launch.set("TASKWIRE_LEASE_MS", "500").set("TASKWIRE_IDLE_CHECKPOINT_MS", "200")
    }

    async fn command(&self, user: &str, arguments: &[&str]) -> Result<Ran> {
        let ran = self.launch(Program::Indexer, user).arguments(arguments).run().await?;
        tells_nothing(&format!("{}{}", ran.out, ran.err))?;
        Ok(ran)
    }
}

fn tls_file(name: &str) -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("flow/tls").join(name).display().to_string()
}

/// The privileges of a role as README's script makes it.
fn privileges_in_readme(role: &str, database: &str) -> Result<Vec<Document>> {
    let readme = include_str!("../../README.md");
    let quoted = |text: &str| -> Vec<String> { text.split('"').skip(1).step_by(2).map(str::to_owned).collect() };
    let list = |name: &str| -> Result<Vec<String>> {
        let (_, rest) = readme.split_once(&format!("const {name} = [")).with_context(|| format!("no list {name}"))?;
        Ok(quoted(rest.split(']').next().unwrap_or_default()))
    };
    let (_, rest) = readme.split_once(&format!("role: \"{role}\"")).with_context(|| format!("no role {role}"))?;
    let script = rest.split("\n   ] })").next().unwrap_or_default();
    let mut privileges = Vec::new();
    for line in script.lines().filter(|line| line.contains("actions: [")) {
        let (resource, actions) = line.split_once("actions: [").context("no actions")?;
        let actions = quoted(actions.split(']').next().unwrap_or_default());
        let mut grant = |db: &str, collection: &str| {
            privileges.push(doc! { "resource": { "db": db, "collection": collection }, "actions": actions.clone() });
        };
        match resource.split_once("...").and_then(|(_, rest)| rest.split_once(".map")) {
            Some((name, _)) => list(name)?.iter().for_each(|collection| grant(database, collection)),
            None if resource.contains("db: db_") => grant(database, &quoted(resource).pop().unwrap_or_default()),
            None => match quoted(resource).as_slice() {
                [db, collection] => grant(db, collection),
                other => anyhow::bail!("no resource: {other:?} in {line}"),
            },
        }
    }
    ensure!(privileges.len() > 1, "{privileges:?}");
    Ok(privileges)
}

/// Neither password nor connection string, nor a task's text, nor that something was not allowed.
fn tells_nothing(text: &str) -> Result<()> {
    for private in [PASSWORD, ENCODED, "mark:pass", "mongodb://", PRIVATE] {
        ensure!(!text.contains(private), "{private} in {text}");
    }
    Ok(())
}

fn refused_nothing(text: &str) -> Result<()> {
    ensure!(!text.contains("not authorized") && !text.contains("could not be ended"), "{text}");
    tells_nothing(text)
}

#[tokio::test]
async fn both_programs_and_every_command_work_as_a_user_of_the_readmes_role() -> Result<()> {
    let guarded = Guarded::start().await?;
    guarded.user("taskwire").await?;
    let mut api = guarded.launch(Program::Api, "taskwire").start().await?;
    let mut indexer = guarded.launch(Program::Indexer, "taskwire").start().await?;
    let group = guarded.stack.service.group().clone();
    let admin = guarded.stack.admin(&api.url())?;
    let hook = guarded.stack.webhook(&admin).await?;
    let path = format!("/api/integrations/webhooks/{}", hook["id"].as_str().context("no id")?);
    let limited = json!({"rateLimitPerSecond": 500, "ordering": "perTask"});
    admin.put(&path, &limited).await?.expect(200)?;
    for (target, answer) in [("/gone", Answer::Status(410)), ("/fails", Answer::Status(500))] {
        guarded.stack.receiver.always(target, answer);
        let mut wanted =
            taskwire_tests::admin_api::webhook_for_all_events(group.id, &guarded.stack.receiver.url(target));
        wanted["retryPolicy"] = json!({"maxAttempts": 1, "backoffSeconds": 1});
        admin.create_webhook(&wanted).await?;
    }
    let settings = format!("/api/integrations/settings?groupId={}", group.id);
    admin.put(&settings, &json!({"alertUrl": guarded.stack.receiver.url("/alert")})).await?.expect(200)?;

    let service = &guarded.stack.service;
    let task = service.create(NewTask::named(PRIVATE).requiring_approval()).await?.0.id;
    service.request_approval(task).await?;
    service.approve(task).await?;
    let gone = service.create(NewTask::named(PRIVATE)).await?.0.id;
    service.delete(gone).await?;
    log_matches(&guarded.stack, &service.expected(), Actors::MayBeMissing).await?;
    service.tasks().insert_one(doc! { "Name": PRIVATE, "GroupId": 7, "Status": 0 }).await?;
    guarded.stack.receiver.wait_for_events("/hook", service.expected().len(), SOON).await?;
    indexer.wait_for_log("a delivery was given up", SOON).await?;
    indexer.wait_for_log("410 Gone", SOON).await?;
    indexer.wait_for_log("a change was put aside", SOON).await?;
    partner(&guarded.stack, &admin, &api.url()).await?;
    admin.post(&format!("{path}/replay"), &json!({"status": "delivered"})).await?.expect(202)?;
    indexer.wait_for_log("bulk work is over", SOON).await?;

    let id = group.id.to_hex();
    let until = (chrono::Utc::now() + chrono::TimeDelta::minutes(5)).to_rfc3339();
    for arguments in [
        &["doctor"][..],
        &["checkpoint", "show"],
        &["pause", "--group", &id],
        &["resume", "--group", &id],
        &["mute", "--group", &id, "--until", &until],
        &["unmute", "--group", &id],
        &["quarantine", "list"],
        &["quarantine", "drop", "--all"],
        &["rebuild", "deliveries", "--since", "2020-01-01T00:00:00Z", "--force"],
        &["audit"],
    ] {
        let ran = guarded.command("taskwire", arguments).await?;
        ensure!(matches!(ran.code, Some(0 | 1)), "{arguments:?}: {ran:?}");
        refused_nothing(&format!("{}{}", ran.out, ran.err)).with_context(|| format!("{arguments:?}"))?;
        if arguments == ["doctor"] {
            ensure!(ran.out.contains("the user may do what both programs need"), "{}", ran.out);
        }
    }
    // Killed inside its session, which its successor ends; then a gap, by an operator's hand.
    indexer.kill().await?;
    refused_nothing(&indexer.log())?;
    let mut indexer = guarded.launch(Program::Indexer, "taskwire").start().await?;
    indexer.wait_for_log("leading", SOON).await?;
    guarded.command("taskwire", &["checkpoint", "reset", "--to", "now", "--yes"]).await?.expect(0)?;
    indexer.wait_for_log("the gap is recovered", SOON).await?;
    let rekeyed = guarded.launch(Program::Api, "taskwire").arguments(&["rekey"]).run().await?.expect(0)?;
    refused_nothing(&rekeyed.err)?;
    let status = guarded.command("taskwire", &["status"]).await?;
    refused_nothing(&format!("{}{}", status.out, status.err))?;
    ensure!(!status.out.contains("may not read"), "{}", status.out);

    let made = guarded.stack.db.list_collection_names().await?;
    let missing: Vec<_> = names::ALL.iter().filter(|name| !made.iter().any(|one| one == *name)).collect();
    assert!(missing.is_empty(), "the scene wrote nothing to {missing:?}");
    for process in [&mut api, &mut indexer] {
        assert_eq!(process.stop(SOON).await?, Some(0));
        refused_nothing(&process.log())?;
    }
    Ok(())
}

#[tokio::test]
async fn reads_and_writes_are_a_majoritys_whatever_the_connection_string_says() -> Result<()> {
    let db = Db::fresh().await?;
    let uri = format!("{}&w=1&readConcernLevel=local&readPreference=secondary", db.uri());
    let store = connect(&MongoSettings { uri, database: db.name().to_owned() }, "taskwire-tests").await?;
    assert_eq!(store.db.write_concern(), Some(&WriteConcern::majority()));
    assert_eq!(store.db.read_concern(), Some(&ReadConcern::majority()));
    let primary = SelectionCriteria::ReadPreference(ReadPreference::Primary);
    assert_eq!(store.db.selection_criteria(), Some(&primary));
    Ok(())
}

/// A partner's calls, which write to the service's collections.
async fn partner(stack: &Stack, admin: &taskwire_tests::AdminApi, base: &str) -> Result<()> {
    let group = stack.service.group();
    let settings = format!("/api/integrations/inbound?groupId={}", group.id);
    let made = admin.put(&settings, &json!({"scopes": ["tasks:write", "categories:write"]})).await?.expect(200)?;
    let secret = made["secret"].as_str().context("no secret")?;
    let task = json!({
        "externalId": "order-1", "name": PRIVATE, "assignedUserId": group.members[0].to_hex(), "dueAt": "2026-12-31T13:00:00Z",
    });
    let edited = json!({"externalId": "order-1", "difficulty": 9});
    let category = json!({"externalId": "c-1", "name": PRIVATE, "icon": "x", "color": "blue-500"});
    for (kind, body, status) in [("tasks", task, 201), ("tasks", edited, 200), ("categories", category, 201)] {
        let (now, body) = (chrono::Utc::now().timestamp().to_string(), body.to_string());
        let signature = format!("sha256={}", hex_signature(secret, &now, body.as_bytes()));
        let url = format!("{base}/api/integrations/inbound/{}/{kind}", group.id);
        let request = reqwest::Client::builder().no_proxy().build()?.post(url).body(body);
        let answer = request.header("x-timestamp", now).header("x-signature", signature).send().await?;
        ensure!(answer.status() == status, "{}: {}", answer.status(), answer.text().await?);
    }
    Ok(())
}

#[tokio::test]
async fn the_readmes_role_for_looking_does_for_doctor_and_shadow_and_may_write_nothing() -> Result<()> {
    let guarded = Guarded::start().await?;
    guarded.user("taskwireLook").await?;
    guarded.stack.service.create(NewTask::named(PRIVATE)).await?;
    let told = guarded.command("taskwireLook", &["doctor"]).await?.expect(0)?.out;
    ensure!(told.contains("may only read") && told.contains("h of changes"), "{told}");
    let shadow = guarded.launch(Program::Indexer, "taskwireLook").arguments(&["watch", "--shadow", "--seconds", "3"]);
    let writing = async {
        loop {
            guarded.stack.service.create(NewTask::named(PRIVATE)).await?;
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
    };
    let shadow = tokio::select! {
        ran = shadow.run() => ran?.expect(0)?,
        failed = writing => return failed,
    };
    ensure!(shadow.out.contains("task.created"), "{}", shadow.out);
    refused_nothing(&format!("{}{}", shadow.out, shadow.err))?;
    let ours = guarded.stack.db.list_collection_names().await?;
    ensure!(!ours.iter().any(|name| names::ALL.contains(&name.as_str())), "{ours:?}");
    // And the programs say what they lack, not what they would have written.
    let ran = guarded.launch(Program::Indexer, "taskwireLook").run().await?.expect(1)?;
    ensure!(ran.err.contains("not authorized") && ran.err.contains("watcherCheckpoints"), "{}", ran.err);
    tells_nothing(&ran.err)
}

#[tokio::test]
async fn what_the_user_may_not_write_is_named_without_the_document_and_work_goes_on_once_it_is_granted() -> Result<()> {
    let guarded = Guarded::start().await?;
    guarded.user("taskwire").await?;
    let indexer = guarded.launch(Program::Indexer, "taskwire").start().await?;
    let on = doc! { "db": guarded.stack.db.name(), "collection": names::QUARANTINE };
    let privilege = vec![Bson::from(doc! { "resource": on, "actions": ["update"] })];
    let admin = guarded.root.database("admin");
    let change = |verb: &str| doc! { verb: "taskwire", "privileges": privilege.clone() };
    admin.run_command(change("revokePrivilegesFromRole")).await?;
    guarded.stack.service.tasks().insert_one(doc! { "Name": PRIVATE, "GroupId": 7, "Status": 0 }).await?;
    indexer.wait_for_log("not authorized", SOON).await?;
    tells_nothing(&indexer.log())?;
    admin.run_command(change("grantPrivilegesToRole")).await?;
    let aside = guarded.stack.db.collection::<Document>(names::QUARANTINE);
    eventually("the change is aside", SOON, async || match aside.count_documents(doc! {}).await {
        Ok(1) => Ok(()),
        other => Err(format!("{other:?}")),
    })
    .await
}
