//! One webhook, made ready for sending: URL judged, secrets opened, headers built, once per edition and not per attempt.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use crate::config::TargetPolicy;
use crate::model::{Delivery, DocId, Ordering, RetryPolicy, SealedField, Stop, Webhook};
use crate::secrets::{MasterKeys, Sealed};
use crate::signing::{Signer, SigningKey, is_reserved_header};
use crate::target_guard;
use bson::oid::ObjectId;
use reqwest::Url;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, USER_AGENT};
use secrecy::{ExposeSecret, SecretString};

use crate::outcome::Failure;

/// Whether a webhook is sent to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TargetState {
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
pub struct Target {
    /// Its id.
    pub id: ObjectId,
    /// `None` where only the state is known.
    pub group: Option<DocId>,
    /// The edition.
    pub revision: i64,
    /// Whether it is sent to.
    pub state: TargetState,
    /// The target as configured, to tell whether it is still the one that answered.
    pub target_url: String,
    /// One deadline over an attempt.
    pub timeout: Duration,
    /// When to try again, and how often.
    pub retry: RetryPolicy,
    /// Whether events of one task go one after the other.
    pub per_task: bool,
    /// At most so many attempts in a second.
    pub rate: Option<NonZeroU32>,
    /// When it was disabled, oldest first.
    pub stops: Vec<Stop>,
    prepared: Result<Prepared, Failure>,
}

/// What a request says of itself.
#[derive(Debug, Clone, Copy)]
pub struct Label<'a> {
    /// The event's id.
    pub event: &'a str,
    /// The event's name.
    pub name: &'static str,
    /// The delivery's id.
    pub delivery: &'a str,
    /// The attempt's number, from 1.
    pub attempt: i32,
}

impl<'a> From<&'a Delivery> for Label<'a> {
    fn from(row: &'a Delivery) -> Self {
        Self {
            event: row.event_id.as_str(),
            name: row.event_type.name(),
            delivery: row.id.as_str(),
            attempt: row.attempts,
        }
    }
}

/// One attempt's request, signed.
#[derive(Debug)]
pub struct SignedRequest {
    /// Where to.
    pub url: Url,
    /// All headers.
    pub headers: HeaderMap,
}

impl Target {
    /// A webhook of which only the state is known.
    pub fn placeholder(id: ObjectId, revision: i64, state: TargetState) -> Self {
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
    pub fn request(&self, label: &Label<'_>, timestamp: i64, body: &[u8]) -> Result<SignedRequest, Failure> {
        let prepared = self.prepared.as_ref().map_err(|failure| *failure)?;
        let signatures = prepared.signer.sign(label.event, timestamp, body);
        let mut headers = prepared.headers.clone();
        let seconds = HeaderValue::from(timestamp);
        headers.insert(HeaderName::from_static("x-event"), HeaderValue::from_static(label.name));
        headers.insert(HeaderName::from_static("x-delivery-id"), value(label.delivery.to_owned())?);
        headers.insert(HeaderName::from_static("x-attempt"), HeaderValue::from(label.attempt));
        headers.insert(HeaderName::from_static("x-timestamp"), seconds.clone());
        headers.insert(HeaderName::from_static("x-signature"), value(signatures.x_signature)?);
        headers.insert(HeaderName::from_static("webhook-id"), value(label.event.to_owned())?);
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
pub struct Opener {
    /// Opens secrets.
    pub keys: Arc<MasterKeys>,
    /// Judges URLs.
    pub policy: TargetPolicy,
}

impl Opener {
    /// Makes a webhook ready. What cannot be used is told in the log once an edition, and by each attempt's reason.
    pub fn open(&self, webhook: &Webhook) -> Target {
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
