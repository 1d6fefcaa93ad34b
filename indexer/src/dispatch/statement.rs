//! What becomes of a held row: the whole row as it is written back, under the token of the lease it was held with. Pure.

use std::sync::Arc;

use bson::{DateTime, oid::ObjectId};
use taskwire::config::Retention;
use taskwire::model::dates::later;
use taskwire::model::delivery::ATTEMPT_LOG_LENGTH;
use taskwire::model::{Attempt, AttemptOutcome, Delivery, DeliveryStatus, DocId};

use super::job::Job;
use super::parcel::Parcel;
use taskwire::outcome::Next;

/// One row as it shall be, if the lease still stands.
#[derive(Debug)]
pub(crate) struct Statement {
    pub(crate) token: Arc<str>,
    pub(crate) row: Box<Delivery>,
    /// Where it stands, unless it is a row.
    pub(crate) parcel: Option<Arc<Parcel>>,
    /// Whether rows of its task may wait for its end here.
    of_chain: bool,
    /// Whether its end lets the task's next row go.
    frees: bool,
}

impl Statement {
    /// Whether the next row of its task may wait until it is written.
    pub(crate) fn is_waited_for(&self) -> bool {
        self.of_chain || self.frees
    }

    /// The task whose next row the claim may take once this is written.
    pub(crate) fn freed_task(&self) -> Option<(ObjectId, DocId)> {
        (self.frees && !self.of_chain).then(|| (self.row.webhook_id, self.row.task_id.clone()))
    }

