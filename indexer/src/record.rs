//! Recording: one majority transaction a batch, fenced: position, events, deliveries, snapshots, configurations.
//!
//! Its first statement updates the position's document where epoch and batch number match, so that a leader that was
//! replaced cannot commit, and the position moves only together with everything derived up to it. When the outcome of a
//! commit is unknown, the batch number tells.

mod documents;
mod error;
mod told;

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use backoff::backoff::Backoff;
use backoff::{ExponentialBackoff, ExponentialBackoffBuilder};
use bson::{RawArrayBuf, RawDocumentBuf, doc, rawdoc};
use mongodb::{ClientSession, Collection};
use taskwire::mapping::Mapping;
use taskwire::model::{Delivery, DeliveryId, EventId, StreamTime, TaskEvent};
use taskwire::store::parcels::{self, NewParcel};
use taskwire::store::{ServerClock, Store, names, without_values};
use taskwire::telemetry::{Readiness, StatusBoard};

use crate::checkpoint::{Checkpoint, WATCHER};
use crate::dispatch::{DispatchHandle, HandedOver};
use crate::gap::Gap;
use crate::judge::Part;
use crate::progress::Position;
use crate::trouble::Said;
use documents::{Documents, Row};
pub(crate) use documents::{by_command, replace_statement};
pub use error::RecordError;
use error::{Next, is_in_doubt, next};

/// So many deliveries in one batch are a backlog.
const BACKLOG: usize = 200;

/// So many snapshots are replaced by updates.
const FEW: usize = 8;

/// How long a batch in a backlog waits for the dispatcher at most.
const WORKED_OFF_IN: Duration = Duration::from_millis(100);

/// What is recorded at once.
#[derive(Debug, Default)]
pub struct Batch {
    /// Parts, in an order that keeps each task's own.
    pub parts: Vec<Part>,
    /// Where the stream goes on once this is recorded; `None`: the position stays.
    pub position: Option<Position>,
    /// The gap that this batch recovers a part of.
    pub gap: Option<Gap>,
}

impl Batch {
    /// Bytes of one batch, unless one part alone has more, about: a transaction must fit the server's cache, and is refused
    /// from some 15 % of it on (`TransactionTooLargeForCache`). What a server of the least memory has is 256 MB.
    pub const BYTES: usize = 16 << 20;
}

/// Writes batches in the name of one epoch.
#[derive(Debug)]
pub struct Recorder {
    store: Store,
    mapping: Arc<Mapping>,
    clock: ServerClock,
    epoch: i64,
    batch: i64,
    pipeline: String,
    session: ClientSession,
    dispatcher: Option<DispatchHandle>,
    status: Option<StatusBoard>,
    /// What the board showed before a batch had to wait.
    before: Option<Readiness>,
    said: Said,
}

impl Recorder {
    /// Statements in one `update` command, at most.
    const STATEMENTS: usize = 1000;
    /// Bytes in one `update` command, unless one statement alone has more: the server takes 16 MB.
    const BYTES: usize = 12 << 20;

    /// A recorder that goes on from `checkpoint`, with the session that the lease names.
    #[must_use]
    pub fn new(
        store: Store,
        mapping: Arc<Mapping>,
        clock: ServerClock,
        checkpoint: &Checkpoint,
        pipeline: String,
        session: ClientSession,
        dispatcher: Option<DispatchHandle>,
    ) -> Self {
        let (epoch, batch) = (checkpoint.epoch, checkpoint.batch);
        let said = Said::default();
        Self { store, mapping, clock, epoch, batch, pipeline, session, dispatcher, status: None, before: None, said }
    }

    /// The same, which shows on this board why a batch has to wait.
    #[must_use]
    pub fn telling(self, status: StatusBoard) -> Self {
        Self { status: Some(status), ..self }
    }

