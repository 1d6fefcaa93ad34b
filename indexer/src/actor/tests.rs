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
            muted: false,
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
fn what_leaves_at_once_is_bounded_by_bytes_however_little_it_is_in_rows() {
    let mut scene = Scene::new();
    // Both texts and the snapshot count: five fit a batch.
    let long = |char: &str| doc! { "Description": char.repeat(1 << 20) };
    let numbers: Vec<u64> = (0..12).map(|n| scene.change(&n.to_string(), &long("x"), &long("y"), 0)).collect();
    assert!(scene.hall.bytes() > 2 * Batch::BYTES);
    scene.silence();
    let left: Vec<Vec<u64>> = (0..3).map(|_| scene.leave().into_iter().map(|(number, _)| number).collect()).collect();
    assert_eq!(left, [&numbers[..5], &numbers[5..10], &numbers[10..]]);
    assert_eq!(scene.hall.bytes(), 0);
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

#[test]
fn flags_are_compared_by_value_and_what_was_empty_or_is_a_name_contradicts_nothing() {
    let mut scene = Scene::new();
    let before = doc! { "RequiresApproval": false, "AssignedUserId": bson::Bson::Null };
    let after = doc! { "RequiresApproval": true, "AssignedUserId": ObjectId::new() };
    let change = scene.change("a", &before, &after, 0);
    scene.row("a", "Updated", "another", &[("NewRequiresApproval", "False")]);
    assert_eq!(scene.leave(), []);
    let said = [("NewRequiresApproval", "True"), ("OldAssignee", ""), ("NewAssignee", "Dana")];
    scene.row("a", "Updated", "u", &said);
    assert_eq!(scene.leave(), [(change, by("u"))]);
}

#[test]
fn what_is_remembered_for_late_rows_is_bounded_and_the_newest_of_it_is_kept() {
    let mut scene = Scene::new();
    let one_change = |scene: &mut Scene, task: &str, ms: i64| {
        scene.change(task, &status(0), &status(1), ms);
        scene.silence();
        assert_eq!(scene.leave().len(), 1);
    };
    let most = i64::try_from(Hall::OWED_MAX).unwrap();
    (0..most).for_each(|n| one_change(&mut scene, &n.to_string(), n * 12));
    assert_eq!(scene.hall.owed_count, Hall::OWED_MAX);
    one_change(&mut scene, "last", most * 12);
    let within = usize::try_from(Hall::OWED_MS / 12).unwrap();
    assert_eq!(scene.hall.owed_count, scene.hall.owed.len());
    assert!((within - 1..=within + 1).contains(&scene.hall.owed_count), "{}", scene.hall.owed_count);
    assert!(scene.hall.owed.contains_key(&DocId::parse("last")) && !scene.hall.owed.contains_key(&DocId::parse("0")));
    // Where all of it is new, none is kept.
    (0..most).for_each(|n| one_change(&mut scene, &format!("at once {n}"), most * 12));
    assert!(scene.hall.owed_count < Hall::OWED_MAX, "{}", scene.hall.owed_count);
}
