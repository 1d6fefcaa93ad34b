//! Partners' posts, beside the same transaction alone.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, ensure};
use bson::oid::ObjectId;
use bson::{DateTime, doc};
use reqwest::Method;
use serde_json::{Value, json};
use taskwire::mapping::{Deed, Mapping, Value as Field, Writer};
use taskwire::model::{DocId, ExternalRef, InboundKind, ItemOutcome, ItemResult, Receipt, ReceiptId, RefKey};
use taskwire::store::inbound_writes::{Applied, Documents, GroupTouch, Writes, apply};
use taskwire::store::{Store, ensure_indexes};
use taskwire_tests::receiver::hex_signature;
use taskwire_tests::service::Group;
use taskwire_tests::{AdminApi, Process, Program};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::Bench;
use crate::arguments::Part;
use crate::report::{Report, Unit};
use crate::scene::Scene;

/// Connections that post side by side.
const SIDE_BY_SIDE: usize = 8;
/// Tasks in a batch.
const BATCH: usize = 100;
const DESCRIPTION: &str = "As long a description as people write for a task of a household.";

/// An API process, and a partner of each of some groups.
pub(crate) struct Partners {
    api: Process,
    admin: AdminApi,
    /// Group, a member, secret.
    groups: Vec<(ObjectId, ObjectId, String)>,
    next: AtomicUsize,
}

impl Bench {
    pub(crate) async fn measure_inbound(&self, report: &mut Report) -> Result<()> {
        for (groups, where_to) in [(1, "one group"), (SIDE_BY_SIDE, "eight groups")] {
            let scene = self.set_scene(&[]).await?;
            let partners = Arc::new(self.partners(&scene, groups).await?);
            let posts = self.sizes.posts;
            self.say(&format!("inbound: {posts} posts into {where_to}"));
            let rate = partners.post_all(posts, 1).await?;
            report.add(Part::Inbound, &format!("posts of one task into {where_to}"), Unit::PerSecond, rate);
            let rate = partners.post_all(posts / 5, BATCH).await? * BATCH as f64;
            report.add(Part::Inbound, &format!("tasks in posts of 100 into {where_to}"), Unit::PerSecond, rate);
            let partners = Arc::into_inner(partners).context("posting has ended")?;
            self.stop(partners.api).await?;
            self.leave(scene).await?;
        }
        for (count, name) in [(1, "the transaction of one task alone"), (BATCH, "tasks in transactions of 100 alone")] {
            self.say(&format!("inbound: {name}"));
            let times = if count == 1 { self.sizes.posts } else { self.sizes.posts / 5 };
            let rate = self.write_alone(times, count).await?;
            report.add(Part::Inbound, name, Unit::PerSecond, rate * count as f64);
        }
        Ok(())
    }

    /// An API process, and integrations of the scene's group and of further ones.
    pub(crate) async fn partners(&self, scene: &Scene, count: usize) -> Result<Partners> {
        let api = self.launch(&scene.db, Program::Api)?.start().await?;
        let admin = AdminApi::new(&api.url(), scene.group.admin)?;
        let mut groups = Vec::new();
        for at in 0..count {
            let group = if at == 0 { scene.group.clone() } else { Group::create(&scene.db).await? };
            let wanted = json!({ "scopes": ["tasks:write"], "rateLimitPerMinute": 60_000 });
            let path = format!("/api/integrations/inbound?groupId={}", group.id);
            let made = AdminApi::new(&api.url(), group.admin)?.put(&path, &wanted).await?.expect(200)?;
            let secret = made.get("secret").and_then(Value::as_str).context("no secret")?.to_owned();
            groups.push((group.id, *group.members.first().context("no member")?, secret));
        }
        Ok(Partners { api, admin, groups, next: AtomicUsize::new(0) })
    }

    /// Transactions a second that the store makes for calls that create so many tasks.
    async fn write_alone(&self, times: usize, count: usize) -> Result<f64> {
        let scene = self.set_scene(&[]).await?;
        let store = Store { client: scene.db.client().clone(), db: scene.db.database().clone() };
        ensure_indexes(&store).await?;
        let mapping = Mapping::load("tasks-tracker")?;
        let mut prepared = Vec::new();
        for _ in 0..times {
            prepared.push(writes(&mapping, &scene.group, count).context("a mapping that writes")?);
        }
        let began = Instant::now();
        for writes in prepared {
            ensure!(apply(&store, writes).await? == Applied::Done, "nobody else writes");
        }
        let rate = times as f64 / began.elapsed().as_secs_f64();
        self.leave(scene).await?;
        Ok(rate)
    }
}

