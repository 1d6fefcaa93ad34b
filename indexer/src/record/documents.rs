//! A batch as documents and statements, ready to be written as often as it takes.

use std::cell::OnceCell;
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use bson::raw::cstr;
use bson::{DateTime, RawDocumentBuf, oid::ObjectId, rawdoc};
use taskwire::model::{Delivery, DocId, Ordering, TaskEvent};
use taskwire::store::parcels::NewParcel;

use super::{Batch, RecordError, Recorder};
use crate::derive::Draft;
use crate::dispatch::{LeaseGrant, Parcel, Slot};
use crate::fan_out::Subscriber;
use crate::gap::GapState;
use crate::quarantine;
use crate::snapshot::Snapshot;

/// Handed-over rows in a batch from which on they are packed.
const WORTH_PACKING: usize = 32;

/// Rows in a parcel at most: some hundred kilobytes.
const PARCEL: usize = 1000;

/// A batch as documents, ready to be written as often as it takes.
pub(super) struct Documents {
    pub(super) at: DateTime,
    pub(super) position: RawDocumentBuf,
    pub(super) events: Vec<TaskEvent>,
    pub(super) deliveries: Vec<Row>,
    /// Whole documents.
    pub(super) snapshots: Vec<RawDocumentBuf>,
    /// From here on update statements.
    pub(super) versions: Vec<RawDocumentBuf>,
    pub(super) quarantined: Vec<RawDocumentBuf>,
    pub(super) reread: Vec<RawDocumentBuf>,
    pub(super) gaps: Vec<RawDocumentBuf>,
}

/// A delivery to be written; with a slot, leased to this process's dispatcher from its first moment.
pub(super) struct Row {
    pub(super) delivery: Delivery,
    pub(super) handed: Option<(Slot, Arc<str>)>,
    /// Where it is written, unless as a row.
    pub(super) parcel: Option<Arc<Parcel>>,
    pub(super) happened_at: DateTime,
}

impl Recorder {
    /// Everything a batch writes.
    pub(super) async fn documents(&self, batch: &Batch) -> Result<Documents, RecordError> {
        let now = self.clock.now();
        let mut set = rawdoc! { "updatedAt": now };
        if let Some(position) = &batch.position {
            // Together with the token that belongs to it: one that stays is still the former pipeline's.
            set.append(cstr!("pipeline"), self.pipeline.as_str());
            set.append(cstr!("time"), position.time);
            match &position.token {
                Some(token) => set.append(cstr!("token"), token.clone()),
                None => set.append(cstr!("token"), bson::raw::RawBson::Null),
            }
        }
        if let Some(gap) = &batch.gap {
            match gap.state {
                GapState::Recovered => set.append(cstr!("gap"), bson::raw::RawBson::Null),
                GapState::Open | GapState::Recovering => set.append(cstr!("gap"), gap.id.as_str()),
            }
        }
        let mut documents = Documents {
            at: now,
            position: rawdoc! { "$set": set, "$inc": { "batch": 1i64 } },
            events: Vec::new(),
            deliveries: Vec::new(),
            snapshots: Vec::new(),
            versions: Vec::new(),
            quarantined: Vec::new(),
            reread: Vec::new(),
            gaps: Vec::new(),
        };
        let mut last: HashMap<&DocId, &Snapshot> = HashMap::new();
        let mut room = self.room(batch).await;
        for part in &batch.parts {
            for draft in &part.events {
                let event = draft.finish(&self.mapping);
                let body: OnceCell<Arc<str>> = OnceCell::new();
                for subscriber in &draft.subscribers {
                    let mut delivery = Delivery::queued(&event, subscriber.webhook, subscriber.ordering, now);
                    let slot = room.take(subscriber);
                    let handed = slot.map(|slot| {
                        room.lease_to(&mut delivery);
                        (slot, Arc::clone(body.get_or_init(|| event.body.as_str().into())))
                    });
                    documents.deliveries.push(Row { delivery, handed, parcel: None, happened_at: event.at });
                }
                documents.events.push(event);
            }
            last.extend(part.snapshots.iter().map(|snapshot| (&snapshot.id, snapshot)));
            for version in &part.versions {
                let mut raw = bson::serialize_to_raw_document_buf(version)?;
                raw.append(cstr!("_id"), version.key());
                documents.versions.extend(replace_statement(&raw));
            }
            for entry in &part.quarantined {
                tracing::warn!(collection = entry.collection, reason = entry.reason, "a change was put aside");
                documents.quarantined.push(quarantine::put_aside(entry, now));
            }
            documents.reread.extend(part.reread.iter().map(|reread| reread.statement(now)));
        }
        documents.snapshots = last.into_values().map(|snapshot| snapshot.to_raw(&self.mapping)).collect();
        if let Some(gap) = &batch.gap {
            documents.gaps.extend(replace_statement(&bson::serialize_to_raw_document_buf(gap)?));
            if gap.state == GapState::Recovered {
                documents.gaps.push(gap.close_open(now));
            }
        }
        documents.pack();
        Ok(documents)
    }

