//! Waiting for the actor: the history row that follows a change names who made it.
//!
//! A row is given to the change it fits best: same task, `Changes` that do not contradict the transition. A part leaves
//! when all its changes have their row or waited long enough; a task's own order is kept. A row that comes too late is
//! dropped, never given to a later change: changes that left without theirs are remembered for a while, and such a row is
//! matched against them too. Pure: the time is given.

use std::collections::{HashMap, HashSet, VecDeque};
use std::time::{Duration, Instant};

use taskwire::mapping::{HistoryShape, Mapping, Value};
use taskwire::model::{DocId, EventKind};

use crate::change::{HistoryRow, SwapApproval};
use crate::derive::Draft;
use crate::judge::{Need, Part};
use crate::record::Batch;

/// What a row fits, and how well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Fit(u32);

/// A part in the hall.
#[derive(Debug)]
struct Waiting {
    part: Part,
    bytes: usize,
    serial: u64,
    arrived: Instant,
    /// Stream time at its arrival.
    entered_ms: i64,
    expired: bool,
}

impl Waiting {
    fn is_ready(&self) -> bool {
        self.expired || (self.part.needs.is_empty() && self.part.approvals.is_empty())
    }
}

/// A change that left without its row.
#[derive(Debug)]
struct Owed {
    need: Need,
    ms: i64,
    /// Whether it told an approval or rejection.
    reviews: bool,
}

/// Where parts wait for the rows that name their actors.
#[derive(Debug)]
pub struct Hall {
    wait: Duration,
    /// In the order they came in, which is that of their serial numbers.
    waiting: VecDeque<Waiting>,
    /// What they take.
    bytes: usize,
    /// Serial numbers of the parts in which something of a task waits: a row looks at these only, however many wait.
    by_task: HashMap<DocId, Vec<u64>>,
    next_serial: u64,
    owed: HashMap<DocId, VecDeque<Owed>>,
    owed_count: usize,
    stream_ms: i64,
    last_ms: Option<i64>,
}

impl Hall {
    /// Changes that left without their row and are remembered, at most.
    const OWED_MAX: usize = 10_000;
    /// How long (stream time, milliseconds) a late row is expected.
    const OWED_MS: i64 = 60_000;
    /// Parts that wait, at most; beyond it the oldest leave without their rows.
    const WAITING_MAX: usize = 20_000;

    /// A hall in which each change waits at most `wait` for its row.
    #[must_use]
    pub fn new(wait: Duration) -> Self {
        Self {
            wait,
            waiting: VecDeque::new(),
            bytes: 0,
            by_task: HashMap::new(),
            next_serial: 0,
            owed: HashMap::new(),
            owed_count: 0,
            stream_ms: 0,
            last_ms: None,
        }
    }

    /// Lets a part in.
    pub fn enter(&mut self, part: Part, now: Instant) {
        self.stream_time(part.ms);
        let (serial, expired) = (self.next_serial, self.wait.is_zero());
        self.next_serial += 1;
        for need in &part.needs {
            let serials = self.by_task.entry(need.task.clone()).or_default();
            if serials.last() != Some(&serial) {
                serials.push(serial);
            }
        }
        let bytes = part.bytes();
        self.bytes += bytes;
        self.waiting.push_back(Waiting { part, bytes, serial, arrived: now, entered_ms: self.stream_ms, expired });
    }

    /// Notes a change's time, in milliseconds. Stream time is what passed between changes: after a failover to a server
    /// whose clock is behind it goes on from there.
    pub fn stream_time(&mut self, ms: i64) {
        self.stream_ms += (ms - self.last_ms.unwrap_or(ms)).max(0);
        self.last_ms = Some(ms);
    }

