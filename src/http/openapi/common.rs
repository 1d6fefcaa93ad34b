//! What all operations have in common.

use serde_json::{Map, Value, json};
use utoipa::openapi::OpenApi;
use utoipa::{PartialSchema, ToSchema};

use super::example;
use crate::VERSION;
use crate::http::error::{ApiError, FieldError, Problem};
use crate::http::idempotency::KEY_MAX;

const ABOUT: &str = "Webhooks of a group's task events: who gets them, what became of each delivery, and how to send it again.\n\n\
    Every call carries the task service's own token as `Authorization: Bearer <token>`; partners' calls are signed instead. Errors are problem details \
    (RFC 9457). Lists are pages: send `nextCursor` back as `cursor`, with the same filters. Unknown fields and parameters \
    are refused.";

/// The document: what the operations say of themselves, completed.
pub(super) fn complete(described: OpenApi) -> Value {
    // Every part of it is made of texts and maps with text keys, which always serialize.
    let mut document = serde_json::to_value(described).unwrap_or_default();
    document["info"] = json!({
        "title": "Taskwire",
        "version": VERSION,
        "description": ABOUT,
        "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
    });
    document["servers"] = json!([{"url": "/", "description": "Where this document came from"}]);
    document["components"]["securitySchemes"] = json!({
        "bearer": {
            "type": "http",
            "scheme": "bearer",
            "bearerFormat": "JWT",
            "description": "The token that the task service issues; its `sub` is the user.",
        },
        "signature": {
            "type": "apiKey",
            "in": "header",
            "name": "X-Signature",
            "description": "`sha256=` and the hex HMAC-SHA256 of `{X-Timestamp}.{raw body}` under the inbound secret's text.",
        },
    });
    document["components"]["schemas"]["Problem"] = schema::<Problem<'static>>();
    document["components"]["schemas"]["FieldError"] = schema::<FieldError>();
    for post in posts(&mut document) {
        add_idempotency(post);
    }
    for operation in operations(&mut document) {
        add_common(operation);
    }
    close_inputs(&mut document);
    example::fill_in(&mut document);
    document
}

fn schema<T: ToSchema + PartialSchema>() -> Value {
    serde_json::to_value(T::schema()).unwrap_or_default()
}

/// Every operation of the document.
pub(super) fn operations(document: &mut Value) -> impl Iterator<Item = &mut Value> {
    let paths = document["paths"].as_object_mut().into_iter().flat_map(Map::values_mut);
    paths.filter_map(Value::as_object_mut).flat_map(Map::values_mut)
}

/// The POSTs that are made with a user's token.
fn posts(document: &mut Value) -> impl Iterator<Item = &mut Value> {
    let paths = document["paths"].as_object_mut().into_iter().flat_map(Map::values_mut);
    paths.filter_map(|path| path.get_mut("post")).filter(|post| post["security"].is_null())
}

/// What every such POST takes, and answers when it was made before.
fn add_idempotency(post: &mut Value) {
    let key = json!({
        "name": "Idempotency-Key",
        "in": "header",
        "required": false,
        "description": "A key of the caller's making, new for each call: the same call sent again under it within a day \
            has no second effect and gets the first answer, with `Idempotent-Replayed: true`.",
        "schema": {"type": "string", "minLength": 1, "maxLength": KEY_MAX, "pattern": "^[!-~]+$"},
        "example": "5f0c7d0e-order-42",
    });
    match post["parameters"].as_array_mut() {
        Some(parameters) => parameters.push(key),
        None => post["parameters"] = json!([key]),
    }
    let said =
        post["responses"]["409"]["description"].as_str().map(|text| format!("{text}; or a")).unwrap_or("A".into());
    post["responses"]["409"]["description"] = format!("{said} call with this `Idempotency-Key` is under way").into();
    if post["responses"]["422"].is_null() {
        let fault = FieldError::new("Idempotency-Key", "was used for another call: a new call takes a new key");
        let what = "The `Idempotency-Key` was used for another call";
        post["responses"]["422"] = json!({"description": what, "content": problem(&ApiError::invalid(vec![fault]))});
    }
}

