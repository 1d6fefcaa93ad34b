//! Recording: one majority transaction a batch, fenced: position, events, deliveries, snapshots, configurations.
//!
//! Its first statement updates the position's document where epoch and batch number match, so that a leader that was
//! replaced cannot commit, and the position moves only together with everything derived up to it. When the outcome of a
//! commit is unknown, the batch number tells.

use std::cell::OnceCell;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use backoff::ExponentialBackoffBuilder;
use backoff::backoff::Backoff;
use bson::raw::cstr;
use bson::{DateTime, RawArrayBuf, RawDocumentBuf, doc, oid::ObjectId, rawdoc};
use mongodb::error::{Error, ErrorKind, TRANSIENT_TRANSACTION_ERROR, UNKNOWN_TRANSACTION_COMMIT_RESULT};
use mongodb::{ClientSession, Collection};
use taskwire::mapping::Mapping;
use taskwire::model::{Delivery, DeliveryId, DeliveryStatus, EventId, Ordering, StreamTime, TaskEvent};
use taskwire::store::{ServerClock, Store, names};

use crate::checkpoint::{Checkpoint, WATCHER};
use crate::dispatch::{DispatchHandle, HandedOver, LeaseGrant, Slot};
use crate::judge::{Part, Quarantined};
use crate::progress::Position;

/// What is recorded at once.
#[derive(Debug, Default)]
pub struct Batch {
    /// Parts, in an order that keeps each task's own.
    pub parts: Vec<Part>,
    /// Where the stream goes on once this is recorded; `None`: the position stays.
    pub position: Option<Position>,
}

