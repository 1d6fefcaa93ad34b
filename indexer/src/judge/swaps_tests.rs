use std::num::NonZeroUsize;

use bson::raw::cstr;
use bson::{Binary, Document, RawDocumentBuf, doc, oid::ObjectId, rawdoc, spec::BinarySubtype};

use super::*;
use crate::change::Change;

/// Tasks of one group under `tasks-tracker`, and the changes of the stream that write them.
struct Scene {
    judge: Judge,
    memory: Memory,
    group: ObjectId,
    time: u32,
}

/// A task's event: its kind, the other task of a swap, and who did it.
type Told = (String, EventKind, Option<String>, Option<String>);

fn swapped(task: &str, with: &str, actor: Option<&str>) -> Told {
    (task.to_owned(), EventKind::Swapped, Some(with.to_owned()), actor.map(ToOwned::to_owned))
}

fn updated(task: &str) -> Told {
    (task.to_owned(), EventKind::Updated, None, None)
}

impl Scene {
    /// Tasks a, b, c… of the people 1, 2, 1, 2…
    fn new() -> Self {
        let mapping = Arc::new(Mapping::load("tasks-tracker").unwrap());
        let memory = Memory::new(NonZeroUsize::new(100).unwrap());
        let mut scene = Self { judge: Judge::new(mapping, "db"), memory, group: ObjectId::new(), time: 0 };
        for (task, person) in [("a", "1"), ("b", "2"), ("c", "1"), ("d", "2")] {
            scene.plain(scene.task("insert", task, person));
        }
        scene
    }

    fn task(&self, operation: &str, task: &str, person: &str) -> Document {
        self.task_in(self.group, operation, task, person)
    }

    fn task_in(&self, group: ObjectId, operation: &str, task: &str, person: &str) -> Document {
        let full = doc! { "_id": task, "GroupId": group, "Status": 0, "AssignedUserId": person };
        doc! { "operationType": operation, "ns": { "coll": "tasks" }, "documentKey": { "_id": task }, "fullDocument": full }
    }

    fn request(&self, operation: &str, id: &str, tasks: [&str; 2]) -> Document {
        let full = doc! {
            "_id": id, "status": "Approved", "approvedBy": "boss", "requester": { "taskId": tasks[0] },
            "target": { "taskId": tasks[1] },
        };
        let update = doc! { "updatedFields": { "status": "Approved", "approvedBy": "boss" } };
        let mut change =
            doc! { "operationType": operation, "ns": { "coll": "swapRequests" }, "documentKey": { "_id": id } };
        match operation {
            "update" => change.insert("updateDescription", update),
            _ => change.insert("fullDocument", full),
        };
        change
    }

    /// Judges these changes as one unit, a second after the last.
    fn unit(&mut self, changes: Vec<Document>, transaction: bool) -> Judged {
        self.time += 1;
        let changes = changes.into_iter().map(|change| {
            let mut raw = RawDocumentBuf::try_from(&change).unwrap();
            raw.append(cstr!("_id"), rawdoc! { "_data": "82" });
            raw.append(cstr!("clusterTime"), Timestamp { time: self.time, increment: 1 });
            if transaction {
                let id = Binary { subtype: BinarySubtype::Uuid, bytes: vec![7; 16] };
                raw.append(cstr!("lsid"), rawdoc! { "id": id });
                raw.append(cstr!("txnNumber"), 1i64);
            }
            Change::read(&raw, &self.judge.mapping).unwrap()
        });
        let unit = Unit { changes: changes.collect(), continues: false, ends: true };
        self.judge.judge(unit, u64::from(self.time), &mut self.memory, &mut Versions::default())
    }

    fn told(&mut self, changes: Vec<Document>, transaction: bool) -> Vec<Told> {
        let events = self.unit(changes, transaction).part.events.into_iter();
        let told = events.map(|draft| {
            let with = draft.swap.map(|(with, _)| with.to_string());
            (draft.task.to_string(), draft.kind, with, draft.actor)
        });
        told.collect()
    }

    fn plain(&mut self, change: Document) -> Vec<Told> {
        self.told(vec![change], false)
    }

    fn approve(&mut self, id: &str, tasks: [&str; 2]) -> Vec<Told> {
        self.plain(self.request("replace", id, tasks))
    }

    /// A transaction that gives these tasks to these people.
    fn transaction(&mut self, moves: &[(&str, &str)]) -> Vec<Told> {
        let changes = moves.iter().map(|(task, person)| self.task("replace", task, person));
        self.told(changes.collect(), true)
    }
}

#[test]
fn the_net_effect_counts_and_each_task_is_told_once_at_its_last_reassignment() {
    let mut scene = Scene::new();
    let told = scene.transaction(&[("a", "3"), ("b", "1"), ("a", "2")]);
    assert_eq!(told, [swapped("b", "a", None), swapped("a", "b", None)]);
    assert_eq!(scene.transaction(&[("a", "1"), ("b", "2"), ("a", "2"), ("b", "1")]).len(), 4, "nothing moved in all");
}