/// The token, and what any operation of this shape may answer besides what it says itself.
fn add_common(operation: &mut Value) {
    let has = |place: &str| {
        let parameters = operation["parameters"].as_array();
        parameters.is_some_and(|all| all.iter().any(|parameter| parameter["in"] == place))
    };
    let (in_path, in_query, body) = (has("path"), has("query"), operation["requestBody"].is_object());
    let by_group = operation["parameters"]
        .as_array()
        .is_some_and(|all| all.iter().any(|parameter| parameter["in"] == "query" && parameter["name"] == "groupId"));
    let mut answers: Vec<(ApiError, &str)> = vec![
        (ApiError::internal(), "A fault of ours; the log has it under `X-Request-Id`"),
        (ApiError::unavailable(), "The database does not answer at present, or it took too long: try again"),
    ];
    let signed = !operation["security"].is_null();
    if !signed {
        operation["security"] = json!([{"bearer": []}]);
        answers.push((
            ApiError::user_too_fast(3),
            "More calls than this user may make; `Retry-After` says how long to wait",
        ));
        answers.push((ApiError::no_token(), "No token, or one that is not valid or no longer"));
    }
    if by_group {
        answers.push((ApiError::foreign_group(), "The caller does not administer this group"));
    }
    if in_path {
        answers.push((ApiError::malformed("the request cannot be read"), "The path cannot be read"));
    }
    if in_path && !signed {
        let what = "There is no such thing in a group that the caller administers";
        answers.push((ApiError::not_found("webhook"), what));
    }
    if in_query || body {
        let fault = FieldError::new("limit", "is no whole number from 1 to 200");
        answers.push((ApiError::invalid(vec![fault]), "Fields or parameters that cannot be used, each by name"));
    }
    if body {
        let what = "The body is no JSON, or broke off";
        answers.push((ApiError::malformed("the body is no JSON: line 1, column 9"), what));
    }
    if body && !signed {
        answers.push((ApiError::too_large(crate::http::body::BODY_MAX), "The body is larger than 64 KiB"));
        answers.push((ApiError::not_json(), "The body does not say that it is JSON"));
    }
    for (error, what) in answers {
        let status = error.status().as_str().to_owned();
        let answer = &mut operation["responses"][&status];
        if answer.is_null() {
            *answer = json!({"description": what});
        }
        if answer["content"].is_null() {
            answer["content"] = problem(&error);
        }
    }
    let described = operation["responses"].as_object_mut().into_iter().flatten();
    for (status, answer) in described.filter(|(status, _)| status.starts_with(['4', '5'])) {
        if answer["content"].is_null() {
            let said = answer["description"].as_str().unwrap_or_default().to_owned();
            answer["content"] = problem(&match status.as_str() {
                "400" => ApiError::malformed(said),
                "401" => ApiError::bad_signature(),
                "403" if signed => ApiError::not_allowed(said),
                "404" if signed => ApiError::nothing_there(said),
                "413" => ApiError::too_large(crate::http::inbound::BODY_MAX),
                "429" => ApiError::too_fast_for_group(3),
                "403" => ApiError::foreign_group(),
                "404" => ApiError::not_found("webhook"),
                "409" => ApiError::conflict(said),
                "412" => ApiError::stale(),
                _ => ApiError::of_status(status.parse().unwrap_or_default()),
            });
        }
    }
}

fn problem(example: &ApiError) -> Value {
    let schema = json!({"$ref": "#/components/schemas/Problem"});
    json!({"application/problem+json": {"schema": schema, "example": example.to_json()}})
}

/// Bodies take no unknown fields.
fn close_inputs(document: &mut Value) {
    let mut waiting: Vec<String> =
        operations(document).flat_map(|operation| references(&operation["requestBody"])).collect();
    let mut done = Vec::new();
    while let Some(name) = waiting.pop() {
        if done.contains(&name) {
            continue;
        }
        let schema = &mut document["components"]["schemas"][&name];
        waiting.extend(references(schema));
        if schema["properties"].is_object() && schema["additionalProperties"].is_null() {
            schema["additionalProperties"] = json!(false);
        }
        done.push(name);
    }
}

/// The names of the schemas that a part of the document refers to.
fn references(part: &Value) -> Vec<String> {
    match part {
        Value::Object(map) => map
            .iter()
            .flat_map(|(key, value)| match (key.as_str(), value.as_str()) {
                ("$ref", Some(path)) => path.rsplit('/').next().map(str::to_owned).into_iter().collect(),
                _ => references(value),
            })
            .collect(),
        Value::Array(list) => list.iter().flat_map(references).collect(),
        _ => Vec::new(),
    }
}
