//! A database with webhooks and queued rows, a receiver, and dispatchers that can be stopped or killed.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::{Context, Result};
use bson::oid::ObjectId;
use bson::{DateTime, Document, Timestamp, doc};
use secrecy::SecretString;
use serde_json::json;
use taskwire::config::{IndexerSettings, MongoSettings, Source};
use taskwire::model::{
    Delivery, DeliveryId, DocId, EventFilter, EventId, EventKind, Ordering, PayloadSummary, RetryPolicy, SealedField,
    SecretState, Stops, StreamTime, TaskEvent, Webhook,
};
use taskwire::secrets::MasterKeys;
use taskwire::store::{ServerClock, Store, connect, ensure_indexes, names};
use taskwire_indexer::dispatch::{self, DispatchHandle};
pub(crate) use taskwire_tests::SOON;
use taskwire_tests::process::Launch;
use taskwire_tests::{Db, Program, Receiver, eventually};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

pub(crate) const SECRET: &str = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
pub(crate) const MASTER_KEY: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

pub(crate) struct Scene {
    pub(crate) store: Store,
    pub(crate) receiver: Receiver,
    pub(crate) group: DocId,
    uri: String,
    sequence: std::sync::atomic::AtomicU32,
    // Dropped last: it drops the database.
    db: Db,
}

/// A dispatcher on a runtime of its own, so that it can be killed like a process.
pub(crate) struct Dispatcher {
    pub(crate) handle: DispatchHandle,
    runtime: Option<tokio::runtime::Runtime>,
    stop: CancellationToken,
    end: Option<JoinHandle<()>>,
}

impl Scene {
    pub(crate) async fn new() -> Result<Self> {
        taskwire_tests::init();
        let db = Db::fresh().await?;
        let uri = db.uri().to_owned();
        let store = open(&uri, db.name()).await?;
        ensure_indexes(&store).await?;
        let receiver = Receiver::start().await?;
        let sequence = std::sync::atomic::AtomicU32::new(1);
        Ok(Self { store, receiver, group: ObjectId::new().into(), uri, sequence, db })
    }

    /// A live webhook whose target is this path of the receiver, changed by `change`, and stored.
    pub(crate) async fn webhook(&self, path: &str, change: impl FnOnce(&mut Webhook)) -> Result<Webhook> {
        self.receiver.set_secret(path, SECRET);
        let (id, now) = (ObjectId::new(), DateTime::now());
        let keys = MasterKeys::parse(MASTER_KEY)?;
        let seal = |field, text: &str| keys.seal(&Webhook::sealing_context(id, field), text);
        let headers = BTreeMap::from([("X-Partner", "p-1"), ("X-Signature", "forged")]);
        let mut webhook = Webhook {
            id,
            group_id: self.group.clone(),
            name: path.to_owned(),
            target_url: self.receiver.url(path),
            enabled: true,
            disabled_reason: None,
            events: EventFilter::default(),
            headers: Some(seal(SealedField::Headers, &serde_json::to_string(&headers)?)?),
            retry_policy: RetryPolicy { max_attempts: 5, backoff_seconds: 1 },
            // Longer than an answer takes on a busy machine: what times out is made again.
            timeout_seconds: 20,
            rate_limit_per_second: None,
            ordering: Ordering::None,
            skip_inbound_echoes: false,
            secret: SecretState {
                current: seal(SealedField::CurrentSecret, SECRET)?,
                hint: taskwire::secrets::hint(&SecretString::from(SECRET)),
                previous: None,
                rotation_started_at: None,
                rotation_expires_at: None,
            },
            stops: Stops::default(),
            alert: None,
            revision: 1,
            created_at: now,
            created_by: ObjectId::new().into(),
            updated_at: now,
            deleted_at: None,
        };
        change(&mut webhook);
        self.store.collection::<Webhook>(names::WEBHOOKS).insert_one(&webhook).await?;
        Ok(webhook)
    }

    /// Changes a stored webhook as the API does: whole, with the next revision and the server's time.
    pub(crate) async fn change(&self, webhook: &mut Webhook, change: impl FnOnce(&mut Webhook)) -> Result<()> {
        let clock = ServerClock::calibrated(&self.store.db).await?;
        change(webhook);
        let before = webhook.revision;
        webhook.revision += 1;
        webhook.updated_at = clock.now();
        let guard = doc! { "_id": webhook.id, "revision": before };
        let replaced = self.store.collection::<Webhook>(names::WEBHOOKS).replace_one(guard, &*webhook).await?;
        anyhow::ensure!(replaced.matched_count == 1, "the webhook was changed by somebody else");
        Ok(())
    }

    /// An event of this task and the row that delivers it, not yet stored.
    pub(crate) fn row(&self, webhook: &Webhook, task: ObjectId, sequence: i64) -> (TaskEvent, Delivery) {
        let n = self.sequence.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let time = Timestamp { time: 1_700_000_000, increment: n };
        let task_id = DocId::from(task);
        let id = EventId::derive(StreamTime::new(time, 0), "db.tasks", &task_id, "task.updated");
        let now = DateTime::now();
        let body = json!({
            "id": id.as_str(), "event": "task.updated", "groupId": self.group.to_string(),
            "timestamp": now.try_to_rfc3339_string().unwrap_or_default(), "actorId": null,
            "data": { "id": task.to_hex(), "name": "Wash up", "status": "Pending", "sequence": sequence,
                      "updatedAt": now.try_to_rfc3339_string().unwrap_or_default(), "changes": {} },
        });
        let summary = PayloadSummary { status: Some("Pending".into()), changed: vec!["name".into()] };
        let event = TaskEvent {
            id,
            group_id: self.group.clone(),
            task_id,
            event: EventKind::Updated,
            at: now,
            cluster_time: time,
            sequence,
            actor_id: None,
            summary,
            body: body.to_string(),
            echo: false,
            muted: false,
            recovered: false,
        };
        let delivery = Delivery::queued(&event, webhook.id, webhook.ordering, now);
        (event, delivery)
    }

