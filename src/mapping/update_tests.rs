//! Folding an update gives what reading the whole document after it gives.

use bson::{Bson, Document, RawArrayBuf, RawDocumentBuf, doc, oid::ObjectId, rawdoc};
use proptest::prelude::*;

use super::{Mapping, TaskState, UpdateDescription};

/// `camel-case` with paths that lead through arrays and through fields whose names are digits.
fn mapping() -> Mapping {
    let field = |name: &str, path: &str| {
        format!("[[task.fields]]\nname = \"{name}\"\npath = \"{path}\"\ntype = \"text\"\nshow = \"changes\"\n\n")
    };
    let more = field("firstStep", "steps.0.status") + &field("nested", "plan.1.title");
    let text = include_str!("profiles/camel-case.toml").replacen("[[rules]]", &format!("{more}[[rules]]"), 1);
    Mapping::from_toml(&text).unwrap()
}

fn task() -> Document {
    doc! {
        "_id": ObjectId::new(), "groupId": ObjectId::new(), "status": "Pending", "name": "wash",
        "history": [{ "userId": "u0" }], "steps": [{ "status": "a" }, { "status": "b" }], "createdBy": "maker",
    }
}

#[derive(Debug, Clone)]
enum Op {
    Set(String, Bson),
    Unset(String),
    Cut(&'static str, usize),
}

impl Op {
    fn path(&self) -> &str {
        match self {
            Self::Set(path, _) | Self::Unset(path) => path,
            Self::Cut(path, _) => path,
        }
    }

