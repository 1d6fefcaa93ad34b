//! What log and traces tell of an attempt: which delivery of which event to which webhook, and how it ended; never where to
//! or what.

use std::time::Duration;

use bson::DateTime;
use taskwire::model::Delivery;
use taskwire::outcome::Next;
use taskwire::telemetry::traces::{self, Kind, Span, SpanId, TraceId, Value};

/// An attempt that has ended.
#[derive(Debug)]
pub(super) struct Ended<'a> {
    pub(super) row: &'a Delivery,
    pub(super) began: DateTime,
    pub(super) took: Duration,
    pub(super) status: Option<u16>,
    pub(super) next: Next,
    /// Why it failed.
    pub(super) reason: Option<&'a str>,
}

/// One line an attempt. A delivery that is given up is a warning; everything else can be read in its log, and is for `debug`.
pub(super) fn attempt(ended: &Ended<'_>) {
    let Ended { row, took, .. } = ended;
    let (delivery, event, attempt) = (row.id.as_str(), row.event_id.as_str(), row.attempts);
    let (webhook, ms) = (row.webhook_id, u64::try_from(took.as_millis()).unwrap_or(u64::MAX));
    let reason = ended.reason.unwrap_or_default();
    match ended.next {
        Next::Delivered => tracing::debug!(%webhook, delivery, event, attempt, ms, "delivered"),
        Next::Retry(wait) => {
            let again_in_seconds = wait.as_secs();
            tracing::debug!(%webhook, delivery, event, attempt, ms, reason, again_in_seconds, "attempt failed");
        }
        Next::DeadLetter => given_up(row, reason),
    }
    if traces::are_sent() {
        trace(ended);
    }
}

/// A delivery was given up.
pub(super) fn given_up(row: &Delivery, reason: &str) {
    let (delivery, event, attempts) = (row.id.as_str(), row.event_id.as_str(), row.attempts);
    tracing::warn!(webhook = %row.webhook_id, delivery, event, attempts, reason, "a delivery was given up");
}

/// The attempt as a part of its event's trace.
fn trace(ended: &Ended<'_>) {
    let row = ended.row;
    let (event, delivery) = (row.event_id.as_str(), row.id.as_str());
    let trace = TraceId::of_event(event);
    if !traces::is_sent(trace) {
        return;
    }
    let next = match ended.next {
        Next::Delivered => "delivered",
        Next::Retry(_) => "failed",
        Next::DeadLetter => "dead-letter",
    };
    let mut attributes = vec![
        ("taskwire.event.id", Value::from(event)),
        ("taskwire.event.type", Value::from(row.event_type.name())),
        ("taskwire.webhook.id", Value::from(row.webhook_id.to_hex())),
        ("taskwire.delivery.id", Value::from(delivery)),
        ("taskwire.delivery.attempt", Value::from(i64::from(row.attempts))),
        ("taskwire.delivery.status", Value::from(next)),
    ];
    attributes.extend(ended.status.map(|status| ("http.response.status_code", Value::from(i64::from(status)))));
    let began = traces::at(ended.began);
    traces::tell(Span {
        trace,
        id: SpanId::of_attempt(delivery, row.attempts),
        parent: Some(SpanId::of_event(event)),
        name: "deliver",
        kind: Kind::Client,
        began,
        ended: began.saturating_add(traces::length(ended.took)),
        attributes,
        failure: ended.reason.map(str::to_owned),
    });
}
