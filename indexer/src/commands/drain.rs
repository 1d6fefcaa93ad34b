//! `dispatch --group G --once`: delivers what is due now, and ends. For schedulers.

use std::io::Write;
use std::process::ExitCode;
use std::time::Duration;

use bson::{Document, doc, oid::ObjectId};
use clap::Args as ClapArgs;
use futures::TryStreamExt;
use indicatif::{ProgressBar, ProgressStyle};
use mongodb::options::Hint;
use serde::{Deserialize, Serialize};
use taskwire::config::{IndexerSettings, LogFormat, Source};
use taskwire::model::DocId;
use taskwire::shutdown;
use taskwire::store::{ConnectError, ServerClock, Store, connect, describe, names, parcels, prepare};
use taskwire::telemetry::{init_logging, traces};
use tokio_util::sync::CancellationToken;

use super::{CommandError, print_json};
use crate::claim;
use crate::dispatch::{self, DispatchHandle};

/// With `--once`, wrong usage or settings. The usual 2 says that deliveries remain.
const USAGE: u8 = 78;

/// How often it is looked whether the queue is worked off.
const LOOK: Duration = Duration::from_millis(250);

/// So many looks in a row must find it so: a task's next delivery is claimed only once the outcome of the one before is written.
const LOOKS: u32 = 3;

/// A database that does not answer for so long ends the job.
const PATIENCE: Duration = Duration::from_secs(60);

/// What to dispatch.
#[derive(Debug, ClapArgs)]
pub struct Args {
    /// Only what is queued for this group's webhooks.
    #[arg(long)]
    pub group: Option<String>,
    /// Deliver what is due now, print counts, and end. Exit codes: 0 the group's queue is empty; 2 deliveries remain (they wait
    /// for a retry or for a disabled webhook, others hold them, or they came meanwhile); 1 an error; 78 wrong usage or settings.
    #[arg(long, requires = "group")]
    pub once: bool,
    /// The counts as a JSON document.
    #[arg(long, requires = "once")]
    pub json: bool,
}

/// What a drain did.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Counts {
    group: String,
    /// Deliveries that arrived.
    delivered: u64,
    /// Attempts that failed.
    failed: u64,
    /// Deliveries given up.
    dead_lettered: u64,
    /// Deliveries of the group that are open now.
    remaining: u64,
}

/// The exit code for wrong usage, before there are arguments to look at.
#[must_use]
pub fn usage_code(arguments: &[String]) -> Option<u8> {
    arguments.iter().any(|argument| argument == "--once").then_some(USAGE)
}

/// The exit code of a drain.
#[must_use]
pub fn exit_code(done: &Result<Counts, CommandError>) -> ExitCode {
    match done {
        Ok(counts) if counts.remaining == 0 => ExitCode::SUCCESS,
        Ok(_) => ExitCode::from(2),
        Err(error) if error.is_usage() => ExitCode::from(USAGE),
        Err(_) => ExitCode::FAILURE,
    }
}

/// Drains one group's queue and prints the counts.
///
/// # Errors
/// See [`CommandError`].
pub async fn run(group: &str, json: bool, source: &Source) -> Result<Counts, CommandError> {
    init_logging(LogFormat::read(source)?)?;
    let settings = IndexerSettings::read(source)?;
    let stop = shutdown::on_signals()
        .map_err(|error| CommandError::Refused(format!("signals cannot be listened for: {error}")))?;
    let traces = traces::init(&settings.common.traces, "taskwire-indexer")
        .map_err(|error| CommandError::Refused(error.to_string()))?;
    let store = connect(&settings.common.mongo, "taskwire-indexer").await?;
    let done = drain(&store, &settings, &DocId::parse(group), stop).await;
    traces.close().await;
    store.close().await;
    let counts = done?;
    if json {
        print_json(&counts)?;
    } else {
        let Counts { group, delivered, failed, dead_lettered, remaining } = &counts;
        writeln!(
            std::io::stdout(),
            "group {group}: {delivered} delivered, {failed} attempts failed, {dead_lettered} given up, {remaining} remain"
        )?;
    }
    Ok(counts)
}

