//! Statistics of deliveries by hour, and whether the watcher is up to date.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, RawQuery, State};
use bson::DateTime;
use serde::Serialize;
use utoipa::{IntoParams, ToSchema};

use super::App;
use super::auth::Caller;
use super::error::{ApiError, ApiResult};
use super::query::{Query, show_time};
use super::webhooks::{WebhookPath, find_webhook};
use crate::model::stats::{Counts, HOUR_MS, HourOfWebhook, hour_of};
use crate::store::webhooks::Deleted;
use crate::store::{pauses, standing, stats};

/// The longest window, in hours: as long as hours are kept.
const HOURS_MAX: i64 = 90 * 24;

/// The longest window where each webhook's hours are answered: what a group's 100 webhooks have in it fits one answer.
const HOURS_OF_EACH_MAX: i64 = 7 * 24;

/// A leader that said nothing for so long does not tail.
const SILENT_MS: i64 = 20_000;

/// More than so many seconds behind is behind.
const BEHIND_SECONDS: f64 = 10.0;

/// Percentiles of how long attempts took, in milliseconds; estimated within buckets. Null where there was none.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Latency {
    #[schema(required = true, example = 12)]
    p50: Option<u64>,
    #[schema(required = true, example = 40)]
    p95: Option<u64>,
    #[schema(required = true, example = 90)]
    p99: Option<u64>,
}

impl Latency {
    fn of(counts: &Counts) -> Self {
        let at = |percent| counts.durations.percentile(percent);
        Self { p50: at(50.0), p95: at(95.0), p99: at(99.0) }
    }
}

/// What ended within one hour.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct HourAnswer {
    /// The hour's beginning.
    #[schema(format = DateTime)]
    hour: String,
    #[schema(example = 120)]
    attempts: i64,
    #[schema(example = 118)]
    successes: i64,
    #[schema(example = 2)]
    failures: i64,
    #[schema(example = 0)]
    dead_letters: i64,
    latency_ms: Latency,
}

/// Statistics of a time.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Stats)]
pub(super) struct StatsAnswer {
    /// As it was asked for.
    #[schema(example = "24h")]
    window: String,
    /// The beginning of the first hour.
    #[schema(format = DateTime)]
    since: String,
    #[schema(format = DateTime)]
    until: String,
    /// Attempts that ended.
    #[schema(example = 2400)]
    attempts: i64,
    /// Those that a 2xx answered in time.
    #[schema(example = 2391)]
    successes: i64,
    /// Those that failed.
    #[schema(example = 9)]
    failures: i64,
    /// Deliveries that were given up.
    #[schema(example = 1)]
    dead_letters: i64,
    latency_ms: Latency,
    /// Every hour of the window, oldest first; the last one is under way.
    by_hour: Vec<HourAnswer>,
}

/// How the deliveries of one of several webhooks went.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = WebhookStats)]
pub(super) struct WebhookStatsAnswer {
    #[schema(example = "65a0000000000000000000b2")]
    webhook_id: String,
    stats: StatsAnswer,
}

/// How the deliveries of a group's webhooks went, each by itself.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = WebhookStatsList)]
pub(super) struct WebhookStatsListAnswer {
    /// Those that had an attempt in the window, in the order of their ids.
    items: Vec<WebhookStatsAnswer>,
}

/// The window to look at.
#[derive(IntoParams)]
#[into_params(parameter_in = Query, rename_all = "camelCase")]
#[allow(dead_code, reason = "describes the parameter; `Query` reads it")]
pub(super) struct WindowParameter {
    /// So many hours or days, the present hour included: `1h` to `2160h`, `1d` to `90d`.
    #[param(default = "24h", pattern = "^[0-9]{1,4}[hd]$", example = "24h")]
    window: Option<String>,
}

/// The group whose webhooks to look at, and the window.
#[derive(IntoParams)]
#[into_params(parameter_in = Query, rename_all = "camelCase")]
#[allow(dead_code, reason = "describes the parameters; `Query` reads them")]
pub(super) struct EachParameters {
    /// The group.
    #[param(example = "65a0000000000000000000a1")]
    group_id: String,
    /// So many hours or days, the present hour included: `1h` to `168h`, `1d` to `7d`.
    #[param(default = "24h", pattern = "^[0-9]{1,3}[hd]$", example = "24h")]
    window: Option<String>,
}

/// The group to look at.
#[derive(IntoParams)]
#[into_params(parameter_in = Query, rename_all = "camelCase")]
#[allow(dead_code, reason = "describes the parameter; `Query` reads it")]
pub(super) struct GroupParameter {
    /// Only this group; else all that the caller administers.
    #[param(example = "65a0000000000000000000a1")]
    group_id: Option<String>,
}

