//! A sample of each body.

use serde_json::{Map, Value, json};

use super::BodyKind;
use crate::mapping::{Field, FieldType, Mapping, Show};
use crate::model::EventKind;

const GROUP: &str = "65a0000000000000000000a1";
pub(super) const WEBHOOK: &str = "65a0000000000000000000b2";
const TASK: &str = "65a0000000000000000000c3";
const OTHER_TASK: &str = "65a0000000000000000000c4";
const USER: &str = "65a0000000000000000000d4";
const OTHER_USER: &str = "65a0000000000000000000d5";
const TIME: &str = "2025-12-15T12:34:56.123Z";
const EARLIER: &str = "2025-12-15T11:04:05.678Z";

pub(super) fn of(mapping: &Mapping, kind: BodyKind) -> Value {
    let data = match kind {
        BodyKind::Test => json!({"webhookId": WEBHOOK, "webhookName": "Our chat"}),
        BodyKind::Event(kind) => match kind {
            EventKind::WebhookFailing => notice(Some("HTTP 503"), EARLIER, None, None, "replay"),
            EventKind::WebhookDisabled => notice(Some("gone"), TIME, None, None, "backfill"),
            EventKind::WebhookRecovered => notice(None, EARLIER, Some(TIME), None, "replay"),
            EventKind::DeadLetter => notice(Some("HTTP 500"), EARLIER, Some(TIME), Some(17), "replay"),
            EventKind::Created
            | EventKind::Completed
            | EventKind::Approved
            | EventKind::Rejected
            | EventKind::Swapped
            | EventKind::Updated => task(mapping, kind),
        },
    };
    let actor = match kind {
        BodyKind::Event(kind) if EventKind::ALL.contains(&kind) => Some(USER),
        BodyKind::Event(_) | BodyKind::Test => None,
    };
    json!({
        "id": "evt_d2g3n8o41q00000f5h7j9k1m3p5r7t9v",
        "event": kind.name(),
        "groupId": GROUP,
        "timestamp": TIME,
        "actorId": actor,
        "data": data,
    })
}

fn task(mapping: &Mapping, kind: EventKind) -> Value {
    let changes = changes(mapping, kind);
    let mut data = Map::from_iter([("id".to_owned(), json!(TASK))]);
    for field in mapping.task.fields.iter().filter(|field| field.show == Show::Data) {
        let changed = changes.get(&field.name).map(|change| change["to"].clone());
        data.insert(field.name.clone(), changed.unwrap_or_else(|| value(field)));
    }
    data.insert("updatedAt".to_owned(), json!(TIME));
    data.insert("sequence".to_owned(), json!(if kind == EventKind::Created { 1 } else { 7 }));
    if kind == EventKind::Swapped {
        data.insert("swappedWithTaskId".to_owned(), json!(OTHER_TASK));
    }
    data.insert("changes".to_owned(), Value::Object(changes));
    Value::Object(data)
}

/// A change that gives this event: by the mapping's first rule for it, or by the event's own nature.
fn changes(mapping: &Mapping, kind: EventKind) -> Map<String, Value> {
    let of = |name: &str, from: Value, to: Value| Map::from_iter([(name.to_owned(), json!({"from": from, "to": to}))]);
    let rule = mapping.rules.iter().find(|rule| rule.event == kind).and_then(|rule| rule.when.first());
    if let Some(when) = rule {
        let (Some(to), Some(place)) = (when.to.first(), mapping.field(&when.field)) else { return Map::new() };
        let field = &mapping.task.fields[place];
        let other = || field.names.iter().find(|name| !when.to.contains(name));
        let from = when.from.first().or_else(other);
        return if field.show == Show::Never { Map::new() } else { of(&field.name, json!(from), json!(to)) };
    }
    match kind {
        EventKind::Swapped => of(&mapping.task.assignee, json!(OTHER_USER), json!(USER)),
        EventKind::Updated => {
            let shown = |field: &&Field| field.show != Show::Never && field.kind == FieldType::Text;
            let text = mapping.task.fields.iter().find(shown);
            text.map_or_else(Map::new, |field| of(&field.name, json!("Take out the rubbish"), value(field)))
        }
        _ => Map::new(),
    }
}

fn value(field: &Field) -> Value {
    match field.kind {
        FieldType::Text => json!("Wash the dishes"),
        FieldType::Id => json!(USER),
        FieldType::Int => json!(3),
        FieldType::Bool => json!(true),
        FieldType::Date => json!("2025-12-16T18:00:00.000Z"),
        FieldType::Enum => json!(field.names.first()),
    }
}

fn notice(reason: Option<&str>, since: &str, until: Option<&str>, count: Option<i64>, call: &str) -> Value {
    let mut body = json!({"since": since});
    if call == "replay" {
        body["until"] = json!(until.unwrap_or(TIME));
    }
    json!({
        "webhookId": WEBHOOK,
        "webhookName": "Our chat",
        "reason": reason,
        "since": since,
        "until": until,
        "count": count,
        "mend": {"method": "POST", "path": format!("/api/integrations/webhooks/{WEBHOOK}/{call}"), "body": body},
    })
}
