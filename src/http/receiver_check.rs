//! Asking a webhook's receiver: one test now, and whether it checks what it gets. Nothing of it is a delivery: it is sent
//! through the same guard, signer and client, and leaves no row, but an entry in the audit.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Path, State};
use axum::{Extension, Json};
use bson::oid::ObjectId;
use bson::{DateTime, Timestamp};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::App;
use super::auth::Caller;
use super::body::{JsonBody, given};
use super::error::{ApiError, ApiResult};
use super::idempotency::OfGroup;
use super::test_turns::TestTurn;
use super::webhooks::{WebhookPath, find_webhook};
use crate::catalogue::{self, BodyKind};
use crate::model::{AuditAction, AuditEntry, DeliveryId, DocId, EventId, StreamTime, Webhook};
use crate::outcome::{Answer, Failure, Outcome, judge};
use crate::signing::MAX_SKEW_SECONDS;
use crate::store::audit;
use crate::store::webhooks::Deleted;
use crate::target::{Label, Target};

/// A test's deadline is the webhook's, but no longer than this: the call itself has one.
const TEST_MAX: Duration = Duration::from_secs(25);
/// So is that of each request of a check, which makes four of them.
const CHECK_MAX: Duration = Duration::from_secs(6);
/// How old the stale request of a check is, in seconds.
const STALE: i64 = MAX_SKEW_SECONDS + 300;

/// What to send.
#[derive(Default, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct TestRequest {
    /// A type of the catalogue, whose sample is sent, marked `"test": true`; left out: `webhook.test`.
    #[serde(default, deserialize_with = "given")]
    #[schema(nullable = false, example = "task.completed")]
    event_type: Option<String>,
}

/// How a test ended.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct TestResult {
    status: TestStatus,
    /// From the first lookup to the last byte.
    #[schema(example = 42)]
    duration_ms: i64,
    /// The HTTP status, if an answer came.
    #[schema(required = true, example = 200)]
    response_status: Option<u16>,
    /// Why it failed, if it did.
    #[schema(required = true, example = json!(null))]
    error_message: Option<String>,
}

/// Delivered: a 2xx came within the deadline.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum TestStatus {
    Delivered,
    Failed,
}

/// What a receiver does with good and bad requests.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ReceiverCheck {
    results: Vec<CaseResult>,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ReceiverCheckResult)]
struct CaseResult {
    case: Case,
    expected: Verdict,
    /// What came: an HTTP status, or why none did.
    #[schema(example = "HTTP 200")]
    got: String,
    /// Whether that is what was expected.
    #[schema(example = true)]
    ok: bool,
}

/// `good`: as every delivery is. `tampered`: its body was changed after it was signed. `stale`: signed ten minutes ago.
/// `repeated`: the good one once more, which happens when an answer is lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = ReceiverCheckCase)]
enum Case {
    Good,
    Tampered,
    Stale,
    Repeated,
}

/// `accepted`: a 2xx. `refused`: a 4xx.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = ReceiverCheckVerdict)]
enum Verdict {
    Accepted,
    Refused,
}

impl Case {
    const fn expected(self) -> Verdict {
        match self {
            Self::Good | Self::Repeated => Verdict::Accepted,
            Self::Tampered | Self::Stale => Verdict::Refused,
        }
    }
}

/// One body, ready to be sent to one webhook.
struct Test<'a> {
    app: &'a App,
    target: Target,
    name: &'static str,
    event: EventId,
    delivery: DeliveryId,
    body: Bytes,
}

impl<'a> Test<'a> {
    fn new(app: &'a App, webhook: &Webhook, kind: BodyKind, now: DateTime) -> Self {
        let seconds = u32::try_from(now.timestamp_millis() / 1000).unwrap_or(0);
        let at = StreamTime::new(Timestamp { time: seconds, increment: 0 }, 0);
        // The key is new, so that no two tests look alike to a receiver that drops what it has seen.
        let event = EventId::derive(at, "tests", &DocId::Oid(ObjectId::new()), kind.name());
        let delivery = DeliveryId::derive(&event, webhook.id);
        let body = catalogue::test_body(&app.mapping, kind, &event, webhook, now).into();
        Self { app, target: app.opener.open(webhook), name: kind.name(), event, delivery, body }
    }

    /// Signs `signed` as of `timestamp` and sends `sent`.
    async fn send(&self, timestamp: i64, attempt: i32, signed: &[u8], sent: Bytes, deadline: Duration) -> Answer {
        let label = Label { event: self.event.as_str(), name: self.name, delivery: self.delivery.as_str(), attempt };
        match self.target.request(&label, timestamp, signed) {
            Ok(request) => self.app.client.post(request.url, request.headers, sent, deadline).await,
            Err(failure) => Answer::Failure(failure),
        }
    }

    async fn check(&self, case: Case) -> CaseResult {
        let now = self.app.clock.now().timestamp_millis() / 1000;
        let deadline = self.target.timeout.min(CHECK_MAX);
        let (timestamp, attempt) = match case {
            Case::Good | Case::Tampered => (now, 1),
            Case::Stale => (now - STALE, 1),
            Case::Repeated => (now, 2),
        };
        let sent = match case {
            Case::Tampered => tampered(&self.body),
            Case::Good | Case::Stale | Case::Repeated => self.body.clone(),
        };
        let answer = self.send(timestamp, attempt, &self.body, sent, deadline).await;
        let (got, ok) = match answer {
            Answer::Response { status, .. } => {
                let ok = match case.expected() {
                    Verdict::Accepted => (200..300).contains(&status),
                    Verdict::Refused => (400..500).contains(&status),
                };
                (format!("HTTP {status}"), ok)
            }
            Answer::Failure(failure) => (failure.to_string(), false),
        };
        CaseResult { case, expected: case.expected(), got, ok }
    }
}

