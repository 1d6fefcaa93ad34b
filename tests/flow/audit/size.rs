//! Audits of large databases, made in seconds: what is checked does not depend on how much there is.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use bson::oid::ObjectId;
use bson::{DateTime, Document, RawArrayBuf, RawDocumentBuf, Timestamp, doc, rawdoc};
use futures::{StreamExt, TryStreamExt, stream};
use taskwire::mapping::Mapping;
use taskwire::model::{DeliveryId, DocId, EventId, StreamTime};
use taskwire_indexer::snapshot::Snapshot;
use taskwire_tests::service::{NewTask, tracker};
use taskwire_tests::{Profile, Program, Stack};

use super::audit;

/// Events of a task.
const EACH: u32 = 10;

/// Documents in one insert.
const CHUNK: u32 = 5000;

/// A database as it would be after `count` events, a delivery each.
struct Filled {
    stack: Stack,
    webhook: ObjectId,
    tasks: Vec<ObjectId>,
    /// The first event's second.
    begin: u32,
}

impl Filled {
    async fn new(count: u32) -> Result<Self> {
        let stack = Stack::new(Profile::TasksTracker).await?;
        let now = u32::try_from(DateTime::now().timestamp_millis() / 1000)?;
        let mut tasks: Vec<ObjectId> = (0..count / EACH).map(|_| ObjectId::new()).collect();
        tasks.sort_unstable();
        let filled = Self { stack, webhook: ObjectId::new(), tasks, begin: now - 3600 };
        filled.stand(Timestamp { time: now, increment: 1 }).await?;
        let chunks = stream::iter(0..count.div_ceil(CHUNK)).map(|chunk| {
            let filled = &filled;
            async move {
                let range = chunk * CHUNK..count.min((chunk + 1) * CHUNK);
                let (mut events, mut rows) = (RawArrayBuf::new(), RawArrayBuf::new());
                for (event, row) in range.map(|n| filled.event(n)) {
                    events.push(event);
                    rows.push(row);
                }
                filled.insert("taskEvents", events).await?;
                filled.insert("webhookDeliveries", rows).await
            }
        });
        chunks.buffer_unordered(4).try_collect::<Vec<()>>().await?;
        Ok(filled)
    }

    async fn insert(&self, collection: &str, documents: RawArrayBuf) -> Result<()> {
        let command = rawdoc! { "insert": collection, "documents": documents, "ordered": false };
        let answer = self.stack.db.run_raw_command(command).await?;
        ensure!(!answer.contains_key("writeErrors"), "{answer}");
        Ok(())
    }

    /// Tasks, their snapshots, the webhook's version and the position.
    async fn stand(&self, position: Timestamp) -> Result<()> {
        let mapping = Mapping::load(Profile::TasksTracker.name())?;
        let end = Timestamp { time: position.time - 1, increment: 1 };
        let task = tracker::document(&self.stack.service.build(NewTask::named("wash")))?;
        for chunk in self.tasks.chunks(CHUNK as usize) {
            let (mut tasks, mut snapshots) = (RawArrayBuf::new(), RawArrayBuf::new());
            for id in chunk {
                let mut task = task.clone();
                task.insert("_id", *id);
                let task = RawDocumentBuf::try_from(&task)?;
                let mut snapshot = Snapshot::of_scan(DocId::Oid(*id), mapping.read_task(&task)?, end);
                snapshot.sequence = i64::from(EACH);
                tasks.push(task);
                snapshots.push(snapshot.to_raw(&mapping));
            }
            self.insert("tasks", tasks).await?;
            self.insert("taskSnapshots", snapshots).await?;
        }
        let all = ["Created", "Updated", "Completed", "Approved", "Rejected", "Swapped"];
        let events: Document = all.iter().map(|kind| (format!("task{kind}"), true.into())).collect();
        let version = doc! {
            "_id": { "w": self.webhook, "t": 1i64, "i": 1i64, "n": 0i64 }, "webhookId": self.webhook,
            "groupId": self.stack.service.group().id, "at": { "t": 1i64, "i": 1i64, "n": 0i64 }, "live": true,
            "events": events, "ordering": "none", "skipInboundEchoes": false,
        };
        self.stack.db.collection::<Document>("webhookVersions").insert_one(version).await?;
        let watcher = doc! { "_id": "watcher", "epoch": 1i64, "batch": 1i64, "bootstrapped": true, "time": position };
        self.stack.db.collection::<Document>("watcherCheckpoints").insert_one(watcher).await?;
        Ok(())
    }