impl Partners {
    /// Posts a second, of `tasks` new tasks each.
    async fn post_all(self: &Arc<Self>, posts: usize, tasks: usize) -> Result<f64> {
        let began = Instant::now();
        let each = posts.div_ceil(SIDE_BY_SIDE);
        let mut posting = JoinSet::new();
        for at in 0..SIDE_BY_SIDE {
            let partners = Arc::clone(self);
            posting.spawn(async move {
                for _ in 0..each {
                    partners.post(at, tasks).await?;
                }
                anyhow::Ok(())
            });
        }
        while let Some(ended) = posting.join_next().await {
            ended??;
        }
        Ok((each * SIDE_BY_SIDE) as f64 / began.elapsed().as_secs_f64())
    }

    /// Posts one task after the other from one connection until it is stopped; how many, and the process.
    pub(crate) async fn load(self, stop: CancellationToken) -> Result<(usize, Process)> {
        let mut posts = 0;
        while !stop.is_cancelled() {
            self.post(0, 1).await?;
            posts += 1;
        }
        Ok((posts, self.api))
    }

    async fn post(&self, at: usize, tasks: usize) -> Result<()> {
        let (group, member, secret) = &self.groups[at % self.groups.len()];
        let first = self.next.fetch_add(tasks, Relaxed);
        let items: Vec<Value> = (first..first + tasks)
            .map(|number| {
                json!({
                    "externalId": format!("task-{number}"), "name": format!("Task number {number}"),
                    "description": DESCRIPTION, "difficulty": 3, "assignedUserId": member.to_hex(),
                    "dueAt": "2026-01-31T12:00:00Z",
                })
            })
            .collect();
        let body = json!({ "tasks": items });
        let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs().to_string();
        let signature = format!("sha256={}", hex_signature(secret, &now, body.to_string().as_bytes()));
        let headers = [("x-timestamp", now.as_str()), ("x-signature", signature.as_str())];
        let path = format!("/api/integrations/inbound/{group}/tasks");
        let reply = self.admin.call_with(Method::POST, &path, Some(&body), &headers).await?;
        reply.expect(201).map(drop)
    }
}

/// What a call that creates so many tasks writes.
fn writes(mapping: &Mapping, group: &Group, count: usize) -> Option<Writes> {
    let (group_id, user, now) = (DocId::Oid(group.id), DocId::Oid(group.admin), DateTime::now());
    let writer = Writer::new(mapping, mapping.writer.as_ref()?, &group_id, &user, now);
    let (mut tasks, mut rows, mut refs, mut results) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for number in 0..count {
        let id = ObjectId::new();
        let mut values = vec![Field::Null; mapping.task.fields.len()];
        for (name, value) in [
            ("name", Field::Text(format!("Task number {number}").into())),
            ("description", Field::Text(DESCRIPTION.into())),
            ("status", Field::Text("Pending".into())),
            ("assignedUserId", Field::Oid(group.admin)),
            ("difficulty", Field::Int(3)),
            ("dueAt", Field::Date(now.timestamp_millis())),
            ("requiresApproval", Field::Bool(false)),
            ("frequency", Field::Text("OneTime".into())),
        ] {
            values[mapping.field(name)?] = value;
        }
        tasks.push(writer.new_task(id, &values));
        rows.extend(writer.row(Deed::Created, &id.into(), None, &values));
        let key = RefKey { group: group_id.clone(), kind: InboundKind::Tasks, external_id: id.to_hex() };
        refs.push(ExternalRef { key, target_id: id, at: now });
        let (external_id, id) = (Some(id.to_hex()), id.to_hex());
        results.push(ItemResult { external_id, id, outcome: ItemOutcome::Created, recreated: false });
    }
    let set = doc! { "lastActivity": now, "updatedAt": now };
    let update = doc! { "$set": set, "$inc": { "taskCount": i32::try_from(count).ok()? } };
    Some(Writes {
        receipt: Receipt {
            id: ReceiptId::derive(ObjectId::new(), "0", b""),
            integration_id: group.id,
            group_id: group_id.clone(),
            kind: InboundKind::Tasks,
            status: 201,
            results,
            at: now,
            expire_at: now,
        },
        new_refs: refs,
        moved_refs: Vec::new(),
        names_seen: None,
        rows: Documents { collection: "taskHistories".to_owned(), inserts: rows, replaces: Vec::new() },
        documents: Documents { collection: "tasks".to_owned(), inserts: tasks, replaces: Vec::new() },
        group: Some(GroupTouch { collection: "groups".to_owned(), id: group_id, update }),
    })
}
