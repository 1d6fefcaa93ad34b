//! What the same machine can do at most, each step alone: reading the stream, recording, posting.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, ensure};
use bson::oid::ObjectId;
use bson::{Bson, DateTime, Document, RawDocumentBuf, Timestamp, doc};
use futures::{StreamExt, TryStreamExt, stream};
use mongodb::{ClientSession, Database};
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use standardwebhooks::Webhook;
use taskwire::store::{Store, ensure_indexes};
use taskwire_tests::receiver::hex_signature;
use taskwire_tests::service::Group;

use crate::report::Report;
use crate::writer::Writer;
use crate::{Bench, remote};

/// Events in one transaction.
const BATCH: usize = 500;

/// Posts under way at once.
const POSTS_SIDE_BY_SIDE: usize = 64;

impl Bench {
    pub(crate) async fn measure_ceilings(&self, report: &mut Report) -> Result<()> {
        self.say("ceiling: reading the change stream");
        report.stream_reads_per_second = self.read_stream().await?;
        self.say("ceiling: the transaction of a batch");
        report.recorded_events_per_second = self.record_batches().await?;
        self.say("ceiling: posting to the receiver");
        report.posts_per_second = self.post().await?;
        Ok(())
    }

    /// Raw changes a second, of the same writes as the backlog's.
    async fn read_stream(&self) -> Result<f64> {
        let db = self.mongo.db().await?;
        let group = Group::create(&db).await?;
        let hello = db.run_command(doc! { "hello": 1 }).await?;
        let time = hello.get_document("lastWrite")?.get_document("opTime")?.get_timestamp("ts")?;
        let writes = self.arguments.writes;
        Writer::new(&db, &group, true).write_all(writes).await?;
        let start = Timestamp { time: time.time, increment: time.increment + 1 };
        let stream = db.watch().start_at_operation_time(start).batch_size(1000).await?;
        let mut stream = stream.with_type::<RawDocumentBuf>();
        let (began, mut bytes) = (Instant::now(), 0);
        for _ in 0..writes * 2 {
            let change = stream.try_next().await?.context("the stream ended")?;
            bytes += change.as_bytes().len();
        }
        ensure!(bytes > 0, "changes are not empty");
        Ok((writes * 2) as f64 / began.elapsed().as_secs_f64())
    }

    /// Events a second that transactions of [`BATCH`] record: events, deliveries, snapshots and the position.
    async fn record_batches(&self) -> Result<f64> {
        let db = self.mongo.db().await?;
        ensure_indexes(&Store { client: db.client().clone(), db: db.database().clone() }).await?;
        for name in ["taskEvents", "webhookDeliveries", "taskSnapshots", "watcherCheckpoints"] {
            // Inside a transaction a collection that is made costs extra; the programs make theirs before.
            db.collection::<Document>(name).insert_one(doc! { "_id": "first", "epoch": 1 }).await?;
        }
        let batches = self.arguments.writes.div_ceil(BATCH);
        let prepared: Vec<_> = (0..batches).map(Batch::prepare).collect();
        let mut session = db.client().start_session().await?;
        let began = Instant::now();
        for batch in &prepared {
            session.start_transaction().await?;
            batch.record(&db, &mut session).await?;
            session.commit_transaction().await?;
        }
        Ok((batches * BATCH) as f64 / began.elapsed().as_secs_f64())
    }

    /// Posts a second of one signed delivery that the receiver verifies each time.
    async fn post(&self) -> Result<f64> {
        let client =
            reqwest::Client::builder().no_proxy().tcp_nodelay(true).timeout(Duration::from_secs(15)).build()?;
        let (url, body, headers) = (self.receiver.hook_url(), sample_body("evt_ceiling"), sample_headers()?);
        let before = self.receiver.totals().await?;
        let posts = self.arguments.writes;
        let began = Instant::now();
        stream::iter(0..posts)
            .map(|_| async {
                let request = client.post(&url).headers(headers.clone()).body(body.clone());
                request.send().await?.error_for_status()?.bytes().await
            })
            .buffer_unordered(POSTS_SIDE_BY_SIDE)
            .try_for_each(|_| async { Ok(()) })
            .await?;
        let elapsed = began.elapsed().as_secs_f64();
        let accepted = self.receiver.totals().await?.accepted - before.accepted;
        ensure!(accepted == u64::try_from(posts)?, "the receiver accepted {accepted} of {posts} posts");
        Ok(posts as f64 / elapsed)
    }
}

