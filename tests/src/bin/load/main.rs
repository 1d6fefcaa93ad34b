//! A steady, bounded load on programs that run already: people who create, edit, begin, complete and delete tasks at an even
//! pace, and a webhook that hears of all of it. What was written is printed at the end as one JSON object.

mod trouble;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use bson::oid::ObjectId;
use clap::Parser;
use mongodb::options::{ClientOptions, ReadConcern, WriteConcern};
use mongodb::{Client, Database};
use serde_json::json;
use taskwire_tests::admin_api::{claims, token_with, webhook_for_all_events};
use taskwire_tests::service::{Edit, Group, NewTask, Status};
use taskwire_tests::{AdminApi, Profile, TaskService};
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;

/// How many people write at once, each one write after the other.
const PEOPLE: u32 = 8;
/// How long a token for the admin is good, beyond the load's end.
const TOKEN_SPARE: Duration = Duration::from_secs(3600);

/// Writes at an even pace, for a while.
#[derive(Debug, Parser)]
struct Arguments {
    /// The replica set, and nothing but loopback addresses.
    #[arg(long)]
    uri: String,
    /// The task service's database.
    #[arg(long)]
    database: String,
    /// The API's base URL.
    #[arg(long)]
    api: String,
    /// A file with the secret of the task service's tokens.
    #[arg(long)]
    jwt_secret_file: PathBuf,
    /// Where the webhook sends to.
    #[arg(long)]
    hook: String,
    /// A file with the webhook's secret.
    #[arg(long)]
    hook_secret_file: PathBuf,
    /// Changes of tasks a second.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=500))]
    rate: u32,
    /// For how long.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=86_400))]
    seconds: u32,
    /// Also make what an operator must see: targets that fail and are gone, inbound calls good and bad, a document that cannot
    /// be read.
    #[arg(long)]
    trouble: bool,
}

/// What one person did.
#[derive(Debug, Default)]
struct Done {
    changes: u64,
    events: u64,
    doubts: u64,
}

#[tokio::main]
async fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let database = database(&arguments).await?;
    let group = Group::create(&database).await?;
    let api = admin(&arguments, &group)?;
    let mut webhook = webhook_for_all_events(group.id, &arguments.hook);
    webhook["secret"] = read_secret(&arguments.hook_secret_file)?.into();
    api.create_webhook(&webhook).await?;
    // The watcher must have read of the webhook before the first change.
    tokio::time::sleep(Duration::from_secs(1)).await;

    let trouble = match arguments.trouble {
        true => Some(trouble::make(&api, &arguments.api, &database, &group).await?),
        false => None,
    };
    let until = Instant::now() + Duration::from_secs(arguments.seconds.into());
    let every = Duration::from_secs(1) * PEOPLE / arguments.rate;
    let mut people = JoinSet::new();
    for _ in 0..PEOPLE {
        let service = TaskService::for_group(&database, Profile::TasksTracker, group.clone()).surely().await?;
        people.spawn(write(service, every, until));
    }
    let mut all = Done::default();
    while let Some(done) = people.join_next().await {
        let done = done??;
        all.changes += done.changes;
        all.events += done.events;
        all.doubts += done.doubts;
    }
    drop(trouble);
    let said = json!({
        "group": group.id.to_hex(), "changes": all.changes, "events": all.events, "doubts": all.doubts,
    });
    println!("{said}");
    Ok(())
}

/// With majority in reads and writes, as writing surely asks for.
async fn database(arguments: &Arguments) -> Result<Database> {
    let mut options = ClientOptions::parse(&arguments.uri).await?;
    options.server_selection_timeout = Some(Duration::from_secs(10));
    options.write_concern = Some(WriteConcern::majority());
    options.read_concern = Some(ReadConcern::majority());
    Ok(Client::with_options(options)?.database(&arguments.database))
}

fn admin(arguments: &Arguments, group: &Group) -> Result<AdminApi> {
    let lifetime = Duration::from_secs(arguments.seconds.into()) + TOKEN_SPARE;
    let secret = read_secret(&arguments.jwt_secret_file)?;
    AdminApi::with_token(&arguments.api, Some(token_with(&claims(&group.admin.to_hex(), lifetime), &secret)?))
}

fn read_secret(path: &Path) -> Result<String> {
    let text = std::fs::read_to_string(path).with_context(|| format!("{} cannot be read", path.display()))?;
    Ok(text.trim().to_owned())
}

/// One person's changes, each at its time. What an absent database held up is not made up for: the load is bounded.
async fn write(service: TaskService, every: Duration, until: Instant) -> Result<Done> {
    let mut ticks = tokio::time::interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut done, mut life) = (Done::default(), None);
    while Instant::now() < until {
        ticks.tick().await;
        life = next(&service, life).await?;
        done.changes += 1;
        done.events += service.expected().len() as u64;
        service.forget_expected();
    }
    done.doubts = service.doubts().await;
    Ok(done)
}

/// The next step of a task's life: created, edited, begun, completed, deleted.
async fn next(service: &TaskService, life: Option<(ObjectId, u8)>) -> Result<Option<(ObjectId, u8)>> {
    let Some((task, step)) = life else {
        let (task, _) = service.create(NewTask::named("Under load")).await?;
        return Ok(Some((task.id, 0)));
    };
    match step {
        0 => service.edit(task, &Edit::difficulty(7)).await?,
        1 => service.set_status(task, Status::InProgress).await?,
        2 => service.complete(task).await?,
        _ => {
            service.delete(task).await?;
            return Ok(None);
        }
    };
    Ok(Some((task, step + 1)))
}
