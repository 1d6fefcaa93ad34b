use bson::{Document, RawDocumentBuf, doc, oid::ObjectId};
use taskwire::model::DocId;

use super::*;

struct Scene {
    mapping: Mapping,
    group: ObjectId,
}

impl Scene {
    fn new() -> Self {
        Self { mapping: Mapping::load("tasks-tracker").unwrap(), group: ObjectId::new() }
    }

    fn state(&self, fields: Document) -> Arc<TaskState> {
        let mut doc = doc! { "GroupId": self.group, "Status": 0, "Name": "n" };
        doc.extend(fields);
        Arc::new(self.mapping.read_task(&RawDocumentBuf::try_from(&doc).unwrap()).unwrap())
    }

    fn story(&self, past: Option<Document>, now: Document, rows: &[HistoryRow]) -> Story {
        let past = Past { state: past.map(|past| self.state(past)), unknown: FieldSet::default(), reviewed: false };
        tell(&self.mapping, &Rules::of(&self.mapping), &past, &self.state(now), rows)
    }

    /// What is told: name, status after, actor; `*` where rows alone tell it.
    fn told(&self, past: Option<Document>, now: Document, rows: &[HistoryRow]) -> Vec<String> {
        let line = |telling: &Telling| {
            let status = telling.after.values[self.mapping.status()].to_text().unwrap_or_default();
            let (mark, actor) = (if telling.inferred { "*" } else { "" }, telling.actor.as_deref().unwrap_or("?"));
            format!("{}{mark} {status} {actor}", telling.kind.name().trim_start_matches("task."))
        };
        self.story(past, now, rows).tellings.iter().map(line).collect()
    }
}

fn row(action: &str, actor: &str, changes: &[(&str, &str)]) -> HistoryRow {
    HistoryRow {
        id: DocId::parse("r"),
        task: DocId::parse("t"),
        actor: actor.to_owned(),
        action: action.to_owned(),
        changes: changes.iter().map(|(key, text)| ((*key).to_owned(), (*text).to_owned())).collect(),
    }
}

fn moved(actor: &str, from: &str, to: &str) -> HistoryRow {
    row("StatusChanged", actor, &[("OldStatus", from), ("NewStatus", to)])
}

fn status(number: i32) -> Document {
    doc! { "Status": number }
}

#[test]
fn without_rows_the_difference_is_told_and_nothing_where_there_is_none() {
    let scene = Scene::new();
    assert_eq!(scene.told(Some(status(4)), status(2), &[]), ["completed Completed ?", "approved Completed ?"]);
    assert_eq!(scene.told(Some(status(1)), status(1), &[]), [""; 0]);
    assert_eq!(scene.told(None, status(1), &[]), ["created InProgress ?"]);
}

#[test]
fn rows_tell_the_statuses_between_and_who_did_it() {
    let scene = Scene::new();
    let rows = [
        moved("a", "Pending", "WaitingForApproval"),
        row("CompletionApproved", "b", &[("OldStatus", "WaitingForApproval"), ("NewStatus", "Completed")]),
    ];
    let told = scene.told(Some(status(0)), status(2), &rows);
    assert_eq!(told, ["updated* WaitingForApproval a", "completed Completed b", "approved* Completed b"]);
}

#[test]
fn what_was_taken_back_is_told_by_rows_alone_but_not_an_update_that_was() {
    let scene = Scene::new();
    let rows = [moved("a", "Pending", "Completed"), moved("a", "Completed", "Pending")];
    assert_eq!(scene.told(Some(status(0)), status(0), &rows), ["completed* Completed a", "updated* Pending a"]);
    let rows = [moved("a", "Pending", "InProgress"), moved("a", "InProgress", "Pending")];
    assert_eq!(scene.told(Some(status(0)), status(0), &rows), [""; 0]);
}

#[test]
fn a_task_born_in_the_gap_begins_as_the_rows_undo_it() {
    let scene = Scene::new();
    let rows = [row("Created", "a", &[("Name", "n"), ("Status", "Pending")]), moved("b", "Pending", "Completed")];
    assert_eq!(scene.told(None, status(2), &rows), ["created Pending ?", "completed* Completed b"]);
}

#[test]
fn a_row_that_contradicts_the_state_is_not_believed() {
    let scene = Scene::new();
    let rows = [moved("a", "InProgress", "Completed"), moved("b", "Pending", "Overdue")];
    assert_eq!(scene.told(Some(status(0)), status(3), &rows), ["updated Overdue b"]);
}

#[test]
fn what_rows_leave_unexplained_is_told_by_the_difference_with_the_actor_of_a_row_that_fits() {
    let scene = Scene::new();
    let (one, other) = (ObjectId::new(), ObjectId::new());
    let assigned = |to: ObjectId| doc! { "AssignedUserId": to };
    // The row names people, the task has ids.
    let rows = [row("Reassigned", "a", &[("OldAssignee", "Ann"), ("NewAssignee", "Bob")])];
    assert_eq!(scene.told(Some(assigned(one)), assigned(other), &rows), ["updated Pending a"]);
    let story = scene.story(Some(assigned(one)), doc! { "AssignedUserId": other, "Name": "m" }, &[]);
    assert_eq!(story.tellings.len(), 1);
}

#[test]
fn each_kind_is_told_once_and_updates_from_the_first_state_to_the_last() {
    let scene = Scene::new();
    let rows = [
        moved("a", "Pending", "Completed"),
        moved("a", "Completed", "InProgress"),
        moved("b", "InProgress", "Completed"),
        row("Updated", "c", &[("OldName", "n"), ("NewName", "m")]),
    ];
    let story = scene.story(Some(status(0)), doc! { "Status": 2, "Name": "m" }, &rows);
    let kinds: Vec<_> = story.tellings.iter().map(|telling| telling.kind).collect();
    assert_eq!(kinds, [EventKind::Completed, EventKind::Updated]);
    let (before, after) = (story.tellings[1].before.as_ref().unwrap(), &story.tellings[1].after);
    let name = scene.mapping.field("name").unwrap();
    assert_eq!((before.values[name].to_text(), after.values[name].to_text()), (Some("n".into()), Some("m".into())));
}

#[test]
fn an_approval_row_without_its_statuses_tells_the_approval_once() {
    let scene = Scene::new();
    let rows = [row("CompletionApproved", "b", &[])];
    let told = scene.told(Some(status(4)), status(2), &rows);
    assert_eq!(told, ["completed Completed ?", "approved Completed b"]);
    assert!(scene.story(Some(status(4)), status(2), &rows).reviewed);
}