    /// Offers a row; the change it fits best gets its actor, or it is dropped as late. True if that change told an approval
    /// or rejection: then the row is that one's, whatever became of the task since, and tells none of its own.
    pub fn offer(&mut self, row: &HistoryRow, mapping: &Mapping) -> bool {
        let Some(history) = &mapping.history else { return false };
        let oldest = self.stream_ms - Self::OWED_MS;
        let late = self.owed.get(&row.task).into_iter().flatten().enumerate().filter(|(_, owed)| owed.ms > oldest);
        let late = late.filter_map(|(at, owed)| Some((fit(row, &owed.need, history, mapping)?, at)));
        let late = best(late);
        let mut waiting = Vec::new();
        let serials = self.by_task.get(&row.task).into_iter().flatten();
        let places = serials.filter_map(|serial| self.waiting.binary_search_by_key(serial, |entry| entry.serial).ok());
        for (at, entry) in places.map(|at| (at, &self.waiting[at])).filter(|(_, entry)| !entry.expired) {
            for (nth, need) in entry.part.needs.iter().enumerate().filter(|(_, need)| need.task == row.task) {
                if let Some(fit) = fit(row, need, history, mapping) {
                    waiting.push((fit, (at, nth)));
                }
            }
        }
        match (late, best(waiting.into_iter())) {
            (Some((late, at)), Some((fit, _))) if late.0 >= fit.0 => self.settle(&row.task, at),
            (Some((_, at)), None) => self.settle(&row.task, at),
            (_, Some((_, (at, nth)))) => self.assign(at, nth, &row.actor),
            (None, None) => false,
        }
    }

    /// A swap request was approved: it names the approver of a swap that a transaction told and that still waits.
    pub fn approve(&mut self, approval: &SwapApproval) {
        self.waiting.iter_mut().filter(|entry| !entry.expired).for_each(|entry| entry.part.approve(approval));
    }

    fn assign(&mut self, at: usize, nth: usize, actor: &str) -> bool {
        let Waiting { part, serial, .. } = &mut self.waiting[at];
        let need = part.needs.remove(nth);
        if part.needs.iter().all(|other| other.task != need.task) {
            forget(&mut self.by_task, &need.task, *serial);
        }
        // Who granted a swap is known well enough by its row.
        part.approvals.retain(|awaited| awaited.task != need.task);
        for draft in &mut part.events[need.events.clone()] {
            draft.actor.get_or_insert_with(|| actor.to_owned());
        }
        reviews(&part.events[need.events])
    }

    fn settle(&mut self, task: &DocId, at: usize) -> bool {
        let Some(owed) = self.owed.get_mut(task) else { return false };
        let settled = owed.remove(at);
        self.owed_count -= 1;
        if owed.is_empty() {
            self.owed.remove(task);
        }
        settled.is_some_and(|owed| owed.reviews)
    }

    /// Marks what waited long enough: in stream time always, by the clock only once everything read was judged
    /// (`drained`), so that a backlog is not taken for silence.
    pub fn expire(&mut self, now: Instant, drained: bool) {
        let wait_ms = i64::try_from(self.wait.as_millis()).unwrap_or(i64::MAX);
        let crowded = self.waiting.len().saturating_sub(Self::WAITING_MAX);
        for (at, entry) in self.waiting.iter_mut().enumerate() {
            let by_stream = self.stream_ms - entry.entered_ms > wait_ms;
            let by_clock = drained && now.duration_since(entry.arrived) >= self.wait;
            entry.expired |= by_stream || by_clock || at < crowded;
        }
    }

    /// Lets everything go without waiting, before the collection of tasks goes away or the process stops.
    pub fn expire_all(&mut self) {
        self.waiting.iter_mut().for_each(|entry| entry.expired = true);
    }

    /// When the clock next lets something go.
    #[must_use]
    pub fn next_expiry(&self) -> Option<Instant> {
        self.waiting.iter().find(|entry| !entry.is_ready()).map(|entry| entry.arrived + self.wait)
    }

    /// Takes out what is ready, in order, up to `limit` rows (events and deliveries) and [`Batch::BYTES`]; a task's later
    /// parts stay behind its earlier ones. The end of the collection leaves alone: it is recorded after everything before it.
    pub fn leave(&mut self, limit: usize) -> Vec<Part> {
        let mut left = Vec::new();
        let (mut rows, mut bytes) = (0, 0);
        let mut held: HashSet<DocId> = HashSet::new();
        let mut stay = VecDeque::with_capacity(self.waiting.len());
        while let Some(entry) = self.waiting.pop_front() {
            let barrier = entry.part.gone.is_some();
            let full = rows + entry.part.rows() > limit || bytes + entry.bytes > Batch::BYTES;
            if !left.is_empty() && (full || barrier) {
                stay.push_back(entry);
                break;
            }
            let in_order = held.is_empty() || !tasks(&entry.part).any(|task| held.contains(task));
            if entry.is_ready() && in_order && (stay.is_empty() || !barrier) {
                rows += entry.part.rows();
                bytes += entry.bytes;
                left.push(self.let_go(entry));
            } else {
                held.extend(tasks(&entry.part).cloned());
                stay.push_back(entry);
            }
            if barrier {
                break;
            }
        }
        stay.append(&mut self.waiting);
        self.waiting = stay;
        self.bytes -= bytes;
        left
    }

