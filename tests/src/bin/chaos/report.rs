//! The figures of a run.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;

use crate::Plan;
use crate::faults::Fault;
use crate::quiet::Calm;
use crate::writers::Model;

/// What a run did and saw.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Report {
    seed: u64,
    profile: &'static str,
    seconds: u64,
    faults: BTreeMap<String, u32>,
    takeovers: i64,
    /// Of tasks; history rows come beside them.
    writes: u64,
    /// Writes that met an error, and were looked for and made again if they did not stand.
    writes_in_doubt: u64,
    pub(crate) events: usize,
    pub(crate) events_by_name: BTreeMap<String, usize>,
    pub(crate) deliveries: usize,
    pub(crate) attempts: u64,
    /// What came to the receiver.
    pub(crate) requests: u64,
    /// Requests that came again because the receiver had refused or broken them off.
    pub(crate) repeats_refused: u64,
    /// Requests that came again because the sender did not see the receiver's success: too late, or cut.
    pub(crate) duplicates_unseen: u64,
    /// Requests that came again because the attempt was interrupted.
    pub(crate) duplicates_interrupted: u64,
    /// From the change's own time to its record.
    pub(crate) longest_to_log_ms: i64,
    position_after_ms: u128,
    queue_empty_after_ms: u128,
    pub(crate) findings: usize,
}

impl Report {
    pub(crate) fn new(plan: &Plan, played: BTreeMap<Fault, u32>, model: &Model, calm: Calm) -> Self {
        Self {
            seed: plan.seed,
            profile: plan.profile.name(),
            seconds: plan.duration.as_secs(),
            faults: played.into_iter().map(|(fault, count)| (fault.name(), count)).collect(),
            takeovers: calm.takeovers,
            writes: model.writes,
            writes_in_doubt: model.doubts,
            position_after_ms: calm.position.as_millis(),
            queue_empty_after_ms: calm.queue.as_millis(),
            ..Self::default()
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |counts: Vec<String>| if counts.is_empty() { "none".to_owned() } else { counts.join(", ") };
        let faults = self.faults.iter().map(|(name, count)| format!("{name} {count}")).collect();
        let events = self.events_by_name.iter().map(|(name, count)| format!("{name} {count}")).collect();
        writeln!(f, "seed                {} ({}, {} s)", self.seed, self.profile, self.seconds)?;
        writeln!(f, "faults              {} ({})", self.faults.values().sum::<u32>(), list(faults))?;
        writeln!(f, "takeovers           {}", self.takeovers)?;
        writeln!(f, "writes of tasks     {}, {} of them in doubt for a time", self.writes, self.writes_in_doubt)?;
        writeln!(f, "events              {} ({})", self.events, list(events))?;
        writeln!(f, "deliveries          {}", self.deliveries)?;
        writeln!(f, "attempts            {}, of which {} reached the receiver", self.attempts, self.requests)?;
        writeln!(f, "refused, came again {}", self.repeats_refused)?;
        writeln!(
            f,
            "duplicates          {} (interrupted {}, success not seen by the sender {})",
            self.duplicates_interrupted + self.duplicates_unseen,
            self.duplicates_interrupted,
            self.duplicates_unseen
        )?;
        writeln!(f, "longest to the log  {:.1} s", self.longest_to_log_ms as f64 / 1000.0)?;
        writeln!(
            f,
            "quiet               position {:.1} s, queue {:.1} s after the last write",
            self.position_after_ms as f64 / 1000.0,
            self.queue_empty_after_ms as f64 / 1000.0
        )?;
        writeln!(f, "findings            {}", self.findings)
    }
}
