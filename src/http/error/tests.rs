//! What an error's answer shows, and what it keeps.

use axum::body::to_bytes;
use mongodb::error::{Error as MongoError, ErrorKind};

use super::*;

async fn body(error: ApiError) -> serde_json::Value {
    let response = error.into_response();
    assert_eq!(response.headers()[header::CONTENT_TYPE], PROBLEM_JSON);
    serde_json::from_slice(&to_bytes(response.into_body(), 1 << 16).await.unwrap()).unwrap()
}

#[tokio::test]
async fn a_problem_has_type_title_status_and_detail_and_names_each_field() {
    let errors = vec![FieldError::new("name", "is missing"), FieldError::new("targetUrl", "is no URL")];
    let problem = body(ApiError::invalid(errors)).await;
    assert_eq!(problem["type"], "urn:taskwire:problem:invalid");
    assert_eq!(problem["status"], 422);
    assert_eq!(problem["errors"][1]["field"], "targetUrl");
    assert!(problem["detail"].as_str().unwrap().contains("name, targetUrl"));
    assert!(problem["title"].is_string());
}

#[tokio::test]
async fn the_text_of_a_driver_error_stays_inside() {
    let error = MongoError::custom("password hunter2 at 10.1.2.3");
    let problem = body(ApiError::from(error)).await;
    assert_eq!(problem["status"], 500);
    assert!(!problem.to_string().contains("hunter2"));
}

#[tokio::test]
async fn what_met_other_writes_is_busy_and_not_a_database_that_does_not_answer() {
    for (code, name, kind) in
        [(112, "WriteConflict", "busy"), (11000, "DuplicateKey", "busy"), (8, "Other", "internal")]
    {
        let command = serde_json::json!({"code": code, "codeName": name, "errmsg": "x"});
        let error: mongodb::error::CommandError = serde_json::from_value(command).unwrap();
        let problem = body(ApiError::from(MongoError::from(ErrorKind::Command(error)))).await;
        assert_eq!(problem["type"], format!("urn:taskwire:problem:{kind}"), "{code}");
    }
}

#[test]
fn a_made_up_field_name_is_shown_only_in_part() {
    assert_eq!(FieldError::new("x".repeat(5000), "").field.len(), 120);
}