/// Why recording ended.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// Another process leads.
    #[error("another process has taken over (epoch {epoch} is fenced off)")]
    Fenced {
        /// This process's epoch.
        epoch: i64,
    },
    /// Waiting does not help.
    #[error("recording failed: {0}")]
    Database(#[from] Error),
    /// A document could not be made.
    #[error("recording failed: {0}")]
    Document(#[from] bson::error::Error),
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
}

/// A batch as documents, ready to be written as often as it takes.
struct Documents {
    position: RawDocumentBuf,
    events: Vec<TaskEvent>,
    deliveries: Vec<Row>,
    snapshots: Vec<RawDocumentBuf>,
    versions: Vec<RawDocumentBuf>,
    quarantined: Vec<RawDocumentBuf>,
}

/// A delivery to be written; with a slot, leased to this process's dispatcher from its first moment.
struct Row {
    delivery: Delivery,
    handed: Option<(Slot, Arc<str>)>,
    happened_at: DateTime,
}

impl Recorder {
    /// Statements in one `update` command.
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
        Self { store, mapping, clock, epoch, batch, pipeline, session, dispatcher }
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
        let mut documents = self.documents(batch)?;
        let mut pause = ExponentialBackoffBuilder::new()
            .with_initial_interval(Duration::from_millis(20))
            .with_max_interval(Duration::from_secs(2))
            .with_max_elapsed_time(Some(Duration::from_secs(60)))
            .build();
        let mut in_doubt = false;
        loop {
            let error = match self.attempt(&documents).await {
                Ok(()) => break,
                // An earlier commit in doubt may have taken effect since: then this fence is our own batch.
                Err(RecordError::Fenced { .. }) if in_doubt && self.was_committed().await? => break,
                Err(RecordError::Database(error)) => error,
                Err(other) => return Err(other),
            };
            if error.contains_label(UNKNOWN_TRANSACTION_COMMIT_RESULT) {
                if self.was_committed().await? {
                    break;
                }
                in_doubt = true;
            }
            if is_duplicate(&error) {
                self.leave_out_what_stands(&mut documents).await?;
            } else if !may_pass(&error) {
                return Err(error.into());
            }
            let Some(wait) = pause.next_backoff() else { return Err(error.into()) };
            tracing::warn!(%error, "recording is tried again");
            tokio::time::sleep(wait).await;
        }
        self.batch += 1;
        self.hand_over(documents.deliveries);
        for event in &documents.events {
            metrics::counter!("taskwire_events_derived_total", "event_type" => event.event.name()).increment(1);
        }
        if !documents.quarantined.is_empty() {
            metrics::counter!("taskwire_quarantined_changes_total").increment(documents.quarantined.len() as u64);
        }
        Ok(())
    }

    /// After a known commit only.
    fn hand_over(&self, rows: Vec<Row>) {
        let Some(dispatcher) = &self.dispatcher else { return };
        let all = rows.len();
        let handed = rows.into_iter().filter_map(|row| {
            let (slot, body) = row.handed?;
            Some(HandedOver { slot, delivery: row.delivery, body, happened_at: row.happened_at })
        });
        let handed: Vec<HandedOver> = handed.collect();
        if handed.len() < all {
            dispatcher.wake();
        }
        if !handed.is_empty() {
            dispatcher.hand_over(handed);
        }
    }

    fn documents(&self, batch: &Batch) -> Result<Documents, RecordError> {
        let now = self.clock.now();
        let mut set = rawdoc! { "updatedAt": now, "pipeline": self.pipeline.as_str() };
        if let Some(position) = &batch.position {
            set.append(cstr!("time"), position.time);
            match &position.token {
                Some(token) => set.append(cstr!("token"), token.clone()),
                None => set.append(cstr!("token"), bson::raw::RawBson::Null),
            }
        }
        let mut documents = Documents {
            position: rawdoc! { "$set": set, "$inc": { "batch": 1i64 } },
            events: Vec::new(),
            deliveries: Vec::new(),
            snapshots: Vec::new(),
            versions: Vec::new(),
            quarantined: Vec::new(),
        };
        let mut last: HashMap<&taskwire::model::DocId, &crate::snapshot::Snapshot> = HashMap::new();
        let mut room = self.room(batch);
        for part in &batch.parts {
            for draft in &part.events {
                let event = draft.finish(&self.mapping);
                let body: OnceCell<Arc<str>> = OnceCell::new();
                for subscriber in &draft.subscribers {
                    let mut delivery = delivery(&event, subscriber.webhook, subscriber.ordering, now);
                    let slot = if subscriber.ordering == Ordering::None { room.take(subscriber.webhook) } else { None };
                    let handed = slot.map(|slot| {
                        room.lease_to(&mut delivery);
                        (slot, Arc::clone(body.get_or_init(|| event.body.as_str().into())))
                    });
                    documents.deliveries.push(Row { delivery, handed, happened_at: event.at });
                }
                documents.events.push(event);
            }
            last.extend(part.snapshots.iter().map(|snapshot| (&snapshot.id, snapshot)));
            for version in &part.versions {
                let mut raw = bson::serialize_to_raw_document_buf(version)?;
                raw.append(cstr!("_id"), version.key());
                documents.versions.push(raw);
            }
            for entry in &part.quarantined {
                tracing::warn!(collection = entry.collection, reason = entry.reason, "a change was put aside");
                documents.quarantined.push(quarantine(entry, now));
            }
        }
        documents.snapshots = last.into_values().map(|snapshot| snapshot.to_raw(&self.mapping)).collect();
        Ok(documents)
    }

    /// Room in the dispatcher's lanes for what this batch will queue.
    fn room(&self, batch: &Batch) -> Room {
        let Some(dispatcher) = &self.dispatcher else { return Room::default() };
        let mut wanted: HashMap<ObjectId, usize> = HashMap::new();
        let subscribers = batch.parts.iter().flat_map(|part| &part.events).flat_map(|draft| &draft.subscribers);
        for subscriber in subscribers.filter(|subscriber| subscriber.ordering == Ordering::None) {
            *wanted.entry(subscriber.webhook).or_default() += 1;
        }
        let slots = wanted.into_iter().map(|(webhook, count)| (webhook, dispatcher.reserve(webhook, count)));
        Room { slots: slots.collect(), lease: Some(dispatcher.lease()) }
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
            let rows = documents.deliveries.iter().map(|row| &row.delivery);
            deliveries.insert_many(rows).session(&mut self.session).await?;
        }
        self.upsert(names::SNAPSHOTS, &documents.snapshots).await?;
        self.upsert(names::WEBHOOK_VERSIONS, &documents.versions).await?;
        self.upsert(names::QUARANTINE, &documents.quarantined).await
    }

    /// Puts whole documents by `_id`, in as few commands as the server's limits allow.
    async fn upsert(&mut self, collection: &'static str, documents: &[RawDocumentBuf]) -> Result<(), RecordError> {
        let statements: Vec<RawDocumentBuf> = documents.iter().filter_map(replace_statement).collect();
        for command in in_commands(&statements) {
            self.command(collection, command).await?;
        }
        Ok(())
    }

    /// One `update` command within the transaction; answers how many documents matched.
    async fn command(&mut self, collection: &str, statements: &[RawDocumentBuf]) -> Result<i64, RecordError> {
        let mut updates = RawArrayBuf::new();
        statements.iter().for_each(|statement| updates.push(statement.clone()));
        let command = rawdoc! { "update": collection, "updates": updates };
        let reply = self.store.db.run_raw_command(command).session(&mut self.session).await?;
        if let Some(first) = reply.get_array("writeErrors").ok().and_then(|errors| errors.first()) {
            let text = first.as_document().and_then(|error| error.get_str("errmsg").ok()).unwrap_or("write error");
            return Err(Error::from(std::io::Error::other(text.to_owned())).into());
        }
        Ok(reply.get_i32("n").map_or_else(|_| reply.get_i64("n").unwrap_or(0), i64::from))
    }

    /// Whether the batch whose commit's outcome is unknown took effect: the batch number tells.
    async fn was_committed(&self) -> Result<bool, RecordError> {
        let fenced = || RecordError::Fenced { epoch: self.epoch };
        let mut pause = ExponentialBackoffBuilder::new().with_max_elapsed_time(Some(Duration::from_secs(60))).build();
        loop {
            match Checkpoint::read(&self.store).await {
                Ok(Some(now)) if now.epoch == self.epoch => return Ok(now.batch > self.batch),
                Ok(_) => return Err(fenced()),
                Err(error) => match pause.next_backoff() {
                    Some(wait) => tokio::time::sleep(wait).await,
                    None => return Err(error.into()),
                },
            }
        }
    }

    /// After a duplicate key: an id of this batch stands already (told before a reset, or queued by a backfill). What
    /// stands is left as it is.
    async fn leave_out_what_stands(&self, documents: &mut Documents) -> Result<(), RecordError> {
        let ids: Vec<&EventId> = documents.events.iter().map(|event| &event.id).collect();
        let stand: HashSet<EventId> =
            self.standing(names::EVENTS, doc! { "_id": { "$in": bson::serialize_to_bson(&ids)? } }).await?;
        let known = stand.len();
        documents.events.retain(|event| !stand.contains(&event.id));
        let ids: Vec<&DeliveryId> = documents.deliveries.iter().map(|row| &row.delivery.id).collect();
        let stand: HashSet<EventId> =
            self.standing(names::DELIVERIES, doc! { "_id": { "$in": bson::serialize_to_bson(&ids)? } }).await?;
        documents.deliveries.retain(|row| !stand.contains(&EventId::from(row.delivery.id.as_str().to_owned())));
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
        tracing::warn!("the collection of tasks was dropped or replaced: its snapshots become tombstones");
        let (t, i) = (i64::from(at.t), i64::from(at.i));
        let older = doc! { "deleted": { "$ne": true }, "$or": [{ "at.t": { "$lt": t } }, { "at.t": t, "at.i": { "$lte": i } }] };
        let stone = doc! { "$set": { "deleted": true, "at": { "t": t, "i": i, "n": i64::from(at.n) } }, "$unset": { "fields": "", "group": "", "actors": "", "swap": "" } };
        self.store.collection::<bson::Document>(names::SNAPSHOTS).update_many(older, stone).await?;
        Ok(())
    }
}

