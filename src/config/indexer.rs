//! Settings of `taskwire-indexer`.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use super::source::wrong;
use super::{ClientSettings, CommonSettings, SettingError, Source};
use crate::model::dates::later;

/// What happens when the stored position has left the oplog.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnGap {
    /// The differences are found, told as recovered, and reported.
    Recover,
    /// Nothing more is recorded until an operator decides.
    Stop,
}

/// A day, in seconds.
const DAY: u64 = 86_400;

/// The longest retention, in days.
const LONGEST_DAYS: u64 = 3650;

/// How long events stay in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventRetention {
    /// The log stays whole.
    Forever,
    /// At least so long; longer while one of their deliveries is open.
    For(Duration),
}

/// How long what is finished is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// `TASKWIRE_DELIVERY_RETENTION_DAYS` (30; 1–3650): how long a delivery is kept after its end.
    pub deliveries: Duration,
    /// `TASKWIRE_EVENT_RETENTION` (`90d`; 1d–3650d, or `forever`): how long an event is kept.
    pub events: EventRetention,
}

impl Retention {
    /// Reads both; they have defaults.
    ///
    /// # Errors
    /// A [`SettingError`] naming the variable.
    pub fn read(source: &Source) -> Result<Self, SettingError> {
        let days = source.number("delivery_retention_days", 30, 1..=LONGEST_DAYS)?;
        Ok(Self { deliveries: Duration::from_secs(days * DAY), events: read_events(source)? })
    }

    /// When a delivery that ends at `end` may be removed.
    #[must_use]
    pub fn expiry(&self, end: bson::DateTime) -> bson::DateTime {
        later(end, self.deliveries)
    }
}

fn read_events(source: &Source) -> Result<EventRetention, SettingError> {
    const KEY: &str = "event_retention";
    const TAKES: &str = "a number of days from 1d to 3650d, or forever";
    let text = source.text_or(KEY, "90d");
    if text == "forever" {
        return Ok(EventRetention::Forever);
    }
    let days = text.strip_suffix('d').and_then(|days| days.parse::<u64>().ok());
    match days {
        Some(days @ 1..=LONGEST_DAYS) => Ok(EventRetention::For(Duration::from_secs(days * DAY))),
        Some(days) => Err(wrong(KEY, format!("{days} days is out of range"), TAKES)),
        None => Err(wrong(KEY, "neither".to_owned(), TAKES)),
    }
}

/// When a group's alert address hears of its webhooks' trouble.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AlertSettings {
    /// `TASKWIRE_ALERT_FAILING_AFTER_SECONDS` (300; 1–86400): a webhook that fails for so long is told of.
    pub failing_after: Duration,
    /// `TASKWIRE_ALERT_GATHER_SECONDS` (300; 1–86400): what is given up is gathered for so long, and told of at once.
    pub gather: Duration,
}

/// Everything `taskwire-indexer` reads.
#[derive(Debug, Clone)]
pub struct IndexerSettings {
    /// What both programs read.
    pub common: CommonSettings,
    /// `TASKWIRE_INDEXER_LISTEN`
    pub listen: SocketAddr,
    /// `TASKWIRE_ACTOR_WAIT_MS` (100; 0–10000): how long an event may wait for the history row that names its actor.
    pub actor_wait: Duration,
    /// `TASKWIRE_BATCH_MAX` (1000; 1–5000): the most events recorded in one transaction, unless one of the service's
    /// own transactions is larger.
    pub batch_max: usize,
    /// `TASKWIRE_LEASE_MS` (3000; 500–60000): a leader that shows no life for so long is replaced.
    pub lease: Duration,
    /// `TASKWIRE_STREAM_AWAIT_MS` (100; 10–10000): how long the server holds an idle stream's request open. Bounds how
    /// late the last transaction before silence is known to be complete.
    pub stream_await: Duration,
    /// `TASKWIRE_IDLE_CHECKPOINT_MS` (5000; 100–600000): how often the position is stored while nothing happens.
    pub idle_checkpoint: Duration,
    /// `TASKWIRE_ON_GAP` (`recover`; or `stop`): what happens when the position has left the oplog.
    pub on_gap: OnGap,
    /// `TASKWIRE_MAX_IN_FLIGHT` (512; 1–10000): requests under way in this process, over all webhooks.
    pub max_in_flight: usize,
    /// `TASKWIRE_MAX_IN_FLIGHT_PER_WEBHOOK` (64; 1–1000): requests under way to one webhook.
    pub max_in_flight_per_webhook: usize,
    /// `TASKWIRE_RETRY_AFTER_CAP_SECONDS` (86400; 1–604800): the longest `Retry-After` that is honoured.
    pub retry_after_cap: Duration,
    /// `TASKWIRE_DISABLE_FAILING_AFTER_HOURS` (120; 1–8760): a webhook that fails for so long without a success is disabled.
    pub disable_failing_after: Duration,
    /// Notices about webhooks.
    pub alerts: AlertSettings,
    /// `TASKWIRE_GRACE_MS` (35000; 0–600000): how long a stop waits for what is in flight.
    pub grace: Duration,
    /// How long what is finished is kept.
    pub retention: Retention,
    /// How targets are reached.
    pub client: ClientSettings,
}

