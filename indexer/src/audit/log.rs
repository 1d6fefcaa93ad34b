//! Events beside their deliveries. Ids of both begin with the event's cluster time, so the two collections are read side
//! by side in the order of `_id` and matched time by time: memory holds what one cluster time holds.

use std::collections::{BTreeMap, HashSet};
use std::time::{Duration, Instant};

use bson::{DateTime, RawDocument, Timestamp, oid::ObjectId, rawdoc};
use taskwire::model::{DeliveryId, DocId, EventId, EventKind, StreamTime, Version};
use taskwire::store::names;

use super::feed::{self, Feed};
use super::report::{Finding, Kind, Report};
use super::state::RowState;
use super::{Audit, AuditError, LEG, TRIES, after, find, find_in_order, is_too_old};
use crate::fan_out::Versions;
use crate::lag::cluster_time;

/// Finished rows are removed by the server some time after they may be, by a clock that is not ours.
const MARGIN: Duration = Duration::from_secs(2 * 3600);

const UNREADABLE: &str = "a field is missing or of a wrong type";

/// A document, at its place.
struct Placed<T> {
    id: String,
    /// `None`: no id of ours.
    time: Option<Timestamp>,
    /// `None`: it cannot be read.
    what: Option<T>,
}

struct Event {
    id: EventId,
    group: DocId,
    task: DocId,
    kind: EventKind,
    sequence: i64,
    echo: bool,
    /// Not to be sent to anybody.
    muted: bool,
}

struct Row {
    id: DeliveryId,
    group: DocId,
    webhook: ObjectId,
    event: EventId,
    task: DocId,
    kind: EventKind,
    sequence: i64,
    state: RowState,
}

/// What is judged by, as of one point in time.
struct Law {
    versions: Versions,
    /// An event from before may have been removed.
    events_from: Option<u32>,
    /// A finished delivery of an event from before may have been removed.
    deliveries_from: u32,
}

impl Audit {
    /// Events in `[from, until)` and their deliveries.
    pub(super) async fn check_log(
        &self,
        from: Timestamp,
        until: Timestamp,
        report: &mut Report,
    ) -> Result<(), AuditError> {
        let (mut from, mut tries) = (from, 0);
        while from < until {
            let begun = from;
            match self.leg(&mut from, until, report).await {
                Err(error) if is_too_old(&error) => {
                    tries = if from == begun { tries + 1 } else { 0 };
                    if tries == TRIES {
                        return Err(AuditError::TooOld);
                    }
                }
                other => other?,
            }
        }
        Ok(())
    }

    /// As far as one point in time carries. `from` moves with what is checked.
    async fn leg(&self, from: &mut Timestamp, until: Timestamp, report: &mut Report) -> Result<(), AuditError> {
        let at = cluster_time(&self.store).await?;
        let law = self.law(at).await?;
        let mut events = self.events(*from, until, at);
        let mut rows = self.rows(*from, until, at);
        let mut packed = self.packed(at).await?;
        let begun = Instant::now();
        loop {
            let first = events.peek().await?.map(|event| event.time.unwrap_or(*from));
            let other = rows.peek().await?.map(|row| row.time.unwrap_or(*from));
            let Some(time) = first.into_iter().chain(other).min() else {
                *from = until;
                return Ok(());
            };
            if begun.elapsed() > LEG {
                *from = time;
                return Ok(());
            }
            let (mut of_time, mut rows_of_time) = (Vec::new(), Vec::new());
            while let Some(event) = events.take_if(|event| event.time.is_none_or(|its| its <= time)).await? {
                of_time.push(event);
            }
            while let Some(row) = rows.take_if(|row| row.time.is_none_or(|its| its <= time)).await? {
                rows_of_time.push(row);
            }
            if let Some(here) = packed.remove(&time) {
                add_packed(&mut rows_of_time, here);
            }
            self.bar.inc((of_time.len() + rows_of_time.len()) as u64);
            check(time, &of_time, &rows_of_time, &law, report);
            *from = after(time);
        }
    }

