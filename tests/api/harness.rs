//! One API on a database of its own, which is dropped with it.

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Request, StatusCode};
use bson::oid::ObjectId;
use bson::{DateTime, Document, Timestamp, doc};
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::{Value, json};
use taskwire::config::{ApiSettings, Source};
use taskwire::http::{App, router};
use taskwire::model::ids::StreamTime;
use taskwire::model::{
    Attempt, AttemptOutcome, Delivery, DeliveryId, DeliveryStatus, DocId, EventId, EventKind, Ordering, PayloadSummary,
    TaskEvent,
};
use taskwire::store::{ServerClock, Store, connect, ensure_indexes, names};
use tower::ServiceExt;

pub const JWT_SECRET: &str = "a-secret-for-these-tests-alone";
pub const MASTER_KEY: &str = "BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=";
pub const WEBHOOKS: &str = "/api/integrations/webhooks";
pub const EVENTS: &str = "/api/integrations/task-events";

/// The API, two groups (`a` and `b`), an admin of each, and a plain member of `a`.
pub struct Api {
    router: Router,
    pub store: Store,
    pub app_name: String,
    pub group_a: ObjectId,
    pub group_b: ObjectId,
    pub admin_a: ObjectId,
    pub admin_b: ObjectId,
    pub member_a: ObjectId,
}

pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub text: String,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|_| panic!("no JSON: {}", self.text))
    }

    /// The body, after checking the status.
    pub fn expect(self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}", self.text);
        if self.text.is_empty() { Value::Null } else { self.json() }
    }

    /// The names of the fields that a 422 complains about.
    pub fn faulty_fields(&self) -> Vec<String> {
        assert_eq!(self.status, 422, "{}", self.text);
        assert_eq!(self.headers["content-type"], "application/problem+json");
        let problem = self.json();
        let errors = problem["errors"].as_array().expect("errors");
        errors.iter().map(|error| error["field"].as_str().expect("field").to_owned()).collect()
    }
}

impl Drop for Api {
    fn drop(&mut self) {
        let db = self.store.db.clone();
        tokio::task::block_in_place(|| tokio::runtime::Handle::current().block_on(async { db.drop().await }))
            .expect("the drop");
    }
}

impl Api {
    /// Needs a runtime of several threads, for the drop.
    pub async fn start() -> Self {
        Self::start_with(&[]).await
    }

    /// With further settings.
    pub async fn start_with(more: &[(&str, &str)]) -> Self {
        let uri = std::env::var("TASKWIRE_TEST_MONGODB_URI")
            .expect("TASKWIRE_TEST_MONGODB_URI must name a replica set for tests");
        Self::start_at(&uri, more).await
    }

    /// With further settings, and the targets on this machine.
    pub async fn start_with_local_targets(more: &[(&str, &str)]) -> Self {
        let local = [("target_allowlist", "127.0.0.0/8"), ("allow_http_targets", "true")];
        Self::start_with(&[&local, more].concat()).await
    }

    /// On a database of its own of the replica set at `uri`.
    pub async fn start_at(uri: &str, more: &[(&str, &str)]) -> Self {
        let app_name = format!("tw_api_{}", ObjectId::new().to_hex());
        let (router, store) = open(uri, &app_name, MASTER_KEY, more).await;
        let [group_a, group_b, admin_a, admin_b, member_a] = [(); 5].map(|()| ObjectId::new());
        let groups = [
            doc! { "_id": group_a, "createdBy": admin_b, "members": [
                { "userId": admin_a, "role": "Admin" }, { "userId": member_a, "role": "RegularUser" },
            ] },
            doc! { "_id": group_b, "createdBy": admin_a, "members": [{ "userId": admin_b, "role": "Admin" }] },
        ];
        store.collection::<Document>("groups").insert_many(groups).await.expect("groups");
        Self { router, store, app_name, group_a, group_b, admin_a, admin_b, member_a }
    }

    /// Another process on the same database, with this master key.
    pub async fn with_master_key(&self, key: &str) -> Self {
        let uri = std::env::var("TASKWIRE_TEST_MONGODB_URI").expect("as at the start");
        let (router, store) = open(&uri, &self.app_name, key, &[]).await;
        let Self { group_a, group_b, admin_a, admin_b, member_a, .. } = *self;
        Self { router, store, app_name: self.app_name.clone(), group_a, group_b, admin_a, admin_b, member_a }
    }

    /// The answer, which must be one that the API's description knows.
    pub async fn send(&self, request: Request<Body>) -> Answer {
        let (method, path) = (request.method().clone(), request.uri().to_string());
        let response = self.router.clone().oneshot(request).await.expect("an answer");
        let (parts, body) = response.into_parts();
        let body = to_bytes(body, 1 << 22).await.expect("a body");
        let text = String::from_utf8(body.to_vec()).expect("UTF-8");
        let answer = Answer { status: parts.status, headers: parts.headers, text };
        crate::openapi::assert_described(&method, &path, &answer);
        answer
    }

    /// Asks with this user's token.
    pub async fn ask(&self, user: ObjectId, method: &str, path: &str, body: Option<&Value>) -> Answer {
        self.send(request(Some(&token(user)), method, path, body, &[])).await
    }

    /// Asks as the admin of group `a`.
    pub async fn admin(&self, method: &str, path: &str, body: Option<&Value>) -> Answer {
        self.ask(self.admin_a, method, path, body).await
    }

    /// As [`Api::admin`], with an `If-Match`.
    pub async fn admin_if(&self, etag: &str, method: &str, path: &str, body: Option<&Value>) -> Answer {
        self.send(request(Some(&token(self.admin_a)), method, path, body, &[("if-match", etag)])).await
    }