    /// Whether the server takes both in one update: neither path leads to the other.
    fn goes_with(&self, other: &Self) -> bool {
        let within = |a: &str, b: &str| a == b || a.strip_prefix(b).is_some_and(|rest| rest.starts_with('.'));
        !within(self.path(), other.path()) && !within(other.path(), self.path())
    }
}

fn text() -> impl Strategy<Value = Bson> {
    prop_oneof![Just(Bson::Null), "[a-c]{1,2}".prop_map(Bson::String)]
}

fn entry() -> impl Strategy<Value = Bson> {
    prop_oneof![
        "[u-w][0-9]".prop_map(|user| Bson::Document(doc! { "userId": user, "action": "x" })),
        Just(Bson::Document(doc! { "action": "nobody's" })),
        Just(Bson::Null),
    ]
}

fn step() -> impl Strategy<Value = Bson> {
    prop_oneof![text().prop_map(|status| Bson::Document(doc! { "status": status })), text()]
}

fn steps() -> impl Strategy<Value = Bson> {
    let list = prop::collection::vec(step(), 0..4);
    prop_oneof![
        list.prop_map(Bson::Array),
        step().prop_map(|step| Bson::Document(doc! { "0": step, "1": { "title": "one" } })),
        Just(Bson::Null),
    ]
}

fn approval() -> impl Strategy<Value = Bson> {
    prop_oneof![
        (text(), text()).prop_map(|(status, by)| Bson::Document(doc! { "status": status, "reviewedBy": by })),
        text(),
    ]
}

fn op() -> impl Strategy<Value = Op> {
    let set = |path: &'static str| move |value: Bson| Op::Set(path.to_owned(), value);
    let at = |head: &'static str, tail: &'static str| {
        move |(index, value): (usize, Bson)| Op::Set(format!("{head}.{index}{tail}"), value)
    };
    let statuses = prop::sample::select(vec!["Pending", "InProgress", "Completed", "Approved", "Rejected"]);
    let gone =
        vec!["name", "assignedTo", "approval", "approval.status", "history", "steps", "steps.0", "plan.1", "other"];
    prop_oneof![
        text().prop_map(set("name")),
        statuses.prop_map(|status| Op::Set("status".into(), status.into())),
        "[a-c]{1,2}".prop_map(|user| Op::Set("assignedTo".into(), Bson::String(user))),
        (0i32..5).prop_map(|level| Op::Set("difficulty".into(), Bson::Int32(level))),
        text().prop_map(set("other.name")),
        approval().prop_map(set("approval")),
        text().prop_map(set("approval.status")),
        text().prop_map(set("approval.reviewedBy")),
        prop::collection::vec(entry(), 0..4).prop_map(|list| Op::Set("history".into(), Bson::Array(list))),
        (0..6usize, entry()).prop_map(at("history", "")),
        (0..6usize, text()).prop_map(at("history", ".userId")),
        (0..6usize, text()).prop_map(at("history", ".action")),
        steps().prop_map(set("steps")),
        (0..3usize, step()).prop_map(at("steps", "")),
        (0..3usize, text()).prop_map(at("steps", ".status")),
        steps().prop_map(set("plan")),
        (0..3usize, text()).prop_map(at("plan", ".title")),
        prop::sample::select(gone).prop_map(|path| Op::Unset(path.into())),
        (0..4usize).prop_map(|size| Op::Cut("history", size)),
        (0..3usize).prop_map(|size| Op::Cut("steps", size)),
    ]
}

/// Sets or removes what stands at `path`, as the server does; false where it refuses.
fn write(at: &mut Bson, path: &[&str], value: Option<&Bson>) -> bool {
    let [head, rest @ ..] = path else { return false };
    let place = match at {
        Bson::Document(doc) => {
            match (rest, value) {
                ([], None) => return doc.remove(*head).is_some(),
                (_, None) if !doc.contains_key(*head) => return false,
                (_, Some(_)) if !doc.contains_key(*head) => drop(doc.insert(*head, doc! {})),
                _ => {}
            }
            doc.get_mut(*head)
        }
        Bson::Array(list) => {
            let Ok(index) = head.parse::<usize>() else { return false };
            if index >= list.len() {
                if value.is_none() {
                    return false;
                }
                list.resize(index, Bson::Null);
                list.push(Bson::Document(doc! {}));
            }
            list.get_mut(index)
        }
        _ => return false,
    };
    let Some(place) = place else { return false };
    if rest.is_empty() {
        // An entry that is unset stays as null.
        *place = value.cloned().unwrap_or(Bson::Null);
        return true;
    }
    write(place, rest, value)
}

/// What the change stream says of one update.
#[derive(Default)]
struct Description {
    updated: Document,
    removed: RawArrayBuf,
    truncated: RawArrayBuf,
}

/// Applies what the server would take of `ops` to the document, and describes it as the server does.
fn update(doc: &mut Document, ops: &[Op]) -> Description {
    let mut description = Description::default();
    let mut taken: Vec<&Op> = Vec::new();
    for op in ops {
        if !taken.iter().all(|other| op.goes_with(other)) {
            continue;
        }
        let before = doc.clone();
        let mut root = Bson::Document(std::mem::take(doc));
        let path: Vec<&str> = op.path().split('.').collect();
        let done = match op {
            Op::Set(_, value) => write(&mut root, &path, Some(value)),
            Op::Unset(_) => write(&mut root, &path, None),
            Op::Cut(name, size) => match root.as_document_mut().and_then(|doc| doc.get_array_mut(*name).ok()) {
                Some(list) if *size < list.len() => {
                    list.truncate(*size);
                    true
                }
                _ => false,
            },
        };
        let Bson::Document(after) = root else { unreachable!() };
        *doc = if done { after } else { before };
        if !done {
            continue;
        }
        taken.push(op);
        match op {
            Op::Set(path, value) => drop(description.updated.insert(path, value.clone())),
            Op::Unset(path) => {
                let in_array = path.rsplit_once('.').is_some_and(|(head, _)| doc.get_array(head).is_ok());
                if in_array {
                    description.updated.insert(path, Bson::Null);
                } else {
                    description.removed.push(path.as_str());
                }
            }
            Op::Cut(name, size) => {
                let size = i32::try_from(*size).unwrap();
                description.truncated.push(rawdoc! { "field": *name, "newSize": size });
            }
        }
    }
    description
}

fn raw(doc: &Document) -> RawDocumentBuf {
    RawDocumentBuf::try_from(doc).unwrap()
}

fn fold(mapping: &Mapping, before: &TaskState, description: &Description) -> TaskState {
    let updated = raw(&description.updated);
    let update = UpdateDescription {
        updated: Some(&updated),
        removed: Some(&description.removed),
        truncated: Some(&description.truncated),
        disambiguated: None,
    };
    mapping.apply_update(before, update).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn folding_updates_one_after_the_other_is_reading_the_whole_document_after_each(
        updates in prop::collection::vec(prop::collection::vec(op(), 1..4), 1..8),
    ) {
        let mapping = mapping();
        let mut doc = task();
        let mut state = mapping.read_task(&raw(&doc)).unwrap();
        let mut cut = false;
        for ops in &updates {
            let description = update(&mut doc, ops);
            state = fold(&mapping, &state, &description);
            let whole = mapping.read_task(&raw(&doc)).unwrap();
            prop_assert_eq!(&state.values, &whole.values, "after {:?}", ops);
            prop_assert_eq!(&state.lengths, &whole.lengths, "after {:?}", ops);
            prop_assert_eq!(&state.created_by, &whole.created_by);
            // Which entry is the newest after a cut is not told: then nobody is named, never another.
            cut |= !description.truncated.is_empty();
            for (told, stands) in state.actors.iter().zip(&whole.actors) {
                prop_assert!(told == stands || (cut && told.is_none()), "{:?} is not {:?} after {:?}", told, stands, ops);
            }
        }
    }
}

#[test]
fn only_the_newest_entry_of_an_array_names_the_actor() {
    let mapping = mapping();
    let mut doc = task();
    doc.insert("history", vec![doc! { "userId": "u0" }, doc! { "userId": "u1" }, doc! { "userId": "u2" }]);
    let before = mapping.read_task(&raw(&doc)).unwrap();
    let newest = |updated: Document| {
        let description = Description { updated, ..Description::default() };
        fold(&mapping, &before, &description).actors[1].as_deref().map(ToOwned::to_owned)
    };
    assert_eq!(newest(doc! { "history.0.userId": "old" }).as_deref(), Some("u2"));
    assert_eq!(newest(doc! { "history.1": { "userId": "old" } }).as_deref(), Some("u2"));
    assert_eq!(newest(doc! { "history.2.userId": "new" }).as_deref(), Some("new"));
    assert_eq!(newest(doc! { "history.4": { "userId": "b" }, "history.3": { "userId": "a" } }).as_deref(), Some("b"));
}

#[test]
fn the_newest_entry_after_a_cut_is_the_one_that_the_same_update_writes() {
    let mapping = mapping();
    let mut doc = task();
    doc.insert("history", vec![doc! { "userId": "u0" }, doc! { "userId": "u1" }, doc! { "userId": "u2" }]);
    let before = mapping.read_task(&raw(&doc)).unwrap();
    let mut truncated = RawArrayBuf::new();
    truncated.push(rawdoc! { "field": "history", "newSize": 2i32 });
    let updated = doc! { "history.1": { "userId": "kept" } };
    let after = fold(&mapping, &before, &Description { updated, truncated, ..Description::default() });
    assert_eq!((after.actors[1].as_deref(), after.lengths[0]), (Some("kept"), Some(2)));
}

#[test]
fn a_name_that_holds_a_dot_or_is_a_number_is_told_from_a_path_where_the_server_says_so() {
    let mapping = mapping();
    let before = mapping.read_task(&raw(&task())).unwrap();
    let approval = mapping.field("approvalStatus").unwrap();
    let step = mapping.field("firstStep").unwrap();
    let updated = raw(&doc! { "approval.status": "literal", "steps.0.status": "c", "history.9": { "userId": "u9" } });
    let said = |disambiguated: Option<&RawDocumentBuf>| {
        let update = UpdateDescription {
            updated: Some(&updated),
            removed: None,
            truncated: None,
            disambiguated: disambiguated.map(|paths| paths.as_ref()),
        };
        let after = mapping.apply_update(&before, update).unwrap();
        let texts = [approval, step].map(|field| after.values[field].to_text().unwrap_or_default());
        (texts, after.actors[1].as_deref().map(ToOwned::to_owned))
    };
    assert_eq!(said(None), (["literal".to_owned(), "c".to_owned()], Some("u9".to_owned())));
    let paths = raw(&doc! {
        "approval.status": ["approval.status"], "steps.0.status": ["steps", 0, "status"], "history.9": ["history", "9"],
    });
    assert_eq!(said(Some(&paths)), ([String::new(), "c".to_owned()], Some("u0".to_owned())));
}
