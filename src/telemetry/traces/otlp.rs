//! Spans as OTLP's JSON: what a collector takes at `/v1/traces`.

use serde_json::{Value as Json, json};

use super::{Kind, Span, Value};
use crate::VERSION;

/// The body of one request.
pub(super) fn body(spans: &[Span], program: &str) -> String {
    let resource = [("service.name", Value::from(program)), ("service.version", Value::from(VERSION))];
    let spans: Vec<Json> = spans.iter().map(span).collect();
    json!({ "resourceSpans": [{
        "resource": { "attributes": attributes(&resource) },
        "scopeSpans": [{ "scope": { "name": "taskwire", "version": VERSION }, "spans": spans }],
    }] })
    .to_string()
}

fn span(span: &Span) -> Json {
    // Enums are numbers in this form, and 64-bit numbers texts.
    let kind = match span.kind {
        Kind::Internal => 1,
        Kind::Server => 2,
        Kind::Client => 3,
    };
    let mut shown = json!({
        "traceId": hex(&span.trace.0),
        "spanId": hex(&span.id.0),
        "name": span.name,
        "kind": kind,
        "startTimeUnixNano": span.began.to_string(),
        "endTimeUnixNano": span.ended.max(span.began).to_string(),
        "attributes": attributes(&span.attributes),
        // 1 is the mark of a span that is the trace's own to send.
        "flags": 1,
    });
    if let Some(parent) = span.parent {
        shown["parentSpanId"] = hex(&parent.0).into();
    }
    if let Some(failure) = &span.failure {
        shown["status"] = json!({ "code": 2, "message": failure });
    }
    shown
}

fn attributes(attributes: &[(&'static str, Value)]) -> Vec<Json> {
    let value = |value: &Value| match value {
        Value::Text(text) => json!({ "stringValue": text }),
        Value::Whole(number) => json!({ "intValue": number.to_string() }),
    };
    attributes.iter().map(|(key, it)| json!({ "key": key, "value": value(it) })).collect()
}

/// Ids are hexadecimal digits in this form, not base64.
pub(super) fn hex(bytes: &[u8]) -> String {
    data_encoding::HEXLOWER.encode(bytes)
}