    /// A good body for a webhook of group `a`.
    pub fn body(&self) -> Value {
        json!({
            "groupId": self.group_a.to_hex(),
            "name": "PRIVATE-NAME",
            "targetUrl": "https://private-target.example/hook",
            "events": {"taskCreated": true, "taskCompleted": true},
            "headers": {"X-Api-Key": "PRIVATE-HEADER"},
        })
    }

    /// A new webhook of group `a`: the answer to its creation.
    pub async fn webhook(&self) -> Value {
        self.admin("POST", WEBHOOKS, Some(&self.body())).await.expect(201)
    }

    /// As [`Api::webhook`], its path alone.
    pub async fn webhook_path(&self) -> String {
        format!("{WEBHOOKS}/{}", self.webhook().await["id"].as_str().expect("an id"))
    }

    /// Stores an event and its delivery to a webhook, `n` making it unlike others; later ones are newer.
    pub async fn delivery(&self, path: &str, n: u32, change: impl FnOnce(&mut Delivery)) -> Delivery {
        let webhook = ObjectId::parse_str(path.rsplit('/').next().expect("an id")).expect("an id");
        let (mut event, mut row) = sample(self.group_a, webhook, n);
        change(&mut row);
        event.task_id = row.task_id.clone();
        event.event = row.event_type;
        self.store.collection(names::EVENTS).insert_one(event).await.expect("an event");
        self.store.collection::<Delivery>(names::DELIVERIES).insert_one(&row).await.expect("a delivery");
        row
    }

    /// A delivery's stored row.
    pub async fn row(&self, id: &DeliveryId) -> Delivery {
        let rows = self.store.collection::<Delivery>(names::DELIVERIES);
        rows.find_one(doc! { "_id": id.as_str() }).await.expect("a read").expect("a row")
    }

    /// Everything in the database, as text.
    pub async fn everything(&self) -> String {
        use futures::TryStreamExt;
        let mut text = String::new();
        for name in self.store.db.list_collection_names().await.expect("names") {
            let found = self.store.collection::<Document>(&name).find(doc! {}).await.expect("a read");
            for document in found.try_collect::<Vec<_>>().await.expect("documents") {
                text.push_str(&document.to_string());
            }
        }
        text
    }
}

/// The API on this database.
async fn open(uri: &str, database: &str, key: &str, more: &[(&str, &str)]) -> (Router, Store) {
    let pairs = [("mongodb_uri", uri), ("database", database), ("master_key", key), ("jwt_secret", JWT_SECRET)];
    let source = Source::from_pairs(&[&pairs, more].concat()).expect("pairs");
    let settings = ApiSettings::read(&source).expect("settings");
    let store = connect(&settings.common.mongo, database).await.expect("a replica set");
    ensure_indexes(&store).await.expect("indexes");
    let clock = ServerClock::calibrated(&store.db).await.expect("the server's time");
    let app = App::new(&settings, store.clone(), clock).expect("an app");
    (router(app, Router::new()), store)
}

fn sample(group: ObjectId, webhook: ObjectId, n: u32) -> (TaskEvent, Delivery) {
    let task = DocId::Oid(ObjectId::from_bytes([7; 12]));
    let cluster_time = Timestamp { time: 1_760_000_000 + n, increment: 1 };
    let id = EventId::derive(StreamTime::new(cluster_time, 0), "db.tasks", &task, "task.completed");
    let at = DateTime::from_millis(1_760_000_000_000 + i64::from(n) * 1000);
    let summary = PayloadSummary { status: Some("Completed".into()), changed: vec!["status".into()] };
    let event = TaskEvent {
        id: id.clone(),
        group_id: group.into(),
        task_id: task.clone(),
        event: EventKind::Completed,
        at,
        cluster_time,
        sequence: i64::from(n),
        actor_id: None,
        summary: summary.clone(),
        body: format!(r#"{{"id":"{id}","event":"task.completed","data":{{"name":"Ünïcode  {n}"}}}}"#),
        echo: false,
        muted: false,
        recovered: false,
    };
    let attempt = Attempt {
        n: 1,
        at,
        outcome: AttemptOutcome::Delivered,
        duration_ms: Some(12),
        response_status: Some(200),
        error_message: None,
        response_body: None,
    };
    let row = Delivery {
        status: DeliveryStatus::Delivered,
        attempts: 1,
        due: None,
        last_attempt_at: Some(at),
        next_attempt_at: None,
        delivered_at: Some(at),
        response_status: Some(200),
        duration_ms: Some(12),
        log: vec![attempt],
        ..Delivery::queued(&event, webhook, Ordering::None, at)
    };
    (event, row)
}

pub fn claims(user: ObjectId) -> Value {
    let now = chrono::Utc::now().timestamp();
    json!({"sub": user.to_hex(), "iss": "TasksTrackerApi", "aud": "TasksTrackerClients", "nbf": now, "exp": now + 600})
}

pub fn sign(claims: &Value) -> String {
    let key = EncodingKey::from_secret(JWT_SECRET.as_bytes());
    encode(&Header::new(Algorithm::HS256), claims, &key).expect("a token")
}

pub fn token(user: ObjectId) -> String {
    sign(&claims(user))
}

pub fn request(
    token: Option<&str>,
    method: &str,
    path: &str,
    body: Option<&Value>,
    headers: &[(&str, &str)],
) -> Request<Body> {
    let mut request = Request::builder().method(method).uri(path);
    if let Some(token) = token {
        request = request.header("authorization", format!("Bearer {token}"));
    }
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let body = match body {
        Some(body) => {
            request = request.header("content-type", "application/json");
            Body::from(body.to_string())
        }
        None => Body::empty(),
    };
    request.body(body).expect("a request")
}
