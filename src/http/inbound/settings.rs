//! `GET|PUT /api/integrations/inbound`: what a group's admins allow a partner.

use std::borrow::Cow;
use std::sync::Arc;

use axum::Json;
use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use bson::DateTime;
use bson::oid::ObjectId;
use ipnet::IpNet;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::Schema;
use utoipa::{PartialSchema, ToSchema};

use super::secret;
use crate::http::App;
use crate::http::auth::Caller;
use crate::http::body::{JsonBody, given};
use crate::http::error::{ApiError, ApiResult, FieldError};
use crate::http::etag::{IfMatch, check_if_match, etag};
use crate::http::page::{ListKey, Page, PageParameters};
use crate::http::query::{Query, show_time};
use crate::http::settings::GroupParameter;
use crate::http::webhooks::answer::Rotation;
use crate::http::webhooks::{CHANGE_TRIES, secret_fault, with_passed_over};
use crate::model::{AuditAction, AuditEntry, DocId, InboundIntegration, InboundKind, ItemOutcome, Receipt, Scope};
use crate::secrets::generate_signing_secret;
use crate::store::inbound::{find, put, receipts};
use crate::store::webhooks::Replaced;

/// Calls a minute where none is given.
const RATE_DEFAULT: i32 = 300;
/// Networks of an allowlist, at most.
const NETWORKS_MAX: usize = 100;
/// Fields that answers show and no request sets.
const READ_ONLY: [&str; 7] = ["id", "groupId", "secretHint", "rotation", "createdAt", "createdBy", "updatedAt"];

/// The body of `PUT`; what is left out keeps its value.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct Input {
    /// Whether calls are taken; true with the first `PUT`, unless said.
    #[serde(default, deserialize_with = "given")]
    #[schema(nullable = false, example = true)]
    enabled: Option<bool>,
    /// What partners may do; nothing, unless said.
    #[serde(default, deserialize_with = "given")]
    #[schema(nullable = false, example = json!(["tasks:write"]))]
    scopes: Option<Vec<Scope>>,
    /// Networks in CIDR form, or addresses; empty: from everywhere.
    #[serde(default, deserialize_with = "given")]
    #[schema(nullable = false, max_items = 100, example = json!(["203.0.113.0/24", "2001:db8::/32"]))]
    ip_allowlist: Option<Vec<String>>,
    /// Calls a minute in each API process; 300, unless said.
    #[serde(default, deserialize_with = "given")]
    #[schema(nullable = false, minimum = 1, maximum = 60_000, example = 300)]
    rate_limit_per_minute: Option<i64>,
    /// An admin of the group, in whose name is written; who sets it up, unless said.
    #[serde(default, deserialize_with = "given")]
    #[schema(nullable = false, example = "65a0000000000000000000d4")]
    user_id: Option<String>,
    /// A secret of one's own: with the first `PUT`, or together with `rotateSecret`.
    #[serde(default, deserialize_with = "given")]
    #[schema(nullable = false, min_length = 16, max_length = 256, example = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")]
    secret: Option<String>,
    /// Begins a rotation: a new secret, and the present one is taken too until it is finalized.
    #[serde(default, deserialize_with = "given")]
    #[schema(nullable = false, example = false)]
    rotate_secret: Option<bool>,
    /// Ends a rotation: only the new secret is taken.
    #[serde(default, deserialize_with = "given")]
    #[schema(nullable = false, example = false)]
    finalize_rotation: Option<bool>,
}

/// The body of `PUT` as the document describes it.
enum InboundChange {}

impl PartialSchema for InboundChange {
    fn schema() -> RefOr<Schema> {
        with_passed_over::<Input>("A change of what partners may do. What is left out stays.", &READ_ONLY)
    }
}

