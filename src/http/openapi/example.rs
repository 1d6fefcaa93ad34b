//! An example of each body, made of the examples, values and kinds of its fields.

use serde_json::{Map, Value, json};

use super::common::operations;

/// How deep a schema may refer to others.
const DEPTH_MAX: usize = 12;

/// Gives each body of each operation an example, unless it has one.
pub(super) fn fill_in(document: &mut Value) {
    let schemas = document["components"]["schemas"].clone();
    for operation in operations(document) {
        let mut bodies = Vec::new();
        for (part, value) in operation.as_object_mut().into_iter().flatten() {
            match part.as_str() {
                "requestBody" => bodies.push(value),
                "responses" => bodies.extend(value.as_object_mut().into_iter().flat_map(Map::values_mut)),
                _ => {}
            }
        }
        let contents = bodies.into_iter().filter_map(|body| body.get_mut("content")?.as_object_mut());
        for media in contents.flat_map(Map::values_mut) {
            if media["example"].is_null() {
                media["example"] = example_of(&media["schema"], &schemas, 0);
            }
        }
    }
}

fn example_of(schema: &Value, schemas: &Value, depth: usize) -> Value {
    if depth > DEPTH_MAX {
        return Value::Null;
    }
    if let Some(given) = schema.get("example").or_else(|| schema.get("default")) {
        return given.clone();
    }
    if let Some(value) = schema.get("const").or_else(|| schema["enum"].get(0)) {
        return value.clone();
    }
    if let Some(path) = schema["$ref"].as_str() {
        let name = path.rsplit('/').next().unwrap_or_default();
        return example_of(&schemas[name], schemas, depth + 1);
    }
    if let Some(parts) = schema["allOf"].as_array() {
        let all = parts.iter().filter_map(|part| match example_of(part, schemas, depth + 1) {
            Value::Object(fields) => Some(fields),
            _ => None,
        });
        return Value::Object(all.flatten().collect());
    }
    if let Some(parts) = schema["oneOf"].as_array().or_else(|| schema["anyOf"].as_array()) {
        // What may be null is shown so: it is the usual case of each.
        if parts.iter().any(|part| part["type"] == "null") {
            return Value::Null;
        }
        return parts.first().map_or(Value::Null, |part| example_of(part, schemas, depth + 1));
    }
    match kind(schema) {
        "object" => object(schema, schemas, depth),
        "array" => json!([example_of(&schema["items"], schemas, depth + 1)]),
        "boolean" => json!(false),
        "integer" | "number" => schema.get("minimum").cloned().unwrap_or_else(|| json!(1)),
        "string" if schema["format"] == "date-time" => json!("2025-12-15T12:34:56.123Z"),
        "string" => json!("text"),
        _ => Value::Null,
    }
}

/// The schema's type; of several, the one that is not null.
fn kind(schema: &Value) -> &str {
    let several = schema["type"].as_array().into_iter().flatten();
    let named = several.filter_map(Value::as_str).find(|kind| *kind != "null");
    named.or_else(|| schema["type"].as_str()).unwrap_or_default()
}

fn object(schema: &Value, schemas: &Value, depth: usize) -> Value {
    let fields = schema["properties"].as_object().into_iter().flatten();
    let required = schema["required"].as_array();
    let is_required = |name: &String| required.is_some_and(|all| all.iter().any(|one| one == name.as_str()));
    // What answers alone show is no part of a request's example (schemas of answers do not mark it), nor is what may be left
    // out and has a form that only an example of its own could keep.
    let is_unknown = |field: &Value| field["pattern"].is_string() && field["example"].is_null();
    let shown = fields.filter(|(name, field)| field["readOnly"] != true && (is_required(name) || !is_unknown(field)));
    Value::Object(shown.map(|(name, field)| (name.clone(), example_of(field, schemas, depth + 1))).collect())
}
