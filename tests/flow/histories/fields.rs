//! Random documents and updates of both profiles, as far as their services could write them.

use bson::oid::ObjectId;
use bson::{Bson, Document, doc};
use rand::Rng;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use taskwire_tests::Profile;
use taskwire_tests::service::task::{FREQUENCIES, NOBODY, Status};

use super::writer::some_time;

/// Who and what random writes choose from.
pub(super) struct Fields {
    profile: Profile,
    people: Vec<Bson>,
    groups: Vec<Bson>,
}

/// The names that differ between the profiles.
struct Names {
    group: &'static str,
    name: &'static str,
    description: &'static str,
    assignee: &'static str,
    status: &'static str,
    difficulty: &'static str,
    due: &'static str,
    requires: &'static str,
    frequency: &'static str,
    template: &'static str,
}

const TRACKER: Names = Names {
    group: "GroupId",
    name: "Name",
    description: "Description",
    assignee: "AssignedUserId",
    status: "Status",
    difficulty: "Difficulty",
    due: "DueAt",
    requires: "RequiresApproval",
    frequency: "Frequency",
    template: "TemplateId",
};

const CAMEL: Names = Names {
    group: "groupId",
    name: "name",
    description: "description",
    assignee: "assignedTo",
    status: "status",
    difficulty: "difficulty",
    due: "dueAt",
    requires: "requiresApproval",
    frequency: "frequency",
    template: "templateId",
};

fn some<T: Clone>(list: &[T], rng: &mut StdRng) -> T {
    // The lists here are never empty.
    list.choose(rng).unwrap_or(&list[0]).clone()
}

impl Fields {
    pub(super) fn new(profile: Profile) -> Self {
        let ids = |count| (0..count).map(|_| Bson::ObjectId(ObjectId::new())).collect::<Vec<_>>();
        Self { profile, people: ids(4), groups: ids(2) }
    }

