//! What a receiver remembers.

use std::collections::HashSet;
use std::time::SystemTime;

use hyper::body::Bytes;
use hyper::header::HeaderMap;
use serde::{Deserialize, Serialize};

use super::Answer;
use crate::expected::Observed;

/// How many complaints are kept; more say nothing new.
const COMPLAINTS: usize = 20;

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

/// Counters.
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
    /// A few of the reasons for refusals.
    pub complaints: Vec<String>,
}

/// The field of a body that totals need.
#[derive(Deserialize)]
struct Head<'a> {
    id: &'a str,
}

#[derive(Debug, Default)]
pub(super) struct Log {
    pub(super) received: Vec<Received>,
    pub(super) complaints: Vec<String>,
    seen: HashSet<String>,
    totals: Totals,
}

impl Log {
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
        self.received.push(one);
    }

    fn count(&mut self, one: &Received) {
        self.totals.accepted += 1;
        let Ok(head) = serde_json::from_slice::<Head<'_>>(&one.body) else { return };
        if self.seen.insert(head.id.to_owned()) {
            self.totals.distinct_events += 1;
        }
    }

    pub(super) fn totals(&self) -> Totals {
        Totals { complaints: self.complaints.clone(), ..self.totals.clone() }
    }
}
