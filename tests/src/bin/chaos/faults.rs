//! Pulling plugs: every few seconds one fault, now and then two at once in different places.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use bson::{Document, doc};
use clap::ValueEnum;
use rand::Rng;
use rand::SeedableRng;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use taskwire_tests::process::Launch;
use taskwire_tests::{Mongo, Process, Receiver, eventually};
use tokio::sync::Mutex;
use tokio::time::{sleep, timeout};

use crate::findings::{Findings, Kind};
use crate::stage::{LEASE, Stage};
use crate::{Plan, any_of, say};

/// The kinds of fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub(crate) enum Fault {
    /// kill -9 of an indexer; another is started.
    KillIndexer,
    /// SIGSTOP of an indexer until its lease is past, then SIGCONT.
    FreezeIndexer,
    /// SIGTERM of an indexer; another is started.
    StopIndexer,
    /// The primary steps down.
    StepDown,
    /// kill -9 of a mongod, which comes back.
    KillMongod,
    /// SIGSTOP of the primary for longer than an election takes, then SIGCONT.
    FreezeMongod,
    /// The receiver refuses connections and cuts those that are open.
    CutReceiver,
    /// A few of the indexers' commands fail.
    FailCommand,
}

/// Where a fault strikes: one at a time in each place, so that a majority of the set is always there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Indexers,
    Database,
    Receiver,
}

impl Fault {
    /// How often it is drawn, compared with the others.
    const fn weight(self) -> u32 {
        match self {
            Self::KillIndexer | Self::FreezeIndexer => 3,
            Self::FailCommand => 4,
            Self::KillMongod | Self::FreezeMongod | Self::CutReceiver => 2,
            Self::StopIndexer | Self::StepDown => 1,
        }
    }

    const fn place(self) -> Place {
        match self {
            Self::KillIndexer | Self::FreezeIndexer | Self::StopIndexer => Place::Indexers,
            Self::StepDown | Self::KillMongod | Self::FreezeMongod | Self::FailCommand => Place::Database,
            Self::CutReceiver => Place::Receiver,
        }
    }

    /// The name on the command line.
    pub(crate) fn name(self) -> String {
        self.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned())
    }

    fn draw(rng: &mut StdRng, among: impl Iterator<Item = Self> + Clone) -> Option<Self> {
        let all: u32 = among.clone().map(Self::weight).sum();
        let mut left = if all == 0 { return None } else { rng.random_range(0..all) };
        among.into_iter().find(|fault| {
            let here = left < fault.weight();
            left = left.saturating_sub(fault.weight());
            here
        })
    }
}

/// What is played and when, from the seed alone.
#[derive(Debug)]
struct Draws {
    kinds: Vec<Fault>,
    /// Kinds that were not drawn yet: each comes once before any comes again.
    fresh: Vec<Fault>,
    rng: StdRng,
}

impl Draws {
    fn new(kinds: &[Fault], mut rng: StdRng) -> Self {
        let mut fresh = kinds.to_vec();
        fresh.shuffle(&mut rng);
        Self { kinds: kinds.to_vec(), fresh, rng }
    }

    /// The pause before the next faults, and one of them or two in different places.
    fn next(&mut self) -> (Duration, Vec<Fault>) {
        let pause = Duration::from_millis(self.rng.random_range(800..4000));
        let fresh = self.fresh.pop();
        let first = fresh.or_else(|| Fault::draw(&mut self.rng, self.kinds.iter().copied()));
        let elsewhere = self.kinds.iter().copied().filter(|fault| Some(fault.place()) != first.map(Fault::place));
        let second = if self.rng.random_ratio(1, 4) { Fault::draw(&mut self.rng, elsewhere) } else { None };
        (pause, [first, second].into_iter().flatten().collect())
    }
}

