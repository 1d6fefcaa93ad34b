//! An integration and its receipts as answers show them.

use bson::DateTime;
use serde::Serialize;
use utoipa::ToSchema;

use super::RATE_DEFAULT;
use crate::http::query::show_time;
use crate::http::webhooks::answer::Rotation;
use crate::model::{DocId, InboundIntegration, InboundKind, ItemOutcome, Receipt, Scope};

/// Fields that answers show and no request sets.
pub(super) const READ_ONLY: [&str; 7] =
    ["id", "groupId", "secretHint", "rotation", "createdAt", "createdBy", "updatedAt"];

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

impl InboundAnswer {
    /// Shows an integration, with its secret where that was just made.
    pub(super) fn new(integration: &InboundIntegration, secret: Option<String>, now: DateTime) -> Self {
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

    /// Shows that there is none yet.
    pub(super) fn unset(group: &DocId) -> Self {
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

impl ReceiptAnswer {
    /// Shows a receipt.
    pub(super) fn of(receipt: &Receipt) -> Self {
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
