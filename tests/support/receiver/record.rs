//! What a receiver remembers.

use std::collections::HashSet;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use chrono::DateTime;
use hyper::body::Bytes;
use hyper::header::HeaderMap;
use serde::{Deserialize, Serialize};

use super::Answer;
use crate::expected::Observed;

/// How many complaints are kept; more say nothing new.
const COMPLAINTS: usize = 20;

/// How much is remembered of each request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keep {
    /// All of it.
    Everything,
    /// Ids, counters and latencies: for a benchmark.
    Totals,
}

/// One request.
#[derive(Debug, Clone)]
pub struct Received {
    /// The path it came to.
    pub path: String,
    /// When its head was read.
    pub at: SystemTime,
    /// All headers.
    pub headers: HeaderMap,
    /// The exact body.
    pub body: Bytes,
    /// Whether signatures and headers are what a partner was promised; if not, what is wrong.
    pub verdict: Result<(), String>,
    /// What it was answered.
    pub answer: Answer,
}

impl Received {
    /// Whether it verified and was answered with success.
    #[must_use]
    pub fn is_accepted(&self) -> bool {
        self.verdict.is_ok() && self.answer.is_success()
    }

    /// The event in it; `None` if the body is not of the promised form.
    #[must_use]
    pub fn observed(&self) -> Option<Observed> {
        Observed::from_body(&serde_json::from_slice(&self.body).ok()?).ok()
    }

    /// A header's text, empty if it is absent.
    #[must_use]
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// The attempt's number, from `X-Attempt`; 0 if it is absent.
    #[must_use]
    pub fn attempt(&self) -> u32 {
        self.header("x-attempt").parse().unwrap_or(0)
    }
}

/// Counters, and how long after their changes the events came.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Totals {
    /// All requests.
    pub requests: u64,
    /// Those that verified and were answered with success.
    pub accepted: u64,
    /// Those that did not verify.
    pub refused: u64,
    /// Different event ids among the accepted.
    pub distinct_events: u64,
    /// Microseconds of Unix time when the first and the last accepted request came; 0 without any.
    pub first_at_micros: i64,
    /// See `first_at_micros`.
    pub last_at_micros: i64,
    /// From the change's own time (whole milliseconds, by the database's clock) to the receipt, in microseconds, in
    /// the order of arrival; the first receipt of each event only.
    pub latencies_micros: Vec<i64>,
    /// A few of the reasons for refusals.
    pub complaints: Vec<String>,
}

/// The fields of a body that totals need.
#[derive(Deserialize)]
struct Head<'a> {
    id: &'a str,
    timestamp: &'a str,
}

#[derive(Debug)]
pub(super) struct Log {
    pub(super) keep: Keep,
    pub(super) received: Vec<Received>,
    pub(super) complaints: Vec<String>,
    seen: HashSet<String>,
    totals: Totals,
}

impl Log {
    pub(super) fn new(keep: Keep) -> Self {
        Self { keep, received: Vec::new(), complaints: Vec::new(), seen: HashSet::new(), totals: Totals::default() }
    }

    pub(super) fn add(&mut self, one: Received) {
        self.totals.requests += 1;
        if let Err(why) = &one.verdict {
            self.totals.refused += 1;
            if self.complaints.len() < COMPLAINTS {
                self.complaints.push(format!("{}: {why}", one.path));
            }
        }
        if one.is_accepted() {
            self.count(&one);
        }
        match self.keep {
            Keep::Everything => self.received.push(one),
            Keep::Totals => {}
        }
    }

    fn count(&mut self, one: &Received) {
        let micros = one.at.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO).as_micros();
        let at = i64::try_from(micros).unwrap_or(i64::MAX);
        self.totals.accepted += 1;
        self.totals.last_at_micros = at;
        if self.totals.first_at_micros == 0 {
            self.totals.first_at_micros = at;
        }
        let Ok(head) = serde_json::from_slice::<Head<'_>>(&one.body) else { return };
        if self.seen.insert(head.id.to_owned()) {
            self.totals.distinct_events += 1;
            if let Ok(changed) = DateTime::parse_from_rfc3339(head.timestamp) {
                self.totals.latencies_micros.push(at - changed.timestamp_micros());
            }
        }
    }

    pub(super) fn totals(&self) -> Totals {
        Totals { complaints: self.complaints.clone(), ..self.totals.clone() }
    }
}
