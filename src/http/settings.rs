//! A group's settings: where notices about its webhooks go. The address is a webhook of its own that hears notices alone; no
//! list of webhooks shows it.

use std::borrow::Cow;
use std::sync::Arc;

use axum::Json;
use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bson::DateTime;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::Schema;
use utoipa::{IntoParams, PartialSchema, ToSchema};

use super::App;
use super::auth::Caller;
use super::body::{JsonBody, given};
use super::error::{ApiError, ApiResult, FieldError};
use super::etag::{IfMatch, check_if_match, etag};
use super::query::{Query, show_time};
use super::rotation;
use super::webhooks::answer::{Health, Rotation};
use super::webhooks::input::{secret_fault, url_fault};
use super::webhooks::{CHANGE_TRIES, let_it_settle, sealed, with_passed_over};
use crate::model::{Alert, AuditAction, AuditEntry, DocId, NoticeKind, Webhook};
use crate::store::webhooks::{self, Inserted, Replaced};

/// What stands for the name of a group's alert address where one is needed.
const NAME: &str = "alerts";

/// Fields that answers show and no request sets.
const READ_ONLY: [&str; 6] = ["groupId", "webhookId", "secretHint", "rotation", "health", "updatedAt"];

/// Which group.
#[derive(IntoParams)]
#[into_params(parameter_in = Query, rename_all = "camelCase")]
#[allow(dead_code, reason = "describes the parameter; `Query` reads it")]
pub(super) struct GroupParameter {
    /// The group.
    #[param(example = "65a0000000000000000000a1")]
    group_id: String,
}

/// A group's settings.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Settings)]
pub(super) struct SettingsAnswer {
    #[schema(example = "65a0000000000000000000a1")]
    group_id: String,
    /// Where signed notices about this group's webhooks go; null: nowhere.
    #[schema(required = true, example = "https://hooks.example.com/alerts")]
    alert_url: Option<String>,
    /// Which notices.
    alert_events: Vec<NoticeKind>,
    /// Under this id the notices' log can be read, as any webhook's. Null without an address, like what follows.
    #[schema(required = true, example = "65a0000000000000000000b3")]
    webhook_id: Option<String>,
    /// The signing secret: only in the answer to the call that made it, and never again.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")]
    secret: Option<String>,
    /// The secret's last four characters.
    #[schema(required = true, example = "LaSw")]
    secret_hint: Option<String>,
    /// The open rotation: both secrets sign. Null: none is open.
    #[schema(required = true)]
    rotation: Option<Rotation>,
    /// How notices fare.
    #[schema(required = true)]
    health: Option<Health>,
    #[schema(required = true, format = DateTime)]
    updated_at: Option<String>,
}

/// The body of `PUT`; what is left out stays.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct SettingsInput {
    /// Where signed notices go: `https`, a public address, no credentials and no fragment. Null: nowhere any more.
    // The outer option: given or not; the inner: an address or null.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<String>, max_length = 2048, format = "uri", example = "https://hooks.example.com/alerts")]
    alert_url: Option<Option<String>>,
    /// Which notices; at least one. All of them, unless said.
    #[serde(default, deserialize_with = "given")]
    #[schema(nullable = false, min_items = 1)]
    alert_events: Option<Vec<NoticeKind>>,
    /// A secret of one's own, as a webhook's: with a new address, or together with `rotateSecret`.
    #[serde(default, deserialize_with = "given")]
    #[schema(
        nullable = false,
        min_length = 16,
        max_length = 256,
        pattern = r"^[^\x00-\x20\x7f-\x9f]([^\x00-\x1f\x7f-\x9f]*[^\x00-\x20\x7f-\x9f])?$",
        example = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    )]
    secret: Option<String>,
    /// Begins a rotation: a new secret, and the present one signs too until it is finalized.
    #[serde(default, deserialize_with = "given")]
    #[schema(nullable = false, example = false)]
    rotate_secret: Option<bool>,
    /// Ends a rotation: only the new secret signs.
    #[serde(default, deserialize_with = "given")]
    #[schema(nullable = false, example = false)]
    finalize_rotation: Option<bool>,
}

/// The body of `PUT` as the document describes it.
enum SettingsChange {}

impl PartialSchema for SettingsChange {
    fn schema() -> RefOr<Schema> {
        with_passed_over::<SettingsInput>("A change of a group's settings. What is left out stays.", &READ_ONLY)
    }
}

impl ToSchema for SettingsChange {
    fn name() -> Cow<'static, str> {
        "SettingsChange".into()
    }

    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        SettingsInput::schemas(schemas);
    }
}

