use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::http::error::ApiError;

fn read(body: &serde_json::Value) -> ApiResult<Vec<TaskInput>> {
    read_tasks(body.to_string().as_bytes(), &Mapping::load("tasks-tracker").unwrap())
}

fn with(field: &str, value: serde_json::Value) -> serde_json::Value {
    let mut task = json!({"externalId": "a"});
    task[field] = value;
    task
}

#[test]
fn each_field_is_read_in_its_type() {
    let task = json!({
        "externalId": "a-1", "name": "<b>bold</b> & plain", "description": null, "difficulty": 10,
        "status": "WaitingForApproval", "assignedUserId": "65a000000000000000000001",
        "dueAt": "2025-12-15T13:34:56.1239+01:00", "frequency": "BiWeekly", "requiresApproval": true, "templateId": null,
    });
    let read = read(&json!({"tasks": [task, {"id": "65a000000000000000000002"}]})).unwrap();
    let mapping = Mapping::load("tasks-tracker").unwrap();
    let carried = |name: &str| read[0].carried(mapping.field(name)).unwrap().clone();
    assert_eq!(read[0].target, Target::External("a-1".into()));
    assert_eq!(read[1].target, Target::Own(ObjectId::parse_str("65a000000000000000000002").unwrap()));
    assert_eq!(carried("name"), Value::Text("<b>bold</b> & plain".into()));
    assert_eq!(carried("dueAt"), Value::Date(1_765_802_096_123));
    assert_eq!((carried("description"), carried("difficulty")), (Value::Null, Value::Int(10)));
    assert_eq!(carried("requiresApproval"), Value::Bool(true));
    assert!(matches!(carried("assignedUserId"), Value::Oid(_)));
}

#[test]
fn every_value_that_a_field_does_not_take_is_refused_under_the_fields_name() {
    let cases = [
        ("externalId", vec![json!(""), json!("x".repeat(129)), json!(7), json!(null), json!("a\u{0}b"), json!(" ")]),
        ("name", vec![json!(""), json!("   "), json!("x".repeat(201)), json!(7), json!(null), json!(["x"])]),
        ("description", vec![json!(7), json!("a\u{0}b"), json!({})]),
        ("difficulty", vec![json!(0), json!(11), json!(3.5), json!(3.0), json!("3"), json!(null), json!(u64::MAX)]),
        ("status", vec![json!("pending"), json!("Approved"), json!(0), json!(null), json!("")]),
        ("assignedUserId", vec![json!(null), json!(""), json!(7)]),
        (
            "dueAt",
            vec![
                json!("2025-12-15T12:00:00"),
                json!("2025-12-15"),
                json!("2025-12-15 12:00:00Z"),
                json!("2025-02-30T12:00:00Z"),
                json!("0000-12-31T23:59:59Z"),
                json!("0001-01-01T00:00:00+01:00"),
                json!("10000-01-01T00:00:00Z"),
                json!("9999-12-31T23:59:59-01:00"),
                json!(1_765_802_096),
                json!(null),
            ],
        ),
        ("frequency", vec![json!("daily"), json!(1), json!(null)]),
        ("requiresApproval", vec![json!("true"), json!(1), json!(null)]),
        ("templateId", vec![json!(""), json!(1)]),
        ("colour", vec![json!(1)]),
        ("id", vec![json!("65a000000000000000000002"), json!("x"), json!(1)]),
    ];
    for (field, values) in cases {
        for value in values {
            let named = format!("field: \"{field}\"");
            let single = format!("{:?}", read(&with(field, value.clone())).unwrap_err());
            assert!(single.contains("422") && single.contains(&named), "{field} {value}: {single}");
            let batch = json!({"tasks": [{"externalId": "z"}, with(field, value.clone())]});
            let batch = format!("{:?}", read(&batch).unwrap_err());
            assert!(batch.contains(&format!("field: \"tasks[1].{field}\"")), "{field} {value}: {batch}");
        }
    }
}

#[test]
fn the_first_and_last_moment_and_the_longest_texts_are_taken() {
    for (field, value) in [
        ("dueAt", json!("0001-01-01T00:00:00Z")),
        ("dueAt", json!("9999-12-31T23:59:59.999Z")),
        ("dueAt", json!("2016-12-31T23:59:60Z")),
        ("name", json!("x".repeat(200))),
        ("externalId", json!("é".repeat(128))),
        ("description", json!("two\nlines")),
    ] {
        assert!(read(&with(field, value.clone())).is_ok(), "{field} {value}");
    }
}

#[test]
fn one_id_twice_in_a_batch_is_refused_at_the_second() {
    let text =
        format!("{:?}", read(&json!({"tasks": [{"externalId": "a"}, {"externalId": "b"}, {"externalId": "a"}]})));
    assert!(text.contains("tasks[2].externalId") && text.contains("tasks[0]"), "{text}");
    let text = format!("{:?}", read(&json!({"tasks": [{"name": "x"}]})));
    assert!(text.contains("tasks[0].externalId") && text.contains("is missing"), "{text}");
}

#[test]
fn all_faults_of_a_body_are_told_at_once_up_to_a_hundred() {
    let items: Vec<_> = (0..100).map(|at| json!({"externalId": at, "name": 1, "x": 1})).collect();
    let error = read(&json!({"tasks": items})).unwrap_err();
    let count = format!("{error:?}").matches("FieldError").count();
    assert_eq!(count, 100);
}

proptest! {
    #[test]
    fn what_is_read_is_what_was_written(
        name in "[^\\p{Cc}]{1,60}", difficulty in 1_i64..=10, ms in 0_i64..4_000_000_000_000, flag: bool,
    ) {
        prop_assume!(!name.trim().is_empty());
        let due = crate::mapping::value::rfc3339(ms);
        let task = json!({
            "externalId": "a", "name": name, "difficulty": difficulty, "dueAt": due, "requiresApproval": flag,
        });
        let mapping = Mapping::load("tasks-tracker").unwrap();
        let read = read(&task).map_err(|error: ApiError| TestCaseError::fail(format!("{error:?}")))?;
        let carried = |name: &str| read[0].carried(mapping.field(name)).unwrap().clone();
        prop_assert_eq!(carried("name"), Value::Text(name.as_str().into()));
        prop_assert_eq!(carried("difficulty"), Value::Int(difficulty));
        prop_assert_eq!(carried("dueAt"), Value::Date(ms));
        prop_assert_eq!(carried("requiresApproval"), Value::Bool(flag));
    }
}
