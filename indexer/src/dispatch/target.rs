//! One webhook, made ready for sending: URL judged, secrets opened, headers built, once per edition and not per attempt.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use bson::oid::ObjectId;
use reqwest::Url;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, USER_AGENT};
use secrecy::{ExposeSecret, SecretString};
use taskwire::config::TargetPolicy;
use taskwire::model::{Delivery, DocId, Ordering, RetryPolicy, SealedField, Stop, Webhook};
use taskwire::secrets::{MasterKeys, Sealed};
use taskwire::signing::{Signer, SigningKey, is_reserved_header};
use taskwire::target_guard;

use crate::outcome::Failure;

/// Whether a webhook is sent to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TargetState {
    /// Yes.
    Live,
    /// What waits keeps waiting.
    Disabled,
    /// What waits is ended.
    Deleted,
}

/// What a request needs that does not change from attempt to attempt.
#[derive(Debug)]
struct Prepared {
    url: Url,
    signer: Signer,
    headers: HeaderMap,
}

/// A webhook made ready.
#[derive(Debug)]
pub(crate) struct Target {
    pub(crate) id: ObjectId,
    /// `None` where only the state is known.
    pub(crate) group: Option<DocId>,
    pub(crate) revision: i64,
    pub(crate) state: TargetState,
    /// The target as configured, to tell whether it is still the one that answered.
    pub(crate) target_url: String,
    pub(crate) timeout: Duration,
    pub(crate) retry: RetryPolicy,
    pub(crate) per_task: bool,
    pub(crate) rate: Option<NonZeroU32>,
    /// When it was disabled, oldest first.
    pub(crate) stops: Vec<Stop>,
    prepared: Result<Prepared, Failure>,
}

/// One attempt's request, signed.
#[derive(Debug)]
pub(crate) struct SignedRequest {
    pub(crate) url: Url,
    pub(crate) headers: HeaderMap,
}

impl Target {
    /// A webhook of which only the state is known.
    pub(crate) fn placeholder(id: ObjectId, revision: i64, state: TargetState) -> Self {
        Self {
            id,
            group: None,
            revision,
            state,
            target_url: String::new(),
            timeout: Duration::from_secs(15),
            retry: RetryPolicy::default(),
            per_task: false,
            rate: None,
            stops: Vec::new(),
            prepared: Err(Failure::BadTarget),
        }
    }

    /// The request of one attempt (contract: "What a partner receives").
    ///
    /// # Errors
    /// A [`Failure`] if the configuration does not allow one.
    pub(crate) fn request(&self, row: &Delivery, timestamp: i64, body: &[u8]) -> Result<SignedRequest, Failure> {
        let prepared = self.prepared.as_ref().map_err(|failure| *failure)?;
        let event = row.event_id.as_str();
        let signatures = prepared.signer.sign(event, timestamp, body);
        let mut headers = prepared.headers.clone();
        let seconds = HeaderValue::from(timestamp);
        headers.insert(HeaderName::from_static("x-event"), HeaderValue::from_static(row.event_type.name()));
        headers.insert(HeaderName::from_static("x-delivery-id"), value(row.id.as_str().to_owned())?);
        headers.insert(HeaderName::from_static("x-attempt"), HeaderValue::from(row.attempts));
        headers.insert(HeaderName::from_static("x-timestamp"), seconds.clone());
        headers.insert(HeaderName::from_static("x-signature"), value(signatures.x_signature)?);
        headers.insert(HeaderName::from_static("webhook-id"), value(event.to_owned())?);
        headers.insert(HeaderName::from_static("webhook-timestamp"), seconds);
        headers.insert(HeaderName::from_static("webhook-signature"), value(signatures.webhook_signature)?);
        Ok(SignedRequest { url: prepared.url.clone(), headers })
    }
}

/// Ids and signatures are visible ASCII, so this fails only for a row written by something else.
fn value(text: String) -> Result<HeaderValue, Failure> {
    HeaderValue::try_from(text).map_err(|_| Failure::BadTarget)
}

/// Opens configurations.
#[derive(Debug, Clone)]
pub(crate) struct Opener {
    pub(crate) keys: Arc<MasterKeys>,
    pub(crate) policy: TargetPolicy,
}

impl Opener {
    /// Makes a webhook ready. What cannot be used is told in the log once an edition, and by each attempt's reason.
    pub(crate) fn open(&self, webhook: &Webhook) -> Target {
        let state = match (webhook.deleted_at, webhook.enabled) {
            (Some(_), _) => TargetState::Deleted,
            (None, false) => TargetState::Disabled,
            (None, true) => TargetState::Live,
        };
        let prepared = self.prepare(webhook);
        if let (TargetState::Live, Err(failure)) = (state, &prepared) {
            tracing::error!(webhook = %webhook.id, reason = %failure, "a webhook cannot be sent to");
        }
        Target {
            id: webhook.id,
            group: Some(webhook.group_id.clone()),
            revision: webhook.revision,
            state,
            target_url: webhook.target_url.clone(),
            timeout: Duration::from_secs(u64::try_from(webhook.timeout_seconds.clamp(1, 30)).unwrap_or(15)),
            retry: webhook.retry_policy,
            per_task: webhook.ordering == Ordering::PerTask,
            rate: webhook.rate_limit_per_second.and_then(|rate| NonZeroU32::new(u32::try_from(rate).ok()?)),
            stops: webhook.stops.past.clone(),
            prepared,
        }
    }

    fn prepare(&self, webhook: &Webhook) -> Result<Prepared, Failure> {
        let url = target_guard::check_url(&webhook.target_url, &self.policy).map_err(|_| Failure::BadTarget)?;
        let mut signer = Signer::new(self.key(webhook.id, SealedField::CurrentSecret, &webhook.secret.current)?);
        if let Some(previous) = &webhook.secret.previous {
            let until = webhook.secret.rotation_expires_at.map(|at| at.timestamp_millis() / 1000);
            signer = signer.with_previous(self.key(webhook.id, SealedField::PreviousSecret, previous)?, until);
        }
        Ok(Prepared { url, signer, headers: self.headers(webhook)? })
    }

    fn key(&self, id: ObjectId, field: SealedField, sealed: &Sealed) -> Result<SigningKey, Failure> {
        SigningKey::new(&self.text(id, field, sealed)?).map_err(|_| Failure::Secret)
    }

    fn text(&self, id: ObjectId, field: SealedField, sealed: &Sealed) -> Result<SecretString, Failure> {
        self.keys.open(&Webhook::sealing_context(id, field), sealed).map_err(|_| Failure::Secret)
    }

    fn headers(&self, webhook: &Webhook) -> Result<HeaderMap, Failure> {
        let mut headers = HeaderMap::with_capacity(16);
        if let Some(sealed) = &webhook.headers {
            let text = self.text(webhook.id, SealedField::Headers, sealed)?;
            let configured: BTreeMap<String, String> =
                serde_json::from_str(text.expose_secret()).map_err(|_| Failure::Secret)?;
            for (name, value) in configured {
                if is_reserved_header(&name) {
                    continue;
                }
                let name = HeaderName::try_from(name).map_err(|_| Failure::BadTarget)?;
                let mut value = HeaderValue::try_from(value).map_err(|_| Failure::BadTarget)?;
                value.set_sensitive(true);
                headers.insert(name, value);
            }
        }
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(USER_AGENT, HeaderValue::from_static(USER_AGENT_TEXT));
        Ok(headers)
    }
}

const USER_AGENT_TEXT: &str = concat!("Taskwire/", env!("CARGO_PKG_VERSION"));