    /// Records a batch, trying again for as long as that can help, and hands over to this process's dispatcher what it
    /// has room for.
    ///
    /// # Errors
    /// [`RecordError::Fenced`] if another process leads; other errors are final for this term.
    pub async fn record(&mut self, batch: &Batch) -> Result<(), RecordError> {
        for part in &batch.parts {
            if let Some((at, _)) = part.gone {
                self.bury(at).await?;
            }
        }
        let began = Instant::now();
        self.let_work_off(batch).await;
        let mut documents = self.documents(batch).await?;
        let mut pause = patience();
        let mut in_doubt = false;
        loop {
            let error = match self.attempt(&documents).await {
                Ok(()) => break,
                // An earlier commit in doubt may have taken effect since: then this fence is our own batch.
                Err(RecordError::Fenced { .. }) if in_doubt && self.was_committed().await? => break,
                Err(error) => error,
            };
            if is_in_doubt(&error) {
                if self.was_committed().await? {
                    break;
                }
                in_doubt = true;
            }
            match next(&error) {
                Next::Again => {}
                Next::WithoutWhatStands => self.leave_out_what_stands(&mut documents).await?,
                Next::GiveUp => return Err(error),
            }
            let Some(wait) = pause.next_backoff() else { return Err(error) };
            self.say(&error);
            tokio::time::sleep(wait).await;
        }
        self.batch += 1;
        self.said.forget();
        if let (Some(status), Some(before)) = (&self.status, self.before.take()) {
            status.set(before);
        }
        self.hand_over(documents.deliveries);
        told::recorded(batch, began, self.clock.now());
        for event in &documents.events {
            metrics::counter!("taskwire_events_derived_total", "event_type" => event.event.name()).increment(1);
        }
        if !documents.quarantined.is_empty() {
            metrics::counter!("taskwire_quarantined_changes_total").increment(documents.quarantined.len() as u64);
        }
        Ok(())
    }

