//! What is asked of a bulk replay or backfill, read and checked.

use bson::DateTime;
use serde::Deserialize;
use utoipa::ToSchema;

use crate::http::body::given;
use crate::http::error::{ApiError, ApiResult, FieldError};
use crate::http::query::{read_time, show_time};
use crate::model::{DeliveryStatus, EventKind, Selection, Webhook};

/// How many kinds of events may be named.
const KINDS_MAX: usize = 100;

/// What a bulk replay takes.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = BulkReplay)]
pub(in crate::http) struct ReplayInput {
    /// `dead-letter` (the default) or `delivered`.
    #[serde(default, deserialize_with = "given")]
    #[schema(nullable = false, pattern = "^(dead-letter|delivered)$", example = "dead-letter")]
    status: Option<String>,
    #[serde(default, deserialize_with = "given")]
    #[schema(nullable = false, value_type = Option<Vec<EventKind>>, max_items = 100)]
    event_types: Option<Vec<String>>,
    /// Deliveries made at this time or later, in RFC 3339.
    #[serde(default, deserialize_with = "given")]
    #[schema(nullable = false, format = DateTime)]
    since: Option<String>,
    /// Deliveries made before this time.
    #[serde(default, deserialize_with = "given")]
    #[schema(nullable = false, format = DateTime, example = "2025-12-16T12:34:56.123Z")]
    until: Option<String>,
    /// Only count.
    #[serde(default)]
    #[schema(example = false)]
    pub(super) dry_run: bool,
}

/// What a backfill takes.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Backfill)]
pub(in crate::http) struct BackfillInput {
    /// Events of this time or later, in RFC 3339; must be given.
    #[serde(default, deserialize_with = "given")]
    #[schema(nullable = false, format = DateTime, required = true)]
    since: Option<String>,
    /// Events before this time; the present, if not given.
    #[serde(default, deserialize_with = "given")]
    #[schema(nullable = false, format = DateTime, example = "2025-12-16T12:34:56.123Z")]
    until: Option<String>,
    /// What the webhook asks for now, if not given.
    #[serde(default, deserialize_with = "given")]
    #[schema(nullable = false, value_type = Option<Vec<EventKind>>, max_items = 100)]
    event_types: Option<Vec<String>>,
    /// Only count.
    #[serde(default)]
    #[schema(example = false)]
    pub(super) dry_run: bool,
}

impl ReplayInput {
    /// Which deliveries it takes, of those that exist `now`.
    pub(super) fn selection(self, now: DateTime) -> ApiResult<Selection> {
        let mut reader = Reader { now, errors: Vec::new() };
        let status = match self.status.as_deref() {
            None | Some("dead-letter") => DeliveryStatus::DeadLetter,
            Some("delivered") => DeliveryStatus::Delivered,
            Some(_) => {
                reader.fault("status", "is none of: dead-letter, delivered (what is queued or failed is tried anyway)");
                DeliveryStatus::DeadLetter
            }
        };
        let (since, until) = reader.range(self.since.as_deref(), self.until.as_deref());
        let event_types = reader.kinds(self.event_types);
        reader.finish(Selection { status, event_types, since, until, without_echoes: false })
    }
}

impl BackfillInput {
    /// Which events it takes, of those until `now`. Deliveries of before `whole_from` were removed, so that nobody can
    /// tell whether the webhook got them.
    pub(super) fn selection(
        self,
        webhook: &Webhook,
        now: DateTime,
        whole_from: Option<DateTime>,
    ) -> ApiResult<Selection> {
        let mut reader = Reader { now, errors: Vec::new() };
        let (since, until) = reader.range(self.since.as_deref(), self.until.as_deref());
        if self.since.is_none() {
            reader.fault("since", "must be given");
        }
        let mut event_types = reader.kinds(self.event_types);
        if let (Some(since), Some(from)) = (since, whole_from)
            && since < from
            && until > webhook.created_at
            && webhook.created_at < from
        {
            let from = show_time(from);
            reader.fault(
                "since",
                format!("reaches back to where deliveries were sent and removed since: name {from} or later"),
            );
        }
        if event_types.is_empty() {
            event_types = EventKind::ALL.into_iter().filter(|kind| webhook.events.wants(*kind)).collect();
        }
        if event_types.is_empty() {
            reader.fault("eventTypes", "must be given: the webhook asks for no events");
        }
        let (status, without_echoes) = (DeliveryStatus::Queued, webhook.skip_inbound_echoes);
        reader.finish(Selection { status, event_types, since, until, without_echoes })
    }
}

/// Reads the fields of both, collecting what is wrong with them.
struct Reader {
    now: DateTime,
    errors: Vec<FieldError>,
}

impl Reader {
    fn fault(&mut self, field: &str, message: impl Into<String>) {
        self.errors.push(FieldError::new(field, message));
    }

    fn time(&mut self, field: &str, text: Option<&str>) -> Option<DateTime> {
        let time = read_time(text?);
        if time.is_none() {
            self.fault(field, "is no time in RFC 3339, such as 2026-01-31T12:00:00Z");
        }
        time
    }

    /// From when to when; never into the time after the request.
    fn range(&mut self, since: Option<&str>, until: Option<&str>) -> (Option<DateTime>, DateTime) {
        let (since, until) = (self.time("since", since), self.time("until", until));
        let until = until.map_or(self.now, |until| until.min(self.now));
        if since.is_some_and(|since| since >= until) {
            self.fault("since", "is not before until, or not past");
        }
        (since, until)
    }

    fn kinds(&mut self, names: Option<Vec<String>>) -> Vec<EventKind> {
        let names = names.unwrap_or_default();
        if names.len() > KINDS_MAX {
            self.fault("eventTypes", format!("must have at most {KINDS_MAX} entries"));
        }
        let mut kinds = Vec::new();
        for (at, name) in names.into_iter().enumerate().take(KINDS_MAX) {
            match EventKind::from_name(&name) {
                Some(kind) if !kinds.contains(&kind) => kinds.push(kind),
                Some(_) => {}
                None => {
                    let known = EventKind::ALL.map(EventKind::name).join(", ");
                    self.fault(&format!("eventTypes[{at}]"), format!("is none of: {known}"));
                }
            }
        }
        kinds
    }

    fn finish<T>(self, value: T) -> ApiResult<T> {
        if self.errors.is_empty() { Ok(value) } else { Err(ApiError::invalid(self.errors)) }
    }
}
