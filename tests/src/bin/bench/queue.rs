//! Deliveries that are queued already: events and rows as the programs write them, inserted in bulk.

use std::ops::Range;

use anyhow::{Result, ensure};
use bson::oid::ObjectId;
use bson::{DateTime, RawArrayBuf, Timestamp, doc, rawdoc, serialize_to_raw_document_buf};
use futures::{StreamExt, TryStreamExt, stream};
use taskwire::model::{Delivery, DocId, EventId, EventKind, PayloadSummary, StreamTime, TaskEvent};
use taskwire::store::names;

use crate::scene::Scene;

/// Documents in one insert.
const CHUNK: u32 = 2_000;

/// Inserts under way at once.
const SIDE_BY_SIDE: usize = 4;

/// Events of a task.
const EACH: u32 = 4;

impl Scene {
    /// Queues the events with these numbers for every webhook, due at once, and waits until the server has written them out:
    /// what filling a queue costs is not measured with what emptying it costs.
    pub(crate) async fn queue(&self, events: Range<u32>) -> Result<()> {
        let starts = events.clone().step_by(CHUNK as usize);
        stream::iter(starts.map(|start| start..events.end.min(start + CHUNK)))
            .map(|chunk| self.queue_chunk(chunk))
            .buffer_unordered(SIDE_BY_SIDE)
            .try_collect::<()>()
            .await?;
        self.db.client().database("admin").run_command(doc! { "fsync": 1 }).await?;
        Ok(())
    }

    async fn queue_chunk(&self, numbers: Range<u32>) -> Result<()> {
        let (mut events, mut rows) = (RawArrayBuf::new(), RawArrayBuf::new());
        for number in numbers {
            let event = self.event(number);
            for (webhook, ordering) in &self.webhooks {
                let row = Delivery::queued(&event, *webhook, *ordering, event.at);
                rows.push(serialize_to_raw_document_buf(&row)?);
            }
            events.push(serialize_to_raw_document_buf(&event)?);
        }
        self.insert(names::EVENTS, events).await?;
        self.insert(names::DELIVERIES, rows).await
    }

    async fn insert(&self, collection: &str, documents: RawArrayBuf) -> Result<()> {
        let quick = rawdoc! { "w": 1 };
        let command = rawdoc! { "insert": collection, "documents": documents, "ordered": false, "writeConcern": quick };
        let answer = self.db.run_raw_command(command).await?;
        ensure!(!answer.contains_key("writeErrors"), "not all of {collection} was inserted: {answer}");
        Ok(())
    }

    /// Event number `n` of all. Events of a task follow each other.
    fn event(&self, n: u32) -> TaskEvent {
        let (task, sequence) = (task_number(n / EACH), i64::from(n % EACH) + 1);
        let at = DateTime::from_millis(self.past * 1000 + i64::from(n));
        let second = u32::try_from(self.past).unwrap_or_default() + n / 1000;
        let time = Timestamp { time: second, increment: n % 1000 + 1 };
        let id = EventId::derive(StreamTime::new(time, 0), "TasksTrackerDb.tasks", &DocId::Oid(task), "task.updated");
        let body = sample_body(id.as_str(), self.group.id, task, at, sequence);
        TaskEvent {
            id,
            group_id: self.group.id.into(),
            task_id: task.into(),
            event: EventKind::Updated,
            at,
            cluster_time: time,
            sequence,
            actor_id: Some(self.group.admin.to_hex()),
            summary: PayloadSummary { status: Some("InProgress".to_owned()), changed: vec!["status".to_owned()] },
            body,
            echo: false,
            muted: false,
            recovered: false,
        }
    }
}

/// The same id for the same number.
fn task_number(n: u32) -> ObjectId {
    let mut bytes = [0x65; 12];
    bytes[8..].copy_from_slice(&n.to_be_bytes());
    ObjectId::from_bytes(bytes)
}

/// A body of the usual size.
pub(crate) fn sample_body(event: &str, group: ObjectId, task: ObjectId, at: DateTime, sequence: i64) -> String {
    let at = at.try_to_rfc3339_string().unwrap_or_default();
    format!(
        r#"{{"id":"{event}","event":"task.updated","groupId":"{group}","timestamp":"{at}","actorId":"{group}","data":{{"id":"{task}","name":"Task number 12345","status":"InProgress","assignedUserId":"{group}","difficulty":5,"dueAt":"{at}","requiresApproval":false,"updatedAt":"{at}","sequence":{sequence},"changes":{{"status":{{"from":"Pending","to":"InProgress"}}}}}}}}"#
    )
}
