//! The body of `PUT`: what is read, what is checked, what it makes of an integration.

use std::borrow::Cow;
use std::net::IpAddr;

use ipnet::IpNet;
use secrecy::SecretString;
use serde::Deserialize;
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::Schema;
use utoipa::{PartialSchema, ToSchema};

use super::answer::READ_ONLY;
use crate::config::{NetworkError, read_network};
use crate::http::App;
use crate::http::body::given;
use crate::http::error::{ApiError, ApiResult, FieldError};
use crate::http::webhooks::{secret_fault, set, with_passed_over};
use crate::model::{DocId, InboundIntegration, Scope};

/// Networks of an allowlist, at most.
const NETWORKS_MAX: usize = 100;

/// The body of `PUT`; what is left out keeps its value.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Input {
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
    /// A secret of one's own, as a webhook's: with the first `PUT`, or together with `rotateSecret`.
    #[serde(default, deserialize_with = "given")]
    #[schema(
        nullable = false,
        min_length = 16,
        max_length = 256,
        pattern = r"^[^\x00-\x20\x7f-\x9f]([^\x00-\x1f\x7f-\x9f]*[^\x00-\x20\x7f-\x9f])?$",
        example = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    )]
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
pub(in crate::http::inbound) enum InboundChange {}

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
pub(super) struct Checked {
    enabled: Option<bool>,
    scopes: Option<Vec<Scope>>,
    ip_allowlist: Option<Vec<IpNet>>,
    rate_limit_per_minute: Option<i32>,
    user_id: Option<DocId>,
    /// A secret of the caller's own.
    pub(super) secret: Option<SecretString>,
    /// Begins a rotation.
    pub(super) rotate: bool,
    /// Ends one.
    pub(super) finalize: bool,
}

impl Input {
    /// Checks every field.
    ///
    /// # Errors
    /// 422 naming each that cannot be used.
    pub(super) async fn check(&self, app: &App, group: &DocId, is_set_up: bool) -> ApiResult<Checked> {
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
                Ok(network) => networks.push(network),
                Err(NetworkError::NoCidr) => fault(
                    &format!("ipAllowlist[{at}]"),
                    "must be a network in CIDR form, such as 203.0.113.0/24 or 2001:db8::/32".to_owned(),
                ),
                Err(why) => fault(&format!("ipAllowlist[{at}]"), why.to_string()),
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

/// A network, or one address.
fn network(text: &str) -> Result<IpNet, NetworkError> {
    text.parse::<IpAddr>().map_or_else(|_| read_network(text), |address| Ok(address.to_canonical().into()))
}

impl Checked {
    /// Writes what was given into an integration and answers the names of the fields that this changed.
    pub(super) fn apply(&self, integration: &mut InboundIntegration) -> Vec<&'static str> {
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