impl IndexerSettings {
    /// Reads and checks everything.
    ///
    /// # Errors
    /// A [`SettingError`] naming the variable.
    pub fn read(source: &Source) -> Result<Self, SettingError> {
        let count = |key, default, max| source.number(key, default, 1..=max).map(|n| usize::try_from(n).unwrap_or(1));
        let max_in_flight_per_webhook = count("max_in_flight_per_webhook", 64, 1000)?;
        Ok(Self {
            common: CommonSettings::read(source)?,
            listen: Self::read_listen(source)?,
            actor_wait: source.millis("actor_wait_ms", 100, 0..=10_000)?,
            batch_max: count("batch_max", 1000, 5000)?,
            lease: source.millis("lease_ms", 3000, 500..=60_000)?,
            stream_await: source.millis("stream_await_ms", 100, 10..=10_000)?,
            idle_checkpoint: source.millis("idle_checkpoint_ms", 5000, 100..=600_000)?,
            on_gap: match source.text_or("on_gap", "recover").as_str() {
                "recover" => OnGap::Recover,
                "stop" => OnGap::Stop,
                _ => return Err(wrong("on_gap", "neither".into(), "recover or stop")),
            },
            max_in_flight: count("max_in_flight", 512, 10_000)?,
            max_in_flight_per_webhook,
            retry_after_cap: Duration::from_secs(source.number("retry_after_cap_seconds", 86_400, 1..=604_800)?),
            disable_failing_after: Duration::from_secs(
                source.number("disable_failing_after_hours", 120, 1..=8760)? * 3600,
            ),
            alerts: AlertSettings {
                failing_after: Duration::from_secs(source.number("alert_failing_after_seconds", 300, 1..=86_400)?),
                gather: Duration::from_secs(source.number("alert_gather_seconds", 300, 1..=86_400)?),
            },
            grace: source.millis("grace_ms", 35_000, 0..=600_000)?,
            retention: Retention::read(source)?,
            client: ClientSettings { idle_per_target: max_in_flight_per_webhook, ..ClientSettings::read(source)? },
        })
    }

    /// Reads `TASKWIRE_INDEXER_LISTEN` alone.
    ///
    /// # Errors
    /// A [`SettingError`] naming the variable.
    pub fn read_listen(source: &Source) -> Result<SocketAddr, SettingError> {
        source.listen("indexer_listen", SocketAddr::from((Ipv4Addr::LOCALHOST, 9464)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn events(text: &str) -> Result<EventRetention, String> {
        let source = Source::from_pairs(&[("event_retention", text)]).unwrap();
        Retention::read(&source).map(|retention| retention.events).map_err(|error| error.to_string())
    }

    #[test]
    fn an_event_retention_is_a_number_of_days_or_forever() {
        assert_eq!(events("forever"), Ok(EventRetention::Forever));
        assert_eq!(events("1d"), Ok(EventRetention::For(Duration::from_secs(DAY))));
        assert_eq!(events(""), Ok(EventRetention::For(Duration::from_secs(90 * DAY))));
        for bad in ["0d", "3651d", "90", "d", "-1d", "90 days", "never"] {
            let error = events(bad).unwrap_err();
            assert!(error.contains("TASKWIRE_EVENT_RETENTION") && error.contains("forever"), "{bad}: {error}");
        }
    }

    #[test]
    fn a_delivery_expires_so_many_days_after_its_end() {
        let source = Source::from_pairs(&[("delivery_retention_days", "2")]).unwrap();
        let end = bson::DateTime::from_millis(1_000);
        let day = i64::try_from(DAY).unwrap() * 1000;
        assert_eq!(Retention::read(&source).unwrap().expiry(end).timestamp_millis(), 1_000 + 2 * day);
        assert!(Retention::read(&Source::from_pairs(&[("delivery_retention_days", "0")]).unwrap()).is_err());
    }
}