    /// Room in the dispatcher's lanes for what this batch will queue.
    async fn room(&self, batch: &Batch) -> Room {
        let Some(dispatcher) = &self.dispatcher else { return Room::default() };
        let (mut plain, mut in_order): (HashMap<_, usize>, HashMap<_, Vec<DocId>>) = Default::default();
        for (draft, subscriber) in subscribers(batch) {
            match subscriber.ordering {
                Ordering::None => *plain.entry(subscriber.webhook).or_default() += 1,
                Ordering::PerTask => in_order.entry(subscriber.webhook).or_default().push(draft.task.clone()),
            }
        }
        let in_order = dispatcher.reserve_in_order(in_order).await;
        let plain = plain.into_iter().map(|(webhook, count)| (webhook, dispatcher.reserve(webhook, count)));
        Room { plain: plain.collect(), in_order, lease: Some(dispatcher.lease()) }
    }
}

impl Documents {
    /// Says of each row where it is written. What is handed over goes into parcels, unless it is so little that rows of its own
    /// cost no more, and are seen at once, or keeps an order: whose turn it is only rows tell.
    pub(super) fn pack(&mut self) {
        let may_be_packed = |row: &&mut Row| row.handed.is_some() && row.delivery.ordered.is_none();
        let mut rows: Vec<&mut Row> = self.deliveries.iter_mut().filter(may_be_packed).collect();
        let are_many = rows.len() >= WORTH_PACKING;
        for (number, chunk) in rows.chunks_mut(PARCEL).enumerate() {
            let lease = chunk.first().and_then(|row| row.delivery.lease.clone()).unwrap_or_default();
            let parcel = Arc::new(Parcel::new(format!("{lease}/{number}"), chunk.len()));
            for row in chunk {
                row.parcel = are_many.then(|| Arc::clone(&parcel));
            }
        }
    }

    /// The documents of the parcels.
    pub(super) fn parcels(&self) -> Vec<NewParcel<'_>> {
        let mut parcels: Vec<NewParcel<'_>> = Vec::new();
        for row in &self.deliveries {
            let Some(parcel) = &row.parcel else { continue };
            match parcels.last_mut() {
                Some(last) if last.id == parcel.id() => last.rows.push(&row.delivery),
                _ => parcels.push(NewParcel { id: parcel.id(), at: self.at, rows: vec![&row.delivery] }),
            }
        }
        parcels
    }
}

/// How many rows a batch has for each webhook that may be handed them.
pub(super) fn wanted(batch: &Batch) -> HashMap<ObjectId, usize> {
    let mut wanted: HashMap<ObjectId, usize> = HashMap::new();
    for (_, subscriber) in subscribers(batch) {
        *wanted.entry(subscriber.webhook).or_default() += 1;
    }
    wanted
}

/// Who gets which event, in the order in which their rows are written.
fn subscribers(batch: &Batch) -> impl Iterator<Item = (&Draft, &Subscriber)> {
    let drafts = batch.parts.iter().flat_map(|part| &part.events);
    drafts.flat_map(|draft| draft.subscribers.iter().map(move |subscriber| (draft, subscriber)))
}

/// Slots of this process's dispatcher, and the lease under which they are filled.
#[derive(Default)]
struct Room {
    plain: HashMap<ObjectId, Vec<Slot>>,
    /// One for each row, in their order.
    in_order: HashMap<ObjectId, VecDeque<Option<Slot>>>,
    lease: Option<LeaseGrant>,
}

impl Room {
    fn take(&mut self, subscriber: &Subscriber) -> Option<Slot> {
        match subscriber.ordering {
            Ordering::None => self.plain.get_mut(&subscriber.webhook)?.pop(),
            Ordering::PerTask => self.in_order.get_mut(&subscriber.webhook)?.pop_front()?,
        }
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

/// These statements as they are told to commands: each as many as one may hold, and at least one.
pub(crate) fn by_command(mut rest: &[RawDocumentBuf]) -> impl Iterator<Item = &[RawDocumentBuf]> {
    std::iter::from_fn(move || {
        let (chunk, behind) = rest.split_at(chunk_length(rest).min(rest.len()));
        rest = behind;
        (!chunk.is_empty()).then_some(chunk)
    })
}

/// How many of these statements, at least one, one command may hold.
fn chunk_length(statements: &[RawDocumentBuf]) -> usize {
    let mut bytes = 0;
    let fits = statements.iter().take(Recorder::STATEMENTS).take_while(|statement| {
        bytes += statement.as_bytes().len();
        bytes <= Recorder::BYTES
    });
    fits.count().max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_holds_no_more_than_the_server_takes_and_always_something() {
        let large = rawdoc! { "_id": 1, "text": "x".repeat(9 << 20) };
        let small = rawdoc! { "_id": 2 };
        assert_eq!(chunk_length(&[large.clone(), large.clone()]), 1);
        assert_eq!(chunk_length(&[small.clone(), large]), 2);
        assert_eq!(chunk_length(&[rawdoc! { "text": "x".repeat(Recorder::BYTES) }, small.clone()]), 1);
        assert_eq!(chunk_length(&vec![small; Recorder::STATEMENTS + 1]), Recorder::STATEMENTS);
    }
}
