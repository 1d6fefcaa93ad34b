//! Writing surely: whatever fails on the way, each write is made once and is known to stand when its call returns.
//!
//! A write whose acknowledgement was lost may have happened, or may happen yet: it can wait in the socket of a server that
//! stands still. So after an error a fence is written first, in the same session: with its higher transaction number no
//! earlier statement of the session can take effect any more. Then the session, which is causally consistent, reads by
//! majority whether the write stands; if not, it is made again.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use bson::oid::ObjectId;
use bson::{Document, doc};
use mongodb::{Client, ClientSession, Collection};

/// How long the database may be away.
const PATIENCE: Duration = Duration::from_secs(180);
/// Before the next try after an error.
const PAUSE: Duration = Duration::from_millis(100);

/// What is done to one document.
#[derive(Debug)]
pub(super) enum What {
    Insert(Document),
    Replace(Document),
    Update(Document),
    Delete,
}

/// One write of one document.
#[derive(Debug)]
pub(super) struct Statement {
    pub(super) collection: Collection<Document>,
    pub(super) id: ObjectId,
    pub(super) what: What,
}

impl Statement {
    pub(super) async fn run(&self, session: Option<&mut ClientSession>) -> mongodb::error::Result<()> {
        let (collection, filter) = (&self.collection, doc! { "_id": self.id });
        match (&self.what, session) {
            (What::Insert(document), None) => collection.insert_one(document).await.map(drop),
            (What::Insert(document), Some(session)) => collection.insert_one(document).session(session).await.map(drop),
            (What::Replace(document), None) => collection.replace_one(filter, document).await.map(drop),
            (What::Replace(document), Some(session)) => {
                collection.replace_one(filter, document).session(session).await.map(drop)
            }
            (What::Update(update), None) => collection.update_one(filter, update.clone()).await.map(drop),
            (What::Update(update), Some(session)) => {
                collection.update_one(filter, update.clone()).session(session).await.map(drop)
            }
            (What::Delete, None) => collection.delete_one(filter).await.map(drop),
            (What::Delete, Some(session)) => collection.delete_one(filter).session(session).await.map(drop),
        }
    }

    /// Finds the document as this write leaves it; of a delete: the document that must be gone.
    fn trace(&self) -> Document {
        let mut trace = doc! { "_id": self.id };
        match &self.what {
            What::Insert(_) | What::Delete => {}
            What::Replace(document) => trace.extend(document.clone()),
            What::Update(update) => trace.extend(update.get_document("$set").cloned().unwrap_or_default()),
        }
        trace
    }
}

/// A session that writes surely.
#[derive(Debug)]
pub(super) struct Sure {
    session: ClientSession,
    fences: Collection<Document>,
    id: ObjectId,
    doubts: u64,
}

impl Sure {
    /// Writers and their client must ask for majority in reads and writes.
    pub(super) async fn new(client: &Client) -> Result<Self> {
        let session = client.start_session().await?;
        let fences = client.database("taskServiceFences").collection("fences");
        Ok(Self { session, fences, id: ObjectId::new(), doubts: 0 })
    }

    /// How many writes met an error and had to be looked for.
    pub(super) const fn doubts(&self) -> u64 {
        self.doubts
    }

    pub(super) async fn write(&mut self, statement: &Statement) -> Result<()> {
        let begun = Instant::now();
        while let Err(error) = statement.run(Some(&mut self.session)).await {
            ensure!(begun.elapsed() < PATIENCE, "the service's write failed for {PATIENCE:?}: {error}");
            self.doubts += 1;
            self.fence().await?;
            if self.stands(statement).await? {
                break;
            }
        }
        Ok(())
    }

    /// All of them in one transaction. Each must change its document.
    pub(super) async fn write_together(&mut self, statements: &[Statement]) -> Result<()> {
        let begun = Instant::now();
        while let Err(error) = self.transact(statements).await {
            ensure!(begun.elapsed() < PATIENCE, "the service's transaction failed for {PATIENCE:?}: {error}");
            self.doubts += 1;
            // Only for the session to know that it is over; the fence ends it at the server too.
            self.session.abort_transaction().await.ok();
            self.fence().await?;
            let mut standing = 0;
            for statement in statements {
                standing += usize::from(self.stands(statement).await?);
            }
            match standing {
                0 => {}
                all if all == statements.len() => break,
                part => bail!("{part} of the {} writes of a transaction stand: the database tore it", statements.len()),
            }
        }
        Ok(())
    }

    async fn transact(&mut self, statements: &[Statement]) -> mongodb::error::Result<()> {
        self.session.start_transaction().await?;
        for statement in statements {
            statement.run(Some(&mut self.session)).await?;
        }
        self.session.commit_transaction().await
    }

    /// After this no earlier statement of the session can take effect.
    async fn fence(&mut self) -> Result<()> {
        let begun = Instant::now();
        let (filter, count) = (doc! { "_id": self.id }, doc! { "$inc": { "n": 1i64 } });
        loop {
            let write = self.fences.update_one(filter.clone(), count.clone()).upsert(true);
            match write.session(&mut self.session).await {
                Ok(_) => return Ok(()),
                Err(error) if begun.elapsed() >= PATIENCE => return Err(error).context("no write went through"),
                Err(_) => tokio::time::sleep(PAUSE).await,
            }
        }
    }

    async fn stands(&mut self, statement: &Statement) -> Result<bool> {
        let found = self.find(&statement.collection, statement.trace()).await?.is_some();
        Ok(found != matches!(statement.what, What::Delete))
    }

    /// A read that sees everything the session wrote.
    pub(super) async fn find(
        &mut self,
        collection: &Collection<Document>,
        filter: Document,
    ) -> Result<Option<Document>> {
        let begun = Instant::now();
        loop {
            match collection.find_one(filter.clone()).session(&mut self.session).await {
                Ok(found) => return Ok(found),
                Err(error) if begun.elapsed() >= PATIENCE => return Err(error).context("no read went through"),
                Err(_) => tokio::time::sleep(PAUSE).await,
            }
        }
    }
}
