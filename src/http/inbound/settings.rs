//! `GET|PUT /api/integrations/inbound`: what a group's admins allow a partner.

mod answer;
mod input;

use std::sync::Arc;

use axum::Json;
use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use bson::oid::ObjectId;
use secrecy::{ExposeSecret, SecretString};

use self::answer::{InboundAnswer, READ_ONLY, ReceiptAnswer};
use self::input::{Checked, InboundChange, Input};
use crate::http::App;
use crate::http::auth::Caller;
use crate::http::body::JsonBody;
use crate::http::error::{ApiError, ApiResult};
use crate::http::etag::{IfMatch, check_if_match, etag};
use crate::http::page::{ListKey, Page, PageParameters};
use crate::http::query::Query;
use crate::http::rotation;
use crate::http::settings::GroupParameter;
use crate::http::webhooks::{CHANGE_TRIES, let_it_settle};
use crate::model::{AuditAction, AuditEntry, DocId, InboundIntegration, Receipt};
use crate::secrets::generate_signing_secret;
use crate::store::inbound::{find, put, receipts};
use crate::store::webhooks::Replaced;

/// Calls a minute where none is given.
const RATE_DEFAULT: i32 = 300;

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
    for tries in 1..=CHANGE_TRIES {
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
        let_it_settle(tries).await;
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
                    secret: rotation::first(
                        &app.keys,
                        |field| InboundIntegration::sealing_context(id, field),
                        &secret,
                    )?,
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
            let id = integration.id;
            let place = |field| InboundIntegration::sealing_context(id, field);
            rotation::rotate(&app.keys, place, &mut integration.secret, &secret, now, app.rotation_overlap)?;
            new_secret = Some(secret);
            audit.push(entry(AuditAction::InboundSecretRotated));
        }
        if wanted.finalize {
            rotation::finalize(&mut integration.secret, now)?;
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