/// The documents of one transaction, in the size of real ones.
struct Batch {
    events: Vec<Document>,
    deliveries: Vec<Document>,
    snapshots: Vec<Document>,
}

impl Batch {
    fn prepare(number: usize) -> Self {
        let webhook = ObjectId::new();
        let numbers = number * BATCH..(number + 1) * BATCH;
        let (mut events, mut deliveries, mut snapshots) = (Vec::new(), Vec::new(), Vec::new());
        for number in numbers {
            let (id, task, now) = (format!("evt_{number:032}"), ObjectId::new(), DateTime::now());
            let summary = doc! { "status": "InProgress", "changed": ["status"] };
            events.push(doc! {
                "_id": &id, "groupId": webhook, "taskId": task, "event": "task.updated", "at": now,
                "clusterTime": Timestamp { time: 1, increment: 1 }, "sequence": 2_i64, "actorId": task.to_hex(),
                "summary": summary.clone(), "body": sample_body(&id),
            });
            deliveries.push(doc! {
                "_id": format!("dlv_{number:032}"), "groupId": webhook, "webhookId": webhook, "eventId": &id,
                "eventType": "task.updated", "taskId": task, "sequence": 2_i64, "payloadSummary": summary,
                "status": "queued", "attempts": 0, "attemptsBase": 0, "due": now, "createdAt": now,
                "nextAttemptAt": now,
            });
            let set = doc! {
                "groupId": webhook, "name": format!("Task number {number}"), "status": "InProgress", "difficulty": 5,
                "assignedUserId": task, "dueAt": now, "requiresApproval": false, "sequence": 2_i64,
                "at": { "t": 1_i64, "i": 1_i64, "n": 0_i64 },
            };
            snapshots.push(doc! { "q": { "_id": task }, "u": { "$set": set }, "upsert": true });
        }
        Self { events, deliveries, snapshots }
    }

    async fn record(&self, db: &Database, session: &mut ClientSession) -> Result<()> {
        let position = doc! { "$inc": { "batch": 1 }, "$set": { "token": { "_data": "8265".repeat(30) } } };
        let fence = doc! { "_id": "first", "epoch": 1 };
        let checkpoints = db.collection::<Document>("watcherCheckpoints");
        checkpoints.update_one(fence, position).session(&mut *session).await?;
        db.collection::<Document>("taskEvents").insert_many(&self.events).session(&mut *session).await?;
        db.collection::<Document>("webhookDeliveries").insert_many(&self.deliveries).session(&mut *session).await?;
        let updates: Vec<Bson> = self.snapshots.iter().cloned().map(Bson::Document).collect();
        let command = doc! { "update": "taskSnapshots", "updates": updates, "ordered": false };
        let answer = db.run_command(command).session(&mut *session).await?;
        ensure!(!answer.contains_key("writeErrors"), "a snapshot was not written: {answer}");
        Ok(())
    }
}

/// A body of the usual size.
fn sample_body(event: &str) -> String {
    let id = "65a000000000000000000001";
    format!(
        r#"{{"id":"{event}","event":"task.updated","groupId":"{id}","timestamp":"2025-12-15T12:34:56.123Z","actorId":"{id}","data":{{"id":"{id}","name":"Task number 12345","status":"InProgress","assignedUserId":"{id}","difficulty":5,"dueAt":"2025-12-15T12:34:56.123Z","requiresApproval":false,"updatedAt":"2025-12-15T12:34:56.123Z","sequence":2,"changes":{{"status":{{"from":"Pending","to":"InProgress"}}}}}}}}"#
    )
}

fn sample_headers() -> Result<HeaderMap> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
    let body = sample_body("evt_ceiling");
    let standard = Webhook::new(remote::SECRET)?.sign("evt_ceiling", i64::try_from(now)?, body.as_bytes())?;
    let plain = hex_signature(remote::SECRET, &now.to_string(), body.as_bytes());
    let mut headers = HeaderMap::new();
    for (name, value) in [
        ("x-signature", format!("sha256={plain}")),
        ("x-timestamp", now.to_string()),
        ("x-event", "task.updated".to_owned()),
        ("x-delivery-id", "dlv_ceiling".to_owned()),
        ("x-attempt", "1".to_owned()),
        ("webhook-id", "evt_ceiling".to_owned()),
        ("webhook-timestamp", now.to_string()),
        ("webhook-signature", standard),
        ("user-agent", format!("Taskwire/{}", taskwire::VERSION)),
        ("content-type", "application/json".to_owned()),
    ] {
        headers.insert(HeaderName::from_static(name), HeaderValue::from_str(&value)?);
    }
    Ok(headers)
}