/// The same JSON but for one value.
fn tampered(body: &Bytes) -> Bytes {
    let text = String::from_utf8_lossy(body);
    text.replacen("\"test\":true", "\"test\":null", 1).into()
}

/// Lets a test begin, and has it in the audit before anything is sent.
async fn begin<'a>(app: &'a App, caller: &Caller, webhook: &Webhook, action: AuditAction) -> ApiResult<TestTurn<'a>> {
    let turn = app.tests.begin(webhook)?;
    let entry = AuditEntry::of_webhook(webhook, caller.user.clone(), app.clock.now(), action);
    audit::tell(&app.store, &entry).await?;
    Ok(turn)
}

/// `POST …/{id}/test`: a disabled webhook may be tried too, before it is enabled.
#[utoipa::path(
    post,
    path = "/api/integrations/webhooks/{id}/test",
    operation_id = "testWebhook",
    tag = "Webhooks",
    summary = "Send a test now",
    description = "One signed request, made at once and not tried again: `webhook.test`, or the catalogue's sample of a \
        type, marked `\"test\": true`. It is no delivery and leaves no row, but an entry in the audit. A disabled webhook can \
        be tested too.\n\n\
        Permission: an admin of the webhook's group.",
    params(WebhookPath),
    request_body = TestRequest,
    responses(
        (status = 200, description = "What came of it, success or not", body = TestResult),
        (status = 409, description = "A test of this webhook is under way"),
        (
            status = 429,
            description = "More than 30 tests and checks of this group in a minute, or more calls than this user may make",
            headers(("Retry-After" = u64, description = "In seconds")),
        ),
    ),
)]
pub(super) async fn test(
    caller: Caller,
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    body: JsonBody,
) -> ApiResult<(Extension<OfGroup>, Json<TestResult>)> {
    let webhook = find_webhook(&app, &caller, &id, Deleted::Without).await?;
    let kind = match body.read::<TestRequest>(&[])?.event_type {
        None => BodyKind::Test,
        Some(name) => BodyKind::from_name(&name).ok_or_else(|| unknown_type(&name))?,
    };
    let _turn = begin(&app, &caller, &webhook, AuditAction::WebhookTested).await?;
    let now = app.clock.now();
    let test = Test::new(&app, &webhook, kind, now);
    let began = std::time::Instant::now();
    let deadline = test.target.timeout.min(TEST_MAX);
    let answer = test.send(now.timestamp_millis() / 1000, 1, &test.body, test.body.clone(), deadline).await;
    let duration_ms = i64::try_from(began.elapsed().as_millis()).unwrap_or(i64::MAX);
    let outcome = judge(&answer);
    let response_status = match answer {
        Answer::Response { status, .. } => Some(status),
        Answer::Failure(_) => None,
    };
    let error_message = match (&outcome, &answer) {
        // A test disables nothing, so the reason of a delivery does not fit.
        (Outcome::Gone, _) => Some("HTTP 410: the target is gone".to_owned()),
        (_, Answer::Failure(Failure::Secret)) => return Err(ApiError::internal()),
        _ => outcome.reason().map(|reason| reason.to_string()),
    };
    let status = if error_message.is_none() { TestStatus::Delivered } else { TestStatus::Failed };
    let result = TestResult { status, duration_ms, response_status, error_message };
    Ok((Extension(OfGroup(webhook.group_id)), Json(result)))
}

fn unknown_type(name: &str) -> ApiError {
    let all: Vec<_> = BodyKind::all().map(BodyKind::name).collect();
    let given = if name.is_empty() { "is empty" } else { "is no type of the catalogue" };
    ApiError::invalid_field("eventType", format!("{given}; there are: {}", all.join(", ")))
}

/// `POST …/{id}/verify-receiver`
#[utoipa::path(
    post,
    path = "/api/integrations/webhooks/{id}/verify-receiver",
    operation_id = "verifyReceiver",
    tag = "Webhooks",
    summary = "Check what a receiver accepts",
    description = "Sends a `webhook.test` four times: good, tampered, stale and repeated, and reports which the receiver \
        wrongly accepts or refuses. None of them is a delivery; the check has an entry in the audit.\n\nPermission: an admin of the webhook's group.",
    params(WebhookPath),
    responses(
        (status = 200, description = "The four results", body = ReceiverCheck),
        (status = 409, description = "A test of this webhook is under way"),
        (
            status = 429,
            description = "More than 30 tests and checks of this group in a minute, or more calls than this user may make",
            headers(("Retry-After" = u64, description = "In seconds")),
        ),
    ),
)]
pub(super) async fn verify(
    caller: Caller,
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
) -> ApiResult<(Extension<OfGroup>, Json<ReceiverCheck>)> {
    let webhook = find_webhook(&app, &caller, &id, Deleted::Without).await?;
    let _turn = begin(&app, &caller, &webhook, AuditAction::WebhookVerified).await?;
    let test = Test::new(&app, &webhook, BodyKind::Test, app.clock.now());
    let mut results = Vec::new();
    for case in [Case::Good, Case::Tampered, Case::Stale, Case::Repeated] {
        results.push(test.check(case).await);
    }
    Ok((Extension(OfGroup(webhook.group_id)), Json(ReceiverCheck { results })))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tampered_body_is_another_body_and_still_json() {
        let body = Bytes::from_static(br#"{"event":"webhook.test","test":true}"#);
        let other = tampered(&body);
        assert_ne!(other, body);
        assert!(serde_json::from_slice::<serde_json::Value>(&other).is_ok());
    }
}