    async fn law(&self, at: Timestamp) -> Result<Law, AuditError> {
        let read = |raw: &RawDocument| bson::deserialize_from_slice::<Version>(raw.as_bytes());
        let mut versions = Versions::default();
        for version in feed::all(&self.store, find(names::WEBHOOK_VERSIONS, rawdoc! {}, at), read).await? {
            versions.add(version.map_err(|error| AuditError::Version(error.to_string()))?);
        }
        let horizon = self.horizon(at).await?;
        let kept = u32::try_from(self.retention.deliveries.as_secs()).unwrap_or(u32::MAX);
        let margin = u32::try_from(MARGIN.as_secs()).unwrap_or(0);
        let by_setting = at.time.saturating_sub(kept);
        let deliveries_from = horizon.deliveries_from.map_or(by_setting, |stored| seconds(stored).max(by_setting));
        Ok(Law {
            versions,
            events_from: horizon.events_from.map(seconds),
            deliveries_from: deliveries_from.saturating_add(margin),
        })
    }

    fn events(&self, from: Timestamp, until: Timestamp, at: Timestamp) -> Feed<Placed<Event>> {
        let range = rawdoc! {
            "_id": { "$gte": EventId::first_at(from).as_str(), "$lt": EventId::first_at(until).as_str() },
        };
        let projection = rawdoc! { "groupId": 1, "taskId": 1, "event": 1, "sequence": 1, "echo": 1, "muted": 1 };
        Feed::open(&self.store, find_in_order(names::EVENTS, range, projection, at), |raw| {
            let id = raw.get_str("_id").unwrap_or_default().to_owned();
            let event = EventId::from(id.clone());
            Placed { time: event.time(), what: read_event(raw, event), id }
        })
    }

    fn rows(&self, from: Timestamp, until: Timestamp, at: Timestamp) -> Feed<Placed<Row>> {
        let range = rawdoc! {
            "_id": { "$gte": DeliveryId::first_at(from).as_str(), "$lt": DeliveryId::first_at(until).as_str() },
        };
        let projection = rawdoc! {
            "groupId": 1, "webhookId": 1, "eventId": 1, "eventType": 1, "taskId": 1, "sequence": 1, "status": 1,
            "attempts": 1, "attemptsBase": 1, "due": 1, "lease": 1, "ordered": 1, "nextAttemptAt": 1,
            "lastAttemptAt": 1, "deliveredAt": 1, "expireAt": 1,
        };
        Feed::open(&self.store, find_in_order(names::DELIVERIES, range, projection, at), place_row)
    }

    /// Rows that stand in parcels; some of them may be rows already.
    async fn packed(&self, at: Timestamp) -> Result<BTreeMap<Timestamp, Vec<Placed<Row>>>, AuditError> {
        let read = |parcel: &RawDocument| {
            let rows = parcel.get_array("rows").into_iter().flatten();
            rows.filter_map(|row| Some(place_row(row.ok()?.as_document()?))).collect::<Vec<_>>()
        };
        let found = feed::all(&self.store, find(names::PARCELS, rawdoc! {}, at), read).await?;
        let mut by_time: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for row in found.into_iter().flatten() {
            by_time.entry(row.time.unwrap_or(at)).or_default().push(row);
        }
        Ok(by_time)
    }
}

fn read_event(raw: &RawDocument, id: EventId) -> Option<Event> {
    Some(Event {
        id,
        group: doc_id(raw, "groupId")?,
        task: doc_id(raw, "taskId")?,
        kind: EventKind::from_name(raw.get_str("event").ok()?)?,
        sequence: raw.get_i64("sequence").ok()?,
        echo: raw.get_bool("echo").unwrap_or(false),
        muted: raw.get_bool("muted").unwrap_or(false),
    })
}

/// Those that are no rows yet, in the order of their ids.
fn add_packed(rows: &mut Vec<Placed<Row>>, packed: Vec<Placed<Row>>) {
    let there: HashSet<String> = rows.iter().map(|row| row.id.clone()).collect();
    rows.extend(packed.into_iter().filter(|row| !there.contains(&row.id)));
    rows.sort_unstable_by(|one, other| one.id.cmp(&other.id));
}

fn place_row(raw: &RawDocument) -> Placed<Row> {
    let id = raw.get_str("_id").unwrap_or_default().to_owned();
    let row = DeliveryId::from(id.clone());
    Placed { time: row.time(), what: read_row(raw, row), id }
}

fn read_row(raw: &RawDocument, id: DeliveryId) -> Option<Row> {
    Some(Row {
        id,
        group: doc_id(raw, "groupId")?,
        webhook: raw.get_object_id("webhookId").ok()?,
        event: EventId::from(raw.get_str("eventId").ok()?.to_owned()),
        task: doc_id(raw, "taskId")?,
        kind: EventKind::from_name(raw.get_str("eventType").ok()?)?,
        sequence: raw.get_i64("sequence").ok()?,
        state: RowState::read(raw),
    })
}