impl ToSchema for InboundChange {
    fn name() -> Cow<'static, str> {
        "InboundChange".into()
    }

    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        Input::schemas(schemas);
    }
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
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = InboundIntegration)]
pub(in crate::http) struct InboundAnswer {
    /// What events name as `integration:<id>`. Null before the first `PUT`, like what follows from it.
    #[schema(required = true, example = "65a0000000000000000000c7")]
    id: Option<String>,
    #[schema(example = "65a0000000000000000000a1")]
    group_id: String,
    /// Whether calls are taken.
    enabled: bool,
    /// What partners may do.
    #[schema(example = json!(["tasks:write"]))]
    scopes: Vec<Scope>,
    /// From where; empty: from everywhere.
    #[schema(example = json!(["203.0.113.0/24"]))]
    ip_allowlist: Vec<String>,
    /// Calls a minute in each API process.
    #[schema(minimum = 1, maximum = 60_000, example = 300)]
    rate_limit_per_minute: i32,
    /// In whose name is written.
    #[schema(required = true, example = "65a0000000000000000000d4")]
    user_id: Option<String>,
    /// The signing secret: only in the answer to the call that made it, and never again.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")]
    secret: Option<String>,
    /// The secret's last four characters.
    #[schema(required = true, example = "LaSw")]
    secret_hint: Option<String>,
    /// The open rotation: both secrets are taken. Null: none is open.
    #[schema(required = true)]
    rotation: Option<Rotation>,
    #[schema(required = true, format = DateTime)]
    created_at: Option<String>,
    #[schema(required = true, example = "65a0000000000000000000d4")]
    created_by: Option<String>,
    #[schema(required = true, format = DateTime)]
    updated_at: Option<String>,
}

/// `GET /api/integrations/inbound?groupId=`
#[utoipa::path(
    get,
    path = "/api/integrations/inbound",
    operation_id = "getInbound",
    tag = "Inbound",
    summary = "Get what partners may do in a group",
    description = "Before the first `PUT`: a disabled integration without `id`.\n\nPermission: an admin of `groupId`.",
    params(GroupParameter),
    responses((
        status = 200,
        description = "The integration",
        body = InboundAnswer,
        headers(("ETag" = String, description = "Its version, for `If-Match`")),
    )),
)]
pub(in crate::http) async fn get_settings(
    caller: Caller,
    State(app): State<Arc<App>>,
    RawQuery(raw): RawQuery,
) -> ApiResult<Response> {
    let group = caller.only_group(&mut Query::read(raw.as_deref(), &["groupId"]))?;
    let found = find(&app.store, &group).await?;
    Ok(answer(&app, &group, found.as_ref(), None))
}

/// `PUT /api/integrations/inbound?groupId=`: the first sets it up, and shows its secret.
#[utoipa::path(
    put,
    path = "/api/integrations/inbound",
    operation_id = "updateInbound",
    tag = "Inbound",
    summary = "Change what partners may do in a group",
    description = "The first call sets the integration up and makes its secret, shown in this answer alone; it is rotated \
        like a webhook's.\n\nPermission: an admin of `groupId`.",
    params(GroupParameter, IfMatch),
    request_body = InboundChange,
    responses(
        (
            status = 200,
            description = "The integration as it is now; with the new secret if one was made",
            body = InboundAnswer,
            headers(("ETag" = String, description = "Its version, for `If-Match`")),
        ),
        (status = 409, description = "A rotation is open already, or none is; or others keep changing it"),
        (status = 412, description = "It was changed since: get it again"),
    ),
)]
pub(in crate::http) async fn put_settings(
    caller: Caller,
    State(app): State<Arc<App>>,
    RawQuery(raw): RawQuery,
    headers: HeaderMap,
    body: JsonBody,
) -> ApiResult<Response> {
    let group = caller.only_group(&mut Query::read(raw.as_deref(), &["groupId"]))?;
    let input: Input = body.read(&READ_ONLY)?;
    if app.mapping.writer.is_none() {
        let detail = "the mapping in TASKWIRE_MAPPING does not say how documents are written: give it a [writer]";
        return Err(ApiError::conflict(detail));
    }
    for _ in 0..CHANGE_TRIES {
        let present = find(&app.store, &group).await?;
        let checked = input.check(&app, &group, present.is_some()).await?;
        check_if_match(&headers, present.as_ref().map_or(0, |present| present.revision))?;
        let Some(change) = Change::plan(&app, &group, present.as_ref(), &checked, &caller.user)? else {
            return Ok(answer(&app, &group, present.as_ref(), None));
        };
        if put(&app.store, &change.integration, &change.audit).await? == Replaced::Done {
            let integration = &change.integration;
            tracing::info!(integration = %integration.id, revision = integration.revision, "inbound integration changed");
            return Ok(answer(&app, &group, Some(integration), change.new_secret.as_ref()));
        }
    }
    Err(ApiError::conflict("this integration keeps being changed by others: try again"))
}