/// `GET /api/integrations/settings`
#[utoipa::path(
    get,
    path = "/api/integrations/settings",
    operation_id = "getSettings",
    tag = "Settings",
    summary = "Get a group's settings",
    description = "Where signed notices about the group's webhooks go.\n\nPermission: an admin of `groupId`.",
    params(GroupParameter),
    responses((
        status = 200,
        description = "The settings",
        body = SettingsAnswer,
        headers(("ETag" = String, description = "Their version, for `If-Match`")),
    )),
)]
pub(super) async fn get(caller: Caller, State(app): State<Arc<App>>, RawQuery(raw): RawQuery) -> ApiResult<Response> {
    let group = caller.only_group(&mut Query::read(raw.as_deref(), &["groupId"]))?;
    let present = alert_of(&app, &group).await?;
    answer(&app, &group, present.as_ref(), None).await
}

/// `PUT /api/integrations/settings`
#[utoipa::path(
    put,
    path = "/api/integrations/settings",
    operation_id = "updateSettings",
    tag = "Settings",
    summary = "Change a group's settings",
    description = "With the first `alertUrl` a secret is made, shown in this answer alone; it is rotated like a \
        webhook's. `alertUrl: null` ends the notices.\n\nPermission: an admin of `groupId`.",
    params(GroupParameter, IfMatch),
    request_body = SettingsChange,
    responses(
        (
            status = 200,
            description = "The settings as they are now; with the new secret if one was made",
            body = SettingsAnswer,
            headers(("ETag" = String, description = "Their version, for `If-Match`")),
        ),
        (status = 409, description = "There is no address, a rotation is open already, or none is; or others keep changing it"),
        (status = 412, description = "They were changed since: get them again"),
    ),
)]
pub(super) async fn put(
    caller: Caller,
    State(app): State<Arc<App>>,
    RawQuery(raw): RawQuery,
    headers: HeaderMap,
    body: JsonBody,
) -> ApiResult<Response> {
    let group = caller.only_group(&mut Query::read(raw.as_deref(), &["groupId"]))?;
    let wanted = body.read::<SettingsInput>(&READ_ONLY)?;
    wanted.check(&app)?;
    for tries in 1..=CHANGE_TRIES {
        let present = alert_of(&app, &group).await?;
        check_if_match(&headers, present.as_ref().map_or(0, |alert| alert.revision))?;
        let done = match (present, &wanted.alert_url) {
            (None, Some(Some(url))) => wanted.create(&app, &group, &caller.user, url).await?,
            (None, _) if wanted.needs_address() => {
                return Err(ApiError::conflict("there is no alert address yet: set alertUrl first"));
            }
            (None, _) => return answer(&app, &group, None, None).await,
            (Some(alert), Some(None)) => remove(&app, alert, &caller.user).await?,
            (Some(alert), _) => wanted.change(&app, alert, &caller.user).await?,
        };
        if let Some((alert, secret)) = done {
            tracing::info!(%group, "settings changed");
            return answer(&app, &group, alert.as_ref(), secret.as_ref()).await;
        }
        let_it_settle(tries).await;
    }
    Err(ApiError::conflict("these settings keep being changed by others: try again"))
}

/// What stands after a change, with the secret it made; `None`: others were first.
type Done = Option<(Option<Webhook>, Option<SecretString>)>;

impl SettingsInput {
    fn check(&self, app: &App) -> ApiResult<()> {
        let mut faults = Vec::new();
        let url = self.alert_url.as_ref().and_then(Option::as_deref);
        if let Some(message) = url.and_then(|url| url_fault(url, &app.targets)) {
            faults.push(FieldError::new("alertUrl", message));
        }
        if self.alert_events.as_ref().is_some_and(Vec::is_empty) {
            faults.push(FieldError::new("alertEvents", "names no notice: at least one is needed"));
        }
        if let Some(message) = self.secret.as_deref().and_then(secret_fault) {
            faults.push(FieldError::new("secret", message));
        }
        if self.rotates() && self.finalize_rotation == Some(true) {
            faults.push(FieldError::new("finalizeRotation", "cannot be asked for together with rotateSecret"));
        }
        if faults.is_empty() { Ok(()) } else { Err(ApiError::invalid(faults)) }
    }

    fn rotates(&self) -> bool {
        self.rotate_secret == Some(true)
    }

    /// Whether it says something about an address without naming one.
    fn needs_address(&self) -> bool {
        self.alert_events.is_some() || self.secret.is_some() || self.rotates() || self.finalize_rotation == Some(true)
    }

    fn events(&self) -> Option<Vec<NoticeKind>> {
        let mut events = self.alert_events.clone()?;
        events.sort_unstable();
        events.dedup();
        Some(events)
    }

    async fn create(&self, app: &App, group: &DocId, user: &DocId, url: &str) -> ApiResult<Done> {
        let secret = self.secret.clone().map_or_else(crate::secrets::generate_signing_secret, SecretString::from);
        let events = self.events().unwrap_or_else(|| NoticeKind::ALL.to_vec());
        let mut alert = sealed::new_webhook(&app.keys, group.clone(), user, &secret, app.clock.now())?;
        (alert.name, alert.target_url, alert.alert) = (NAME.to_owned(), url.to_owned(), Some(Alert { events }));
        let audit = entry(&alert, user, alert.created_at, AuditAction::SettingsUpdated, &["alertUrl", "alertEvents"]);
        match webhooks::insert(&app.store, &alert, &audit).await? {
            Inserted::Done => Ok(Some((Some(alert), Some(secret)))),
            Inserted::GroupIsFull => Ok(None),
        }
    }