fn doc_id(raw: &RawDocument, name: &str) -> Option<DocId> {
    DocId::from_raw(raw.get(name).ok()??)
}

fn seconds(date: DateTime) -> u32 {
    u32::try_from(date.timestamp_millis() / 1000).unwrap_or(0)
}

/// Checks what one cluster time holds. Both come in the order of their ids.
fn check(time: Timestamp, events: &[Placed<Event>], rows: &[Placed<Row>], law: &Law, report: &mut Report) {
    report.checked.events += events.len() as u64;
    report.checked.deliveries += rows.len() as u64;
    let at = StreamTime::new(time, StreamTime::END);
    let mut wanted = vec![false; rows.len()];
    for Placed { id, what: event, .. } in events {
        let Some(event) = event else {
            let event = Some(EventId::from(id.clone()));
            report.note(Kind::Unreadable, Finding { event, detail: UNREADABLE.to_owned(), ..Finding::default() });
            continue;
        };
        let subscribers = law.versions.subscribers(&event.group, at, event.kind, event.echo);
        for subscriber in subscribers.into_iter().filter(|_| !event.muted) {
            let id = DeliveryId::derive(&event.id, subscriber.webhook);
            match rows.binary_search_by(|row| row.id.as_str().cmp(id.as_str())) {
                Ok(place) => wanted[place] = true,
                Err(_) if time.time < law.deliveries_from => {}
                Err(_) => report.note(
                    Kind::DeliveryMissing,
                    Finding {
                        event: Some(event.id.clone()),
                        delivery: Some(id),
                        webhook: Some(subscriber.webhook),
                        task: Some(event.task.clone()),
                        detail: event.kind.name().to_owned(),
                    },
                ),
            }
        }
    }
    for (Placed { id, what: row, .. }, wanted) in rows.iter().zip(wanted) {
        let Some(row) = row else {
            let delivery = Some(DeliveryId::from(id.clone()));
            report.note(Kind::Unreadable, Finding { delivery, detail: UNREADABLE.to_owned(), ..Finding::default() });
            continue;
        };
        let event = events.binary_search_by(|event| event.id.as_str().cmp(row.event.as_str()));
        let event = event.ok().map(|place| events[place].what.as_ref());
        for (kind, detail) in faults(row, event, time, wanted, law) {
            report.note(
                kind,
                Finding {
                    event: Some(row.event.clone()),
                    delivery: Some(row.id.clone()),
                    webhook: Some(row.webhook),
                    task: Some(row.task.clone()),
                    detail: detail.to_owned(),
                },
            );
        }
    }
}

/// What is wrong with a row whose event is this one; `Some(None)`: one that cannot be read.
fn faults(
    row: &Row,
    event: Option<Option<&Event>>,
    time: Timestamp,
    wanted: bool,
    law: &Law,
) -> impl Iterator<Item = (Kind, &'static str)> + use<> {
    let unlawful = row.state.fault().map(|fault| (Kind::DeliveryUnlawful, fault));
    let other = match event {
        Some(None) => None,
        Some(Some(event)) => {
            contradiction(row, event).map(|detail| (Kind::DeliveryContradicts, detail)).or_else(|| {
                let at = StreamTime::new(time, StreamTime::END);
                let is_wanted = || law.versions.wants_from(row.webhook, &event.group, at, event.kind, event.echo);
                (!wanted && !is_wanted()).then_some((Kind::DeliveryUnwanted, event.kind.name()))
            })
        }
        None if row.state.is_open() => Some((Kind::DeliveryOrphan, "it is open: an attempt would have no body")),
        // The event was removed in its time.
        None if law.events_from.is_some_and(|from| time.time < from) => None,
        None => Some((Kind::DeliveryOrphan, "it is finished")),
    };
    unlawful.into_iter().chain(other)
}

fn contradiction(row: &Row, event: &Event) -> Option<&'static str> {
    let pairs = [
        (row.group != event.group, "its group is not its event's"),
        (row.task != event.task, "its task is not its event's"),
        (row.kind != event.kind, "its eventType is not its event's"),
        (row.sequence != event.sequence, "its sequence is not its event's"),
        (row.id != DeliveryId::derive(&event.id, row.webhook), "its id is not that of its event and webhook"),
    ];
    pairs.into_iter().find(|(differs, _)| *differs).map(|(_, detail)| detail)
}