/// Plays faults for the plan's duration; how many of each.
pub(crate) async fn play(plan: &Plan, stage: &mut Stage, findings: &mut Findings) -> Result<BTreeMap<Fault, u32>> {
    let (mut draws, mut rng) = (Draws::new(&plan.faults, plan.rng(2)), plan.rng(3));
    let mut played = BTreeMap::new();
    let begun = Instant::now();
    loop {
        let (pause, now) = draws.next();
        let left = plan.duration.saturating_sub(begun.elapsed());
        sleep(pause.min(left)).await;
        if begun.elapsed() >= plan.duration {
            return Ok(played);
        }
        let names: Vec<String> = now.iter().map(|fault| fault.name()).collect();
        say(&format!("{:6.1} s  {}", begun.elapsed().as_secs_f64(), names.join(" and ")));
        look_for_the_dead(stage, findings)?;
        strike(stage, &now, &mut rng, findings).await.with_context(|| names.join(" and "))?;
        for fault in now {
            *played.entry(fault).or_default() += 1;
        }
    }
}

/// A program that ended by itself is a finding, unless it gave up at its start for want of a database; another takes its
/// place, as a supervisor would see to.
pub(crate) fn look_for_the_dead(stage: &mut Stage, findings: &mut Findings) -> Result<()> {
    for number in 0..stage.indexers.len() {
        if let Some(end) = stage.indexers[number].ended()? {
            if gave_up_at_start(&stage.indexers[number]) {
                say(&format!("an indexer gave up at its start: {end}"));
            } else {
                findings.add(Kind::Program, format!("an indexer ended by itself: {end}"));
            }
            stage.indexers[number] = stage.indexer().spawn()?;
        }
    }
    if let Some(end) = stage.api.ended()? {
        bail!("the API ended by itself: {end}");
    }
    Ok(())
}

/// Its last line then names the program and the cause.
fn gave_up_at_start(indexer: &Process) -> bool {
    let log = indexer.log();
    let last = log.lines().last().unwrap_or_default();
    last.starts_with("taskwire-indexer: ") && !last.contains("the dispatcher broke")
}

async fn strike(stage: &mut Stage, now: &[Fault], rng: &mut StdRng, findings: &mut Findings) -> Result<()> {
    let launch = stage.indexer();
    let at = |place| now.iter().copied().find(|fault| fault.place() == place);
    let mut seeds = [0u64; 3].map(|_| StdRng::seed_from_u64(rng.random()));
    let [first, second, third] = &mut seeds;
    let (indexers, database, receiver) = tokio::join!(
        on_indexers(at(Place::Indexers), &mut stage.indexers, launch, first, findings),
        on_database(at(Place::Database), &mut stage.mongo, second),
        on_receiver(at(Place::Receiver), &stage.receiver, third),
    );
    indexers.and(database).and(receiver)
}

async fn on_indexers(
    fault: Option<Fault>,
    indexers: &mut [Process],
    launch: Launch,
    rng: &mut StdRng,
    findings: &mut Findings,
) -> Result<()> {
    let victim = victim(indexers, rng).await;
    match fault {
        Some(Fault::KillIndexer) => {
            indexers[victim].kill().await?;
            sleep(Duration::from_millis(rng.random_range(0..1500))).await;
            indexers[victim] = launch.spawn()?;
        }
        Some(Fault::StopIndexer) => {
            // Its grace and a busy machine.
            match indexers[victim].stop(Duration::from_secs(90)).await {
                Ok(Some(0)) => {}
                Ok(code) => findings.add(Kind::Program, format!("an indexer ended with {code:?} at SIGTERM")),
                Err(error) => findings.add(Kind::Program, format!("{error:#}")),
            }
            indexers[victim] = launch.spawn()?;
        }
        Some(Fault::FreezeIndexer) => {
            indexers[victim].pause()?;
            sleep(LEASE.mul_f64(rng.random_range(1.3..5.0))).await;
            indexers[victim].resume()?;
        }
        _ => {}
    }
    Ok(())
}

/// The one that leads, two times in three.
async fn victim(indexers: &[Process], rng: &mut StdRng) -> usize {
    let any = any_of(rng, indexers.len());
    if rng.random_ratio(1, 3) {
        return any;
    }
    for (number, indexer) in indexers.iter().enumerate() {
        let leads = timeout(Duration::from_secs(1), indexer.metric("taskwire_watcher_leader")).await;
        if leads.is_ok_and(|value| value.is_ok_and(|value| value > 0.5)) {
            return number;
        }
    }
    any
}

