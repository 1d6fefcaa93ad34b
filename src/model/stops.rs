//! When a webhook was disabled: what its deliveries' retry clocks stand still for, and what it missed.

use bson::DateTime;
use serde::{Deserialize, Serialize};

use super::{DisabledReason, Webhook};

/// Past stops that a webhook keeps. Dispatchers take a stop into account within seconds of the enabling; only where none
/// runs over so many of them do the clocks of waiting rows run on through the oldest.
const KEPT: usize = 32;

/// One time of being disabled, and over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stop {
    /// The webhook's revision that enabled it again: numbers its stops, ever higher.
    pub n: i64,
    /// When it was disabled. Server time.
    pub from: DateTime,
    /// When it was enabled again. Server time.
    pub until: DateTime,
}

/// A time of which a webhook got no events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Missed {
    /// Its beginning. Server time.
    pub since: DateTime,
    /// Its end. Server time.
    pub until: DateTime,
}

/// A webhook's stops.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Stops {
    /// While disabled: since when.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<DateTime>,
    /// Those that are over, oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub past: Vec<Stop>,
    /// What its admins have not decided about yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub missed: Option<Missed>,
}

impl Stops {
    /// Whether there is nothing to store.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.since.is_none() && self.past.is_empty() && self.missed.is_none()
    }
}

impl Webhook {
    /// Disables it at `now`.
    pub fn disable(&mut self, reason: DisabledReason, now: DateTime) {
        self.enabled = false;
        self.disabled_reason = Some(reason);
        self.stops.since = Some(now);
    }

    /// Enables it at `now`, as the revision after the present one. What was missed goes on from what is undecided still.
    pub fn enable(&mut self, now: DateTime) {
        self.enabled = true;
        self.disabled_reason = None;
        // One disabled before its stops were kept was disabled by its last change, as far as is known.
        let from = self.stops.since.take().unwrap_or(self.updated_at);
        let since = self.stops.missed.map_or(from, |missed| missed.since);
        self.stops.missed = Some(Missed { since, until: now });
        self.stops.past.push(Stop { n: self.revision + 1, from, until: now });
        let surplus = self.stops.past.len().saturating_sub(KEPT);
        self.stops.past.drain(..surplus);
    }

    /// Whether this revision is one that enabled it again.
    #[must_use]
    pub fn is_just_enabled(&self) -> bool {
        self.stops.past.last().is_some_and(|stop| stop.n == self.revision)
    }
}
