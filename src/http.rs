//! The HTTP surface of `taskwire-api`: admins' REST under `/api/`, the page under `/admin/`.
//!
//! Every protected handler takes a [`auth::Caller`] first, and every query is scoped by the caller's groups. Errors are
//! [`error::ApiError`]s; whatever else answers with an error is turned into one on the way out (`around`).

mod around;
pub mod auth;
pub mod body;
mod deliveries;
pub mod dev_token;
pub mod error;
pub mod etag;
mod group_admins;
mod inbound;
#[cfg(fuzzing)]
pub use inbound::fuzz as fuzz_inbound;
pub mod page;
pub mod query;
mod replays;
mod task_events;
mod ui;
mod webhooks;

use std::sync::Arc;

use axum::Router;
use axum::middleware;
use axum::routing::{get, post};

use crate::config::{ApiSettings, SettingError, TargetPolicy};
use crate::secrets::MasterKeys;
use crate::store::{ServerClock, Store};

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
    /// Checks tokens.
    pub tokens: auth::TokenChecker,
    /// Who administers what.
    pub admins: group_admins::GroupAdmins,
    /// Inbound calls.
    pub inbound: inbound::Desk,
}

impl App {
    /// Puts together what requests need.
    ///
    /// # Errors
    /// [`SettingError`], if the JWKS file or the master key cannot be used.
    pub fn new(settings: &ApiSettings, store: Store, clock: ServerClock) -> Result<Arc<Self>, SettingError> {
        let common = &settings.common;
        Ok(Arc::new(Self {
            tokens: auth::TokenChecker::new(&settings.jwt)?,
            inbound: inbound::Desk::new(settings)?,
            admins: group_admins::GroupAdmins::new(store.clone(), common.mapping.groups.clone()),
            keys: common.master_keys.clone(),
            targets: common.targets.clone(),
            store,
            clock,
        }))
    }
}

/// Every route of the API, and the page. `status` (see `telemetry::status_routes`) is merged beside them.
pub fn router(app: Arc<App>, status: Router) -> Router {
    let webhook = "/api/integrations/webhooks/{id}";
    let api = Router::new()
        .route("/api/integrations/webhooks", get(webhooks::list).post(webhooks::create))
        .route(webhook, get(webhooks::get_one).put(webhooks::update).delete(webhooks::delete))
        .route(&format!("{webhook}/deliveries"), get(deliveries::list))
        .route(&format!("{webhook}/deliveries/{{deliveryId}}"), get(deliveries::get_one))
        .route(&format!("{webhook}/replay/{{deliveryId}}"), post(deliveries::replay))
        .route("/api/integrations/inbound", get(inbound::get_settings).put(inbound::put_settings))
        .route("/api/integrations/inbound/receipts", get(inbound::list_receipts))
        .route("/api/integrations/inbound/{groupId}/tasks", post(inbound::post_tasks))
        .route("/api/integrations/inbound/{groupId}/tasks/{externalId}", get(inbound::get_task))
        .route("/api/integrations/inbound/{groupId}/categories", post(inbound::post_categories))
        .route(&format!("{webhook}/replay"), post(replays::replay))
        .route(&format!("{webhook}/backfill"), post(replays::backfill))
        .route(&format!("{webhook}/replays"), get(replays::list))
        .route(&format!("{webhook}/replays/{{replayId}}"), get(replays::get_one).delete(replays::cancel))
        .route("/api/integrations/task-events", get(task_events::list))
        .route("/api/integrations/task-events/{eventId}/trace", get(task_events::trace))
        .with_state(app);
    Router::new()
        .merge(api)
        .merge(ui::routes())
        .fallback(|| std::future::ready(error::ApiError::no_route()))
        .layer(middleware::from_fn(around::around))
        .merge(status)
}
