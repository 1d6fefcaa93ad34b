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

/// What a row fits, and how well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Fit(u32);

/// A part in the hall.
#[derive(Debug)]
struct Waiting {
    part: Part,
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
    waiting: VecDeque<Waiting>,
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
        Self { wait, waiting: VecDeque::new(), owed: HashMap::new(), owed_count: 0, stream_ms: 0, last_ms: None }
    }

    /// Lets a part in.
    pub fn enter(&mut self, part: Part, now: Instant) {
        self.stream_time(part.ms);
        let expired = self.wait.is_zero();
        self.waiting.push_back(Waiting { part, arrived: now, entered_ms: self.stream_ms, expired });
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
        for (at, entry) in self.waiting.iter().enumerate().filter(|(_, entry)| !entry.expired) {
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
        let part = &mut self.waiting[at].part;
        let need = part.needs.remove(nth);
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

    /// Takes out what is ready, in order, up to `limit` rows (events and deliveries); a task's later parts stay behind its
    /// earlier ones. The end of the collection leaves alone: it is recorded after everything before it.
    pub fn leave(&mut self, limit: usize) -> Vec<Part> {
        let mut left = Vec::new();
        let mut rows = 0;
        let mut held: HashSet<DocId> = HashSet::new();
        let mut stay = VecDeque::with_capacity(self.waiting.len());
        while let Some(entry) = self.waiting.pop_front() {
            let barrier = entry.part.gone.is_some();
            let full = rows + weight(&entry.part) > limit;
            if !left.is_empty() && (full || barrier) {
                stay.push_back(entry);
                break;
            }
            let in_order = held.is_empty() || !tasks(&entry.part).any(|task| held.contains(task));
            if entry.is_ready() && in_order && (stay.is_empty() || !barrier) {
                rows += weight(&entry.part);
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
        left
    }

    fn let_go(&mut self, mut entry: Waiting) -> Part {
        for need in std::mem::take(&mut entry.part.needs) {
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

    /// Whether nobody waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }
}

fn reviews(events: &[Draft]) -> bool {
    events.iter().any(|draft| matches!(draft.kind, EventKind::Approved | EventKind::Rejected))
}

/// Rows that recording it writes.
fn weight(part: &Part) -> usize {
    part.events.iter().map(|draft| 1 + draft.subscribers.len()).sum::<usize>().max(1)
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
mod tests {
    use std::sync::Arc;

    use bson::{Document, RawDocumentBuf, Timestamp, doc, oid::ObjectId};
    use taskwire::mapping::TaskState;
    use taskwire::model::{EventId, StreamTime};

    use super::*;
    use crate::field_set::FieldSet;
    use crate::snapshot::Snapshot;

    const WAIT: Duration = Duration::from_millis(100);

    struct Scene {
        mapping: Mapping,
        hall: Hall,
        group: ObjectId,
        start: Instant,
        number: u64,
    }

    impl Scene {
        fn new() -> Self {
            let mapping = Mapping::load("tasks-tracker").unwrap();
            Self { mapping, hall: Hall::new(WAIT), group: ObjectId::new(), start: Instant::now(), number: 0 }
        }

        fn state(&self, fields: &Document) -> Arc<TaskState> {
            let mut doc = doc! { "GroupId": self.group, "Status": 0, "Name": "n" };
            doc.extend(fields.clone());
            Arc::new(self.mapping.read_task(&RawDocumentBuf::try_from(&doc).unwrap()).unwrap())
        }

        /// A change of `task` at `ms` of stream time; its part's number.
        fn change(&mut self, task: &str, before: &Document, after: &Document, ms: i64) -> u64 {
            self.number += 1;
            let (before, after) = (self.state(before), self.state(after));
            let fields = FieldSet::difference(&before, &after);
            let task = DocId::parse(task);
            let time = Timestamp { time: 1, increment: u32::try_from(self.number).unwrap() };
            let draft = Draft {
                id: EventId::from(format!("evt_{}", self.number)),
                kind: EventKind::Updated,
                task: task.clone(),
                at: StreamTime::new(time, 0),
                ms,
                sequence: 1,
                state: Arc::clone(&after),
                before: Some(Arc::clone(&before)),
                fields,
                swap: None,
                actor: None,
                echo: false,
                recovered: false,
                subscribers: Vec::new(),
            };
            let need = Need { task: task.clone(), before, after: Arc::clone(&after), fields, events: 0..1 };
            let snapshot = Snapshot::of_scan(task, (*after).clone(), time);
            let part = Part {
                number: self.number,
                ms,
                snapshots: vec![snapshot],
                events: vec![draft],
                needs: vec![need],
                ..Part::default()
            };
            self.hall.enter(part, self.start);
            self.number
        }

        fn row(&mut self, task: &str, action: &str, actor: &str, changes: &[(&str, &str)]) {
            let row = HistoryRow {
                id: DocId::parse("row"),
                task: DocId::parse(task),
                actor: actor.to_owned(),
                action: action.to_owned(),
                changes: changes.iter().map(|(key, text)| ((*key).to_owned(), (*text).to_owned())).collect(),
            };
            self.hall.offer(&row, &self.mapping);
        }

        /// What leaves now: number and actor.
        fn leave(&mut self) -> Vec<(u64, Option<String>)> {
            let parts = self.hall.leave(1000);
            parts.into_iter().map(|part| (part.number, part.events[0].actor.clone())).collect()
        }

        fn silence(&mut self) {
            self.hall.expire(self.start + WAIT, true);
        }
    }

    fn status(number: i32) -> Document {
        doc! { "Status": number }
    }

    fn by(actor: &str) -> Option<String> {
        Some(actor.to_owned())
    }

    #[test]
    fn a_change_leaves_with_its_row_at_once_and_without_one_after_the_wait() {
        let mut scene = Scene::new();
        let first = scene.change("a", &status(0), &status(1), 0);
        let second = scene.change("b", &status(0), &status(1), 0);
        scene.row("a", "StatusChanged", "u", &[("OldStatus", "Pending"), ("NewStatus", "InProgress")]);
        assert_eq!(scene.leave(), [(first, by("u"))]);
        assert_eq!(scene.leave(), []);
        scene.silence();
        assert_eq!(scene.leave(), [(second, None)]);
    }

    #[test]
    fn a_row_that_contradicts_the_transition_or_cannot_have_done_it_is_not_taken() {
        let mut scene = Scene::new();
        let change = scene.change("a", &status(0), &status(1), 0);
        scene.row("a", "StatusChanged", "u", &[("OldStatus", "Pending"), ("NewStatus", "Completed")]);
        scene.row("a", "Reassigned", "u", &[]);
        scene.row("a", "Created", "u", &[]);
        scene.row("b", "StatusChanged", "u", &[("NewStatus", "InProgress")]);
        assert_eq!(scene.leave(), []);
        scene.row("a", "StatusChanged", "v", &[("NewStatus", "InProgress")]);
        assert_eq!(scene.leave(), [(change, by("v"))]);
    }

    #[test]
    fn of_two_changes_of_a_task_the_row_belongs_to_the_one_it_fits_best_and_order_is_kept() {
        let mut scene = Scene::new();
        let first = scene.change("a", &status(0), &status(1), 0);
        let second = scene.change("a", &status(1), &status(2), 1);
        scene.row("a", "StatusChanged", "v", &[("OldStatus", "InProgress"), ("NewStatus", "Completed")]);
        assert_eq!(scene.leave(), [], "the later change waits behind the earlier one");
        scene.row("a", "StatusChanged", "u", &[("NewStatus", "InProgress")]);
        assert_eq!(scene.leave(), [(first, by("u")), (second, by("v"))]);
    }

    #[test]
    fn a_late_row_is_dropped_and_not_given_to_a_later_change() {
        let mut scene = Scene::new();
        let first = scene.change("a", &status(0), &status(1), 0);
        scene.silence();
        assert_eq!(scene.leave(), [(first, None)]);
        let second = scene.change("a", &status(1), &status(0), 200);
        let third = scene.change("a", &status(0), &status(1), 201);
        scene.row("a", "StatusChanged", "late", &[("OldStatus", "Pending"), ("NewStatus", "InProgress")]);
        assert_eq!(scene.leave(), []);
        scene.row("a", "StatusChanged", "v", &[("OldStatus", "InProgress"), ("NewStatus", "Pending")]);
        scene.row("a", "StatusChanged", "w", &[("OldStatus", "Pending"), ("NewStatus", "InProgress")]);
        assert_eq!(scene.leave(), [(second, by("v")), (third, by("w"))]);
    }

    #[test]
    fn in_a_backlog_the_wait_is_counted_in_stream_time_and_other_tasks_go_first() {
        let mut scene = Scene::new();
        let first = scene.change("a", &status(0), &status(1), 1_000);
        let second = scene.change("b", &status(0), &status(1), 1_001);
        scene.row("b", "StatusChanged", "u", &[("NewStatus", "InProgress")]);
        scene.hall.expire(scene.start + WAIT * 9, false);
        assert_eq!(scene.leave(), [(second, by("u"))], "the clock alone lets nothing go while more is to be read");
        scene.hall.stream_time(1_101);
        scene.hall.expire(scene.start, false);
        assert_eq!(scene.leave(), [(first, None)]);
    }

    #[test]
    fn the_row_of_a_review_that_was_told_is_known_for_it_even_when_it_comes_late() {
        let mut scene = Scene::new();
        let row = HistoryRow {
            id: DocId::parse("row"),
            task: DocId::parse("a"),
            actor: "u".into(),
            action: "CompletionApproved".into(),
            changes: Vec::new(),
        };
        scene.change("a", &status(4), &status(2), 0);
        scene.hall.waiting[0].part.events[0].kind = EventKind::Approved;
        assert!(scene.hall.offer(&row, &scene.mapping));
        scene.leave();
        scene.change("a", &status(4), &status(2), 1);
        scene.hall.waiting[0].part.events[0].kind = EventKind::Approved;
        scene.silence();
        scene.leave();
        assert!(scene.hall.offer(&row, &scene.mapping), "it came too late for the actor");
        assert!(!scene.hall.offer(&row, &scene.mapping), "a second one belongs to nothing");
        scene.change("a", &status(1), &status(2), 2);
        assert!(!scene.hall.offer(&row, &scene.mapping), "that change told no review");
    }

    #[test]
    fn a_swap_waits_for_its_approver_and_takes_the_one_of_its_own_request() {
        let mut scene = Scene::new();
        let mut numbers = Vec::new();
        for (task, with) in [("a", "b"), ("c", "d")] {
            numbers.push(scene.change(task, &doc! { "AssignedUserId": "1" }, &doc! { "AssignedUserId": "2" }, 0));
            let part = &mut scene.hall.waiting.back_mut().unwrap().part;
            part.events[0].kind = EventKind::Swapped;
            part.events[0].actor = Some("whoever wrote it".into());
            part.needs.clear();
            part.approvals.push(crate::judge::Awaited { task: DocId::parse(task), with: DocId::parse(with) });
        }
        assert_eq!(scene.leave(), []);
        let request = |one: &str, other: &str| SwapApproval {
            id: DocId::parse("r"),
            tasks: Some([DocId::parse(one), DocId::parse(other)]),
            approver: by("u"),
            raw: None,
        };
        scene.hall.approve(&request("a", "d"));
        assert_eq!(scene.leave(), []);
        scene.hall.approve(&request("b", "a"));
        assert_eq!(scene.leave(), [(numbers[0], by("u"))]);
        scene.silence();
        assert_eq!(scene.leave(), [(numbers[1], by("whoever wrote it"))]);
    }

    #[test]
    fn the_row_of_a_save_that_changed_nothing_is_given_to_nobody() {
        let mut scene = Scene::new();
        let change = scene.change("a", &status(0), &status(2), 0);
        scene.row("a", "Updated", "another", &[]);
        scene.row("a", "StatusChanged", "another", &[]);
        assert_eq!(scene.leave(), []);
        scene.row("a", "StatusChanged", "u", &[("NewStatus", "Completed")]);
        assert_eq!(scene.leave(), [(change, by("u"))]);
    }

    #[test]
    fn after_a_failover_to_a_clock_that_is_behind_changes_wait_for_their_rows_as_before() {
        let mut scene = Scene::new();
        scene.change("a", &status(0), &status(1), 900_000);
        scene.row("a", "StatusChanged", "u", &[("NewStatus", "InProgress")]);
        scene.leave();
        let change = scene.change("a", &status(1), &status(2), 500_000);
        scene.hall.expire(scene.start, false);
        scene.row("a", "StatusChanged", "v", &[("NewStatus", "Completed")]);
        assert_eq!(scene.leave(), [(change, by("v"))]);
    }

    #[test]
    fn dates_numbers_and_ids_of_rows_are_compared_by_value() {
        let due = |ms: i64| doc! { "DueAt": bson::DateTime::from_millis(ms), "Difficulty": 3 };
        let mut scene = Scene::new();
        let change = scene.change("a", &due(0), &due(1_700_000_000_123), 0);
        scene.row("a", "Updated", "u", &[("NewDueAt", "2023-11-14T22:13:20.9990000Z")]);
        assert_eq!(scene.leave(), []);
        scene.row("a", "Updated", "u", &[("NewDueAt", "2023-11-14T22:13:20.1230000Z"), ("NewDifficulty", "3")]);
        assert_eq!(scene.leave(), [(change, by("u"))]);
    }
}