    const fn names(&self) -> &'static Names {
        match self.profile {
            Profile::TasksTracker => &TRACKER,
            Profile::CamelCase => &CAMEL,
        }
    }

    fn is_camel(&self) -> bool {
        self.profile == Profile::CamelCase
    }

    pub(super) fn assignee(&self, doc: &Document) -> Bson {
        doc.get(self.names().assignee).cloned().unwrap_or(Bson::Null)
    }

    /// A random value for one of the plain fields.
    fn one(&self, rng: &mut StdRng) -> (&'static str, Bson) {
        let (names, camel) = (self.names(), self.is_camel());
        match rng.random_range(0..14) {
            0 => (names.name, some(&["wash", "dry", "fold"], rng).into()),
            1 => (names.description, some(&[Bson::Null, "well".into(), "twice".into()], rng)),
            2..5 => {
                let nobody = if camel { Bson::Null } else { Bson::ObjectId(NOBODY) };
                (names.assignee, if rng.random_bool(0.1) { nobody } else { some(&self.people, rng) })
            }
            5..9 if camel => (names.status, some(&Status::ALL, rng).name().into()),
            5..9 => (names.status, rng.random_range(0..5).into()),
            9 => (names.difficulty, rng.random_range(1..4).into()),
            10 => (names.due, some_time(rng).into()),
            11 => (names.requires, rng.random_bool(0.5).into()),
            12 if camel => (names.frequency, some(&FREQUENCIES, rng).into()),
            12 => (names.frequency, rng.random_range(0..7).into()),
            _ => (names.template, some(&[Bson::Null, self.people[0].clone()], rng)),
        }
    }

    fn entry(&self, by: &Bson) -> Document {
        doc! { "action": "did", "userId": by, "mark": ObjectId::new() }
    }

    fn approval(&self, rng: &mut StdRng) -> Document {
        doc! { "status": some(&["Pending", "Approved", "Rejected"], rng), "reviewedBy": some(&self.people, rng) }
    }

    pub(super) fn fresh(&self, id: Bson, rng: &mut StdRng) -> Document {
        let (names, by) = (self.names(), some(&self.people, rng));
        let mut doc = doc! {
            "_id": id, names.group: some(&self.groups, rng), names.name: "wash", names.description: "well",
            names.assignee: some(&self.people, rng), names.difficulty: 1, names.due: some_time(rng),
            names.requires: false, names.template: Bson::Null,
        };
        if self.is_camel() {
            doc.extend(doc! {
                "status": "Pending", "frequency": "Daily", "createdBy": &by, "updatedBy": &by, "history": [self.entry(&by)],
            });
        } else {
            doc.extend(doc! {
                "Status": 0, "Frequency": 1, "CreatedAt": some_time(rng),
                "CreatedByUserId": by.as_object_id().map(|by| by.to_hex()),
            });
        }
        for _ in 0..rng.random_range(0..3) {
            let (name, value) = self.one(rng);
            doc.insert(name, value);
        }
        doc
    }

    /// The whole document with some fields changed, at times its group or what one of another form had.
    pub(super) fn vary(&self, doc: &Document, rng: &mut StdRng) -> Document {
        let mut doc = doc.clone();
        for _ in 0..rng.random_range(1..4) {
            let (name, value) = self.one(rng);
            doc.insert(name, value);
        }
        if rng.random_bool(0.1) {
            doc.insert(self.names().group, some(&self.groups, rng));
        }
        if self.is_camel() {
            let by = some(&self.people, rng);
            doc.insert("history", (0..rng.random_range(1..4)).map(|_| self.entry(&by)).collect::<Vec<_>>());
            doc.insert("updatedBy", by);
            match rng.random_range(0..4) {
                0 => drop(doc.insert("approval", self.approval(rng))),
                1 => drop(doc.remove("approval")),
                _ => {}
            }
        }
        doc
    }

    /// The task given to another person: as a whole document, or by an update.
    pub(super) fn give(&self, doc: &Document, to: &Bson, rng: &mut StdRng) -> Result<Document, Document> {
        let name = self.names().assignee;
        if rng.random_bool(0.5) {
            let mut whole = if rng.random_bool(0.3) { self.vary(doc, rng) } else { doc.clone() };
            whole.insert(name, to.clone());
            return Ok(whole);
        }
        Err(doc! { "$set": { name: to } })
    }

    /// An update by operators.
    pub(super) fn update(&self, doc: &Document, rng: &mut StdRng) -> Document {
        let names = self.names();
        let (name, value) = self.one(rng);
        let mut set = doc! { name: value };
        if !self.is_camel() {
            return match rng.random_range(0..6) {
                0 => doc! { "$inc": { names.difficulty: 1 } },
                1 => doc! { "$unset": { names.description: "", names.template: "" } },
                2 => doc! { "$set": set, "$currentDate": { "touchedAt": true } },
                _ => doc! { "$set": set },
            };
        }
        let (by, length) = (some(&self.people, rng), doc.get_array("history").map_or(0, Vec::len));
        match rng.random_range(0..10) {
            0 => doc! { "$unset": { "approval": "", names.description: "" } },
            1 => doc! { "$set": { "approval": self.approval(rng) } },
            2 => {
                doc! { "$set": { "approval.status": some(&["Pending", "Approved", "Rejected"], rng), "approval.note.1": "x" } }
            }
            3 => {
                set.insert(format!("history.{}.userId", rng.random_range(0..length.max(1))), by);
                doc! { "$set": set }
            }
            4 => {
                let slice = doc! { "$each": [self.entry(&by)], "$slice": -3 };
                doc! { "$set": { "updatedBy": by }, "$push": { "history": slice } }
            }
            5 if length >= 2 => {
                // Who is the newest after it the stream need not tell: `updatedBy` says the same.
                let left = doc.get_array("history").ok().and_then(|list| list[length - 2].as_document());
                let by = left.and_then(|entry| entry.get("userId")).cloned().unwrap_or(Bson::Null);
                doc! { "$set": { "updatedBy": by }, "$pop": { "history": 1 } }
            }
            6 => doc! { "$inc": { "difficulty": 1 }, "$set": { "tags.0": "x", "tags.1.name": "y" } },
            _ => {
                set.insert("updatedBy", by.clone());
                let entries: Vec<_> = (0..rng.random_range(1..3)).map(|_| self.entry(&by)).collect();
                doc! { "$set": set, "$push": { "history": { "$each": entries } } }
            }
        }
    }

    /// An update by a pipeline.
    pub(super) fn pipeline(&self, doc: &Document, rng: &mut StdRng) -> Vec<Document> {
        let names = self.names();
        let (name, value) = self.one(rng);
        let set = doc! { "$set": { name: { "$literal": value } } };
        let difficulty = doc! { "$set": { names.difficulty: { "$add": [{ "$ifNull": [format!("${}", names.difficulty), 1] }, 1] } } };
        if !self.is_camel() {
            return match rng.random_range(0..3) {
                0 => vec![set, difficulty],
                1 => vec![doc! { "$unset": [names.description, "Frequency"] }, set],
                _ => vec![set],
            };
        }
        let (by, length) = (some(&self.people, rng), doc.get_array("history").map_or(0, Vec::len));
        match rng.random_range(0..5) {
            0 if length >= 2 => {
                let keep = rng.random_range(1..length);
                let left = doc.get_array("history").ok().and_then(|list| list[keep - 1].as_document());
                let by = left.and_then(|entry| entry.get("userId")).cloned().unwrap_or(Bson::Null);
                let keep = i32::try_from(keep).unwrap_or(1);
                vec![doc! { "$set": { "history": { "$slice": ["$history", keep] }, "updatedBy": { "$literal": by } } }]
            }
            1 => vec![doc! { "$set": {
                "history": { "$concatArrays": [{ "$slice": ["$history", 1] }, [{ "$literal": self.entry(&by) }]] },
                "updatedBy": { "$literal": by },
            } }],
            2 => vec![
                doc! { "$set": { "approval": { "$mergeObjects": ["$approval", { "$literal": self.approval(rng) }] } } },
            ],
            3 => vec![doc! { "$unset": ["approval", "description"] }, set],
            _ => vec![set, difficulty],
        }
    }
}
