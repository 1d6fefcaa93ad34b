//! Random writes of tasks in every form the server knows, each seen by the model as it was left.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use bson::oid::ObjectId;
use bson::{Bson, DateTime, Document, doc};
use futures::TryStreamExt;
use mongodb::{ClientSession, Collection, Database};
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use taskwire_tests::Profile;
use taskwire_tests::model::Model;

use super::fields::Fields;

/// Writes to some twenty tasks, by a seed.
pub(super) struct Writer {
    database: Database,
    fields: Fields,
    ids: Vec<Bson>,
    pub(super) rng: StdRng,
    docs: BTreeMap<String, Document>,
    pub(super) model: Model,
    renamed: u32,
}

/// One write of a transaction or of a command with several.
enum Write {
    Whole(Document),
    Parts(Bson, Document),
    Pipeline(Bson, Vec<Document>),
    Gone(Bson),
}

fn key(id: &Bson) -> String {
    match id {
        Bson::ObjectId(id) => id.to_hex(),
        other => other.as_str().unwrap_or_default().to_owned(),
    }
}

impl Writer {
    pub(super) fn new(database: &Database, profile: Profile, seed: u64) -> Self {
        let ids = (0..18).map(|_| Bson::ObjectId(ObjectId::new())).chain(["task-x".into(), "task-y".into()]);
        Self {
            database: database.clone(),
            fields: Fields::new(profile),
            ids: ids.collect(),
            rng: StdRng::seed_from_u64(seed),
            docs: BTreeMap::new(),
            model: Model::new(profile),
            renamed: 0,
        }
    }

    fn tasks(&self) -> Collection<Document> {
        self.database.collection("tasks")
    }

    /// Up to `most` different tasks that are there, or that are not.
    fn pick(&mut self, there: bool, most: usize) -> Vec<Bson> {
        let fits = |id: &&Bson| self.docs.contains_key(&key(id)) == there;
        let ids: Vec<Bson> = self.ids.iter().filter(fits).cloned().collect();
        let count = self.rng.random_range(1..=most);
        ids.choose_multiple(&mut self.rng, count).cloned().collect()
    }

    /// One random write. The two that make the collection anew come on demand only.
    pub(super) async fn write(&mut self) -> Result<()> {
        match self.rng.random_range(0..100) {
            0..12 => self.insert_many().await,
            12..16 => self.delete_many().await,
            16..34 => self.replace().await,
            34..38 => self.replace_by_the_same().await,
            38..62 => self.update().await,
            62..76 => self.update_by_pipeline().await,
            76..84 => self.several_in_one_command().await,
            _ => self.transaction().await,
        }
    }

    async fn insert_many(&mut self) -> Result<()> {
        let docs: Vec<Document> =
            self.pick(false, 4).into_iter().map(|id| self.fields.fresh(id, &mut self.rng)).collect();
        if docs.is_empty() {
            return self.delete_many().await;
        }
        self.tasks().insert_many(&docs).await?;
        docs.into_iter().try_for_each(|doc| self.left(doc))
    }

    async fn delete_many(&mut self) -> Result<()> {
        let ids = self.pick(true, 3);
        self.tasks().delete_many(doc! { "_id": { "$in": ids.clone() } }).await?;
        ids.iter().try_for_each(|id| self.gone(id))
    }

    /// A whole document, which may be a new one: an upsert.
    async fn replace(&mut self) -> Result<()> {
        let there = self.rng.random_bool(0.8);
        let Some(id) = self.pick(there, 1).pop() else { return Ok(()) };
        let doc = self.whole(&id);
        self.tasks().replace_one(doc! { "_id": id }, &doc).upsert(true).await?;
        self.left(doc)
    }

    async fn replace_by_the_same(&mut self) -> Result<()> {
        let Some(id) = self.pick(true, 1).pop() else { return Ok(()) };
        let doc = self.docs[&key(&id)].clone();
        self.tasks().replace_one(doc! { "_id": id }, &doc).await?;
        self.left(doc)
    }

    async fn update(&mut self) -> Result<()> {
        let Some(id) = self.pick(true, 1).pop() else { return Ok(()) };
        let update = self.fields.update(&self.docs[&key(&id)], &mut self.rng);
        if self.rng.random_bool(0.3) {
            self.tasks().find_one_and_update(doc! { "_id": &id }, update).await?;
        } else {
            self.tasks().update_one(doc! { "_id": &id }, update).await?;
        }
        self.look(&id).await
    }

    async fn update_by_pipeline(&mut self) -> Result<()> {
        let Some(id) = self.pick(true, 1).pop() else { return Ok(()) };
        let pipeline = self.fields.pipeline(&self.docs[&key(&id)], &mut self.rng);
        self.tasks().update_one(doc! { "_id": &id }, pipeline).await?;
        self.look(&id).await
    }

    /// Replaces of several tasks, some of one task twice, in one `update` command.
    async fn several_in_one_command(&mut self) -> Result<()> {
        let mut ids = self.pick(true, 4);
        ids.extend(ids.first().cloned());
        let docs: Vec<Document> = ids.iter().map(|id| self.whole(id)).collect();
        let updates = docs.iter().map(|doc| doc! { "q": { "_id": &doc["_id"] }, "u": doc });
        let updates: Vec<Document> = updates.collect();
        if updates.is_empty() {
            return Ok(());
        }
        let reply = self.database.run_command(doc! { "update": "tasks", "updates": updates }).await?;
        ensure!(!reply.contains_key("writeErrors"), "{reply}");
        docs.into_iter().try_for_each(|doc| self.left(doc))
    }