/// Slots of this process's dispatcher, and the lease under which they are filled.
#[derive(Default)]
struct Room {
    slots: HashMap<ObjectId, Vec<Slot>>,
    lease: Option<LeaseGrant>,
}

impl Room {
    fn take(&mut self, webhook: ObjectId) -> Option<Slot> {
        self.slots.get_mut(&webhook)?.pop()
    }

    /// The row is written as held: its first attempt is taken here.
    fn lease_to(&self, delivery: &mut Delivery) {
        if let Some(lease) = &self.lease {
            delivery.attempts = 1;
            delivery.due = Some(lease.until);
            delivery.lease = Some(lease.token.clone());
        }
    }
}

/// The update statement that puts a whole document by its `_id`.
pub(crate) fn replace_statement(document: &RawDocumentBuf) -> Option<RawDocumentBuf> {
    let id = bson::raw::RawBson::from(document.get("_id").ok()??);
    Some(rawdoc! { "q": { "_id": id }, "u": document.clone(), "upsert": true })
}

/// Statements in slices that each fit into one command.
fn in_commands(statements: &[RawDocumentBuf]) -> Vec<&[RawDocumentBuf]> {
    let mut commands = Vec::new();
    let (mut from, mut bytes) = (0, 0);
    for (at, statement) in statements.iter().enumerate() {
        let size = statement.as_bytes().len();
        if at > from && (at - from == Recorder::STATEMENTS || bytes + size > Recorder::BYTES) {
            commands.push(&statements[from..at]);
            (from, bytes) = (at, 0);
        }
        bytes += size;
    }
    if from < statements.len() {
        commands.push(&statements[from..]);
    }
    commands
}

