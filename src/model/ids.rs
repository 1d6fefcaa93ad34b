//! Identifiers: those of the task service, and those that Taskwire computes.
//!
//! Event and delivery ids are functions of what they name, so deriving again gives the same id. They begin with the
//! change's cluster time: sorted by id is sorted by stream order, and inserts go to the right edge of the `_id` index.

use std::fmt;
use std::str::FromStr;

use bson::{Bson, RawBsonRef, Timestamp, oid::ObjectId};
use data_encoding::BASE32_DNSSEC;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// The id of one of the task service's documents (task, group, user): an ObjectId, or text in services that use text.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(untagged)]
pub enum DocId {
    /// A BSON ObjectId; shown as 24 hexadecimal digits.
    Oid(ObjectId),
    /// Any other text, as it is.
    Text(String),
}

impl DocId {
    /// Reads an id out of a raw document; `None` for every type that is no id.
    #[must_use]
    pub fn from_raw(value: RawBsonRef<'_>) -> Option<Self> {
        match value {
            RawBsonRef::ObjectId(oid) => Some(Self::Oid(oid)),
            RawBsonRef::String(text) if !text.is_empty() => Some(Self::Text(text.to_owned())),
            _ => None,
        }
    }

    /// The id as it came over REST or stands in a history row: 24 hexadecimal digits are an ObjectId.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        ObjectId::from_str(text).map_or_else(|_| Self::Text(text.to_owned()), Self::Oid)
    }
}

impl fmt::Display for DocId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Oid(oid) => write!(f, "{oid}"),
            Self::Text(text) => f.write_str(text),
        }
    }
}

impl From<ObjectId> for DocId {
    fn from(oid: ObjectId) -> Self {
        Self::Oid(oid)
    }
}

impl From<DocId> for Bson {
    fn from(id: DocId) -> Self {
        match id {
            DocId::Oid(oid) => Self::ObjectId(oid),
            DocId::Text(text) => Self::String(text),
        }
    }
}

/// A change's place in the stream as far as one document is concerned: its cluster time, and which change of that
/// document at that time it is (0 for the first; more only inside one transaction).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct StreamTime {
    /// Seconds since the epoch, from the cluster time.
    pub t: u32,
    /// The cluster time's increment within its second.
    pub i: u32,
    /// The occurrence of this document at this cluster time; [`StreamTime::END`] stands after all of them.
    pub n: u32,
}

impl StreamTime {
    /// The occurrence that sorts after every real one: a scan's T covers all changes at T.
    pub const END: u32 = u32::MAX;

    /// The place of occurrence `n` at a cluster time.
    #[must_use]
    pub const fn new(time: Timestamp, n: u32) -> Self {
        Self { t: time.time, i: time.increment, n }
    }

    /// Whether the cluster time is later than the other's, whatever the occurrence. A scan's T is not later than changes
    /// at T.
    #[must_use]
    pub fn is_later_than(self, other: Self) -> bool {
        (self.t, self.i) > (other.t, other.i)
    }

    /// The cluster time alone.
    #[must_use]
    pub const fn timestamp(self) -> Timestamp {
        Timestamp { time: self.t, increment: self.i }
    }
}

/// Eight bytes of cluster time, then twelve of a hash: 32 characters whose order is the stream's.
fn ordered_id(prefix: &str, time: Timestamp, parts: &[&[u8]]) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    let mut bytes = [0u8; 20];
    bytes[..4].copy_from_slice(&time.time.to_be_bytes());
    bytes[4..8].copy_from_slice(&time.increment.to_be_bytes());
    bytes[8..].copy_from_slice(&hash.finalize()[..12]);
    let mut id = String::with_capacity(prefix.len() + 32);
    id.push_str(prefix);
    BASE32_DNSSEC.encode_append(&bytes, &mut id);
    id
}

/// The least id of this time: every real one of the time or later is not before it.
fn first_id(prefix: &str, time: Timestamp) -> String {
    let mut bytes = [0u8; 20];
    bytes[..4].copy_from_slice(&time.time.to_be_bytes());
    bytes[4..8].copy_from_slice(&time.increment.to_be_bytes());
    format!("{prefix}{}", BASE32_DNSSEC.encode(&bytes))
}

/// The cluster time that an id begins with; `None` if the text is not an id of ours.
fn time_of(prefix: &str, id: &str) -> Option<Timestamp> {
    let text = id.strip_prefix(prefix)?.as_bytes();
    let mut bytes = [0u8; 20];
    (text.len() == 32).then(|| BASE32_DNSSEC.decode_mut(text, &mut bytes).ok())??;
    let (time, rest) = bytes.split_first_chunk::<4>()?;
    let (increment, _) = rest.split_first_chunk::<4>()?;
    Some(Timestamp { time: u32::from_be_bytes(*time), increment: u32::from_be_bytes(*increment) })
}

/// The id of a derived event, `evt_` and 32 characters: a function of the change alone.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct EventId(String);

impl EventId {
    /// The id for an event named `name` of the change at `at` of the document `key` in `namespace`.
    #[must_use]
    pub fn derive(at: StreamTime, namespace: &str, key: &DocId, name: &str) -> Self {
        let parts: [&[u8]; 4] = [namespace.as_bytes(), &key_bytes(key), &at.n.to_be_bytes(), name.as_bytes()];
        Self(ordered_id("evt_", at.timestamp(), &parts))
    }