    /// Event number `n` of all, and its delivery. Each task has its next event once every other has had one.
    fn event(&self, n: u32) -> (RawDocumentBuf, RawDocumentBuf) {
        let tasks = u32::try_from(self.tasks.len()).unwrap_or(1);
        let (task, sequence) = (self.tasks[(n % tasks) as usize], i64::from(n / tasks) + 1);
        let time = Timestamp { time: self.begin + n / 1000, increment: n % 1000 + 1 };
        let id = EventId::derive(StreamTime::new(time, 0), "db.tasks", &DocId::Oid(task), "task.updated");
        let (group, at) = (self.stack.service.group().id, DateTime::from_millis(i64::from(time.time) * 1000));
        let summary = rawdoc! { "status": "Pending", "changed": ["difficulty"] };
        let event = rawdoc! {
            "_id": id.as_str(), "groupId": group, "taskId": task, "event": "task.updated", "at": at, "clusterTime": time,
            "sequence": sequence, "actorId": "65a000000000000000000001", "summary": summary.clone(),
            "body": "x".repeat(600),
        };
        let attempt = rawdoc! { "n": 1, "at": at, "outcome": "delivered", "durationMs": 7i64, "responseStatus": 204 };
        let row = rawdoc! {
            "_id": DeliveryId::derive(&id, self.webhook).as_str(), "groupId": group, "webhookId": self.webhook,
            "eventId": id.as_str(), "eventType": "task.updated", "taskId": task, "sequence": sequence,
            "payloadSummary": summary, "status": "delivered", "attempts": 1, "attemptsBase": 0, "createdAt": at,
            "lastAttemptAt": at, "deliveredAt": at, "durationMs": 7i64, "responseStatus": 204, "log": [attempt],
            "expireAt": DateTime::from_millis(at.timestamp_millis() + 30 * 86_400_000),
        };
        (event, row)
    }

    /// Clean as it is; with a row, an event and a snapshot fewer, in the midst, it tells just those.
    async fn is_audited(&self) -> Result<()> {
        let events = self.tasks.len() as u64 * u64::from(EACH);
        let clean = audit(&self.stack, &["--wait", "0"]).await?;
        clean.assert_clean();
        let checked = doc_of(events, self.tasks.len() as u64);
        assert_eq!(clean.report["checked"], checked);
        let middle = self.tasks[self.tasks.len() / 2];
        let of_task = |sequence: i64| doc! { "taskId": middle, "sequence": sequence };
        let db = &self.stack.db;
        db.collection::<Document>("webhookDeliveries").delete_one(of_task(4)).await?;
        db.collection::<Document>("taskEvents").delete_one(of_task(6)).await?;
        let other = self.tasks[self.tasks.len() / 3];
        db.collection::<Document>("taskSnapshots").delete_one(doc! { "_id": other }).await?;
        let broken = audit(&self.stack, &["--wait", "0"]).await?;
        let kinds = ["delivery-missing", "delivery-orphan", "sequence-hole", "sequence-end", "not-provable"];
        assert_eq!(broken.kinds(), kinds, "{:#}", broken.report);
        for line in broken.report["findings"].as_array().context("findings")? {
            assert_eq!(line["count"], 1, "{line:#}");
        }
        Ok(())
    }
}

fn doc_of(events: u64, tasks: u64) -> serde_json::Value {
    serde_json::json!({ "events": events, "deliveries": events, "sequences": tasks, "tasks": tasks })
}

#[tokio::test]
async fn what_is_wrong_is_found_among_thousands() -> Result<()> {
    Filled::new(12_000).await?.is_audited().await
}

/// The most memory that a process has had, in MB.
fn peak_mb(process: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok()? / 1024)
}

#[tokio::test]
#[ignore = "long: makes a database of a million events, some minutes"]
async fn a_million_events_are_audited_in_flat_memory() -> Result<()> {
    let filled = Filled::new(1_000_000).await?;
    let begun = Instant::now();
    let mut process = filled.stack.launch(Program::Indexer).arguments(&["audit", "--wait", "0"]).spawn()?;
    let mut peak = 0;
    let code = loop {
        peak = peak.max(process.id().and_then(peak_mb).unwrap_or(0));
        if let Ok(code) = process.wait_for_end(Duration::from_millis(100)).await {
            break code;
        }
        ensure!(begun.elapsed() < Duration::from_secs(600), "not done in ten minutes");
    };
    eprintln!("1,000,000 events audited in {:.1} s, {peak} MB: {}", begun.elapsed().as_secs_f64(), process.log());
    assert_eq!(code, Some(0), "{}", process.log());
    assert!(peak < 200, "{peak} MB");
    Ok(())
}