fn hours_of(window: &str, most: i64) -> Option<i64> {
    let (count, unit) = window.split_at_checked(window.len().checked_sub(1)?)?;
    if count.is_empty() || count.len() > 4 || !count.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    let hours = count.parse::<i64>().ok()? * if unit == "d" { 24 } else { 1 };
    (matches!(unit, "h" | "d") && (1..=most).contains(&hours)).then_some(hours)
}

/// A time from one whole hour to the present.
struct Window {
    text: String,
    since: DateTime,
    until: DateTime,
}

impl Window {
    fn read(query: &mut Query, now: DateTime, most: i64) -> Self {
        let text = query.text("window").unwrap_or("24h").to_owned();
        let hours = match hours_of(&text, most) {
            Some(hours) => hours,
            None => {
                let days = most / 24;
                query.fault("window", format!("is no number of hours or days, such as 24h or 7d; at most {days}d"));
                1
            }
        };
        let since = hour_of(now).timestamp_millis() - (hours - 1) * HOUR_MS;
        Self { text, since: DateTime::from_millis(since), until: now }
    }

    fn answer<'a>(&self, found: impl IntoIterator<Item = &'a HourOfWebhook>) -> StatsAnswer {
        let (mut hours, mut all) = (BTreeMap::new(), Counts::default());
        let mut at = self.since.timestamp_millis();
        while at <= self.until.timestamp_millis() {
            hours.insert(at, Counts::default());
            at += HOUR_MS;
        }
        for hour in found {
            all.merge(&hour.counts);
            if let Some(counts) = hours.get_mut(&hour.hour.timestamp_millis()) {
                counts.merge(&hour.counts);
            }
        }
        let by_hour = hours.into_iter().map(|(at, counts)| HourAnswer {
            hour: show_time(DateTime::from_millis(at)),
            attempts: counts.successes + counts.failures,
            successes: counts.successes,
            failures: counts.failures,
            dead_letters: counts.dead_letters,
            latency_ms: Latency::of(&counts),
        });
        StatsAnswer {
            window: self.text.clone(),
            since: show_time(self.since),
            until: show_time(self.until),
            attempts: all.successes + all.failures,
            successes: all.successes,
            failures: all.failures,
            dead_letters: all.dead_letters,
            latency_ms: Latency::of(&all),
            by_hour: by_hour.collect(),
        }
    }
}

/// `GET …/{id}/stats?window=24h`
#[utoipa::path(
    get,
    path = "/api/integrations/webhooks/{id}/stats",
    operation_id = "getWebhookStats",
    tag = "Statistics",
    summary = "See how a webhook's deliveries went, by hour",
    description = "Counted as attempts end, to within about a second; kept for 90 days.\n\n\
        Permission: an admin of the webhook's group.",
    params(WebhookPath, WindowParameter),
    responses((status = 200, description = "The counts", body = StatsAnswer)),
)]
pub(super) async fn of_webhook(
    caller: Caller,
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    RawQuery(raw): RawQuery,
) -> ApiResult<Json<StatsAnswer>> {
    let webhook = find_webhook(&app, &caller, &id, Deleted::With).await?;
    let mut query = Query::read(raw.as_deref(), &["window"]);
    let window = Window::read(&mut query, app.clock.now(), HOURS_MAX);
    query.finish()?;
    let found = stats::of_webhook(&app.store, &webhook, window.since).await?;
    Ok(Json(window.answer(&found)))
}

/// `GET /api/integrations/stats`
#[utoipa::path(
    get,
    path = "/api/integrations/stats",
    operation_id = "getStats",
    tag = "Statistics",
    summary = "See how the deliveries of all webhooks went, by hour",
    description = "Of `groupId`, or of all groups that the caller administers.\n\nPermission: an admin of the group.",
    params(GroupParameter, WindowParameter),
    responses((status = 200, description = "The counts", body = StatsAnswer)),
)]
pub(super) async fn of_group(
    caller: Caller,
    State(app): State<Arc<App>>,
    RawQuery(raw): RawQuery,
) -> ApiResult<Json<StatsAnswer>> {
    let mut query = Query::read(raw.as_deref(), &["groupId", "window"]);
    let window = Window::read(&mut query, app.clock.now(), HOURS_MAX);
    query.finish()?;
    let groups = caller.scope(query.text("groupId"))?;
    let found = stats::of_groups(&app.store, &groups, window.since).await?;
    Ok(Json(window.answer(&found)))
}