    /// The id of an event found while recovering gap `gap` (its id), at the recovery's own time.
    #[must_use]
    pub fn recovered(recovered_at: Timestamp, gap: &str, key: &DocId, name: &str) -> Self {
        let parts: [&[u8]; 4] = [b"gap", gap.as_bytes(), &key_bytes(key), name.as_bytes()];
        Self(ordered_id("evt_", recovered_at, &parts))
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The cluster time the id begins with; `None` if the text is not an id of ours.
    #[must_use]
    pub fn time(&self) -> Option<Timestamp> {
        time_of("evt_", &self.0)
    }

    /// The least id of this cluster time, for ranges over the log: no event's own.
    #[must_use]
    pub fn first_at(time: Timestamp) -> Self {
        Self(first_id("evt_", time))
    }
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<String> for EventId {
    fn from(text: String) -> Self {
        Self(text)
    }
}

fn key_bytes(key: &DocId) -> Vec<u8> {
    match key {
        DocId::Oid(oid) => oid.bytes().to_vec(),
        DocId::Text(text) => [b"t", text.as_bytes()].concat(),
    }
}

/// The id of a delivery, `dlv_` and 32 characters: a function of event and webhook.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct DeliveryId(String);

impl DeliveryId {
    /// The id of the delivery of `event` to `webhook`.
    #[must_use]
    pub fn derive(event: &EventId, webhook: ObjectId) -> Self {
        let time = event.time().unwrap_or(Timestamp { time: 0, increment: 0 });
        Self(ordered_id("dlv_", time, &[event.as_str().as_bytes(), &webhook.bytes()]))
    }

    /// The id of a notice's delivery to `webhook`: no range over the deliveries of task events holds it.
    #[must_use]
    pub fn of_notice(notice: &EventId, webhook: ObjectId) -> Self {
        let time = notice.time().unwrap_or(Timestamp { time: 0, increment: 0 });
        Self(ordered_id("ntc_", time, &[notice.as_str().as_bytes(), &webhook.bytes()]))
    }

    /// The cluster time of the event, which the id begins with; `None` if the text is not an id of ours.
    #[must_use]
    pub fn time(&self) -> Option<Timestamp> {
        time_of("dlv_", &self.0)
    }

    /// The least id of this cluster time, for ranges over the deliveries: no delivery's own.
    #[must_use]
    pub fn first_at(time: Timestamp) -> Self {
        Self(first_id("dlv_", time))
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for DeliveryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<String> for DeliveryId {
    fn from(text: String) -> Self {
        Self(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(time: u32, increment: u32, n: u32) -> StreamTime {
        StreamTime::new(Timestamp { time, increment }, n)
    }

    #[test]
    fn the_same_change_gives_the_same_id_and_any_difference_another() {
        let key = DocId::parse("65a000000000000000000001");
        let id = EventId::derive(at(10, 2, 0), "db.tasks", &key, "task.created");
        assert_eq!(id, EventId::derive(at(10, 2, 0), "db.tasks", &key, "task.created"));
        for other in [
            EventId::derive(at(10, 3, 0), "db.tasks", &key, "task.created"),
            EventId::derive(at(10, 2, 1), "db.tasks", &key, "task.created"),
            EventId::derive(at(10, 2, 0), "db.task", &key, "task.created"),
            EventId::derive(at(10, 2, 0), "db.tasks", &DocId::parse("x"), "task.created"),
            EventId::derive(at(10, 2, 0), "db.tasks", &key, "task.updated"),
        ] {
            assert_ne!(id, other);
        }
        assert_eq!(id.as_str().len(), 36);
    }

    #[test]
    fn ids_sort_by_cluster_time() {
        let key = DocId::parse("k");
        let ids: Vec<_> =
            [(1, 9), (2, 1), (2, 256), (300, 0)].map(|(t, i)| EventId::derive(at(t, i, 0), "n", &key, "e")).to_vec();
        assert!(ids.is_sorted());
        assert_eq!(ids[2].time(), Some(Timestamp { time: 2, increment: 256 }));
    }

    #[test]
    fn the_first_id_of_a_time_stands_before_all_of_that_time_and_after_all_of_the_time_before() {
        let key = DocId::parse("k");
        let event = |time, increment| EventId::derive(at(time, increment, 0), "n", &key, "e");
        let first = EventId::first_at(Timestamp { time: 2, increment: 5 });
        assert!(event(2, 4) < first && first < event(2, 5));
        let delivery = DeliveryId::derive(&event(2, 5), ObjectId::new());
        assert_eq!(delivery.time(), event(2, 5).time());
        assert!(DeliveryId::first_at(Timestamp { time: 2, increment: 5 }) < delivery);
        assert!(delivery < DeliveryId::first_at(Timestamp { time: 2, increment: 6 }));
        for alien in ["evt_", "evt_0", "dlv_00000000000000000000000000000000", "evt_zzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzz"] {
            assert_eq!(EventId::from(alien.to_owned()).time(), None, "{alien}");
        }
    }

    #[test]
    fn a_delivery_id_depends_on_event_and_webhook() {
        let event = EventId::derive(at(1, 1, 0), "n", &DocId::parse("k"), "e");
        let (a, b) = (ObjectId::new(), ObjectId::new());
        assert_eq!(DeliveryId::derive(&event, a), DeliveryId::derive(&event, a));
        assert_ne!(DeliveryId::derive(&event, a), DeliveryId::derive(&event, b));
    }
}