    pub(crate) async fn insert(&self, rows: &[(TaskEvent, Delivery)]) -> Result<()> {
        let (events, deliveries): (Vec<_>, Vec<_>) = rows.iter().map(|(event, row)| (event, row)).unzip();
        self.store.collection::<TaskEvent>(names::EVENTS).insert_many(events).await?;
        self.store.collection::<Delivery>(names::DELIVERIES).insert_many(deliveries).await?;
        Ok(())
    }

    /// Stores `count` queued rows, each of a task of its own.
    pub(crate) async fn queue(&self, webhook: &Webhook, count: usize) -> Result<Vec<DeliveryId>> {
        let rows: Vec<_> = (0..count).map(|_| self.row(webhook, ObjectId::new(), 1)).collect();
        self.insert(&rows).await?;
        Ok(rows.into_iter().map(|(_, row)| row.id).collect())
    }

    pub(crate) async fn delivery(&self, id: &DeliveryId) -> Result<Delivery> {
        let rows = self.store.collection::<Delivery>(names::DELIVERIES);
        rows.find_one(doc! { "_id": id.as_str() }).await?.context("no such row")
    }

    pub(crate) async fn count(&self, filter: Document) -> Result<u64> {
        Ok(self.store.collection::<Document>(names::DELIVERIES).count_documents(filter).await?)
    }

    pub(crate) async fn wait_for_count(&self, filter: Document, count: u64) -> Result<()> {
        eventually(&format!("{count} rows {filter}"), SOON, async || {
            let now = self.count(filter.clone()).await.map_err(|error| error.to_string())?;
            if now == count { Ok(()) } else { Err(format!("{now} rows")) }
        })
        .await
    }

    /// Waits until a row fits, and gives it.
    pub(crate) async fn wait_for(
        &self,
        id: &DeliveryId,
        what: &str,
        fits: impl Fn(&Delivery) -> bool,
    ) -> Result<Delivery> {
        eventually(what, SOON, async || {
            let row = self.delivery(id).await.map_err(|error| error.to_string())?;
            if fits(&row) { Ok(row) } else { Err(format!("{row:?}")) }
        })
        .await
    }

    pub(crate) async fn finished(&self, id: &DeliveryId) -> Result<Delivery> {
        self.wait_for(id, "a finished delivery", |row| !row.status.is_open()).await
    }

    pub(crate) async fn failed_once(&self, id: &DeliveryId) -> Result<Delivery> {
        self.wait_for(id, "a failed attempt", |row| !row.log.is_empty()).await
    }

    /// The real program, with these arguments, against this scene.
    pub(crate) fn indexer(&self, arguments: &[&str]) -> Launch {
        Launch::new(Program::Indexer)
            .arguments(arguments)
            .set("TASKWIRE_MONGODB_URI", &self.uri)
            .set("TASKWIRE_DATABASE", self.db.name())
            .set("TASKWIRE_MASTER_KEY", MASTER_KEY)
            .set("TASKWIRE_ALLOW_HTTP_TARGETS", "true")
            .set("TASKWIRE_TARGET_ALLOWLIST", "127.0.0.0/8")
            .set("TASKWIRE_GRACE_MS", "3000")
    }

    pub(crate) async fn dispatcher(&self) -> Result<Dispatcher> {
        self.dispatcher_with(&[]).await
    }

    pub(crate) async fn dispatcher_with(&self, more: &[(&str, &str)]) -> Result<Dispatcher> {
        let mut pairs = vec![
            ("master_key", MASTER_KEY),
            ("allow_http_targets", "true"),
            ("target_allowlist", "127.0.0.0/8"),
            ("grace_ms", "3000"),
        ];
        pairs.extend(more);
        let settings = IndexerSettings::read(&Source::from_pairs(&pairs)?)?;
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
        let (uri, name) = (self.uri.clone(), self.db.name().to_owned());
        let stop = CancellationToken::new();
        let stopping = stop.clone();
        let started = runtime.spawn(async move {
            let store = open(&uri, &name).await?;
            let clock = ServerClock::calibrated(&store.db).await?;
            anyhow::Ok(dispatch::start(&store, &settings, clock, stopping)?)
        });
        let (handle, end) = started.await??;
        eventually("a dispatcher that knows the webhooks", SOON, async || {
            if handle.is_ready() { Ok(()) } else { Err("not yet".into()) }
        })
        .await?;
        Ok(Dispatcher { handle, runtime: Some(runtime), stop, end: Some(end) })
    }
}

async fn open(uri: &str, database: &str) -> Result<Store> {
    let settings = MongoSettings { uri: uri.to_owned(), database: database.to_owned() };
    Ok(connect(&settings, "taskwire-tests").await?)
}

impl Dispatcher {
    /// Stops in good order.
    pub(crate) async fn stop(mut self) -> Result<()> {
        self.stop.cancel();
        if let Some(end) = self.end.take() {
            tokio::time::timeout(SOON, end).await??;
        }
        Ok(())
    }

    /// Gone at once, as by `kill -9`: nothing is released, written or told.
    pub(crate) fn kill(mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl Drop for Dispatcher {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// A body as `Arc<str>`, as the recorder holds it.
pub(crate) fn shared(event: &TaskEvent) -> Arc<str> {
    Arc::from(event.body.as_str())
}