    /// Several writes that count together, often with tasks that pass their assignees on.
    async fn transaction(&mut self) -> Result<()> {
        let mut writes = Vec::new();
        let ring = self.pick(true, 4);
        if self.rng.random_bool(0.7) && ring.len() >= 2 {
            let holders: Vec<Bson> = ring
                .iter()
                .cycle()
                .skip(1)
                .take(ring.len())
                .map(|id| self.fields.assignee(&self.docs[&key(id)]))
                .collect();
            for (id, holder) in ring.iter().zip(holders) {
                let given = self.fields.give(&self.docs[&key(id)], &holder, &mut self.rng);
                writes.push(given.map_or_else(|update| Write::Parts(id.clone(), update), Write::Whole));
            }
        }
        for _ in 0..self.rng.random_range(0..4) {
            let there = self.rng.random_bool(0.85);
            let Some(id) = self.pick(there, 1).pop() else { continue };
            let written = writes.iter().any(|write| match write {
                Write::Whole(doc) => doc["_id"] == id,
                Write::Parts(other, _) | Write::Pipeline(other, _) | Write::Gone(other) => *other == id,
            });
            // What a task was left as by an earlier write is not known yet: whole documents only.
            writes.push(match self.rng.random_range(0..10) {
                0..3 if there && !written => {
                    Write::Parts(id.clone(), self.fields.update(&self.docs[&key(&id)], &mut self.rng))
                }
                3..5 if there && !written => {
                    Write::Pipeline(id.clone(), self.fields.pipeline(&self.docs[&key(&id)], &mut self.rng))
                }
                5 if there => Write::Gone(id),
                _ => Write::Whole(self.whole(&id)),
            });
        }
        let mut session = self.database.client().start_session().await?;
        session.start_transaction().await?;
        let mut left = Vec::new();
        for write in writes {
            self.write_in(&mut session, write, &mut left).await?;
        }
        session.commit_transaction().await?;
        self.model.see(&left, true)?;
        for (key, doc) in left {
            match doc {
                Some(doc) => drop(self.docs.insert(key, doc)),
                None => drop(self.docs.remove(&key)),
            }
        }
        Ok(())
    }

    async fn write_in(
        &self,
        session: &mut ClientSession,
        write: Write,
        left: &mut Vec<(String, Option<Document>)>,
    ) -> Result<()> {
        let tasks = self.tasks();
        let id = match write {
            Write::Whole(doc) => {
                let id = doc["_id"].clone();
                tasks.replace_one(doc! { "_id": &id }, doc).upsert(true).session(&mut *session).await?;
                id
            }
            Write::Parts(id, update) => {
                tasks.update_one(doc! { "_id": &id }, update).session(&mut *session).await?;
                id
            }
            Write::Pipeline(id, stages) => {
                tasks.update_one(doc! { "_id": &id }, stages).session(&mut *session).await?;
                id
            }
            Write::Gone(id) => {
                tasks.delete_one(doc! { "_id": &id }).session(&mut *session).await?;
                id
            }
        };
        let stands = tasks.find_one(doc! { "_id": &id }).session(session).await?;
        left.push((key(&id), stands));
        Ok(())
    }

    /// The collection goes away, by a drop or by a rename; the next insert makes it anew.
    pub(super) async fn make_anew(&mut self) -> Result<()> {
        if self.rng.random_bool(0.5) {
            self.tasks().drop().await?;
        } else {
            self.renamed += 1;
            let name = |collection: &str| format!("{}.{collection}", self.database.name());
            let to = name(&format!("tasks_of_old_{}", self.renamed));
            let command = doc! { "renameCollection": name("tasks"), "to": to };
            self.database.client().database("admin").run_command(command).await?;
        }
        self.docs.clear();
        self.model.all_gone();
        self.insert_many().await
    }

    fn whole(&mut self, id: &Bson) -> Document {
        match self.docs.get(&key(id)) {
            Some(doc) => self.fields.vary(doc, &mut self.rng),
            None => self.fields.fresh(id.clone(), &mut self.rng),
        }
    }

    /// Reads what a write left: nobody else writes.
    async fn look(&mut self, id: &Bson) -> Result<()> {
        let mut found: Vec<Document> = self.tasks().find(doc! { "_id": id }).await?.try_collect().await?;
        self.left(found.pop().context("an updated task is there")?)
    }

    fn left(&mut self, doc: Document) -> Result<()> {
        let key = key(&doc["_id"]);
        self.model.see(&[(key.clone(), Some(doc.clone()))], false)?;
        self.docs.insert(key, doc);
        Ok(())
    }

    fn gone(&mut self, id: &Bson) -> Result<()> {
        self.docs.remove(&key(id));
        self.model.see(&[(key(id), None)], false)
    }
}

/// A time of this century, in whole milliseconds.
pub(super) fn some_time(rng: &mut StdRng) -> DateTime {
    DateTime::from_millis(rng.random_range(1_700_000_000_000..1_900_000_000_000))
}