    /// The task whose chain goes on once this is written.
    pub(crate) fn chained_task(&self) -> Option<(ObjectId, DocId)> {
        self.of_chain.then(|| (self.row.webhook_id, self.row.task_id.clone()))
    }
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
pub(crate) fn attempted(job: Job, record: AttemptRecord, next: Next, retention: Retention) -> Statement {
    let Job { mut row, token, parcel, of_chain, .. } = job;
    row.last_attempt_at = Some(record.began);
    row.duration_ms = Some(record.duration_ms);
    row.response_status = record.response_status.map(i32::from);
    let outcome = if record.error.is_none() { AttemptOutcome::Delivered } else { AttemptOutcome::Failed };
    let entry = Attempt {
        n: row.attempts,
        at: record.began,
        outcome,
        duration_ms: Some(record.duration_ms),
        response_status: row.response_status,
        error_message: record.error.clone(),
        response_body: record.response_body,
    };
    row.error_message = record.error;
    let kept = usize::try_from(ATTEMPT_LOG_LENGTH).unwrap_or(usize::MAX);
    row.log.drain(..(row.log.len() + 1).saturating_sub(kept));
    row.log.push(entry);
    let frees = match next {
        Next::Delivered => {
            row.delivered_at = Some(record.ended);
            close(&mut row, DeliveryStatus::Delivered, retention.expiry(record.ended))
        }
        Next::Retry(wait) => {
            let at = later(record.ended, wait);
            row.status = DeliveryStatus::Failed;
            (row.due, row.next_attempt_at, row.lease) = (Some(at), Some(at), None);
            false
        }
        Next::DeadLetter => close(&mut row, DeliveryStatus::DeadLetter, retention.expiry(record.ended)),
    };
    Statement { token, row, parcel, of_chain, frees }
}

/// Gives a row up without an attempt: the number taken for it is given back.
pub(crate) fn given_up(job: Job, reason: &str, expire_at: DateTime) -> Statement {
    let Job { mut row, token, parcel, of_chain, .. } = job;
    row.attempts -= 1;
    row.error_message = Some(reason.to_owned());
    let frees = close(&mut row, DeliveryStatus::DeadLetter, expire_at);
    Statement { token, row, parcel, of_chain, frees }
}

/// Gives a row back unsent, due at `now`: the number taken for its attempt is given back.
pub(crate) fn released(job: Job, now: DateTime) -> Statement {
    let Job { mut row, token, parcel, of_chain, .. } = job;
    row.attempts -= 1;
    (row.due, row.lease) = (Some(now), None);
    Statement { token, row, parcel, of_chain, frees: false }
}

/// The end of a row: what only open rows carry goes. Returns whether it kept its task's order.
fn close(row: &mut Delivery, status: DeliveryStatus, expire_at: DateTime) -> bool {
    row.status = status;
    row.expire_at = Some(expire_at);
    (row.due, row.next_attempt_at, row.lease) = (None, None, None);
    row.ordered.take() == Some(true)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use taskwire::config::EventRetention;

    use super::super::job::tests::job;
    use super::*;

    const RETENTION: Retention = Retention { deliveries: Duration::from_secs(60), events: EventRetention::Forever };

    fn record(error: Option<&str>) -> AttemptRecord {
        AttemptRecord {
            began: DateTime::from_millis(1_000),
            ended: DateTime::from_millis(1_250),
            duration_ms: 250,
            response_status: Some(if error.is_some() { 500 } else { 200 }),
            error: error.map(str::to_owned),
            response_body: None,
        }
    }

    fn is_free_of_what_open_rows_carry(row: &Delivery) -> bool {
        row.due.is_none() && row.next_attempt_at.is_none() && row.lease.is_none() && row.ordered.is_none()
    }

    #[test]
    fn a_delivered_row_is_closed_and_frees_its_task_where_it_kept_an_order() {
        let mut held = job(ObjectId::new());
        held.row.error_message = Some("HTTP 500".into());
        held.row.ordered = Some(true);
        let done = attempted(held, record(None), Next::Delivered, RETENTION);
        assert_eq!(done.freed_task(), Some((done.row.webhook_id, done.row.task_id.clone())));
        let row = done.row;
        assert!(is_free_of_what_open_rows_carry(&row), "{row:?}");
        assert_eq!((row.status, row.attempts, row.response_status), (DeliveryStatus::Delivered, 1, Some(200)));
        assert_eq!((row.error_message, row.delivered_at), (None, Some(DateTime::from_millis(1_250))));
        assert_eq!(row.expire_at, Some(DateTime::from_millis(61_250)));
        assert_eq!((row.log.len(), row.log[0].n, row.log[0].outcome), (1, 1, AttemptOutcome::Delivered));
    }

    #[test]
    fn a_row_that_is_tried_again_is_open_from_then_on_and_nobodys() {
        let wait = Next::Retry(Duration::from_secs(30));
        let row = attempted(job(ObjectId::new()), record(Some("HTTP 500")), wait, RETENTION).row;
        let then = Some(DateTime::from_millis(31_250));
        assert_eq!((row.status, row.due, row.next_attempt_at), (DeliveryStatus::Failed, then, then));
        assert_eq!((row.lease, row.expire_at, row.delivered_at), (None, None, None));
        assert_eq!(row.log[0].error_message.as_deref(), Some("HTTP 500"));
    }

    #[test]
    fn the_log_keeps_the_newest_attempts() {
        let mut held = job(ObjectId::new());
        for n in 1..=250 {
            held.row.attempts = n;
            let row = attempted(held, record(Some("HTTP 500")), Next::Retry(Duration::ZERO), RETENTION).row;
            held = Job { row, ..job(ObjectId::new()) };
        }
        let kept: Vec<i32> = held.row.log.iter().map(|attempt| attempt.n).collect();
        assert_eq!(kept, (151..=250).collect::<Vec<_>>());
    }

    #[test]
    fn a_row_given_back_or_up_unsent_has_the_number_of_its_attempt_back() {
        let back = released(job(ObjectId::new()), DateTime::from_millis(7));
        assert_eq!(back.freed_task(), None);
        assert_eq!((back.row.attempts, back.row.status), (0, DeliveryStatus::Queued));
        assert_eq!((back.row.due, back.row.lease), (Some(DateTime::from_millis(7)), None));
        let up = given_up(job(ObjectId::new()), "why", DateTime::from_millis(9)).row;
        assert!(is_free_of_what_open_rows_carry(&up), "{up:?}");
        assert_eq!((up.attempts, up.status, up.error_message.as_deref()), (0, DeliveryStatus::DeadLetter, Some("why")));
        assert_eq!(up.expire_at, Some(DateTime::from_millis(9)));
    }
}
