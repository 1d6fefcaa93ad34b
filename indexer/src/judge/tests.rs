use std::num::NonZeroUsize;

use bson::{Document, RawDocumentBuf, doc, oid::ObjectId, rawdoc};

use super::*;
use crate::change::{Change, TaskWrite};

struct Scene {
    judge: Judge,
    memory: Memory,
    versions: Versions,
    group: ObjectId,
    number: u64,
}

impl Scene {
    fn new() -> Self {
        let mapping = Arc::new(Mapping::load("tasks-tracker").unwrap());
        Self {
            judge: Judge::new(mapping, "db"),
            memory: Memory::new(NonZeroUsize::new(100).unwrap()),
            versions: Versions::default(),
            group: ObjectId::new(),
            number: 0,
        }
    }

    fn state(&self, fields: Document) -> Arc<TaskState> {
        let mut doc = doc! { "GroupId": self.group, "Status": 0 };
        doc.extend(fields);
        Arc::new(self.judge.mapping.read_task(&RawDocumentBuf::try_from(&doc).unwrap()).unwrap())
    }

    /// Judges one unit of these writes at `time`; the kinds of its events.
    fn unit(&mut self, time: u32, what: Vec<What>) -> Vec<EventKind> {
        self.number += 1;
        let changes = what.into_iter().map(|what| Change {
            token: rawdoc! {},
            time: Timestamp { time, increment: 1 },
            ms: i64::from(time) * 1000,
            transaction: None,
            what,
        });
        let unit = Unit { changes: changes.collect(), continues: false, ends: true };
        let judged = self.judge.judge(unit, self.number, &mut self.memory, &mut self.versions);
        judged.part.events.iter().map(|draft| draft.kind).collect()
    }

    fn write(&mut self, time: u32, status: i32) -> Vec<EventKind> {
        let write = TaskWrite::Replace(self.state(doc! { "Status": status }));
        self.unit(time, vec![What::Task { id: DocId::parse("t"), write }])
    }

    fn insert(&mut self, time: u32, status: i32) -> Vec<EventKind> {
        let write = TaskWrite::Insert(self.state(doc! { "Status": status }));
        self.unit(time, vec![What::Task { id: DocId::parse("t"), write }])
    }

    /// A row of an approval at `time`; the event it tells.
    fn approval_row(&mut self, time: u32) -> Option<EventKind> {
        self.approval_row_saying(time, &[])
    }

    fn approval_row_saying(&mut self, time: u32, changes: &[(&str, &str)]) -> Option<EventKind> {
        self.number += 1;
        let row = HistoryRow {
            id: DocId::parse("row"),
            task: DocId::parse("t"),
            actor: "u".into(),
            action: "CompletionApproved".into(),
            changes: changes.iter().map(|(key, text)| ((*key).to_owned(), (*text).to_owned())).collect(),
        };
        let at = StreamTime::new(Timestamp { time, increment: 1 }, 0);
        let part = self.judge.tell_row((&row, at, 0), self.number, &mut self.memory, &self.versions)?;
        Some(part.events[0].kind)
    }
}

#[test]
fn a_review_row_tells_once_what_no_transition_told() {
    let mut scene = Scene::new();
    assert_eq!(scene.insert(1, 0), [EventKind::Created]);
    assert_eq!(scene.write(2, 2), [EventKind::Completed]);
    assert_eq!(scene.approval_row(3), Some(EventKind::Approved));
    assert_eq!(scene.approval_row(4), None);
    assert_eq!(scene.write(5, 4), [EventKind::Updated]);
    assert_eq!(scene.write(6, 2), [EventKind::Completed, EventKind::Approved]);
    assert_eq!(scene.approval_row(7), None);
}

#[test]
fn a_review_row_that_names_another_status_is_of_an_earlier_change_or_another_life() {
    let mut scene = Scene::new();
    scene.insert(1, 1);
    assert_eq!(scene.write(2, 2), [EventKind::Completed]);
    scene.unit(3, vec![What::Task { id: DocId::parse("t"), write: TaskWrite::Delete }]);
    let changes = [("OldStatus", "WaitingForApproval"), ("NewStatus", "Completed")];
    assert_eq!(scene.approval_row_saying(4, &changes), None, "nobody is there");
    assert_eq!(scene.insert(5, 1), [EventKind::Created]);
    assert_eq!(scene.approval_row_saying(6, &changes), None);
    assert_eq!(scene.write(7, 2), [EventKind::Completed]);
    assert_eq!(scene.approval_row_saying(8, &changes), Some(EventKind::Approved));
}

#[test]
fn what_is_read_again_after_a_restart_tells_nothing() {
    let mut scene = Scene::new();
    scene.insert(1, 4);
    assert_eq!(scene.write(2, 2), [EventKind::Completed, EventKind::Approved]);
    assert_eq!(scene.approval_row(3), None);
    assert_eq!(scene.write(4, 0), [EventKind::Updated]);
    let sequence = scene.memory.get(&DocId::parse("t")).unwrap().sequence;
    assert_eq!(scene.insert(1, 4), []);
    assert_eq!(scene.write(2, 2), []);
    assert_eq!(scene.approval_row(3), None, "the row is from before the last change");
    assert_eq!(scene.write(4, 0), []);
    assert_eq!(scene.memory.get(&DocId::parse("t")).unwrap().sequence, sequence);
}

#[test]
fn two_changes_of_a_document_at_one_cluster_time_are_two() {
    let mut scene = Scene::new();
    scene.insert(1, 0);
    let one = TaskWrite::Replace(scene.state(doc! { "Status": 1 }));
    let two = TaskWrite::Replace(scene.state(doc! { "Status": 2 }));
    let id = || DocId::parse("t");
    assert_eq!(scene.unit(2, vec![What::Task { id: id(), write: one }]), [EventKind::Updated]);
    assert_eq!(scene.unit(2, vec![What::Task { id: id(), write: two }]), [EventKind::Completed]);
}

#[test]
fn an_inbound_receipt_makes_its_unit_an_echo_with_the_integration_as_actor() {
    let mut scene = Scene::new();
    let write = TaskWrite::Insert(scene.state(doc! {}));
    scene.number += 1;
    let change =
        |what| Change { token: rawdoc! {}, time: Timestamp { time: 1, increment: 1 }, ms: 0, transaction: None, what };
    let row = HistoryRow {
        id: DocId::parse("row"),
        task: DocId::parse("t"),
        actor: "u".into(),
        action: "Created".into(),
        changes: Vec::new(),
    };
    // Whatever their order.
    let changes = vec![
        change(What::Row(row)),
        change(What::Task { id: DocId::parse("t"), write }),
        change(What::Inbound { integration: "i7".into() }),
    ];
    let unit = Unit { changes, continues: false, ends: true };
    let judged = scene.judge.judge(unit, 1, &mut scene.memory, &mut scene.versions);
    let draft = &judged.part.events[0];
    assert_eq!((draft.actor.as_deref(), draft.echo), (Some("integration:i7"), true));
    assert!(judged.part.needs.is_empty());
    assert!(judged.rows.is_empty(), "the row is its own, and nobody else's");
}
