//! What was found to be wrong.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// How many of each kind are shown, and how much of each.
const SHOWN: usize = 15;
const CHARACTERS: usize = 600;
/// Of how many tasks evidence is kept.
const TASKS: usize = 10;

/// Kinds of what must not be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    /// The log is not what must follow from the writes.
    Log,
    /// A task's sequence has a hole, or does not run with the stream.
    Order,
    /// A webhook that wanted an event has no delivery of it.
    DeliveryMissing,
    /// A delivery that no webhook wanted.
    DeliveryUnwanted,
    /// A delivery that is not delivered, or says so wrongly.
    DeliveryState,
    /// Attempts that do not agree with the delivery's own log.
    Attempts,
    /// A body that is not the event's.
    Body,
    /// A `perTask` webhook got a task's events out of order.
    OutOfOrder,
    /// A signature or header that does not verify.
    Signature,
    /// A program did what it must not.
    Program,
    /// It did not come to rest.
    Unrest,
    /// `taskwire-indexer audit` found something.
    Audit,
}

impl Kind {
    const fn title(self) -> &'static str {
        match self {
            Self::Log => "events missing, doubled or different",
            Self::Order => "order within a task",
            Self::DeliveryMissing => "deliveries missing",
            Self::DeliveryUnwanted => "deliveries that nobody wanted",
            Self::DeliveryState => "deliveries in a wrong state",
            Self::Attempts => "attempts that the deliveries' logs do not explain",
            Self::Body => "bodies that differ from the event's",
            Self::OutOfOrder => "perTask order at the receiver",
            Self::Signature => "requests that do not verify",
            Self::Program => "programs",
            Self::Unrest => "no quiet",
            Self::Audit => "audit",
        }
    }
}

/// All that was found, bounded in what it shows.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    kinds: BTreeMap<Kind, (usize, Vec<String>)>,
    tasks: BTreeSet<String>,
}

impl Findings {
    pub(crate) fn add(&mut self, kind: Kind, mut what: String) {
        let (count, shown) = self.kinds.entry(kind).or_default();
        *count += 1;
        if shown.len() < SHOWN {
            if let Some((end, _)) = what.char_indices().nth(CHARACTERS) {
                what.truncate(end);
                what.push('…');
            }
            shown.push(what);
        }
    }

    /// The same, with a task whose story may explain it.
    pub(crate) fn add_for(&mut self, kind: Kind, task: &str, what: String) {
        if self.tasks.len() < TASKS {
            self.tasks.insert(task.to_owned());
        }
        self.add(kind, what);
    }

    pub(crate) fn tasks(&self) -> impl Iterator<Item = &String> {
        self.tasks.iter()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.kinds.is_empty()
    }

    pub(crate) fn count(&self) -> usize {
        self.kinds.values().map(|(count, _)| count).sum()
    }
}

impl fmt::Display for Findings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (kind, (count, shown)) in &self.kinds {
            writeln!(f, "\n{} ({count}):", kind.title())?;
            for one in shown {
                writeln!(f, "  {one}")?;
            }
            if *count > shown.len() {
                writeln!(f, "  and {} more", count - shown.len())?;
            }
        }
        Ok(())
    }
}
