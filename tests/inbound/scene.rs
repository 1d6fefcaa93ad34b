//! A group with an integration, the task service that writes for it, and API processes that take its calls.

use std::net::SocketAddr;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::ConnectInfo;
use axum::http::{HeaderMap, Request, StatusCode};
use bson::oid::ObjectId;
use bson::{Document, doc};
use futures::TryStreamExt;
use serde_json::{Value, json};
use taskwire::config::{ApiSettings, Source};
use taskwire::http::{App, router};
use taskwire::listen::Peer;
use taskwire::store::{ServerClock, connect, ensure_indexes};
use taskwire_tests::admin_api::{JWT_SECRET, token};
use taskwire_tests::receiver::hex_signature;
use taskwire_tests::service::Group;
use taskwire_tests::stack::MASTER_KEY;
use taskwire_tests::{Db, Profile, TaskService};
use tower::ServiceExt;

pub const SETTINGS: &str = "/api/integrations/inbound";

/// Fields are dropped in this order.
pub struct Scene {
    /// One router each stands for an API process.
    pub desks: Vec<Router>,
    pub service: TaskService,
    pub secret: String,
    /// The integration's id.
    pub id: String,
    pub db: Db,
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
        self.json()
    }

    /// The first result, after checking the status.
    pub fn result(self, status: u16) -> Value {
        self.expect(status)["results"][0].clone()
    }

    pub fn is_replay(&self) -> bool {
        self.headers.get("idempotent-replayed").is_some_and(|value| value == "true")
    }

    /// The names of the fields that a 422 complains about.
    pub fn faulty_fields(&self) -> Vec<String> {
        assert_eq!(self.status, 422, "{}", self.text);
        let problem = self.json();
        let errors = problem["errors"].as_array().expect("errors");
        errors.iter().map(|error| error["field"].as_str().expect("field").to_owned()).collect()
    }
}

/// A call before it is sent.
pub struct Call {
    pub method: &'static str,
    pub path: String,
    pub body: Vec<u8>,
    pub timestamp: String,
    pub signature: String,
    pub headers: Vec<(&'static str, String)>,
    pub peer: Option<SocketAddr>,
}

impl Call {
    /// Signed just now; each at a second of its own in the window, so that equal bodies are different calls.
    pub fn post(path: String, body: &[u8], secret: &str) -> Self {
        use std::sync::atomic::{AtomicI64, Ordering};
        static COUNTER: AtomicI64 = AtomicI64::new(0);
        let apart = COUNTER.fetch_add(1, Ordering::Relaxed) % 500 - 250;
        Self::at(path, body, secret, now() + apart)
    }

    pub fn at(path: String, body: &[u8], secret: &str, timestamp: i64) -> Self {
        let timestamp = timestamp.to_string();
        let signature = format!("sha256={}", hex_signature(secret, &timestamp, body));
        let peer = Some(SocketAddr::from(([192, 0, 2, 1], 4711)));
        Self { method: "POST", path, body: body.to_vec(), timestamp, signature, headers: Vec::new(), peer }
    }

    pub fn get(path: String, secret: &str) -> Self {
        Self { method: "GET", ..Self::at(path, b"", secret, now()) }
    }

    pub fn request(&self) -> Request<Body> {
        let mut request = Request::builder().method(self.method).uri(&self.path);
        request = request.header("x-timestamp", &self.timestamp).header("x-signature", &self.signature);
        for (name, value) in &self.headers {
            request = request.header(*name, value);
        }
        if let Some(peer) = self.peer {
            request = request.extension(ConnectInfo(Peer(peer)));
        }
        request.body(Body::from(self.body.clone())).expect("a request")
    }
}

pub fn now() -> i64 {
    chrono::Utc::now().timestamp()
}

pub async fn send(desk: &Router, request: Request<Body>) -> Answer {
    let response = desk.clone().oneshot(request).await.expect("an answer");
    let (parts, body) = response.into_parts();
    let body = to_bytes(body, 1 << 22).await.expect("a body");
    let text = String::from_utf8(body.to_vec()).expect("UTF-8");
    Answer { status: parts.status, headers: parts.headers, text }
}

impl Scene {
    /// With all scopes, and so many API processes.
    pub async fn new(profile: Profile, desks: usize) -> Self {
        Self::on(Db::fresh().await.expect("a replica set"), profile, desks).await
    }

