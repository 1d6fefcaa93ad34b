//! `GET|PUT /api/integrations/inbound`: what a group's admins allow a partner.

use std::sync::Arc;

use axum::Json;
use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use bson::oid::ObjectId;
use ipnet::IpNet;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};

use super::secret;
use crate::http::App;
use crate::http::auth::Caller;
use crate::http::body::{JsonBody, given};
use crate::http::error::{ApiError, ApiResult, FieldError};
use crate::http::etag::{check_if_match, etag};
use crate::http::query::{Query, show_time};
use crate::http::webhooks::secret_fault;
use crate::model::{AuditAction, AuditEntry, DocId, InboundIntegration, InboundKind, ItemOutcome, Receipt, Scope};
use crate::secrets::generate_signing_secret;
use crate::store::inbound::{find, put, receipts};
use crate::store::webhooks::Replaced;

/// Calls a minute where none is given.
const RATE_DEFAULT: i32 = 300;
/// Networks of an allowlist, at most.
const NETWORKS_MAX: usize = 100;
/// How often a change without `If-Match` is made anew on a version that came in between.
const CHANGE_TRIES: u32 = 5;
/// Fields that answers show and no request sets.
const READ_ONLY: [&str; 7] = ["id", "groupId", "secretHint", "rotation", "createdAt", "createdBy", "updatedAt"];

/// The body of `PUT`; what is left out keeps its value.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Input {
    #[serde(deserialize_with = "given")]
    enabled: Option<bool>,
    #[serde(deserialize_with = "given")]
    scopes: Option<Vec<Scope>>,
    #[serde(deserialize_with = "given")]
    ip_allowlist: Option<Vec<String>>,
    #[serde(deserialize_with = "given")]
    rate_limit_per_minute: Option<i64>,
    #[serde(deserialize_with = "given")]
    user_id: Option<String>,
    #[serde(deserialize_with = "given")]
    secret: Option<String>,
    #[serde(deserialize_with = "given")]
    rotate_secret: Option<bool>,
    #[serde(deserialize_with = "given")]
    finalize_rotation: Option<bool>,
}

/// The same, checked.
struct Checked {
    enabled: Option<bool>,
    scopes: Option<Vec<Scope>>,
    ip_allowlist: Option<Vec<IpNet>>,
    rate_limit_per_minute: Option<i32>,
    user_id: Option<DocId>,
    secret: Option<SecretString>,
    rotate: bool,
    finalize: bool,
}

/// The answer. Before anything was set up: a disabled integration without `id` and secret.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::http) struct InboundAnswer {
    id: Option<String>,
    group_id: String,
    enabled: bool,
    scopes: Vec<Scope>,
    ip_allowlist: Vec<String>,
    rate_limit_per_minute: i32,
    user_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    secret: Option<String>,
    secret_hint: Option<String>,
    rotation: Option<Rotation>,
    created_at: Option<String>,
    created_by: Option<String>,
    updated_at: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Rotation {
    started_at: String,
    expires_at: Option<String>,
}

/// `GET /api/integrations/inbound?groupId=`
pub(in crate::http) async fn get_settings(
    caller: Caller,
    State(app): State<Arc<App>>,
    RawQuery(raw): RawQuery,
) -> ApiResult<Response> {
    let group = group_of(&caller, raw.as_deref())?;
    let found = find(&app.store, &group).await?;
    Ok(answer(&group, found.as_ref(), None))
}

/// `PUT /api/integrations/inbound?groupId=`: the first sets it up, and shows its secret.
pub(in crate::http) async fn put_settings(
    caller: Caller,
    State(app): State<Arc<App>>,
    RawQuery(raw): RawQuery,
    headers: HeaderMap,
    body: JsonBody,
) -> ApiResult<Response> {
    let group = group_of(&caller, raw.as_deref())?;
    let input: Input = body.read(&READ_ONLY)?;
    if app.inbound.mapping.writer.is_none() {
        let detail = "the mapping in TASKWIRE_MAPPING does not say how documents are written: give it a [writer]";
        return Err(ApiError::conflict(detail));
    }
    for _ in 0..CHANGE_TRIES {
        let present = find(&app.store, &group).await?;
        let checked = input.check(&app, &group, present.is_some()).await?;
        check_if_match(&headers, present.as_ref().map_or(0, |present| present.revision))?;
        let Some(change) = Change::plan(&app, &group, present.as_ref(), &checked, &caller.user)? else {
            return Ok(answer(&group, present.as_ref(), None));
        };
        if put(&app.store, &change.integration, &change.audit).await? == Replaced::Done {
            let integration = &change.integration;
            tracing::info!(integration = %integration.id, revision = integration.revision, "inbound integration changed");
            return Ok(answer(&group, Some(integration), change.new_secret.as_ref()));
        }
    }
    Err(ApiError::conflict("this integration keeps being changed by others: try again"))
}

