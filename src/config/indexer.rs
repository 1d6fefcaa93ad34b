//! Settings of `taskwire-indexer`.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use super::source::wrong;
use super::{CommonSettings, SettingError, Source};

/// What happens when the stored position has left the oplog.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnGap {
    /// The differences are found, told as recovered, and reported.
    Recover,
    /// Nothing more is recorded until an operator decides.
    Stop,
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
    /// `TASKWIRE_GRACE_MS` (35000; 0–600000): how long a stop waits for what is in flight.
    pub grace: Duration,
    /// `TASKWIRE_EXTRA_CA_FILE`: further trusted roots for targets, PEM.
    pub extra_ca_file: Option<PathBuf>,
}

impl IndexerSettings {
    /// Reads and checks everything.
    ///
    /// # Errors
    /// A [`SettingError`] naming the variable.
    pub fn read(source: &Source) -> Result<Self, SettingError> {
        let count = |key, default, max| source.number(key, default, 1..=max).map(|n| usize::try_from(n).unwrap_or(1));
        Ok(Self {
            common: CommonSettings::read(source)?,
            listen: source.listen("indexer_listen", SocketAddr::from((Ipv4Addr::LOCALHOST, 9464)))?,
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
            max_in_flight_per_webhook: count("max_in_flight_per_webhook", 64, 1000)?,
            retry_after_cap: Duration::from_secs(source.number("retry_after_cap_seconds", 86_400, 1..=604_800)?),
            grace: source.millis("grace_ms", 35_000, 0..=600_000)?,
            extra_ca_file: source.text("extra_ca_file").map(PathBuf::from),
        })
    }
}