    /// The same in this database.
    pub async fn on(db: Db, profile: Profile, desks: usize) -> Self {
        taskwire_tests::init();
        let service = TaskService::new(&db, profile).await.expect("a group");
        let mut scene = Self { desks: Vec::new(), service, secret: String::new(), id: String::new(), db };
        for _ in 0..desks {
            let desk = scene.desk(&[]).await;
            scene.desks.push(desk);
        }
        let scopes = json!(["tasks:write", "tasks:approve", "categories:write"]);
        let made = scene.configure(&json!({ "scopes": scopes, "rateLimitPerMinute": 60_000 })).await.expect(200);
        scene.secret = made["secret"].as_str().expect("a secret").to_owned();
        scene.id = made["id"].as_str().expect("an id").to_owned();
        scene
    }

    /// Another API process, with settings of its own.
    pub async fn desk(&self, settings: &[(&str, &str)]) -> Router {
        let (uri, name) = (self.db.uri(), self.db.name());
        let mut pairs = vec![
            ("mongodb_uri", uri),
            ("database", name),
            ("master_key", MASTER_KEY),
            ("jwt_secret", JWT_SECRET),
            ("mapping", self.service.profile().name()),
        ];
        pairs.extend(settings);
        let settings = ApiSettings::read(&Source::from_pairs(&pairs).expect("pairs")).expect("settings");
        let store = connect(&settings.common.mongo, name).await.expect("a replica set");
        ensure_indexes(&store).await.expect("indexes");
        let clock = ServerClock::calibrated(&store.db).await.expect("the server's time");
        router(App::new(&settings, store, clock).expect("an app"), Router::new())
    }

    pub fn group(&self) -> &Group {
        self.service.group()
    }

    /// `PUT` of the settings, as the group's admin.
    pub async fn configure(&self, body: &Value) -> Answer {
        self.admin("PUT", &format!("{SETTINGS}?groupId={}", self.group().id), Some(body), &[]).await
    }

    /// Any call of the group's admin.
    pub async fn admin(&self, method: &str, path: &str, body: Option<&Value>, headers: &[(&str, &str)]) -> Answer {
        self.as_user(self.group().admin, method, path, body, headers).await
    }

    pub async fn as_user(
        &self,
        user: ObjectId,
        method: &str,
        path: &str,
        body: Option<&Value>,
        headers: &[(&str, &str)],
    ) -> Answer {
        let bearer = format!("Bearer {}", token(user).expect("a token"));
        let mut request = Request::builder().method(method).uri(path).header("authorization", bearer);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let body = body.map_or_else(String::new, Value::to_string);
        let request = request.header("content-type", "application/json").body(Body::from(body)).expect("a request");
        send(&self.desks[0], request).await
    }

    pub fn path(&self, kind: &str) -> String {
        format!("{SETTINGS}/{}/{kind}", self.group().id)
    }

    pub async fn call(&self, call: &Call) -> Answer {
        send(&self.desks[0], call.request()).await
    }

    /// A signed call of the partner, as a new request each time.
    pub async fn post(&self, kind: &str, body: &Value) -> Answer {
        self.post_bytes(kind, body.to_string().as_bytes()).await
    }

    pub async fn post_bytes(&self, kind: &str, body: &[u8]) -> Answer {
        self.call(&Call::post(self.path(kind), body, &self.secret)).await
    }

    pub async fn get(&self, external_id: &str) -> Answer {
        self.call(&Call::get(format!("{}/{external_id}", self.path("tasks")), &self.secret)).await
    }

    /// A whole new task under this id.
    pub fn task(&self, external_id: &str) -> Value {
        json!({
            "externalId": external_id, "name": "Wash <b>up</b> & dry", "description": "Twice\n\"well\"", "difficulty": 4,
            "status": "Pending", "assignedUserId": self.group().members[0].to_hex(),
            "dueAt": "2026-01-31T13:00:00.5+01:00", "frequency": "Weekly", "requiresApproval": true, "templateId": null,
        })
    }

    pub async fn documents(&self, collection: &str) -> Vec<Document> {
        let found = self.db.collection::<Document>(collection).find(doc! {}).sort(doc! { "_id": 1 }).await;
        found.expect("a read").try_collect().await.expect("documents")
    }

    pub async fn group_document(&self) -> Document {
        let groups = self.db.collection::<Document>("groups");
        groups.find_one(doc! { "_id": self.group().id }).await.expect("a read").expect("the group")
    }

    /// Everything in the database, as text.
    pub async fn everything(&self) -> String {
        let mut names = self.db.list_collection_names().await.expect("names");
        names.sort();
        let mut text = String::new();
        for name in names {
            for document in self.documents(&name).await {
                text.push_str(&format!("{name}: {document}\n"));
            }
        }
        text
    }

    /// Every document of the service's is one that it could read; how many tasks there are.
    pub async fn strictly_read(&self) -> usize {
        taskwire_tests::strict::read_everything(&self.db, self.service.profile()).await.expect("what the service reads")
    }
}
