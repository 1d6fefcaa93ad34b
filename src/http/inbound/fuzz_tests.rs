//! Bytes from outside, whatever they are: bodies and headers are read or refused, and nothing panics.

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::json;

use super::categories::read_categories;
use super::client_address::client_address;
use super::task_input::{BATCH_MAX, read_tasks};
use crate::http::error::ApiResult;
use crate::mapping::Mapping;
use crate::signing::{SigningKey, VerifyError, verify};

fn mappings() -> [Mapping; 2] {
    ["tasks-tracker", "camel-case"].map(|profile| Mapping::load(profile).unwrap())
}

fn is_read_or_refused<T>(read: ApiResult<Vec<T>>) -> Result<(), TestCaseError> {
    match read {
        Ok(items) => prop_assert!((1..=BATCH_MAX).contains(&items.len())),
        Err(error) => prop_assert!(matches!(error.status().as_u16(), 400 | 422)),
    }
    Ok(())
}

fn body(bytes: &[u8], mappings: &[Mapping]) -> Result<(), TestCaseError> {
    for mapping in mappings {
        is_read_or_refused(read_tasks(bytes, mapping))?;
        is_read_or_refused(read_categories(bytes, mapping))?;
    }
    Ok(())
}

/// Nobody is let in by chance, and what names no address names nobody.
fn headers(key: &SigningKey, timestamp: &str, signature: &str, lines: &[(bool, Vec<u8>)]) -> Result<(), TestCaseError> {
    let refused = verify(std::slice::from_ref(key), 1_765_802_096, timestamp, signature, b"{}");
    prop_assert!(matches!(
        refused,
        Err(VerifyError::BadTimestamp | VerifyError::Skew | VerifyError::BadForm | VerifyError::Mismatch)
    ));
    let mut headers = HeaderMap::new();
    for (forwarded, value) in lines {
        let name = if *forwarded { "forwarded" } else { "x-forwarded-for" };
        if let Ok(value) = HeaderValue::from_bytes(value) {
            headers.append(HeaderName::from_static(name), value);
        }
    }
    let trusted = ["0.0.0.0/0".parse().unwrap(), "::/0".parse().unwrap()];
    let (near, far) = ("10.0.0.1".parse().unwrap(), "203.0.113.1".parse().unwrap());
    let client = client_address(Some(near), &headers, &trusted);
    prop_assert!(!headers.is_empty() || client == Some(near));
    prop_assert_eq!(client_address(Some(far), &headers, &[]), Some(far));
    Ok(())
}

/// Bodies that are nearly right: where bare bytes never come.
fn nearly() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(json!(null)),
        any::<bool>().prop_map(|flag| json!(flag)),
        any::<i64>().prop_map(|number| json!(number)),
        any::<f64>().prop_map(|number| json!(number)),
        ".{0,12}".prop_map(|text| json!(text)),
        Just(json!("2026-01-31T12:00:00Z")),
        Just(json!("Completed")),
        Just(json!("65a000000000000000000001")),
    ];
    let names = prop::sample::select(vec![
        "externalId",
        "id",
        "name",
        "description",
        "difficulty",
        "status",
        "assignedUserId",
        "dueAt",
        "frequency",
        "requiresApproval",
        "templateId",
        "icon",
        "color",
        "tasks",
        "categories",
        "other",
    ]);
    leaf.prop_recursive(4, 64, 8, move |inner| {
        let entries = prop::collection::vec((names.clone(), inner.clone()), 0..8);
        prop_oneof![
            prop::collection::vec(inner, 0..6).prop_map(|list| json!(list)),
            entries.prop_map(|entries| json!(entries.into_iter().collect::<std::collections::HashMap<_, _>>())),
        ]
    })
}

/// One of those with some bytes changed, or bytes alone.
fn bytes() -> impl Strategy<Value = Vec<u8>> {
    let changes = prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4);
    let changed = (nearly(), changes).prop_map(|(body, changes)| {
        let mut bytes = body.to_string().into_bytes();
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        bytes
    });
    prop_oneof![4 => changed, 1 => prop::collection::vec(any::<u8>(), 0..512)]
}

fn lines() -> impl Strategy<Value = Vec<(bool, Vec<u8>)>> {
    let value = prop_oneof![
        r#"([0-9a-f:.\[\]"]{0,20}[,; ]{0,2}(for=)?){0,6}"#.prop_map(String::into_bytes),
        prop::collection::vec(any::<u8>(), 0..60),
    ];
    prop::collection::vec((any::<bool>(), value), 0..4)
}

fn timestamp() -> impl Strategy<Value = String> {
    prop_oneof![Just("1765802096".to_owned()), any::<i64>().prop_map(|number| number.to_string()), ".{0,12}"]
}

fn signature() -> impl Strategy<Value = String> {
    prop_oneof!["(sha256=[0-9a-fA-F]{60,66}[, ]{0,2}){0,6}", ".{0,80}"]
}

fn run(cases: u32) {
    let (mappings, key) = (mappings(), SigningKey::new(&"a-secret-of-16-chars".into()).unwrap());
    let mut runner = TestRunner::new(Config { cases, failure_persistence: None, ..Config::default() });
    runner
        .run(&(bytes(), timestamp(), signature(), lines()), |(bytes, timestamp, signature, lines)| {
            body(&bytes, &mappings)?;
            headers(&key, &timestamp, &signature, &lines)
        })
        .unwrap();
}

#[test]
fn any_bytes_are_read_or_refused() {
    run(1_000);
}

#[test]
#[ignore = "long: ten minutes of bytes through every reader"]
fn ten_minutes_of_any_bytes_are_read_or_refused() {
    let begun = std::time::Instant::now();
    while begun.elapsed() < std::time::Duration::from_secs(600) {
        run(20_000);
    }
}