fn group_of(caller: &Caller, raw: Option<&str>) -> ApiResult<DocId> {
    let mut query = Query::read(raw, &["groupId"]);
    query.finish()?;
    let asked = query.text("groupId").ok_or_else(|| ApiError::invalid_field("groupId", "is missing"))?;
    caller.scope(Some(asked))?;
    Ok(DocId::parse(asked))
}

fn answer(group: &DocId, integration: Option<&InboundIntegration>, new_secret: Option<&SecretString>) -> Response {
    let revision = integration.map_or(0, |integration| integration.revision);
    let secret = new_secret.map(|secret| secret.expose_secret().to_owned());
    let shown = match integration {
        Some(integration) => InboundAnswer::new(integration, secret),
        None => InboundAnswer::unset(group),
    };
    ([(header::ETAG, etag(revision))], Json(shown)).into_response()
}

impl InboundAnswer {
    fn new(integration: &InboundIntegration, secret: Option<String>) -> Self {
        let state = &integration.secret;
        let started = state.rotation_started_at.filter(|_| state.previous.is_some());
        let mut scopes = integration.scopes.clone();
        scopes.sort_unstable();
        Self {
            id: Some(integration.id.to_hex()),
            group_id: integration.group_id.to_string(),
            enabled: integration.enabled,
            scopes,
            ip_allowlist: integration.ip_allowlist.iter().map(ToString::to_string).collect(),
            rate_limit_per_minute: integration.rate_limit_per_minute,
            user_id: Some(integration.user_id.to_string()),
            secret,
            secret_hint: Some(state.hint.clone()),
            rotation: started.map(|started| Rotation {
                started_at: show_time(started),
                expires_at: state.rotation_expires_at.map(show_time),
            }),
            created_at: Some(show_time(integration.created_at)),
            created_by: Some(integration.created_by.to_string()),
            updated_at: Some(show_time(integration.updated_at)),
        }
    }

    fn unset(group: &DocId) -> Self {
        Self {
            id: None,
            group_id: group.to_string(),
            enabled: false,
            scopes: Vec::new(),
            ip_allowlist: Vec::new(),
            rate_limit_per_minute: RATE_DEFAULT,
            user_id: None,
            secret: None,
            secret_hint: None,
            rotation: None,
            created_at: None,
            created_by: None,
            updated_at: None,
        }
    }
}

impl Input {
    async fn check(&self, app: &App, group: &DocId, is_set_up: bool) -> ApiResult<Checked> {
        let mut faults = Vec::new();
        let mut fault = |field: &str, message: String| faults.push(FieldError::new(field, message));
        let (rotate, finalize) = (self.rotate_secret == Some(true), self.finalize_rotation == Some(true));
        if rotate && finalize {
            fault("finalizeRotation", "cannot be asked for together with rotateSecret".to_owned());
        }
        if self.secret.is_some() && is_set_up && !rotate {
            fault("secret", "is taken only together with \"rotateSecret\": true".to_owned());
        }
        if let Some(message) = self.secret.as_deref().and_then(secret_fault) {
            fault("secret", message);
        }
        let texts = self.ip_allowlist.as_deref().unwrap_or_default();
        if texts.len() > NETWORKS_MAX {
            fault("ipAllowlist", format!("must have at most {NETWORKS_MAX} networks"));
        }
        let mut networks = Vec::new();
        for (at, text) in texts.iter().enumerate().take(NETWORKS_MAX) {
            match network(text) {
                Some(network) => networks.push(network),
                None => fault(
                    &format!("ipAllowlist[{at}]"),
                    "must be a network in CIDR form, such as 203.0.113.0/24 or 2001:db8::/32".to_owned(),
                ),
            }
        }
        let rate = self.rate_limit_per_minute.map(|rate| i32::try_from(rate).unwrap_or(0));
        if rate.is_some_and(|rate| !(1..=60_000).contains(&rate)) {
            fault("rateLimitPerMinute", "must be a whole number from 1 to 60000".to_owned());
        }
        let user_id = self.user_id.as_deref().map(DocId::parse);
        if let Some(user) = &user_id
            && !app.admins.groups_of(user).await?.contains(group)
        {
            fault("userId", "must be the id of an admin of the group".to_owned());
        }
        if !faults.is_empty() {
            return Err(ApiError::invalid(faults));
        }
        let scopes = self.scopes.clone().map(|mut scopes| {
            scopes.sort_unstable();
            scopes.dedup();
            scopes
        });
        Ok(Checked {
            enabled: self.enabled,
            scopes,
            ip_allowlist: self.ip_allowlist.is_some().then_some(networks),
            rate_limit_per_minute: rate,
            user_id,
            secret: self.secret.clone().map(SecretString::from),
            rotate,
            finalize,
        })
    }
}

/// A network, or one address; of an address the bits behind the mask count for nothing.
fn network(text: &str) -> Option<IpNet> {
    let network: IpNet =
        text.parse().ok().or_else(|| text.parse().ok().map(|address: std::net::IpAddr| address.into()))?;
    Some(network.trunc())
}

/// The next version of an integration, and what to tell about it.
struct Change {
    integration: InboundIntegration,
    new_secret: Option<SecretString>,
    audit: Vec<AuditEntry>,
}

