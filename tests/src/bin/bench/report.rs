//! The result, as a table or as JSON.

use std::fmt;

use serde::Serialize;

use crate::Arguments;

/// Time from commit to receipt with one setting.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Latency {
    pub(crate) setting: String,
    pub(crate) writes_per_second: f64,
    pub(crate) p50_ms: f64,
    pub(crate) p99_ms: f64,
    pub(crate) max_ms: f64,
}

/// Everything that was measured.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Report {
    pub(crate) version: &'static str,
    /// `release` or `debug`: figures of the latter mean nothing.
    pub(crate) build: &'static str,
    pub(crate) cpus: usize,
    pub(crate) writes: usize,
    pub(crate) history_rows: bool,
    /// From the indexer's start to the last receipt.
    pub(crate) backlog_deliveries_per_second: Option<f64>,
    pub(crate) backlog_seconds: Option<f64>,
    /// Accepted deliveries beyond one for each event.
    pub(crate) backlog_repeated: Option<u64>,
    pub(crate) latencies: Vec<Latency>,
    pub(crate) stream_reads_per_second: f64,
    pub(crate) recorded_events_per_second: f64,
    pub(crate) posts_per_second: f64,
}

impl Report {
    pub(crate) fn new(arguments: &Arguments) -> Self {
        Self {
            version: taskwire::VERSION,
            build: if cfg!(debug_assertions) { "debug" } else { "release" },
            cpus: std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
            writes: arguments.writes,
            history_rows: !arguments.without_rows,
            backlog_deliveries_per_second: None,
            backlog_seconds: None,
            backlog_repeated: None,
            latencies: Vec::new(),
            stream_reads_per_second: 0.0,
            recorded_events_per_second: 0.0,
            posts_per_second: 0.0,
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rows = if self.history_rows { "each with its history row" } else { "without history rows" };
        writeln!(
            f,
            "\nTaskwire {} ({} build), {} processors, all on one machine\n",
            self.version, self.build, self.cpus
        )?;
        if let (Some(rate), Some(seconds)) = (self.backlog_deliveries_per_second, self.backlog_seconds) {
            writeln!(f, "{:<58} {rate:>9.0} /s", format!("backlog of {} writes, {rows}: deliveries", self.writes))?;
            writeln!(f, "{:<58} {seconds:>9.2} s", "  from the indexer's start to the last receipt")?;
            writeln!(f, "{:<58} {:>9}", "  delivered more than once", self.backlog_repeated.unwrap_or(0))?;
        }
        for latency in &self.latencies {
            let name = format!("commit to receipt at {:.0} writes/s, {}", latency.writes_per_second, latency.setting);
            writeln!(f, "{name:<58} {:>9.1} ms p50", latency.p50_ms)?;
            writeln!(f, "{:<58} {:>9.1} ms p99", "", latency.p99_ms)?;
            writeln!(f, "{:<58} {:>9.1} ms at most", "", latency.max_ms)?;
        }
        writeln!(f, "\nceilings of this machine, each alone:")?;
        for (name, rate) in [
            ("  raw changes read from the stream", self.stream_reads_per_second),
            ("  events recorded, 500 a transaction", self.recorded_events_per_second),
            ("  signed posts to the same receiver", self.posts_per_second),
        ] {
            writeln!(f, "{name:<58} {rate:>9.0} /s")?;
        }
        Ok(())
    }
}
