//! What operators see of a process: log lines, metrics, health.
//!
//! Logging rules: a failure is logged once, where it is handled. Never logged: secrets, tokens, connection strings,
//! target URLs and their query strings, request and response bodies, payloads, names of tasks or people.

mod process;
mod status;
pub mod traces;

use std::time::Duration;

use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};
use tracing_subscriber::EnvFilter;

pub use status::{Readiness, StatusBoard, status_routes};

use crate::VERSION;
use crate::config::LogFormat;

/// Upper bounds, in seconds, of the buckets of every histogram named `…_seconds`: 1 ms to 60 s.
pub const SECONDS_BUCKETS: [f64; 16] =
    [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 15.0, 30.0, 60.0];

/// What a gauge is set to while its value is not known: it is then left out of what is shown, instead of showing what was true
/// once.
pub const UNKNOWN: f64 = f64::NAN;

/// How often the recorder folds what histograms collected, so that they do not grow between scrapes.
const UPKEEP: Duration = Duration::from_secs(5);

/// Crates whose finer lines would show URLs, headers or bodies: held at `info` whatever `RUST_LOG` says.
const HELD_AT_INFO: [&str; 6] = ["hyper", "hyper_util", "reqwest", "h2", "rustls", "tower_http"];

/// Why logging or metrics cannot begin.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// `RUST_LOG` is no filter.
    #[error(
        "RUST_LOG is wrong ({0}): it takes a level (error, warn, info, debug, trace) or a list such as info,taskwire=debug"
    )]
    BadFilter(String),
    /// Begun twice in one process.
    #[error("logging has already begun in this process")]
    LoggingTwice,
    /// The recorder could not be installed.
    #[error("metrics cannot be recorded: {0}")]
    Metrics(#[from] BuildError),
}

/// Begins logging to standard error: `RUST_LOG` (default `info`) says what, `format` how. Standard output stays free for
/// what a command prints.
///
/// # Errors
/// [`TelemetryError::BadFilter`], or [`TelemetryError::LoggingTwice`].
pub fn init_logging(format: LogFormat) -> Result<(), TelemetryError> {
    let wanted = std::env::var("RUST_LOG").unwrap_or_default();
    let filter = filter(&wanted)?;
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match format {
        LogFormat::Text => lines.with_ansi(false).try_init(),
        LogFormat::Json => lines.json().flatten_event(true).with_current_span(true).with_span_list(false).try_init(),
    }
    .map_err(|_| TelemetryError::LoggingTwice)
}

fn filter(wanted: &str) -> Result<EnvFilter, TelemetryError> {
    let wanted = if wanted.trim().is_empty() { "info" } else { wanted };
    let mut filter =
        EnvFilter::builder().parse(wanted).map_err(|error| TelemetryError::BadFilter(error.to_string()))?;
    for held in HELD_AT_INFO {
        let directive = format!("{held}=info");
        filter = filter
            .add_directive(directive.parse().map_err(|_| TelemetryError::BadFilter("a built-in directive".into()))?);
    }
    Ok(filter)
}

/// Begins recording metrics, with `taskwire_build_info` as the first of them, and keeps the recorder tidy until the
/// process ends. Call it once, inside a Tokio runtime; `program` is `taskwire-api` or `taskwire-indexer`.
///
/// # Errors
/// [`TelemetryError::Metrics`], if a recorder is installed already.
pub fn install_metrics(program: &'static str) -> Result<PrometheusHandle, TelemetryError> {
    let handle = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &SECONDS_BUCKETS)?
        .install_recorder()?;
    metrics::describe_gauge!("taskwire_build_info", "Always 1; the labels name the program and its version");
    metrics::gauge!("taskwire_build_info", "program" => program, "version" => VERSION).set(1.0);
    let upkeep = handle.clone();
    tokio::spawn(async move {
        let mut every = tokio::time::interval(UPKEEP);
        loop {
            every.tick().await;
            upkeep.run_upkeep();
        }
    });
    Ok(handle)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_filter_means_info_and_a_wrong_one_names_the_variable() {
        assert!(filter("").unwrap().to_string().split(',').any(|part| part == "info"));
        assert!(filter("taskwire=loud").unwrap_err().to_string().starts_with("RUST_LOG is wrong"));
    }

    #[test]
    fn crates_that_would_show_urls_stay_at_info_whatever_is_asked() {
        let text = filter("trace,reqwest=trace").unwrap().to_string();
        let parts: Vec<_> = text.split(',').collect();
        for held in HELD_AT_INFO {
            assert!(parts.contains(&format!("{held}=info").as_str()), "{text}");
        }
        assert!(!parts.contains(&"reqwest=trace"), "{text}");
    }

    #[test]
    fn buckets_rise() {
        assert!(SECONDS_BUCKETS.is_sorted_by(|a, b| a < b));
    }
}
