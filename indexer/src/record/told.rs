//! What log and traces tell of a batch that was recorded: its events by their ids, and where the time since each change went.

use std::time::Instant;

use bson::DateTime;
use taskwire::telemetry::traces::{self, Kind, Span, SpanId, TraceId, Value};

use super::Batch;
use crate::derive::Draft;

/// After a known commit, which came now. `began`: when the recorder took the batch.
pub(super) fn recorded(batch: &Batch, began: Instant, now: DateTime) {
    let drafts = batch.parts.iter().flat_map(|part| part.events.iter().map(|draft| (draft, part.read)));
    if tracing::enabled!(tracing::Level::DEBUG) {
        for (draft, _) in drafts.clone() {
            let (kind, webhooks) = (draft.kind.name(), draft.subscribers.len());
            tracing::debug!(event = %draft.id, kind, group = %draft.state.group, webhooks, "recorded");
        }
    }
    if traces::are_sent() {
        let now = traces::at(now);
        let when = |instant: Instant| now.saturating_sub(traces::length(instant.elapsed()));
        let began = when(began);
        for (draft, read) in drafts {
            trace(draft, read.map(when), began, now);
        }
    }
}

/// The event's own span, and its parts.
fn trace(draft: &Draft, read: Option<u64>, began: u64, ended: u64) {
    let id = draft.id.as_str();
    let trace = TraceId::of_event(id);
    if !traces::is_sent(trace) {
        return;
    }
    // The database's clock, which is not quite this process's estimate of it.
    let happened = traces::nanoseconds(draft.ms).saturating_mul(1_000_000).min(read.unwrap_or(began));
    let root = SpanId::of_event(id);
    let part = |name: &'static str, began: u64, ended: u64| {
        let (id, parent, kind) = (SpanId::of(name, id, 0), Some(root), Kind::Internal);
        traces::tell(Span { trace, id, parent, name, kind, began, ended, attributes: Vec::new(), failure: None });
    };
    if let Some(read) = read {
        part("read", happened, read);
        part("derive", read, began.max(read));
    }
    part("record", began, ended);
    let webhooks = i64::try_from(draft.subscribers.len()).unwrap_or(i64::MAX);
    let attributes = vec![
        ("taskwire.event.id", Value::from(id)),
        ("taskwire.event.sequence", Value::from(draft.sequence)),
        ("taskwire.group.id", Value::from(draft.state.group.to_string())),
        ("taskwire.task.id", Value::from(draft.task.to_string())),
        ("taskwire.webhooks", Value::from(webhooks)),
    ];
    let (name, kind) = (draft.kind.name(), Kind::Internal);
    traces::tell(Span { trace, id: root, parent: None, name, kind, began: happened, ended, attributes, failure: None });
}