/// `GET /api/integrations/stats/webhooks?groupId=`: of each webhook at once, so that a list of them is one request.
#[utoipa::path(
    get,
    path = "/api/integrations/stats/webhooks",
    operation_id = "getStatsOfWebhooks",
    tag = "Statistics",
    summary = "See how each webhook's deliveries went, by hour",
    description = "Of the webhooks of `groupId`. One that is not named had no attempt in the window.\n\n\
        Permission: an admin of `groupId`.",
    params(EachParameters),
    responses((status = 200, description = "The counts", body = WebhookStatsListAnswer)),
)]
pub(super) async fn of_each(
    caller: Caller,
    State(app): State<Arc<App>>,
    RawQuery(raw): RawQuery,
) -> ApiResult<Json<WebhookStatsListAnswer>> {
    let mut query = Query::read(raw.as_deref(), &["groupId", "window"]);
    let window = Window::read(&mut query, app.clock.now(), HOURS_OF_EACH_MAX);
    let group = caller.only_group(&mut query)?;
    let found = stats::of_groups(&app.store, &[group], window.since).await?;
    let mut each = BTreeMap::<_, Vec<_>>::new();
    for hour in &found {
        each.entry(hour.webhook_id).or_default().push(hour);
    }
    let items = each
        .into_iter()
        .map(|(webhook, hours)| WebhookStatsAnswer { webhook_id: webhook.to_hex(), stats: window.answer(hours) });
    Ok(Json(WebhookStatsListAnswer { items: items.collect() }))
}

/// Whether changes are told as they happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) enum WatchState {
    /// Up to date.
    Live,
    /// More than ten seconds behind.
    Behind,
    /// No process tails the changes, or none has ever.
    Stopped,
}

/// How it stands with the whole.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Status)]
pub(super) struct StatusAnswer {
    state: WatchState,
    /// How far the watcher is behind the newest change; null while it is stopped.
    #[schema(required = true, example = 0.0)]
    lag_seconds: Option<f64>,
    /// How long changes that are not read yet stay readable; null where it is not known.
    #[schema(required = true, example = 86400.0)]
    oplog_remaining_seconds: Option<f64>,
    /// Operators have paused sending, for all or for one of the caller's groups.
    #[schema(example = false)]
    paused: bool,
    /// When the watcher last said so; null: never.
    #[schema(required = true, format = DateTime)]
    at: Option<String>,
}

/// `GET /api/integrations/status`
#[utoipa::path(
    get,
    path = "/api/integrations/status",
    operation_id = "getStatus",
    tag = "Statistics",
    summary = "See whether changes are told as they happen",
    description = "Permission: an admin of any group.",
    responses(
        (status = 200, description = "As the watcher last said", body = StatusAnswer),
        (status = 403, description = "The caller administers no group"),
    ),
)]
pub(super) async fn status(caller: Caller, State(app): State<Arc<App>>) -> ApiResult<Json<StatusAnswer>> {
    if caller.groups.is_empty() {
        return Err(ApiError::foreign_group());
    }
    let said = standing::read(&app.store).await?;
    let pauses = pauses::list(&app.store).await?;
    let paused = pauses.iter().any(|pause| pause.group_id.as_ref().is_none_or(|group| caller.groups.contains(group)));
    let age = |at: DateTime| app.clock.now().timestamp_millis() - at.timestamp_millis();
    let fresh = said.filter(|said| age(said.at) < SILENT_MS);
    let state = match fresh {
        None => WatchState::Stopped,
        Some(said) if said.lag_seconds > BEHIND_SECONDS => WatchState::Behind,
        Some(_) => WatchState::Live,
    };
    // While nobody reads, the position grows older.
    let since = |at: DateTime| std::time::Duration::from_millis(age(at).max(0).unsigned_abs()).as_secs_f64();
    let remaining = said.and_then(|said| {
        let then = said.oplog_seconds?;
        Some(if fresh.is_some() { then } else { (then - since(said.at)).max(0.0) })
    });
    Ok(Json(StatusAnswer {
        state,
        lag_seconds: fresh.map(|said| said.lag_seconds),
        oplog_remaining_seconds: remaining,
        paused,
        at: said.map(|said| show_time(said.at)),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_is_a_number_of_hours_or_days() {
        let read = |text| hours_of(text, HOURS_MAX);
        assert_eq!(
            [read("24h"), read("7d"), read("1h"), read("90d"), read("2160h")].map(Option::unwrap),
            [24, 168, 1, 2160, 2160]
        );
        for bad in ["", "h", "0h", "91d", "2161h", "1.5h", "-1h", "24", "24m", "1d1h", "99999h", "1é", "é"] {
            assert_eq!(hours_of(bad, HOURS_MAX), None, "{bad}");
        }
    }
}
