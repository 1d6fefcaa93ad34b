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
pub mod openapi;
pub mod page;
pub mod query;
mod replays;
mod stats;
mod task_events;
mod ui;
mod webhooks;

use std::sync::Arc;

use axum::Router;
use axum::middleware;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

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
    /// Origins that may show the page in a frame.
    pub frame_ancestors: Vec<String>,
}

impl App {
    /// Puts together what requests need.
    ///
    /// # Errors
    /// [`SettingError`], if the JWKS file cannot be used.
    pub fn new(settings: &ApiSettings, store: Store, clock: ServerClock) -> Result<Arc<Self>, SettingError> {
        let common = &settings.common;
        Ok(Arc::new(Self {
            tokens: auth::TokenChecker::new(&settings.jwt)?,
            admins: group_admins::GroupAdmins::new(store.clone(), common.mapping.groups.clone()),
            keys: common.master_keys.clone(),
            targets: common.targets.clone(),
            frame_ancestors: settings.frame_ancestors.clone(),
            store,
            clock,
        }))
    }
}

/// Every operation of the API. What stands here is both served and described in the document (`openapi`).
fn operations() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new()
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
        .routes(routes!(stats::status))
        .routes(routes!(task_events::list))
        .routes(routes!(task_events::trace))
}

/// Every route of the API, and the pages. `status` (see `telemetry::status_routes`) is merged beside them.
pub fn router(app: Arc<App>, status: Router) -> Router {
    let page = ui::routes(&app.frame_ancestors);
    let api = operations().split_for_parts().0.with_state(app);
    Router::new()
        .merge(api)
        .merge(openapi::routes())
        .merge(page)
        .fallback(|| std::future::ready(error::ApiError::no_route()))
        .layer(middleware::from_fn(around::around))
        .merge(status)
}