impl Change {
    /// What `wanted` makes of `present`; `None` if nothing.
    fn plan(
        app: &App,
        group: &DocId,
        present: Option<&InboundIntegration>,
        wanted: &Checked,
        user: &DocId,
    ) -> ApiResult<Option<Self>> {
        let now = app.clock.now();
        let secret = || wanted.secret.clone().unwrap_or_else(generate_signing_secret);
        let entry = |action| AuditEntry::of_group(group.clone(), user.clone(), now, action);
        let (mut integration, mut new_secret, mut audit) = match present {
            Some(present) => (present.clone(), None, Vec::new()),
            None if wanted.rotate || wanted.finalize => {
                return Err(ApiError::conflict(
                    "there is no secret yet: this call makes the first one without rotateSecret",
                ));
            }
            None => {
                let (id, secret) = (ObjectId::new(), secret());
                let integration = InboundIntegration {
                    id,
                    group_id: group.clone(),
                    enabled: true,
                    scopes: Vec::new(),
                    ip_allowlist: Vec::new(),
                    rate_limit_per_minute: RATE_DEFAULT,
                    user_id: user.clone(),
                    secret: secret::first(&app.keys, id, &secret)?,
                    revision: 0,
                    created_at: now,
                    created_by: user.clone(),
                    updated_at: now,
                };
                (integration, Some(secret), vec![entry(AuditAction::InboundCreated)])
            }
        };
        let changed = wanted.apply(&mut integration);
        if wanted.rotate {
            let secret = secret();
            secret::rotate(&app.keys, &mut integration, &secret, now)?;
            new_secret = Some(secret);
            audit.push(entry(AuditAction::InboundSecretRotated));
        }
        if wanted.finalize {
            secret::finalize(&mut integration)?;
            audit.push(entry(AuditAction::InboundRotationFinalized));
        }
        if present.is_some() && !changed.is_empty() {
            let changed = changed.into_iter().map(str::to_owned).collect();
            audit.push(AuditEntry { changed, ..entry(AuditAction::InboundUpdated) });
        }
        if audit.is_empty() {
            return Ok(None);
        }
        integration.revision += 1;
        integration.updated_at = now;
        Ok(Some(Self { integration, new_secret, audit }))
    }
}

impl Checked {
    /// Writes what was given into an integration and answers the names of the fields that this changed.
    fn apply(&self, integration: &mut InboundIntegration) -> Vec<&'static str> {
        let mut changed = Vec::new();
        set(&mut integration.enabled, self.enabled.as_ref(), "enabled", &mut changed);
        set(&mut integration.scopes, self.scopes.as_ref(), "scopes", &mut changed);
        set(&mut integration.ip_allowlist, self.ip_allowlist.as_ref(), "ipAllowlist", &mut changed);
        let rate = self.rate_limit_per_minute.as_ref();
        set(&mut integration.rate_limit_per_minute, rate, "rateLimitPerMinute", &mut changed);
        set(&mut integration.user_id, self.user_id.as_ref(), "userId", &mut changed);
        changed
    }
}

fn set<T: PartialEq + Clone>(place: &mut T, wanted: Option<&T>, field: &'static str, changed: &mut Vec<&'static str>) {
    if let Some(wanted) = wanted.filter(|wanted| **wanted != *place) {
        *place = wanted.clone();
        changed.push(field);
    }
}

/// A call that was taken, as its receipt tells it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ReceiptAnswer {
    id: String,
    kind: InboundKind,
    status: i32,
    created: usize,
    updated: usize,
    unchanged: usize,
    at: String,
}

/// `GET /api/integrations/inbound/receipts?groupId=&limit=`: the newest calls that were taken.
pub(in crate::http) async fn list_receipts(
    caller: Caller,
    State(app): State<Arc<App>>,
    RawQuery(raw): RawQuery,
) -> ApiResult<Json<serde_json::Value>> {
    let mut query = Query::read(raw.as_deref(), &["groupId", "limit"]);
    let limit = query.limit();
    query.finish()?;
    let asked = query.text("groupId").ok_or_else(|| ApiError::invalid_field("groupId", "is missing"))?;
    caller.scope(Some(asked))?;
    let found = match find(&app.store, &DocId::parse(asked)).await? {
        Some(integration) => receipts(&app.store, integration.id, i64::from(limit)).await?,
        None => Vec::new(),
    };
    let items: Vec<_> = found.iter().map(ReceiptAnswer::of).collect();
    Ok(Json(serde_json::json!({ "items": items })))
}

impl ReceiptAnswer {
    fn of(receipt: &Receipt) -> Self {
        let count = |outcome| receipt.results.iter().filter(|result| result.outcome == outcome).count();
        Self {
            id: receipt.id.as_str().to_owned(),
            kind: receipt.kind,
            status: receipt.status,
            created: count(ItemOutcome::Created),
            updated: count(ItemOutcome::Updated),
            unchanged: count(ItemOutcome::Unchanged),
            at: show_time(receipt.at),
        }
    }
}
