//! A partner's receiver: verifies every request with an independent library and with a check of its own, records it, and
//! misbehaves on demand.

mod answer;
mod record;
mod verify;

use std::collections::{HashMap, VecDeque};
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result};
use http_body_util::{BodyExt, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::header::HeaderMap;
use hyper::{Method, Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

pub use answer::Answer;
pub use record::{Received, Totals};
pub use verify::{hex_signature, verify};

use crate::eventually;
use crate::expected::Observed;
use answer::{Body, Mix};
use record::Log;

/// The most that is read of a request.
const REQUEST_LIMIT: usize = 4 * 1024 * 1024;

/// What one path of the receiver knows and does.
#[derive(Debug, Default)]
struct Hook {
    /// Any of them may have signed; both while a rotation is open.
    secrets: Vec<String>,
    /// Answers to the next requests, in order.
    script: VecDeque<Answer>,
    /// The answer once the script is played; `None`: 204.
    usual: Option<Answer>,
    /// Goes before the usual answer.
    mix: Option<Mix>,
}

#[derive(Debug)]
struct Shared {
    hooks: Mutex<HashMap<String, Hook>>,
    log: Mutex<Log>,
}

impl Shared {
    fn hooks(&self) -> MutexGuard<'_, HashMap<String, Hook>> {
        self.hooks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn log(&self) -> MutexGuard<'_, Log> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A receiver on 127.0.0.1. Each path is a target of its own, with its secrets and its faults.
#[derive(Debug)]
pub struct Receiver {
    address: SocketAddr,
    shared: Arc<Shared>,
    server: Option<JoinHandle<()>>,
}

impl Receiver {
    /// Listens on a free port and keeps everything it receives.
    ///
    /// # Errors
    /// When no port can be had.
    pub async fn start() -> Result<Self> {
        Self::listen(SocketAddr::from(([127, 0, 0, 1], 0))).await
    }

    /// Listens on this address (port 0: a free one).
    ///
    /// # Errors
    /// When the address cannot be had.
    pub async fn listen(address: SocketAddr) -> Result<Self> {
        let listener = TcpListener::bind(address).await.with_context(|| format!("cannot listen on {address}"))?;
        let shared = Arc::new(Shared { hooks: Mutex::default(), log: Mutex::default() });
        let address = listener.local_addr()?;
        let server = Some(tokio::spawn(serve(listener, Arc::clone(&shared))));
        Ok(Self { address, shared, server })
    }

    /// Where it listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// The target URL of a path, such as `/hook`.
    #[must_use]
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Tells a path the secret that its requests are signed with, besides those it knows.
    pub fn add_secret(&self, path: &str, secret: &str) {
        self.shared.hooks().entry(path.to_owned()).or_default().secrets.push(secret.to_owned());
    }

    /// Makes this the only secret of a path.
    pub fn set_secret(&self, path: &str, secret: &str) {
        self.shared.hooks().entry(path.to_owned()).or_default().secrets = vec![secret.to_owned()];
    }

    /// Plays these answers to the next requests of a path, after those already waiting.
    pub fn script(&self, path: &str, answers: impl IntoIterator<Item = Answer>) {
        self.shared.hooks().entry(path.to_owned()).or_default().script.extend(answers);
    }

    /// Answers the next `n` requests of a path with this status.
    pub fn fail_first(&self, path: &str, n: usize, status: u16) {
        self.script(path, std::iter::repeat_n(Answer::Status(status), n));
    }

    /// What a path answers once its script is played. It is 204 from the start.
    pub fn always(&self, path: &str, answer: Answer) {
        let mut hooks = self.shared.hooks();
        let hook = hooks.entry(path.to_owned()).or_default();
        (hook.usual, hook.mix) = (Some(answer), None);
    }

    /// What a path answers once its script is played: one of these, picked by weight, until [`Self::always`] says
    /// otherwise.
    pub fn mix(&self, path: &str, seed: u64, answers: Vec<(u32, Answer)>) {
        self.shared.hooks().entry(path.to_owned()).or_default().mix = Some(Mix::new(seed, answers));
    }

    /// Closes the port and every connection: further calls are refused.
    pub async fn refuse(&mut self) {
        if let Some(server) = self.server.take() {
            server.abort();
            // The port is closed once the task is gone.
            let _ = server.await;
        }
    }

    /// Listens again, on the same port.
    ///
    /// # Errors
    /// When another program took the port meanwhile.
    pub async fn listen_again(&mut self) -> Result<()> {
        self.refuse().await;
        let listener = TcpListener::bind(self.address).await?;
        self.server = Some(tokio::spawn(serve(listener, Arc::clone(&self.shared))));
        Ok(())
    }

    /// Everything received so far, oldest first.
    #[must_use]
    pub fn received(&self) -> Vec<Received> {
        self.shared.log().received.clone()
    }

    /// Takes everything received since the last call out of memory; totals go on.
    #[must_use]
    pub fn take_received(&self) -> Vec<Received> {
        std::mem::take(&mut self.shared.log().received)
    }

    /// What one path received, oldest first.
    #[must_use]
    pub fn received_at(&self, path: &str) -> Vec<Received> {
        self.shared.log().received.iter().filter(|one| one.path == path).cloned().collect()
    }

    /// The events that one path verified and answered with success, in the order of arrival, copies included.
    #[must_use]
    pub fn accepted(&self, path: &str) -> Vec<Observed> {
        let log = self.shared.log();
        log.received.iter().filter(|one| one.path == path && one.is_accepted()).filter_map(Received::observed).collect()
    }

    /// Why requests were not accepted as genuine, one line each. Empty in every test that does not tamper.
    #[must_use]
    pub fn complaints(&self) -> Vec<String> {
        self.shared.log().complaints.clone()
    }

    /// Counters.
    #[must_use]
    pub fn totals(&self) -> Totals {
        self.shared.log().totals()
    }

    /// Forgets what was received; secrets and scripts stay.
    pub fn forget(&self) {
        *self.shared.log() = Log::default();
    }

    /// Waits until a path has accepted events with `count` different ids, and gives all that it accepted.
    ///
    /// # Errors
    /// When the deadline passes, with the number that came and the complaints.
    pub async fn wait_for_events(&self, path: &str, count: usize, deadline: Duration) -> Result<Vec<Observed>> {
        eventually(&format!("{count} events at {path}"), deadline, async || {
            let accepted = self.accepted(path);
            let ids: std::collections::HashSet<&str> = accepted.iter().map(|event| event.id.as_str()).collect();
            if ids.len() >= count {
                return Ok(accepted);
            }
            Err(format!("{} came; complaints: {:?}", ids.len(), self.complaints()))
        })
        .await
    }

    /// Waits until a path has got `count` requests, whatever became of them, and gives them.
    ///
    /// # Errors
    /// When the deadline passes.
    pub async fn wait_for_requests(&self, path: &str, count: usize, deadline: Duration) -> Result<Vec<Received>> {
        eventually(&format!("{count} requests at {path}"), deadline, async || {
            let received = self.received_at(path);
            if received.len() >= count { Ok(received) } else { Err(format!("{} came", received.len())) }
        })
        .await
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        if let Some(server) = self.server.take() {
            server.abort();
        }
    }
}

/// Accepts until it is aborted, which ends every connection too.
async fn serve(listener: TcpListener, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                if let Ok((stream, _)) = accepted {
                    connections.spawn(serve_connection(stream, Arc::clone(&shared)));
                }
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn serve_connection(stream: TcpStream, shared: Arc<Shared>) {
    // Small answers must not wait for more.
    let _ = stream.set_nodelay(true);
    let service = hyper::service::service_fn(move |request| {
        let shared = Arc::clone(&shared);
        async move { respond(&shared, request).await }
    });
    let mut connection = hyper::server::conn::http1::Builder::new();
    connection.timer(TokioTimer::new());
    // It ends with an error when an answer is to break it off: that is the fault being played.
    let _ = connection.serve_connection(TokioIo::new(stream), service).await;
}

async fn respond(shared: &Shared, request: Request<Incoming>) -> Result<Response<Body>, answer::BreakOff> {
    let at = SystemTime::now();
    let (head, body) = request.into_parts();
    if head.method == Method::GET {
        return Ok(totals_page(shared));
    }
    let body = Limited::new(body, REQUEST_LIMIT).collect().await.map_err(|_| answer::BreakOff)?.to_bytes();
    let answer = take_in(shared, head.uri.path(), head.headers, body, at);
    answer.play().await
}

/// Verifies and records one request, and picks its answer.
fn take_in(shared: &Shared, path: &str, headers: HeaderMap, body: Bytes, at: SystemTime) -> Answer {
    let (secrets, answer) = {
        let mut hooks = shared.hooks();
        let hook = hooks.entry(path.to_owned()).or_default();
        let scripted = hook.script.pop_front();
        let mixed = scripted.or_else(|| hook.mix.as_mut().and_then(Mix::pick));
        let answer = mixed.or_else(|| hook.usual.clone()).unwrap_or(Answer::Status(204));
        (hook.secrets.clone(), answer)
    };
    let verdict = verify(&secrets, &headers, &body);
    // What does not verify is refused as a partner would, but a fault that is asked for is played.
    let answer = if verdict.is_err() && answer.is_success() { Answer::Status(401) } else { answer };
    shared.log().add(Received { path: path.to_owned(), at, headers, body, verdict, answer: answer.clone() });
    answer
}

/// `GET` on any path: the totals as JSON, for a receiver in another process.
fn totals_page(shared: &Shared) -> Response<Body> {
    let totals = serde_json::to_vec(&shared.log().totals()).unwrap_or_default();
    Response::new(
        http_body_util::Full::new(Bytes::from(totals)).map_err(|never: Infallible| match never {}).boxed_unsync(),
    )
}

#[cfg(test)]
mod tests;