    fn let_go(&mut self, mut entry: Waiting) -> Part {
        for need in std::mem::take(&mut entry.part.needs) {
            forget(&mut self.by_task, &need.task, entry.serial);
            self.owed_count += 1;
            let reviews = reviews(&entry.part.events[need.events.clone()]);
            self.owed.entry(need.task.clone()).or_default().push_back(Owed { need, ms: entry.entered_ms, reviews });
        }
        if self.owed_count > Self::OWED_MAX {
            let oldest = self.stream_ms - Self::OWED_MS;
            self.owed.retain(|_, list| {
                list.retain(|owed| owed.ms > oldest);
                !list.is_empty()
            });
            self.owed_count = self.owed.values().map(VecDeque::len).sum();
            if self.owed_count > Self::OWED_MAX {
                self.owed.clear();
                self.owed_count = 0;
            }
        }
        entry.part
    }

    /// Parts in the hall.
    #[must_use]
    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    /// About how many bytes they will write.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether nobody waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }
}

/// Nothing of this task waits in that part any more.
fn forget(by_task: &mut HashMap<DocId, Vec<u64>>, task: &DocId, serial: u64) {
    if let Some(serials) = by_task.get_mut(task) {
        serials.retain(|other| *other != serial);
        if serials.is_empty() {
            by_task.remove(task);
        }
    }
}

fn reviews(events: &[Draft]) -> bool {
    events.iter().any(|draft| matches!(draft.kind, EventKind::Approved | EventKind::Rejected))
}

fn tasks(part: &Part) -> impl Iterator<Item = &DocId> {
    part.snapshots.iter().map(|snapshot| &snapshot.id)
}

/// The best fit; among equals the first.
fn best<T: Copy>(fits: impl Iterator<Item = (Fit, T)>) -> Option<(Fit, T)> {
    fits.fold(None, |best: Option<(Fit, T)>, next| match best {
        Some(best) if best.0.0 >= next.0.0 => Some(best),
        _ => Some(next),
    })
}

/// How many of the row's keys confirm the transition; `None` if one contradicts it or the action cannot have done it.
fn fit(row: &HistoryRow, need: &Need, history: &HistoryShape, mapping: &Mapping) -> Option<Fit> {
    let names = history.fits.get(&row.action)?;
    // The row of a save that changed nothing would fit any change. A review's says enough by its action.
    if row.changes.is_empty() && !history.tells.contains_key(&row.action) {
        return None;
    }
    let changed = |name: &String| {
        if name == "*" { !need.fields.is_empty() } else { mapping.field(name).is_some_and(|at| need.fields.has(at)) }
    };
    if !names.iter().any(changed) {
        return None;
    }
    let mut confirmed = 0;
    for (key, text) in &row.changes {
        for shape in &history.keys {
            let Some(at) = mapping.field(&shape.field) else { continue };
            let value = match key {
                key if *key == shape.old => &need.before.values[at],
                key if *key == shape.new => &need.after.values[at],
                _ => continue,
            };
            match compare(value, text) {
                Some(true) => confirmed += 1 + u32::from(need.fields.has(at)),
                Some(false) => return None,
                None => {}
            }
        }
    }
    Some(Fit(confirmed))
}

/// Whether a row's text says this value; `None` where that cannot be told (a name where the task has an id).
fn compare(value: &Value, text: &str) -> Option<bool> {
    match value {
        Value::Null => text.is_empty().then_some(true),
        Value::Text(name) => Some(**name == *text),
        Value::Bool(flag) => {
            text.parse::<bool>().ok().or_else(|| text.to_lowercase().parse().ok()).map(|said| said == *flag)
        }
        Value::Int(number) => text.parse::<i64>().ok().map(|said| said == *number),
        Value::Oid(oid) => match DocId::parse(text) {
            DocId::Oid(said) => Some(said == *oid),
            DocId::Text(_) => None,
        },
        Value::Date(ms) => {
            let said = chrono::DateTime::parse_from_rfc3339(text).ok();
            // Rows keep 100 ns, BSON dates whole milliseconds.
            said.map(|said| said.timestamp_millis() == *ms)
        }
    }
}

#[cfg(test)]
mod tests;