#[test]
fn a_task_born_deleted_or_moved_to_another_group_in_the_transaction_passes_no_assignee_on() {
    let mut scene = Scene::new();
    let born = vec![scene.task("insert", "n", "9"), scene.task("replace", "a", "9"), scene.task("replace", "n", "1")];
    let kinds = |told: Vec<Told>| told.into_iter().map(|(_, kind, ..)| kind).collect::<Vec<_>>();
    assert_eq!(kinds(scene.told(born, true)), [EventKind::Created, EventKind::Updated, EventKind::Updated]);
    let mut gone = scene.task("delete", "b", "2");
    gone.remove("fullDocument");
    let anew = vec![
        scene.task("replace", "b", "8"),
        gone,
        scene.task("insert", "b", "2"),
        scene.task("replace", "b", "1"),
        scene.task("replace", "c", "2"),
    ];
    assert!(!kinds(scene.told(anew, true)).contains(&EventKind::Swapped));
    let other = ObjectId::new();
    let moved = vec![
        scene.task_in(other, "replace", "d", "2"),
        scene.task_in(other, "replace", "d", "5"),
        scene.task("replace", "c", "5"),
        scene.task_in(other, "replace", "d", "2"),
    ];
    assert!(!kinds(scene.told(moved, true)).contains(&EventKind::Swapped));
}

#[test]
fn a_request_before_in_or_after_the_transaction_tells_each_swap_once() {
    let both = |actor| [swapped("a", "b", actor), swapped("b", "a", actor)];
    let mut before = Scene::new();
    assert_eq!(before.approve("r", ["a", "b"]), both(Some("boss")));
    assert_eq!(before.transaction(&[("a", "2"), ("b", "1")]), []);
    let mut after = Scene::new();
    assert_eq!(after.transaction(&[("a", "2"), ("b", "1")]), both(None));
    assert_eq!(after.approve("r", ["b", "a"]), []);
    let mut within = Scene::new();
    let changes = vec![
        within.request("insert", "r", ["a", "b"]),
        within.task("replace", "a", "2"),
        within.task("replace", "b", "1"),
    ];
    assert_eq!(within.told(changes, true), both(Some("boss")));
    for scene in [&mut before, &mut after, &mut within] {
        assert_eq!(scene.transaction(&[("a", "1"), ("b", "2")]), both(None), "the way back is another swap");
    }
}

#[test]
fn a_request_after_the_transaction_is_offered_to_the_events_that_wait() {
    let mut scene = Scene::new();
    let changes = vec![scene.task("replace", "a", "2"), scene.task("replace", "b", "1")];
    let mut part = scene.unit(changes, true).part;
    let approvals = scene.unit(vec![scene.request("insert", "r", ["a", "b"])], false).approvals;
    approvals.iter().for_each(|approval| part.approve(approval));
    assert!(part.approvals.is_empty() && part.needs.is_empty());
    assert!(part.events.iter().all(|draft| draft.actor.as_deref() == Some("boss")));
}

#[test]
fn where_several_tasks_fit_a_request_and_a_transaction_still_tell_one_swap() {
    // c receives from b, the first that gave up person 2; its request names d.
    let moves = [("a", "2"), ("b", "1"), ("c", "2"), ("d", "1")];
    let mut after = Scene::new();
    assert_eq!(after.transaction(&moves)[2], swapped("c", "b", None));
    assert_eq!(after.approve("r", ["c", "d"]), []);
    let mut before = Scene::new();
    assert_eq!(before.approve("r", ["c", "d"]).len(), 2);
    assert_eq!(before.transaction(&moves), [swapped("a", "b", None), swapped("b", "a", None)]);
}

#[test]
fn two_separate_reassignments_are_updates_whether_a_request_came_before_or_after() {
    let separate = |scene: &mut Scene| {
        let (one, other) = (scene.task("replace", "a", "2"), scene.task("replace", "b", "1"));
        [scene.plain(one), scene.plain(other)].concat()
    };
    let swaps = [swapped("a", "b", Some("boss")), swapped("b", "a", Some("boss"))];
    let mut before = Scene::new();
    assert_eq!(before.approve("r", ["a", "b"]), swaps);
    assert_eq!(separate(&mut before), [updated("a"), updated("b")]);
    assert_eq!(before.transaction(&[("a", "1"), ("b", "2")]).len(), 2, "another swap, in a transaction");
    let mut after = Scene::new();
    assert_eq!(separate(&mut after), [updated("a"), updated("b")]);
    assert_eq!(after.approve("r", ["a", "b"]), swaps);
}

#[test]
fn an_approved_request_that_is_written_again_tells_nothing_whatever_came_between() {
    let mut scene = Scene::new();
    assert_eq!(scene.approve("r", ["a", "b"]).len(), 2);
    assert_eq!(scene.approve("r", ["a", "b"]), []);
    assert_eq!(scene.approve("s", ["a", "b"]).len(), 2);
    assert_eq!(scene.approve("r", ["b", "a"]), []);
    scene.transaction(&[("a", "2"), ("b", "1")]);
    assert_eq!(scene.approve("s", ["a", "b"]), []);
}

#[test]
fn an_update_that_approves_a_request_which_cannot_be_looked_up_is_put_aside() {
    let mut scene = Scene::new();
    let part = scene.unit(vec![scene.request("update", "r", ["a", "b"])], false).part;
    assert!(part.events.is_empty());
    assert_eq!((part.quarantined.len(), &*part.quarantined[0].collection), (1, "swapRequests"));
    assert!(part.quarantined[0].raw.get_document("updateDescription").is_ok());
}

#[test]
fn an_approver_who_is_not_named_takes_no_actor_away() {
    let mut scene = Scene::new();
    let mut request = scene.request("insert", "r", ["a", "b"]);
    request.get_document_mut("fullDocument").unwrap().remove("approvedBy");
    let changes = vec![scene.task("replace", "a", "2"), scene.task("replace", "b", "1"), request];
    let part = scene.unit(changes, true).part;
    assert_eq!(part.needs.len(), 2, "the history rows may name one");
}