    async fn change(&self, app: &App, present: Webhook, user: &DocId) -> ApiResult<Done> {
        if self.secret.is_some() && !self.rotates() {
            let message = "is taken only with a new address, or together with \"rotateSecret\": true";
            return Err(ApiError::invalid_field("secret", message));
        }
        let now = app.clock.now();
        let (mut alert, mut changed, mut audit, mut secret) = (present.clone(), Vec::new(), Vec::new(), None);
        // One that was disabled because it was gone or failed for too long begins anew, elsewhere or where it was: naming it
        // is the only way to enable it.
        let is_news = |url: &String| *url != alert.target_url || !alert.enabled;
        if let Some(url) = self.alert_url.clone().flatten().filter(is_news) {
            alert.target_url = url;
            changed.push("alertUrl");
            if !alert.enabled {
                alert.enable(now);
            }
        }
        if let Some(events) = self.events().filter(|events| alert.alert.as_ref().is_none_or(|a| a.events != *events)) {
            alert.alert = Some(Alert { events });
            changed.push("alertEvents");
        }
        if self.rotates() {
            let new = self.secret.clone().map_or_else(crate::secrets::generate_signing_secret, SecretString::from);
            let id = alert.id;
            let place = |field| Webhook::sealing_context(id, field);
            rotation::rotate(&app.keys, place, &mut alert.secret, &new, now, app.rotation_overlap)?;
            secret = Some(new);
            audit.push(entry(&present, user, now, AuditAction::SecretRotated, &[]));
        }
        if self.finalize_rotation == Some(true) {
            rotation::finalize(&mut alert.secret, now)?;
            audit.push(entry(&present, user, now, AuditAction::RotationFinalized, &[]));
        }
        if !changed.is_empty() {
            audit.push(entry(&present, user, now, AuditAction::SettingsUpdated, &changed));
        }
        if audit.is_empty() {
            return Ok(Some((Some(present), None)));
        }
        (alert.revision, alert.updated_at) = (alert.revision + 1, now);
        Ok(match webhooks::replace(&app.store, &alert, &audit).await? {
            Replaced::Done => Some((Some(alert), secret)),
            Replaced::ChangedMeanwhile => None,
        })
    }
}

async fn remove(app: &App, mut alert: Webhook, user: &DocId) -> ApiResult<Done> {
    let now = app.clock.now();
    (alert.enabled, alert.deleted_at, alert.updated_at) = (false, Some(now), now);
    alert.revision += 1;
    let audit = entry(&alert, user, now, AuditAction::SettingsUpdated, &["alertUrl"]);
    Ok(match webhooks::replace(&app.store, &alert, &[audit]).await? {
        Replaced::Done => Some((None, None)),
        Replaced::ChangedMeanwhile => None,
    })
}

fn entry(alert: &Webhook, user: &DocId, at: DateTime, action: AuditAction, changed: &[&str]) -> AuditEntry {
    let changed = changed.iter().map(|name| (*name).to_owned()).collect();
    AuditEntry { changed, ..AuditEntry::of_webhook(alert, user.clone(), at, action) }
}

async fn alert_of(app: &App, group: &DocId) -> ApiResult<Option<Webhook>> {
    Ok(webhooks::alerts(&app.store, std::slice::from_ref(group)).await?.pop())
}

async fn answer(
    app: &App,
    group: &DocId,
    alert: Option<&Webhook>,
    secret: Option<&SecretString>,
) -> ApiResult<Response> {
    let mut shown = SettingsAnswer {
        group_id: group.to_string(),
        alert_url: None,
        alert_events: NoticeKind::ALL.to_vec(),
        webhook_id: None,
        secret: secret.map(|secret| secret.expose_secret().to_owned()),
        secret_hint: None,
        rotation: None,
        health: None,
        updated_at: None,
    };
    if let Some(alert) = alert {
        let health = webhooks::health(&app.store, &[alert.id]).await?;
        shown.alert_url = Some(alert.target_url.clone());
        shown.alert_events = alert.alert.as_ref().map(|alert| alert.events.clone()).unwrap_or_default();
        shown.webhook_id = Some(alert.id.to_hex());
        shown.secret_hint = Some(alert.secret.hint.clone());
        shown.rotation = Rotation::of(alert, app.clock.now());
        shown.health = Some(Health::of(alert, health.get(&alert.id)));
        shown.updated_at = Some(show_time(alert.updated_at));
    }
    let revision = alert.map_or(0, |alert| alert.revision);
    Ok((StatusCode::OK, [(header::ETAG, etag(revision))], Json(shown)).into_response())
}
