//! The inbound endpoint: partners create and change tasks and categories of a group, signed, scoped and safe to repeat.
//!
//! ```text
//! body under its limit ▶ door (signature, address, scope, rate) ▶ receipt? the first answer again
//!      ▶ read (pure) ▶ turn of the group ▶ look up ▶ plan (pure) ▶ one short transaction ▶ answer
//! ```
//!
//! What was looked up guards what is written: where anything of it has changed meanwhile, nothing is written, and it is
//! looked up again.

mod categories;
mod client_address;
mod describe;
mod door;
#[cfg(test)]
mod fuzz_tests;
#[cfg(fuzzing)]
mod fuzzing;
mod json;
mod plan;
mod present;
mod secret;
mod settings;
mod show;
mod take;
mod task_input;
mod turns;

use std::net::IpAddr;
use std::sync::Arc;

use axum::Json;
use axum::extract::{ConnectInfo, Path, Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use ipnet::IpNet;

use self::describe::{CategoriesBody, GroupPath, InboundResults, InboundTaskShown, Signed, TaskPath, TasksBody};
use self::door::{Decoy, Pass, identify};
use self::take::{Outcome, take};
use self::turns::{Rates, Turns};
use super::App;
use super::body::read_limited;
use super::error::{ApiError, ApiResult};
use crate::config::{ApiSettings, SettingError};
use crate::listen::Peer;
use crate::model::{InboundKind, Scope};

#[cfg(fuzzing)]
pub use fuzzing::fuzz;
pub(super) use settings::*;

/// The largest body, in bytes.
pub(super) const BODY_MAX: usize = 256 * 1024;

/// What inbound calls need besides what every request has.
pub struct Desk {
    trusted_proxies: Vec<IpNet>,
    decoy: Decoy,
    turns: Turns,
    rates: Rates,
}

/// Begins each outcome's counter at 0: of one that first appears as 1, no increase is ever seen.
fn begin_counters() {
    metrics::describe_counter!("taskwire_inbound_requests_total", "Inbound calls, by what became of them");
    let refused = [
        StatusCode::UNAUTHORIZED,
        StatusCode::FORBIDDEN,
        StatusCode::PAYLOAD_TOO_LARGE,
        StatusCode::TOO_MANY_REQUESTS,
        StatusCode::NOT_FOUND,
        StatusCode::UNPROCESSABLE_ENTITY,
        StatusCode::CONFLICT,
        StatusCode::SERVICE_UNAVAILABLE,
        StatusCode::INTERNAL_SERVER_ERROR,
    ];
    for name in Outcome::ALL.map(Outcome::name).into_iter().chain(refused.map(refusal)) {
        metrics::counter!("taskwire_inbound_requests_total", "outcome" => name).increment(0);
    }
}

impl Desk {
    /// A desk where nobody has been yet.
    ///
    /// # Errors
    /// If the master key cannot seal.
    pub fn new(settings: &ApiSettings) -> Result<Self, SettingError> {
        let decoy = Decoy::new(&settings.common.master_keys).map_err(|why| SettingError::Wrong {
            variable: "TASKWIRE_MASTER_KEY".to_owned(),
            why: why.to_string(),
            takes: "the base64 of 32 bytes".to_owned(),
        })?;
        begin_counters();
        Ok(Self {
            trusted_proxies: settings.trusted_proxies.clone(),
            decoy,
            turns: Turns::default(),
            rates: Rates::default(),
        })
    }
}

const fn refusal(status: StatusCode) -> &'static str {
    match status {
        StatusCode::UNAUTHORIZED => "unauthorized",
        StatusCode::FORBIDDEN => "forbidden",
        StatusCode::PAYLOAD_TOO_LARGE => "too-large",
        StatusCode::TOO_MANY_REQUESTS => "too-fast",
        StatusCode::NOT_FOUND => "not-found",
        StatusCode::BAD_REQUEST | StatusCode::UNPROCESSABLE_ENTITY => "invalid",
        StatusCode::CONFLICT => "conflict",
        StatusCode::SERVICE_UNAVAILABLE => "unavailable",
        _ => "failed",
    }
}

/// A request, with its body read under the limit.
struct Call {
    peer: Option<IpAddr>,
    headers: HeaderMap,
    body: Vec<u8>,
}

impl Call {
    async fn read(request: Request) -> ApiResult<Self> {
        let (parts, body) = request.into_parts();
        let peer = parts.extensions.get::<ConnectInfo<Peer>>().map(|info| info.0.0.ip());
        let body = read_limited(body, BODY_MAX).await?;
        Ok(Self { peer, headers: parts.headers, body })
    }

    /// Lets the call in, or says why not.
    async fn enter(&self, app: &App, group: &str, scope: Scope) -> ApiResult<Pass> {
        let pass = identify(app, group, &self.headers, &self.body).await?;
        pass.admit(&app.inbound, self.peer, &self.headers, scope)?;
        let counted = app.inbound.rates.count(&pass.group, pass.integration.rate_limit_per_minute);
        counted.map_err(ApiError::too_fast_for_group)?;
        Ok(pass)
    }
}

