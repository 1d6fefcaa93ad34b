//! The comparison: what the writers know against the event log, the deliveries, and what came to the receiver.

use std::collections::{BTreeMap, HashMap, HashSet};

use anyhow::Result;
use bson::{DateTime, Timestamp, doc};
use futures::TryStreamExt;
use taskwire::model::{DeliveryId, EventId, TaskEvent};
use taskwire_tests::expected::{Actors, compare};
use taskwire_tests::{Expected, Observed};

use crate::arrivals::{Arrivals, digest};
use crate::deliveries::{self, Wanted};
use crate::evidence;
use crate::findings::{Findings, Kind};
use crate::hooks::Hooks;
use crate::report::Report;
use crate::stage::Stage;
use crate::writers::{Model, Told};

/// An event of the log, kept small.
#[derive(Debug)]
struct Logged {
    id: EventId,
    sequence: i64,
    cluster_time: Timestamp,
    at: DateTime,
    body: u64,
}

/// Compares everything.
pub(crate) async fn all(
    stage: &Stage,
    hooks: &Hooks,
    model: &Model,
    arrivals: &Arrivals,
    report: &mut Report,
    findings: &mut Findings,
) -> Result<()> {
    for complaint in &arrivals.complaints {
        findings.add(Kind::Signature, complaint.clone());
    }
    let expected: Vec<Expected> = model.told.iter().map(|told| told.expected.clone()).collect();
    let (observed, logged) = read_log(stage).await?;
    report.events = observed.len();
    for event in &observed {
        *report.events_by_name.entry(event.event.clone()).or_default() += 1;
    }
    for difference in compare(&expected, &observed, Actors::MayBeMissing) {
        // "task <id>: …" or "task <id>, …"
        let task = difference.split([' ', ':', ',']).nth(1).unwrap_or_default().to_owned();
        findings.add_for(Kind::Log, &task, difference);
    }
    check_order(&logged, findings);
    let (wanted, unknown) = wanted(hooks, model, &logged);
    deliveries::check(stage, hooks, (wanted, &unknown), arrivals, report, findings).await?;
    if !findings.is_empty() {
        evidence::write_down(stage, model, findings).await?;
    }
    Ok(())
}

/// The whole log, and by task in the order of the sequence.
async fn read_log(stage: &Stage) -> Result<(Vec<Observed>, HashMap<String, Vec<Logged>>)> {
    let log = stage.database.collection::<TaskEvent>("taskEvents");
    let mut found = log.find(doc! {}).sort(doc! { "_id": 1 }).await?;
    let (mut observed, mut logged) = (Vec::new(), HashMap::<String, Vec<Logged>>::new());
    while let Some(event) = found.try_next().await? {
        observed.push(Observed::from_event(&event)?);
        let body = digest(event.body.as_bytes());
        let TaskEvent { id, sequence, cluster_time, at, .. } = event;
        let entry = Logged { id, sequence, cluster_time, at, body };
        logged.entry(event.task_id.to_string()).or_default().push(entry);
    }
    for events in logged.values_mut() {
        events.sort_by(|a, b| (a.sequence, &a.id).cmp(&(b.sequence, &b.id)));
    }
    Ok((observed, logged))
}

/// A task's sequence counts from 1 without holes, and runs with the stream.
fn check_order(logged: &HashMap<String, Vec<Logged>>, findings: &mut Findings) {
    for (task, events) in logged {
        let sequences: Vec<i64> = events.iter().map(|event| event.sequence).collect();
        if sequences.iter().zip(1..).any(|(sequence, wanted)| *sequence != wanted) {
            findings.add_for(Kind::Order, task, format!("task {task}: the sequence is {sequences:?}"));
        }
        let time = |event: &Logged| (event.cluster_time.time, event.cluster_time.increment);
        if events.windows(2).any(|pair| time(&pair[0]) > time(&pair[1])) {
            let what = format!("task {task}: the sequence does not run with the cluster time");
            findings.add_for(Kind::Order, task, what);
        }
    }
}

/// Every delivery that must be there; and the tasks whose events differ from the expected, of which that is not known.
fn wanted(
    hooks: &Hooks,
    model: &Model,
    logged: &HashMap<String, Vec<Logged>>,
) -> (HashMap<String, Wanted>, HashSet<String>) {
    let mut by_task: BTreeMap<_, Vec<&Told>> = BTreeMap::new();
    for told in &model.told {
        by_task.entry(told.expected.task).or_default().push(told);
    }
    let (mut wanted, mut unknown) = (HashMap::new(), HashSet::new());
    for (task, told) in by_task {
        let task = task.to_hex();
        let events = logged.get(&task).map(Vec::as_slice).unwrap_or_default();
        if events.len() != told.len() {
            unknown.insert(task);
            continue;
        }
        for (event, told) in events.iter().zip(told) {
            let group = &hooks.groups[told.group];
            for place in group.wanted(told.generation, told.expected.event) {
                let id = DeliveryId::derive(&event.id, group.hooks[place].id);
                let one = Wanted { group: told.group, place, body: event.body, happened: event.at, task: task.clone() };
                wanted.insert(id.as_str().to_owned(), one);
            }
        }
    }
    (wanted, unknown)
}
