//! The JSON Schema (draft 2020-12) of each body.

use serde_json::{Map, Value, json};

use super::BodyKind;
use crate::mapping::{Field, FieldType, Mapping, Show};
use crate::model::EventKind;

pub(super) fn of(mapping: &Mapping, kind: BodyKind) -> Value {
    let data = match kind {
        BodyKind::Test => object(json!({"webhookId": text(), "webhookName": text()}), &[]),
        BodyKind::Event(
            EventKind::WebhookFailing
            | EventKind::WebhookDisabled
            | EventKind::WebhookRecovered
            | EventKind::DeadLetter,
        ) => notice(),
        BodyKind::Event(kind) => task(mapping, kind),
    };
    let optional = ["test", "recovered"];
    let mut schema = object(
        json!({
            "id": {"type": "string", "description": "The same on every attempt and replay: what was seen can be dropped."},
            "event": {"const": kind.name()},
            "groupId": text(),
            "timestamp": time(),
            "actorId": {"type": ["string", "null"], "description": "Who did it, where that is known."},
            "recovered": {"const": true, "description": "It was found while a gap in the stream was recovered."},
            "test": {"const": true, "description": "It was sent as a test, and tells of nothing that happened."},
            "data": data,
        }),
        &optional,
    );
    schema["$schema"] = json!("https://json-schema.org/draft/2020-12/schema");
    schema["title"] = json!(kind.name());
    schema["description"] = json!(kind.meaning());
    schema
}

fn text() -> Value {
    json!({"type": "string"})
}

fn time() -> Value {
    json!({"type": "string", "format": "date-time"})
}

/// An object of these fields, all of them required but for the `optional`. Others may be there: a later version adds some.
fn object(fields: Value, optional: &[&str]) -> Value {
    let required: Vec<&String> =
        fields.as_object().into_iter().flat_map(Map::keys).filter(|name| !optional.contains(&name.as_str())).collect();
    let mut schema = json!({"type": "object", "required": required});
    schema["properties"] = fields;
    schema
}

fn task(mapping: &Mapping, kind: EventKind) -> Value {
    let mut fields = Map::from_iter([
        ("id".to_owned(), text()),
        ("updatedAt".to_owned(), time()),
        ("sequence".to_owned(), json!({"type": "integer", "minimum": 1, "description": "This task's event count."})),
        ("changes".to_owned(), changes(mapping)),
    ]);
    for field in mapping.task.fields.iter().filter(|field| field.show == Show::Data) {
        fields.insert(field.name.clone(), value(field));
    }
    if kind == EventKind::Swapped {
        let what = "The task whose old assignee this one received.";
        fields.insert("swappedWithTaskId".to_owned(), json!({"type": "string", "description": what}));
    }
    object(Value::Object(fields), &[])
}

fn changes(mapping: &Mapping) -> Value {
    let shown = mapping.task.fields.iter().filter(|field| field.show != Show::Never);
    let fields: Map<String, Value> = shown
        .map(|field| (field.name.clone(), object(json!({"from": value(field), "to": value(field)}), &[])))
        .collect();
    json!({"type": "object", "properties": fields})
}

/// A field's values. Any may be null: the service's documents need not hold it.
fn value(field: &Field) -> Value {
    match field.kind {
        FieldType::Text | FieldType::Id => json!({"type": ["string", "null"]}),
        FieldType::Int => json!({"type": ["integer", "null"]}),
        FieldType::Bool => json!({"type": ["boolean", "null"]}),
        FieldType::Date => json!({"type": ["string", "null"], "format": "date-time"}),
        FieldType::Enum => {
            let names = field.names.iter().map(|name| json!(name)).chain([Value::Null]);
            json!({"enum": names.collect::<Vec<_>>()})
        }
    }
}

/// What a notice says about a webhook.
fn notice() -> Value {
    let or_null = |kind: &str| json!({"type": [kind, "null"]});
    let call = object(json!({"method": {"const": "POST"}, "path": text(), "body": {"type": "object"}}), &[]);
    object(
        json!({
            "webhookId": text(),
            "webhookName": text(),
            "reason": or_null("string"),
            "since": time(),
            "until": {"type": ["string", "null"], "format": "date-time"},
            "count": or_null("integer"),
            "mend": call,
        }),
        &[],
    )
}
