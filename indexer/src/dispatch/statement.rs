//! The update statements that end or give back a held row. Each is guarded by the lease's token: who lost the lease writes
//! nothing.

use bson::{DateTime, RawArrayBuf, RawDocumentBuf, oid::ObjectId, rawdoc};
use taskwire::config::Retention;
use taskwire::model::delivery::ATTEMPT_LOG_LENGTH;
use taskwire::model::{AttemptOutcome, DeliveryStatus, DocId};

use super::job::Job;
use crate::outcome::Next;

/// One row's update, and the task whose next row it frees.
#[derive(Debug)]
pub(crate) struct Statement {
    pub(crate) update: RawDocumentBuf,
    pub(crate) frees: Option<(ObjectId, DocId)>,
}

/// One attempt as it is recorded.
#[derive(Debug)]
pub(crate) struct AttemptRecord {
    pub(crate) began: DateTime,
    pub(crate) ended: DateTime,
    pub(crate) duration_ms: i64,
    pub(crate) response_status: Option<u16>,
    pub(crate) error: Option<String>,
    pub(crate) response_body: Option<String>,
}

/// The end of an attempt.
pub(crate) fn attempted(job: Job, record: &AttemptRecord, next: Next, retention: Retention) -> Statement {
    let mut set = rawdoc! {
        "status": status_after(next).name(),
        "lastAttemptAt": record.began,
        "durationMs": record.duration_ms,
    };
    let mut unset = rawdoc! { "lease": "" };
    let mut entry = rawdoc! {
        "n": job.attempt,
        "at": record.began,
        "outcome": if record.error.is_none() { DELIVERED } else { FAILED },
        "durationMs": record.duration_ms,
    };
    match record.response_status {
        Some(status) => {
            set.append(bson::cstr!("responseStatus"), i32::from(status));
            entry.append(bson::cstr!("responseStatus"), i32::from(status));
        }
        None => unset.append(bson::cstr!("responseStatus"), ""),
    }
    match &record.error {
        Some(error) => {
            set.append(bson::cstr!("errorMessage"), error.as_str());
            entry.append(bson::cstr!("errorMessage"), error.as_str());
        }
        None => unset.append(bson::cstr!("errorMessage"), ""),
    }
    if let Some(body) = &record.response_body {
        entry.append(bson::cstr!("responseBody"), body.as_str());
    }
    let is_open = match next {
        Next::Delivered => {
            set.append(bson::cstr!("deliveredAt"), record.ended);
            false
        }
        Next::Retry(wait) => {
            let wait = i64::try_from(wait.as_millis()).unwrap_or(i64::MAX);
            let at = DateTime::from_millis(record.ended.timestamp_millis().saturating_add(wait));
            set.append(bson::cstr!("due"), at);
            set.append(bson::cstr!("nextAttemptAt"), at);
            true
        }
        Next::DeadLetter => false,
    };
    if !is_open {
        set.append(bson::cstr!("expireAt"), retention.expiry(record.ended));
        close(&mut unset);
    }
    let mut entries = RawArrayBuf::new();
    entries.push(entry);
    let update = rawdoc! {
        "$set": set,
        "$unset": unset,
        "$push": { "log": { "$each": entries, "$slice": -ATTEMPT_LOG_LENGTH } },
    };
    guarded(job, update, !is_open)
}

/// Gives a row up without an attempt: the number taken for it is given back.
pub(crate) fn given_up(job: Job, reason: &str, expire_at: DateTime) -> Statement {
    let mut unset = rawdoc! { "lease": "" };
    close(&mut unset);
    let update = rawdoc! {
        "$set": { "status": DeliveryStatus::DeadLetter.name(), "errorMessage": reason, "expireAt": expire_at },
        "$unset": unset,
        "$inc": { "attempts": -1 },
    };
    guarded(job, update, true)
}

/// Gives a row back unsent, due at `now`: the number taken for its attempt is given back.
pub(crate) fn released(job: Job, now: DateTime) -> Statement {
    let update = rawdoc! {
        "$set": { "due": now },
        "$unset": { "lease": "" },
        "$inc": { "attempts": -1 },
    };
    guarded(job, update, false)
}

fn guarded(job: Job, update: RawDocumentBuf, finished: bool) -> Statement {
    let update = rawdoc! {
        "q": { "_id": job.delivery.as_str(), "lease": &*job.token },
        "u": update,
    };
    let webhook = job.webhook;
    Statement { update, frees: job.ordered_task.filter(|_| finished).map(|task| (webhook, task)) }
}

/// What only open rows carry.
fn close(unset: &mut RawDocumentBuf) {
    unset.append(bson::cstr!("due"), "");
    unset.append(bson::cstr!("nextAttemptAt"), "");
    unset.append(bson::cstr!("ordered"), "");
}

const fn status_after(next: Next) -> DeliveryStatus {
    match next {
        Next::Delivered => DeliveryStatus::Delivered,
        Next::Retry(_) => DeliveryStatus::Failed,
        Next::DeadLetter => DeliveryStatus::DeadLetter,
    }
}

const DELIVERED: &str = outcome_name(AttemptOutcome::Delivered);
const FAILED: &str = outcome_name(AttemptOutcome::Failed);

/// The stored name of an attempt's outcome.
pub(crate) const fn outcome_name(outcome: AttemptOutcome) -> &'static str {
    match outcome {
        AttemptOutcome::Delivered => "delivered",
        AttemptOutcome::Failed => "failed",
        AttemptOutcome::Interrupted => "interrupted",
    }
}