async fn on_database(fault: Option<Fault>, mongo: &mut Mongo, rng: &mut StdRng) -> Result<()> {
    let patience = Duration::from_secs(60);
    match fault {
        Some(Fault::StepDown) => drop(mongo.step_down().await?),
        Some(Fault::KillMongod) => {
            let primary = mongo.wait_for_primary(patience).await?;
            let number = if rng.random_ratio(2, 3) { primary } else { any_of(rng, mongo.len()) };
            mongo.node(number).kill()?;
            sleep(Duration::from_millis(rng.random_range(200..5000))).await;
            restart(mongo, number).await?;
        }
        Some(Fault::FreezeMongod) => {
            let primary = mongo.wait_for_primary(patience).await?;
            mongo.node(primary).pause()?;
            sleep(Duration::from_millis(rng.random_range(2500..8000))).await;
            mongo.node(primary).resume()?;
        }
        Some(Fault::FailCommand) => {
            // A primary that steps down meanwhile takes no fail point: another will.
            for _ in 0..2 {
                let fail_point = fail_point(rng);
                if let Err(error) = mongo.fail_point(fail_point).await {
                    say(&format!("a fail point could not be set: {error:#}"));
                }
            }
        }
        _ => return Ok(()),
    }
    mongo.wait_for_primary(patience).await.map(drop)
}

/// Another program may hold its port for a moment.
async fn restart(mongo: &mut Mongo, number: usize) -> Result<()> {
    let mut tries = 0;
    while let Err(error) = mongo.node(number).restart().await {
        tries += 1;
        if tries == 3 {
            return Err(error);
        }
        sleep(Duration::from_secs(2)).await;
    }
    Ok(())
}

/// A fault of some of the indexers' next commands; the task service's are not hit.
fn fail_point(rng: &mut StdRng) -> Document {
    let commands = ["getMore", "aggregate", "commitTransaction", "insert", "update", "find", "findAndModify"];
    let command = commands[any_of(rng, commands.len())];
    let in_transaction = matches!(command, "commitTransaction" | "insert" | "update");
    let how = match (command, rng.random_range(0..4u8)) {
        (_, 0 | 1) => doc! { "closeConnection": true },
        // It took effect, and its answer says that this is not known.
        ("commitTransaction", 2) => doc! { "writeConcernError": { "code": 91, "errmsg": "shutting down" } },
        _ if in_transaction => doc! { "errorCode": 112, "errorLabels": ["TransientTransactionError"] },
        ("getMore", 2) => doc! { "errorCode": 43 },
        // Interrupted by the set's change of state.
        _ => doc! { "errorCode": 11602 },
    };
    let mut data = doc! { "failCommands": [command], "appName": "taskwire-indexer" };
    data.extend(how);
    doc! { "configureFailPoint": "failCommand", "mode": { "times": rng.random_range(1..=4) }, "data": data }
}

async fn on_receiver(fault: Option<Fault>, receiver: &Arc<Mutex<Receiver>>, rng: &mut StdRng) -> Result<()> {
    let Some(Fault::CutReceiver) = fault else { return Ok(()) };
    receiver.lock().await.refuse().await;
    sleep(Duration::from_millis(rng.random_range(500..4000))).await;
    // Another program may hold its port for a moment.
    eventually("the receiver to listen again", Duration::from_secs(60), async || {
        receiver.lock().await.listen_again().await.map_err(|error| format!("{error:#}"))
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_faults_and_each_kind_comes_once_before_any_comes_again() {
        let kinds = Fault::value_variants();
        let draws = || Draws::new(kinds, StdRng::seed_from_u64(4));
        let (mut one, mut other) = (draws(), draws());
        let mut firsts = std::collections::BTreeSet::new();
        for _ in kinds {
            let (pause, faults) = one.next();
            assert_eq!((pause, faults.clone()), other.next());
            assert!(firsts.insert(faults[0]), "{faults:?}");
        }
    }
}
