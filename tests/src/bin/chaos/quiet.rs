//! After the faults: everything mended, and waiting until nothing is left to do.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use bson::{Document, Timestamp, doc};
use taskwire_tests::process::Program;
use taskwire_tests::{Answer, eventually, stack};
use tokio::process::Command;
use tokio::time::{sleep, timeout};

use crate::findings::{Findings, Kind};
use crate::hooks::Hooks;
use crate::stage::Stage;
use crate::{Plan, faults, say, writers};

/// How long audit may take.
const AUDIT: Duration = Duration::from_secs(300);

/// The first words of a panic's message, of edited tasks' names, and of secrets.
const NEVER_LOGGED: [&str; 3] = ["panicked at", writers::RENAMED, "whsec_"];

/// How quiet came.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Calm {
    /// Until the position was past the last write.
    pub(crate) position: Duration,
    /// Until nothing was left to deliver.
    pub(crate) queue: Duration,
    /// How often the lead changed hands.
    pub(crate) takeovers: i64,
}

/// Takes every fault back.
pub(crate) async fn heal(stage: &mut Stage, hooks: &Hooks, findings: &mut Findings) -> Result<()> {
    let off = doc! { "configureFailPoint": "failCommand", "mode": "off" };
    for number in 0..stage.mongo.len() {
        let client = stage.mongo.node(number).client().await?;
        client.database("admin").run_command(off.clone()).await.context("a fail point cannot be switched off")?;
    }
    faults::look_for_the_dead(stage, findings)?;
    {
        let receiver = stage.receiver.lock().await;
        for hook in hooks.groups.iter().flat_map(|group| &group.hooks) {
            receiver.always(&hook.path, Answer::Status(204));
        }
    }
    hooks.enable_all().await
}

/// Waits until the position is past the last write and no delivery is due, held or scheduled.
pub(crate) async fn wait(plan: &Plan, stage: &mut Stage, findings: &mut Findings) -> Result<Calm> {
    let begun = Instant::now();
    let last = last_time(stage).await?;
    let mut calm = Calm::default();
    let position = eventually("the position is past the last write", plan.patience, async || {
        let watcher = watcher(stage).await.map_err(|error| format!("{error:#}"))?;
        let time = watcher.get_timestamp("time").map_err(|_| "there is no position".to_owned())?;
        let past = (time.time, time.increment) >= (last.time, last.increment);
        if past { Ok(watcher.get_i64("epoch").unwrap_or(0)) } else { Err(format!("it is at {time}, before {last}")) }
    })
    .await;
    calm.position = begun.elapsed();
    match position {
        Ok(epoch) => calm.takeovers = epoch,
        Err(error) => findings.add(Kind::Unrest, format!("{error:#}")),
    }
    say(&format!("the position is past the last write after {:.1} s", calm.position.as_secs_f64()));
    let rows = stage.database.collection::<Document>("webhookDeliveries");
    while begun.elapsed() < plan.patience {
        faults::look_for_the_dead(stage, findings)?;
        // What leaves a parcel is a row.
        let packed = stage.database.collection::<Document>("deliveryParcels").count_documents(doc! {}).await?;
        let open = packed + rows.count_documents(doc! { "due": { "$exists": true } }).await?;
        if open == 0 {
            calm.queue = begun.elapsed();
            say(&format!("the queue is empty after {:.1} s", calm.queue.as_secs_f64()));
            return Ok(calm);
        }
        sleep(Duration::from_millis(250)).await;
    }
    let open = rows.count_documents(doc! { "due": { "$exists": true } }).await?;
    findings.add(Kind::Unrest, format!("{open} deliveries are still open after {:?}", plan.patience));
    calm.queue = begun.elapsed();
    Ok(calm)
}

/// The cluster time of a write that comes after all of the writers'.
async fn last_time(stage: &Stage) -> Result<Timestamp> {
    let mut session = stage.database.client().start_session().await?;
    let mark = doc! { "$inc": { "n": 1i64 } };
    let marks = stage.database.client().database("taskServiceFences").collection::<Document>("marks");
    marks.update_one(doc! { "_id": "last" }, mark).upsert(true).session(&mut session).await?;
    session.operation_time().context("the server named no operation time")
}

async fn watcher(stage: &Stage) -> Result<Document> {
    let checkpoints = stage.database.collection::<Document>("watcherCheckpoints");
    checkpoints.find_one(doc! { "_id": "watcher" }).await?.context("there is no position yet")
}

/// `taskwire-indexer audit`, where this indexer has it.
pub(crate) async fn audit(stage: &Stage, findings: &mut Findings) -> Result<()> {
    let program = Program::Indexer.path()?;
    let help = Command::new(&program).arg("--help").output().await?;
    if !String::from_utf8_lossy(&help.stdout).lines().any(|line| line.trim_start().starts_with("audit ")) {
        say("this taskwire-indexer has no audit: the comparison alone decides");
        return Ok(());
    }
    let mut command = Command::new(&program);
    command.arg("audit").stdin(Stdio::null()).kill_on_drop(true);
    for (name, value) in stack::settings(&stage.mongo.uri(), stage.database.name(), stage.profile) {
        command.env(name, value);
    }
    let output = timeout(AUDIT, command.output()).await.context("audit has not ended in five minutes")??;
    if output.status.success() {
        say("audit is clean");
        return Ok(());
    }
    for text in [&output.stdout, &output.stderr] {
        for line in String::from_utf8_lossy(text).lines().filter(|line| !line.trim().is_empty()) {
            findings.add(Kind::Audit, line.to_owned());
        }
    }
    findings.add(Kind::Audit, format!("it ended with {}", output.status));
    Ok(())
}

/// SIGTERM to all; each must end well.
pub(crate) async fn stop_programs(stage: &mut Stage, findings: &mut Findings) -> Result<()> {
    for process in stage.indexers.iter_mut().chain([&mut stage.api]) {
        match process.stop(Duration::from_secs(60)).await {
            Ok(Some(0)) => {}
            Ok(code) => findings.add(Kind::Program, format!("a program ended with {code:?} at SIGTERM")),
            Err(error) => findings.add(Kind::Program, format!("{error:#}")),
        }
    }
    Ok(())
}

/// No program may have panicked, or logged a task's text or a secret.
pub(crate) fn read_logs(stage: &Stage, findings: &mut Findings) -> Result<()> {
    let own = format!("-{}-", std::process::id());
    for entry in std::fs::read_dir(stage.log_directory())? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if !name.starts_with("taskwire-") || !name.contains(&own) {
            continue;
        }
        for line in BufReader::new(File::open(&path)?).lines() {
            let line = line?;
            if let Some(word) = NEVER_LOGGED.into_iter().find(|word| line.contains(word)) {
                findings.add(Kind::Program, format!("{name} holds {word:?}: {line}"));
            }
        }
    }
    Ok(())
}