    /// In a backlog, waits a moment for this process's dispatcher: a row that is handed over spares the claim. Only for targets that answer at once, so that no slow one holds up the others' events.
    async fn let_work_off(&self, batch: &Batch) {
        let Some(dispatcher) = &self.dispatcher else { return };
        let wanted = documents::wanted(batch);
        if wanted.values().sum::<usize>() < BACKLOG {
            return;
        }
        let until = tokio::time::Instant::now() + WORKED_OFF_IN;
        while dispatcher.will_soon_have_room(&wanted) && tokio::time::Instant::now() < until {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    /// Says why the batch has to wait, once for each reason.
    fn say(&mut self, error: &RecordError) {
        let reason = error.to_string();
        if self.said.is_new(&reason) {
            tracing::warn!(reason, "recording is tried again");
            if let Some(status) = &self.status {
                self.before.get_or_insert_with(|| status.get());
                status.set(Readiness::NotReady(reason));
            }
        }
    }

    /// After a known commit only.
    fn hand_over(&self, rows: Vec<Row>) {
        let Some(dispatcher) = &self.dispatcher else { return };
        let all = rows.len();
        let handed = rows.into_iter().filter_map(|row| {
            let (slot, body) = row.handed?;
            Some(HandedOver { slot, delivery: row.delivery, parcel: row.parcel, body, happened_at: row.happened_at })
        });
        let handed: Vec<HandedOver> = handed.collect();
        if handed.len() < all {
            dispatcher.wake();
        }
        if !handed.is_empty() {
            dispatcher.hand_over(handed);
        }
    }

    async fn attempt(&mut self, documents: &Documents) -> Result<(), RecordError> {
        self.session.start_transaction().await?;
        match self.write(documents).await {
            Ok(()) => Ok(self.session.commit_transaction().await?),
            Err(error) => {
                // The server drops an abandoned transaction by itself; the reason to tell is the first error.
                let _aborted = self.session.abort_transaction().await;
                Err(error)
            }
        }
    }

    async fn write(&mut self, documents: &Documents) -> Result<(), RecordError> {
        let fence = rawdoc! { "_id": WATCHER, "epoch": self.epoch, "batch": self.batch };
        let statement = rawdoc! { "q": fence, "u": documents.position.clone() };
        let reply = self.command(names::CHECKPOINTS, std::slice::from_ref(&statement)).await?;
        if reply != 1 {
            return Err(RecordError::Fenced { epoch: self.epoch });
        }
        if !documents.events.is_empty() {
            let events: Collection<TaskEvent> = self.store.collection(names::EVENTS);
            events.insert_many(&documents.events).session(&mut self.session).await?;
        }
        if !documents.deliveries.is_empty() {
            let deliveries: Collection<Delivery> = self.store.collection(names::DELIVERIES);
            let rows = documents.deliveries.iter().filter(|row| row.parcel.is_none()).map(|row| &row.delivery);
            let rows: Vec<&Delivery> = rows.collect();
            if !rows.is_empty() {
                deliveries.insert_many(rows).session(&mut self.session).await?;
            }
        }
        let parcels = documents.parcels();
        if !parcels.is_empty() {
            let collection = self.store.collection::<NewParcel<'_>>(names::PARCELS);
            collection.insert_many(parcels).session(&mut self.session).await?;
        }
        self.replace_snapshots(&documents.snapshots).await?;
        self.update(names::WEBHOOK_VERSIONS, &documents.versions).await?;
        self.update(names::QUARANTINE, &documents.quarantined).await?;
        let reread = self.update(names::QUARANTINE, &documents.reread).await?;
        if usize::try_from(reread) != Ok(documents.reread.len()) {
            return Err(RecordError::NoLongerAside);
        }
        self.update(names::GAPS, &documents.gaps).await?;
        Ok(())
    }

    /// Puts snapshots whole, whether or not they stand. Many are removed by id and inserted, as outcomes are: that costs the
    /// server less than as many replacing updates. For a few, a round trip less counts for more.
    async fn replace_snapshots(&mut self, snapshots: &[RawDocumentBuf]) -> Result<(), RecordError> {
        if snapshots.len() <= FEW {
            let statements: Vec<_> = snapshots.iter().filter_map(documents::replace_statement).collect();
            self.update(names::SNAPSHOTS, &statements).await?;
            return Ok(());
        }
        for chunk in by_command(snapshots) {
            let mut ids = RawArrayBuf::new();
            chunk.iter().filter_map(|snapshot| snapshot.get("_id").ok()?).for_each(|id| ids.push(id));
            let removal = rawdoc! { "q": { "_id": { "$in": ids } }, "limit": 0, "hint": { "_id": 1 } };
            let command = rawdoc! { "delete": names::SNAPSHOTS, "deletes": [removal] };
            self.store.db.run_raw_command(command).session(&mut self.session).await?;
            let collection: Collection<RawDocumentBuf> = self.store.collection(names::SNAPSHOTS);
            collection.insert_many(chunk).session(&mut self.session).await?;
        }
        Ok(())
    }

    /// Updates within the transaction, as many in a command as it may hold; answers how many documents matched.
    async fn update(&mut self, collection: &str, statements: &[RawDocumentBuf]) -> Result<i64, RecordError> {
        let mut matched = 0;
        for chunk in by_command(statements) {
            matched += self.command(collection, chunk).await?;
        }
        Ok(matched)
    }

    /// One `update` command within the transaction; answers how many documents matched.
    async fn command(&mut self, collection: &str, statements: &[RawDocumentBuf]) -> Result<i64, RecordError> {
        let mut updates = RawArrayBuf::new();
        statements.iter().for_each(|statement| updates.push(statement.clone()));
        let command = rawdoc! { "update": collection, "updates": updates };
        let reply = self.store.db.run_raw_command(command).session(&mut self.session).await?;
        let failures = reply.get_array("writeErrors").ok();
        if let Some(first) = failures.and_then(|errors| errors.first()?.as_document()) {
            let message = without_values(first.get_str("errmsg").unwrap_or("write error"));
            let code = first.get_i32("code").unwrap_or_default();
            return Err(RecordError::Refused { collection: collection.to_owned(), code, message });
        }
        Ok(reply.get_i32("n").map_or_else(|_| reply.get_i64("n").unwrap_or(0), i64::from))
    }

    /// Whether the batch whose commit's outcome is unknown took effect: the batch number tells.
    async fn was_committed(&mut self) -> Result<bool, RecordError> {
        let mut pause = patience();
        loop {
            let error = match Checkpoint::read(&self.store).await {
                Ok(Some(now)) if now.epoch == self.epoch => return Ok(now.batch > self.batch),
                Ok(_) => return Err(RecordError::Fenced { epoch: self.epoch }),
                Err(error) => RecordError::from(error),
            };
            let Some(wait) = pause.next_backoff() else { return Err(error) };
            self.say(&error);
            tokio::time::sleep(wait).await;
        }
    }

    /// After a duplicate key: an id of this batch stands already (told before a reset, or queued by a backfill). What
    /// stands is left as it is.
    async fn leave_out_what_stands(&self, documents: &mut Documents) -> Result<(), RecordError> {
        // Then what stands is a row.
        parcels::unpack(&self.store, None).await?;
        let ids: Vec<&EventId> = documents.events.iter().map(|event| &event.id).collect();
        let stand: HashSet<EventId> =
            self.standing(names::EVENTS, doc! { "_id": { "$in": bson::serialize_to_bson(&ids)? } }).await?;
        let known = stand.len();
        documents.events.retain(|event| !stand.contains(&event.id));
        let ids: Vec<&DeliveryId> = documents.deliveries.iter().map(|row| &row.delivery.id).collect();
        let stand: HashSet<EventId> =
            self.standing(names::DELIVERIES, doc! { "_id": { "$in": bson::serialize_to_bson(&ids)? } }).await?;
        documents.deliveries.retain(|row| !stand.contains(&EventId::from(row.delivery.id.as_str().to_owned())));
        documents.pack();
        tracing::warn!(events = known, deliveries = stand.len(), "told before: left as they stand");
        Ok(())
    }

    async fn standing(&self, collection: &str, filter: bson::Document) -> Result<HashSet<EventId>, RecordError> {
        let ids = self.store.collection::<bson::Document>(collection).distinct("_id", filter).await?;
        Ok(ids.into_iter().filter_map(|id| Some(EventId::from(id.as_str()?.to_owned()))).collect())
    }

    /// Every snapshot up to `at` becomes a tombstone: the collection of tasks went away. Done before the transaction, in
    /// the server: doing it twice does nothing more, and whoever does it does the same.
    async fn bury(&self, at: StreamTime) -> Result<(), RecordError> {
        tracing::warn!("the collection of tasks was dropped or renamed away: its snapshots become tombstones");
        let (t, i) = (i64::from(at.t), i64::from(at.i));
        let older = doc! { "deleted": { "$ne": true }, "$or": [{ "at.t": { "$lt": t } }, { "at.t": t, "at.i": { "$lte": i } }] };
        let stone = doc! { "$set": { "deleted": true, "at": { "t": t, "i": i, "n": i64::from(at.n) } }, "$unset": { "fields": "", "group": "", "actors": "", "swap": "" } };
        self.store.collection::<bson::Document>(names::SNAPSHOTS).update_many(older, stone).await?;
        Ok(())
    }
}

/// Waits for what may pass: short at first, for a minute.
fn patience() -> ExponentialBackoff {
    ExponentialBackoffBuilder::new()
        .with_initial_interval(Duration::from_millis(20))
        .with_max_interval(Duration::from_secs(2))
        .with_max_elapsed_time(Some(Duration::from_secs(60)))
        .build()
}