fn quarantine(entry: &Quarantined, now: DateTime) -> RawDocumentBuf {
    let key = entry.key.clone().unwrap_or_else(|| taskwire::model::DocId::Text("unknown".into()));
    // A function of the change, so that reading it again puts it aside once.
    let id = EventId::derive(StreamTime::new(entry.time, 0), &entry.collection, &key, "quarantine");
    let key: bson::Bson = key.into();
    let mut document = rawdoc! {
        "_id": id.as_str(), "collection": entry.collection.as_str(), "reason": entry.reason.as_str(),
        "clusterTime": entry.time, "at": now, "status": "aside",
    };
    if let Ok(key) = bson::raw::RawBson::try_from(key) {
        document.append(cstr!("documentKey"), key);
    }
    document.append(cstr!("raw"), entry.raw.clone());
    document
}

fn delivery(event: &TaskEvent, webhook: ObjectId, ordering: Ordering, now: DateTime) -> Delivery {
    Delivery {
        id: DeliveryId::derive(&event.id, webhook),
        group_id: event.group_id.clone(),
        webhook_id: webhook,
        event_id: event.id.clone(),
        event_type: event.event,
        task_id: event.task_id.clone(),
        sequence: event.sequence,
        payload_summary: event.summary.clone(),
        status: DeliveryStatus::Queued,
        attempts: 0,
        attempts_base: 0,
        due: Some(now),
        lease: None,
        ordered: (ordering == Ordering::PerTask).then_some(true),
        created_at: now,
        last_attempt_at: None,
        next_attempt_at: Some(now),
        delivered_at: None,
        response_status: None,
        duration_ms: None,
        error_message: None,
        log: Vec::new(),
    }
}

fn is_duplicate(error: &Error) -> bool {
    match error.kind.as_ref() {
        ErrorKind::InsertMany(failure) => failure.write_errors.iter().flatten().any(|error| error.code == 11000),
        ErrorKind::Command(command) => command.code == 11000,
        _ => false,
    }
}

/// Whether trying again can help: the transaction was aborted for a passing reason, or the server could not be reached.
fn may_pass(error: &Error) -> bool {
    error.contains_label(TRANSIENT_TRANSACTION_ERROR)
        || error.contains_label(UNKNOWN_TRANSACTION_COMMIT_RESULT)
        || matches!(
            error.kind.as_ref(),
            ErrorKind::Io(_) | ErrorKind::ServerSelection { .. } | ErrorKind::ConnectionPoolCleared { .. }
        )
}