async fn drain(
    store: &Store,
    settings: &IndexerSettings,
    group: &DocId,
    stop: CancellationToken,
) -> Result<Counts, CommandError> {
    prepare(store).await.map_err(ConnectError::from)?;
    let clock = ServerClock::calibrated(&store.db).await?;
    let cutoff = clock.now();
    // A group nobody configured for is no error for a scheduler that goes through all; a mistyped one should be seen.
    let webhooks = store.collection::<Document>(names::WEBHOOKS);
    if webhooks.find_one(doc! { "groupId": group }).projection(doc! { "_id": 1 }).await?.is_none() {
        tracing::warn!(group = group.to_string(), "this group has no webhooks and never had any: is it the right id?");
    }
    // Drawn on a terminal only.
    let bar = ProgressBar::new(open_deliveries(store, group).await?);
    if let Ok(style) = ProgressStyle::with_template("delivering {wide_bar} {pos}/{len}, {per_sec}, {eta} left") {
        bar.set_style(style);
    }
    let finish = CancellationToken::new();
    let (handle, task) = dispatch::start_for(store, settings, clock, Some(group.clone()), finish.clone())?;
    let watched = tokio::select! {
        watched = until_drained(&handle, group, cutoff, &bar) => watched,
        () = stop.cancelled() => Ok(()),
    };
    finish.cancel();
    let ended = task.await;
    bar.finish_and_clear();
    ended.map_err(|error| CommandError::Refused(format!("the dispatcher broke: {error}")))?;
    watched?;
    let tally = handle.tally();
    Ok(Counts {
        group: group.to_string(),
        delivered: tally.delivered,
        failed: tally.failed,
        dead_lettered: tally.dead_lettered,
        remaining: open_deliveries(store, group).await?,
    })
}

async fn until_drained(
    handle: &DispatchHandle,
    group: &DocId,
    cutoff: bson::DateTime,
    bar: &ProgressBar,
) -> mongodb::error::Result<()> {
    let (mut found, mut answered) = (0, tokio::time::Instant::now());
    while found < LOOKS {
        tokio::time::sleep(LOOK).await;
        match handle.is_drained(group, cutoff).await {
            Ok(is_drained) => {
                answered = tokio::time::Instant::now();
                found = if is_drained { found + 1 } else { 0 };
            }
            Err(error) if answered.elapsed() >= PATIENCE => return Err(error),
            Err(error) => {
                tracing::warn!(error = describe(&error), "the queue could not be looked at; trying again");
                found = 0;
            }
        }
        let tally = handle.tally();
        bar.set_position(tally.delivered + tally.dead_lettered);
    }
    Ok(())
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct OfGroup {
    #[serde(rename = "_id")]
    id: ObjectId,
    group_id: DocId,
}

/// How many deliveries of a group are open. A row's webhook tells its group; where its configuration was removed by hand, the
/// row does.
async fn open_deliveries(store: &Store, group: &DocId) -> mongodb::error::Result<u64> {
    parcels::unpack(store, None).await?;
    let open: Vec<ObjectId> = claim::open_queues(store).await?.into_iter().map(|queue| queue.webhook).collect();
    let webhooks = store.collection::<OfGroup>(names::WEBHOOKS);
    let known: Vec<OfGroup> =
        webhooks.find(doc! { "_id": { "$in": &open } }).projection(doc! { "groupId": 1 }).await?.try_collect().await?;
    let rows = store.collection::<Document>(names::DELIVERIES);
    let by_webhook = || Hint::Name("open_by_webhook".to_owned());
    let mut mine = Vec::new();
    for webhook in open {
        let is_mine = match known.iter().find(|one| one.id == webhook) {
            Some(one) => one.group_id == *group,
            None => {
                let row = doc! { "webhookId": webhook, "due": { "$exists": true } };
                let found = rows.find_one(row).projection(doc! { "groupId": 1 }).hint(by_webhook()).await?;
                found.is_some_and(|row| row.get("groupId") == Some(&group.clone().into()))
            }
        };
        if is_mine {
            mine.push(webhook);
        }
    }
    if mine.is_empty() {
        return Ok(0);
    }
    rows.count_documents(doc! { "webhookId": { "$in": mine }, "due": { "$exists": true } }).hint(by_webhook()).await
}
