//! The HTTP surface of `taskwire-api`: admins' REST under `/api/`, the page under `/admin/`.
//!
//! Every protected handler takes a [`auth::Caller`] first, and every query is scoped by the caller's groups. Errors are
//! [`error::ApiError`]s; whatever else answers with an error is turned into one on the way out (`around`).

mod around;
mod audit;
pub mod auth;
pub mod body;
mod deliveries;
pub mod dev_token;
pub mod error;
pub mod etag;
mod event_types;
mod group_admins;
mod groups;
mod idempotency;
mod inbound;
mod limits;
#[cfg(fuzzing)]
pub use inbound::fuzz as fuzz_inbound;
pub mod openapi;
pub mod page;
pub mod query;
mod receiver_check;
mod replays;
mod rotation;
mod settings;
mod stats;
mod task_events;
mod test_turns;
mod ui;
mod webhooks;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::http::{HeaderName, HeaderValue, Method, header};
use axum::middleware;
use tower_http::cors::CorsLayer;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::client::{ClientError, TargetClient};
use crate::config::{ApiSettings, SettingError, TargetPolicy};
use crate::mapping::Mapping;
use crate::secrets::MasterKeys;
use crate::store::{ServerClock, Store};
use crate::target::Opener;

/// Why requests cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum AppError {
    /// A setting.
    #[error(transparent)]
    Setting(#[from] SettingError),
    /// The client that sends tests.
    #[error(transparent)]
    Client(#[from] ClientError),
}

/// What every request has at hand.
pub struct App {
    /// The database.
    pub store: Store,
    /// Its clock.
    pub clock: ServerClock,
    /// Opens and seals secrets.
    pub keys: Arc<MasterKeys>,
    /// The address guard's rules.
    pub targets: TargetPolicy,
    /// Makes webhooks ready for sending.
    pub opener: Opener,
    /// Sends tests.
    pub client: TargetClient,
    /// Which tests may be made now.
    pub tests: test_turns::TestTurns,
    /// How the service's documents are read.
    pub mapping: Arc<Mapping>,
    /// How long two secrets of one webhook sign at most.
    pub rotation_overlap: Option<Duration>,
    /// How fast users may call.
    pub limits: limits::PerMinute,
    /// The pages that may ask from a browser.
    pub cors_origins: Vec<HeaderValue>,
    /// Checks tokens.
    pub tokens: auth::TokenChecker,
    /// Who administers what.
    pub admins: group_admins::GroupAdmins,
    /// Inbound calls.
    pub inbound: inbound::Desk,
    /// Origins that may show the page in a frame.
    pub frame_ancestors: Vec<String>,
}

impl App {
    /// Puts together what requests need.
    ///
    /// # Errors
    /// [`AppError`], if the JWKS file, the master key, the further roots or the proxy cannot be used.
    pub fn new(settings: &ApiSettings, store: Store, clock: ServerClock) -> Result<Arc<Self>, AppError> {
        let common = &settings.common;
        Ok(Arc::new(Self {
            tokens: auth::TokenChecker::new(&settings.jwt)?,
            inbound: inbound::Desk::new(settings)?,
            admins: group_admins::GroupAdmins::new(store.clone(), common.mapping.groups.clone()),
            opener: Opener { keys: common.master_keys.clone(), policy: common.targets.clone() },
            client: TargetClient::new(&settings.client)?,
            tests: test_turns::TestTurns::default(),
            keys: common.master_keys.clone(),
            mapping: common.mapping.clone(),
            targets: common.targets.clone(),
            limits: limits::PerMinute::new(settings.user_rate_per_minute),
            cors_origins: settings.cors_origins.clone(),
            rotation_overlap: settings.rotation_overlap,
            frame_ancestors: settings.frame_ancestors.clone(),
            store,
            clock,
        }))
    }
}

/// Every operation of the API. What stands here is both served and described in the document (`openapi`).
fn operations() -> OpenApiRouter<Arc<App>> {
    of_users().merge(of_partners())
}

/// What users call with their token.
fn of_users() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new()
        .routes(routes!(groups::list))
        .routes(routes!(webhooks::list, webhooks::create))
        .routes(routes!(webhooks::get_one, webhooks::update, webhooks::delete))
        .routes(routes!(deliveries::list))
        .routes(routes!(deliveries::get_one))
        .routes(routes!(deliveries::replay))
        .routes(routes!(replays::replay))
        .routes(routes!(replays::backfill))
        .routes(routes!(replays::list))
        .routes(routes!(replays::get_one, replays::cancel))
        .routes(routes!(stats::of_webhook))
        .routes(routes!(stats::of_group))
        .routes(routes!(stats::of_each))
        .routes(routes!(stats::status))
        .routes(routes!(receiver_check::test))
        .routes(routes!(receiver_check::verify))
        .routes(routes!(event_types::list))
        .routes(routes!(task_events::list))
        .routes(routes!(task_events::trace))
        .routes(routes!(settings::get, settings::put))
        .routes(routes!(inbound::get_settings, inbound::put_settings))
        .routes(routes!(inbound::list_receipts))
        .routes(routes!(audit::list))
}

/// What partners call with a signature: nothing that goes by a user's token stands before it.
fn of_partners() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new()
        .routes(routes!(inbound::post_tasks))
        .routes(routes!(inbound::get_task))
        .routes(routes!(inbound::post_categories))
}

/// Every route of the API, and the pages. `status` (see `telemetry::status_routes`) is merged beside them.
pub fn router(app: Arc<App>, status: Router) -> Router {
    around::describe_metrics();
    let users = of_users()
        .split_for_parts()
        .0
        .layer(middleware::from_fn_with_state(app.clone(), idempotency::once))
        .layer(middleware::from_fn_with_state(app.clone(), limits::limit));
    let api = users.merge(of_partners().split_for_parts().0);
    let cors = cors(&app.cors_origins);
    let page = ui::routes(&app.frame_ancestors);
    let api = api.with_state(app);
    Router::new()
        .merge(api)
        .merge(openapi::routes())
        .merge(page)
        .fallback(|| std::future::ready(error::ApiError::no_route()))
        .layer(middleware::from_fn(around::around))
        .layer(cors)
        .merge(status)
}

/// Which pages of other origins may call from a browser. They send the token themselves; no cookie is ever taken.
fn cors(origins: &[HeaderValue]) -> CorsLayer {
    const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
    let taken = [header::AUTHORIZATION, header::CONTENT_TYPE, header::IF_MATCH, idempotency::KEY, REQUEST_ID];
    let shown = [header::ETAG, header::LOCATION, header::RETRY_AFTER, idempotency::REPLAYED, REQUEST_ID];
    CorsLayer::new()
        .allow_origin(origins.to_vec())
        .allow_methods([Method::GET, Method::POST, Method::PUT, Method::DELETE])
        .allow_headers(taken)
        .expose_headers(shown)
        .max_age(Duration::from_secs(600))
}