fn answer(
    app: &App,
    group: &DocId,
    integration: Option<&InboundIntegration>,
    new_secret: Option<&SecretString>,
) -> Response {
    let revision = integration.map_or(0, |integration| integration.revision);
    let secret = new_secret.map(|secret| secret.expose_secret().to_owned());
    let shown = match integration {
        Some(integration) => InboundAnswer::new(integration, secret, app.clock.now()),
        None => InboundAnswer::unset(group),
    };
    ([(header::ETAG, etag(revision))], Json(shown)).into_response()
}

impl InboundAnswer {
    fn new(integration: &InboundIntegration, secret: Option<String>, now: DateTime) -> Self {
        let state = &integration.secret;
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
            rotation: Rotation::of_secret(state, now),
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
            secret::rotate(&app.keys, &mut integration, &secret, now, app.rotation_overlap)?;
            new_secret = Some(secret);
            audit.push(entry(AuditAction::InboundSecretRotated));
        }
        if wanted.finalize {
            secret::finalize(&mut integration, now)?;
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
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = InboundReceipt)]
pub(in crate::http) struct ReceiptAnswer {
    #[schema(example = "rcp_5f4dcc3b5aa765d61d8327deb882cf995f4dcc3b")]
    id: String,
    kind: InboundKind,
    /// The answer's HTTP status.
    #[schema(example = 201)]
    status: i32,
    /// How many items were created.
    #[schema(example = 1)]
    created: usize,
    /// How many were changed.
    #[schema(example = 0)]
    updated: usize,
    /// How many were as wanted already.
    #[schema(example = 0)]
    unchanged: usize,
    #[schema(format = DateTime)]
    at: String,
}

/// `GET /api/integrations/inbound/receipts?groupId=`: the calls that were taken, newest first.
#[utoipa::path(
    get,
    path = "/api/integrations/inbound/receipts",
    operation_id = "listInboundReceipts",
    tag = "Inbound",
    summary = "List the calls that were taken",
    description = "Newest first, for seven days. No text of a task is shown.\n\nPermission: an admin of `groupId`.",
    params(GroupParameter, PageParameters),
    responses((status = 200, description = "One page", body = Page<ReceiptAnswer>)),
)]
pub(in crate::http) async fn list_receipts(
    caller: Caller,
    State(app): State<Arc<App>>,
    RawQuery(raw): RawQuery,
) -> ApiResult<Json<Page<ReceiptAnswer>>> {
    let mut query = Query::read(raw.as_deref(), &["groupId", "cursor", "limit"]);
    let limit = query.limit();
    let group = caller.only_group(&mut query)?;
    let list = ListKey::new("inbound-receipts", &[("groupId", query.text("groupId"))]);
    let before = query.text("cursor").map(|cursor| list.open::<(i64, String)>(&app.keys, cursor)).transpose()?;
    let found = match find(&app.store, &group).await? {
        Some(integration) => receipts(&app.store, integration.id, before, i64::from(limit) + 1).await?,
        None => Vec::new(),
    };
    let place = |receipt: &Receipt| (receipt.at.timestamp_millis(), receipt.id.as_str().to_owned());
    list.page(&app.keys, found, limit, place, |receipt| Ok(ReceiptAnswer::of(&receipt))).map(Json)
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