/// `POST /api/integrations/inbound/{groupId}/tasks`
#[utoipa::path(
    post,
    path = "/api/integrations/inbound/{groupId}/tasks",
    operation_id = "postInboundTasks",
    tag = "Inbound",
    summary = "Create and change tasks",
    description = "One task, or up to 100 that are applied all or none. The same signed request has one effect: again it gets the first \
        answer, with `Idempotent-Replayed: true`.\n\nPermission: the scope `tasks:write`; with `tasks:approve` a status that \
        approves or rejects.",
    params(GroupPath, Signed),
    security(("signature" = [])),
    request_body = TasksBody,
    responses(
        (status = 200, description = "Nothing was created", body = InboundResults),
        (status = 201, description = "Something was created", body = InboundResults),
        (status = 401, description = "The signature or its time, the group, or the integration: one answer for all"),
        (status = 403, description = "The address is not in the allowlist, or the scope is missing"),
        (status = 429, description = "More than `rateLimitPerMinute`", headers(("Retry-After" = u64, description = "In seconds"))),
        (status = 409, description = "The signature was used at the other endpoint, or the integration's user is no admin any more"),
        (status = 413, description = "The body is larger than 256 KiB"),
    ),
)]
pub(super) async fn post_tasks(State(app): State<Arc<App>>, Path(group): Path<String>, request: Request) -> Response {
    counted(post(&app, &group, request, InboundKind::Tasks, Scope::TasksWrite).await)
}

/// `POST /api/integrations/inbound/{groupId}/categories`
#[utoipa::path(
    post,
    path = "/api/integrations/inbound/{groupId}/categories",
    operation_id = "postInboundCategories",
    tag = "Inbound",
    summary = "Create and change categories",
    description = "One category, or up to 100 that are applied all or none.\n\nPermission: the scope `categories:write`.",
    params(GroupPath, Signed),
    security(("signature" = [])),
    request_body = CategoriesBody,
    responses(
        (status = 200, description = "Nothing was created", body = InboundResults),
        (status = 201, description = "Something was created", body = InboundResults),
        (status = 401, description = "The signature or its time, the group, or the integration: one answer for all"),
        (status = 403, description = "The address is not in the allowlist, or the scope is missing"),
        (status = 429, description = "More than `rateLimitPerMinute`", headers(("Retry-After" = u64, description = "In seconds"))),
        (status = 409, description = "The signature was used at the other endpoint, or the integration's user is no admin any more"),
        (status = 413, description = "The body is larger than 256 KiB"),
    ),
)]
pub(super) async fn post_categories(
    State(app): State<Arc<App>>,
    Path(group): Path<String>,
    request: Request,
) -> Response {
    counted(post(&app, &group, request, InboundKind::Categories, Scope::CategoriesWrite).await)
}

/// `GET /api/integrations/inbound/{groupId}/tasks/{externalId}`, signed over an empty body.
#[utoipa::path(
    get,
    path = "/api/integrations/inbound/{groupId}/tasks/{externalId}",
    operation_id = "getInboundTask",
    tag = "Inbound",
    summary = "Get a task as the service has it",
    description = "Signed over an empty body.\n\nPermission: the scope `tasks:write`.",
    params(TaskPath, Signed),
    security(("signature" = [])),
    responses(
        (status = 200, description = "The task", body = InboundTaskShown),
        (status = 401, description = "The signature or its time, the group, or the integration: one answer for all"),
        (status = 403, description = "The address is not in the allowlist, or the scope is missing"),
        (status = 429, description = "More than `rateLimitPerMinute`", headers(("Retry-After" = u64, description = "In seconds"))),
        (status = 404, description = "This `externalId` names no task, or the service has deleted it"),
        (status = 409, description = "The service stores the task in another form than is known"),
        (status = 413, description = "The body is larger than 256 KiB"),
    ),
)]
pub(super) async fn get_task(
    State(app): State<Arc<App>>,
    Path((group, external_id)): Path<(String, String)>,
    request: Request,
) -> Response {
    counted(read_task(&app, &group, &external_id, request).await)
}

fn counted(ended: ApiResult<(Outcome, Response)>) -> Response {
    let (name, response) = match ended {
        Ok((outcome, response)) => (outcome.name(), response),
        Err(refused) => (refusal(refused.status()), refused.into_response()),
    };
    metrics::counter!("taskwire_inbound_requests_total", "outcome" => name).increment(1);
    response
}

async fn read_task(app: &App, group: &str, external_id: &str, request: Request) -> ApiResult<(Outcome, Response)> {
    let call = Call::read(request).await?;
    let pass = call.enter(app, group, Scope::TasksWrite).await?;
    Ok((Outcome::Read, Json(show::task(app, &pass.group, external_id).await?).into_response()))
}

async fn post(
    app: &App,
    group: &str,
    request: Request,
    kind: InboundKind,
    scope: Scope,
) -> ApiResult<(Outcome, Response)> {
    let call = Call::read(request).await?;
    let pass = call.enter(app, group, scope).await?;
    take(app, &pass, kind, &call.body).await
}
