//! What the same machine can do at most, each step alone: reading the stream, recording, updating rows, posting.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, ensure};
use bson::oid::ObjectId;
use bson::{Bson, DateTime, Document, RawDocumentBuf, Timestamp, doc};
use futures::{StreamExt, TryStreamExt, stream};
use http_body_util::{BodyExt, Full};
use hyper::Request;
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::header::{HeaderMap, HeaderName, HeaderValue};
use hyper_util::rt::TokioIo;
use mongodb::{ClientSession, Database};
use standardwebhooks::Webhook;
use taskwire::store::{Store, ensure_indexes, names};
use taskwire_tests::receiver::hex_signature;
use taskwire_tests::service::Group;
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::queue::sample_body;
use crate::remote::SECRET;
use crate::report::{Ceiling, Report};
use crate::scene::Hook;
use crate::tally::Manner;
use crate::writer::Writer;
use crate::{Bench, oplog};

/// Events in one transaction.
const BATCH: usize = 500;

/// Posts under way at once.
const POSTS_SIDE_BY_SIDE: usize = 64;

/// Update commands under way at once.
const UPDATES_SIDE_BY_SIDE: usize = 4;

impl Bench {
    pub(crate) async fn measure_ceilings(&self, report: &mut Report) -> Result<()> {
        self.say("ceiling: reading the change stream");
        report.ceiling(Ceiling::StreamReads, self.read_stream().await?);
        self.say("ceiling: the transaction of a batch");
        report.ceiling(Ceiling::Records, self.record_batches().await?);
        self.say("ceiling: updating rows");
        report.ceiling(Ceiling::Updates, self.update_rows().await?);
        self.say("ceiling: posting to the receiver");
        report.ceiling(Ceiling::Posts, self.post().await?);
        Ok(())
    }

    /// Raw changes a second, of the same writes as the backlog's.
    async fn read_stream(&self) -> Result<f64> {
        let db = self.mongo.db().await?;
        let group = Group::create(&db).await?;
        let time = oplog::last_write(&db).await?;
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

    /// Rows a second that commands of [`BATCH`] updates end as delivered.
    async fn update_rows(&self) -> Result<f64> {
        let scene = self.set_scene(&[Hook::to(Manner::Accept)]).await?;
        let rows = self.sizes.queued;
        scene.queue(0..rows).await?;
        let deliveries = scene.db.collection::<Document>(names::DELIVERIES);
        let found = deliveries.find(doc! {}).projection(doc! { "_id": 1 }).await?;
        let ids: Vec<Document> = found.try_collect().await?;
        let commands: Vec<Document> = ids.chunks(BATCH).map(update_command).collect();
        let began = Instant::now();
        stream::iter(commands)
            .map(|command| async {
                let answer = scene.db.run_command(command).await?;
                ensure!(!answer.contains_key("writeErrors"), "a row was not updated: {answer}");
                Ok(())
            })
            .buffer_unordered(UPDATES_SIDE_BY_SIDE)
            .try_collect::<()>()
            .await?;
        let seconds = began.elapsed().as_secs_f64();
        self.leave(scene).await?;
        Ok(f64::from(rows) / seconds)
    }

    /// Posts a second of one signed delivery over connections that stay open, by a client that does nothing else.
    async fn post(&self) -> Result<f64> {
        let each = self.arguments.writes.div_ceil(POSTS_SIDE_BY_SIDE);
        let mut connections = Vec::new();
        for _ in 0..POSTS_SIDE_BY_SIDE {
            let stream = TcpStream::connect(self.receiver.address()).await?;
            stream.set_nodelay(true)?;
            let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
            tokio::spawn(connection);
            connections.push(sender);
        }
        let (body, headers) = (Bytes::from(ceiling_body()), self.sample_headers()?);
        let began = Instant::now();
        let mut posting = JoinSet::new();
        for mut sender in connections {
            let (body, headers) = (body.clone(), headers.clone());
            posting.spawn(async move {
                for _ in 0..each {
                    let mut request = Request::post("/accept/ceiling/").body(Full::new(body.clone()))?;
                    *request.headers_mut() = headers.clone();
                    let answer = sender.send_request(request).await?;
                    ensure!(answer.status().is_success(), "the receiver answered {}", answer.status());
                    answer.into_body().collect().await?;
                }
                Ok(())
            });
        }
        while let Some(ended) = posting.join_next().await {
            ended??;
        }
        let seconds = began.elapsed().as_secs_f64();
        self.receiver.forget("/accept/ceiling/").await?;
        Ok((each * POSTS_SIDE_BY_SIDE) as f64 / seconds)
    }

    fn sample_headers(&self) -> Result<HeaderMap> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
        let body = ceiling_body();
        let standard = Webhook::new(SECRET)?.sign("evt_ceiling", i64::try_from(now)?, body.as_bytes())?;
        let plain = hex_signature(SECRET, &now.to_string(), body.as_bytes());
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("host", self.receiver.address().to_owned()),
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
}

/// Ends rows as a dispatcher does.
fn update_command(ids: &[Document]) -> Document {
    let now = DateTime::now();
    let attempt = doc! { "n": 1, "at": now, "outcome": "delivered", "durationMs": 2_i64, "responseStatus": 204 };
    let delivered = doc! {
        "$set": { "status": "delivered", "attempts": 1, "lastAttemptAt": now, "deliveredAt": now, "expireAt": now,
            "durationMs": 2_i64, "responseStatus": 204 },
        "$push": { "log": attempt },
        "$unset": { "due": "", "nextAttemptAt": "" },
    };
    let update = |id: &Document| doc! { "q": { "_id": id.get("_id") }, "u": delivered.clone() };
    let updates: Vec<Document> = ids.iter().map(update).collect();
    doc! { "update": names::DELIVERIES, "updates": updates, "ordered": false }
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
                "summary": summary.clone(), "body": sample_body(&id, webhook, task, now, 2),
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

fn ceiling_body() -> String {
    let id = ObjectId::from_bytes([0x65; 12]);
    sample_body("evt_ceiling", id, id, DateTime::from_millis(1_765_802_096_123), 2)
}
