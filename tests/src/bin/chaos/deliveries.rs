//! Deliveries and attempts against what was wanted and what arrived.

use std::collections::{HashMap, HashSet};

use anyhow::Result;
use bson::{DateTime, doc, oid::ObjectId};
use futures::TryStreamExt;
use taskwire::model::{AttemptOutcome, Delivery, DeliveryStatus, Ordering};

use crate::arrivals::{Arrival, Arrivals};
use crate::findings::{Findings, Kind};
use crate::hooks::Hooks;
use crate::report::Report;
use crate::stage::Stage;

/// A delivery that must be there.
#[derive(Debug)]
pub(crate) struct Wanted {
    /// A place in the groups, and in the group's hooks.
    pub(crate) group: usize,
    pub(crate) place: usize,
    /// The event's body, as a hash.
    pub(crate) body: u64,
    /// When the change happened, by the database's clock.
    pub(crate) happened: DateTime,
    pub(crate) task: String,
}

/// One request of a `perTask` webhook.
struct InOrder {
    order: u64,
    sequence: i64,
    delivery: String,
}

/// Looks at every row, every attempt and every request. Of the tasks in `unknown` it is not known what was wanted.
pub(crate) async fn check(
    stage: &Stage,
    hooks: &Hooks,
    (mut wanted, unknown): (HashMap<String, Wanted>, &HashSet<String>),
    arrivals: &Arrivals,
    report: &mut Report,
    findings: &mut Findings,
) -> Result<()> {
    report.requests = arrivals.requests;
    let mut in_order: HashMap<(ObjectId, String), Vec<InOrder>> = HashMap::new();
    let mut rows = HashSet::new();
    let collection = stage.database.collection::<Delivery>("webhookDeliveries");
    let mut found = collection.find(doc! {}).sort(doc! { "_id": 1 }).await?;
    while let Some(row) = found.try_next().await? {
        let (id, task) = (row.id.as_str().to_owned(), row.task_id.to_string());
        let arrived = arrivals.by_delivery.get(&id).map(Vec::as_slice).unwrap_or_default();
        report.deliveries += 1;
        check_row(&row, arrived, report, findings);
        match wanted.remove(&id) {
            Some(one) => {
                let lag = row.created_at.timestamp_millis() - one.happened.timestamp_millis();
                report.longest_to_log_ms = report.longest_to_log_ms.max(lag);
                if arrived.iter().any(|arrival| arrival.body != one.body) {
                    findings.add_for(Kind::Body, &task, format!("{id}: a body is not the event's"));
                }
                if hooks.groups[one.group].hooks[one.place].ordering == Ordering::PerTask {
                    let requests = arrived.iter().map(|arrival| InOrder {
                        order: arrival.order,
                        sequence: row.sequence,
                        delivery: id.clone(),
                    });
                    in_order.entry((row.webhook_id, task)).or_default().extend(requests);
                }
            }
            None if unknown.contains(&task) => {}
            None => {
                let what = format!("{id}: {} of task {task} to webhook {}", row.event_type.name(), row.webhook_id);
                findings.add_for(Kind::DeliveryUnwanted, &task, what);
            }
        }
        rows.insert(id);
    }
    for (id, one) in wanted {
        let path = &hooks.groups[one.group].hooks[one.place].path;
        findings.add_for(Kind::DeliveryMissing, &one.task, format!("{id} of task {} to {path}", one.task));
    }
    for id in arrivals.by_delivery.keys().filter(|id| !rows.contains(*id)) {
        findings.add(Kind::Attempts, format!("{id} came to the receiver and is no delivery"));
    }
    check_per_task(in_order, findings);
    Ok(())
}

/// One row against its own log and what arrived of it.
fn check_row(row: &Delivery, arrived: &[Arrival], report: &mut Report, findings: &mut Findings) {
    let (id, task) = (row.id.as_str(), row.task_id.to_string());
    report.attempts += u64::try_from(row.attempts).unwrap_or(0);
    if row.status != DeliveryStatus::Delivered {
        findings.add_for(Kind::DeliveryState, &task, format!("{id} is {}", row.status.name()));
    }
    let numbers: Vec<i32> = row.log.iter().map(|attempt| attempt.n).collect();
    if numbers.iter().zip(1..).any(|(number, wanted)| *number != wanted)
        || numbers.len() != usize::try_from(row.attempts).unwrap_or(0)
    {
        let what = format!("{id}: the log has attempts {numbers:?} and the row counts {}", row.attempts);
        findings.add_for(Kind::Attempts, &task, what);
    }
    let last = arrived.iter().map(|arrival| arrival.order).max();
    let mut seen = HashSet::new();
    for arrival in arrived {
        let mut wrong = |what: &str| {
            findings.add_for(Kind::Attempts, &task, format!("{id}, attempt {}: {what}", arrival.attempt));
        };
        if !seen.insert(arrival.attempt) {
            wrong("came twice under one number");
        }
        let repeated = Some(arrival.order) != last;
        let outcome = row.log.iter().find(|attempt| attempt.n == arrival.attempt).map(|attempt| attempt.outcome);
        match outcome {
            None => wrong("came to the receiver and is not in the log"),
            Some(AttemptOutcome::Delivered) if repeated => wrong("was delivered, and another came after it"),
            Some(AttemptOutcome::Delivered) if !arrival.accepted => wrong("is told as delivered and was not accepted"),
            Some(AttemptOutcome::Delivered) => {}
            Some(AttemptOutcome::Interrupted) => report.duplicates_interrupted += u64::from(repeated),
            Some(AttemptOutcome::Failed) if arrival.accepted => report.duplicates_unseen += u64::from(repeated),
            Some(AttemptOutcome::Failed) => report.repeats_refused += u64::from(repeated),
        }
    }
    for attempt in row.log.iter().filter(|attempt| attempt.outcome == AttemptOutcome::Delivered) {
        if !seen.contains(&attempt.n) {
            let what = format!("{id}, attempt {}: is told as delivered and never came", attempt.n);
            findings.add_for(Kind::Attempts, &task, what);
        }
    }
}

/// Under `perTask` nothing of a task comes once something later of it has come.
fn check_per_task(in_order: HashMap<(ObjectId, String), Vec<InOrder>>, findings: &mut Findings) {
    for ((webhook, task), mut requests) in in_order {
        requests.sort_by_key(|request| request.order);
        if let Some(pair) = requests.windows(2).find(|pair| pair[0].sequence > pair[1].sequence) {
            let (first, second) = (&pair[0], &pair[1]);
            let what = format!(
                "task {task} to webhook {webhook}: {} (sequence {}) came before {} (sequence {})",
                first.delivery, first.sequence, second.delivery, second.sequence
            );
            findings.add_for(Kind::OutOfOrder, &task, what);
        }
    }
}
