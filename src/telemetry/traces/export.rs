//! Sending spans: gathered for a second, sent in one request, tried again for a while. What a collector does not take is
//! counted and forgotten: traces are no record of anything.

use std::time::Duration;

use reqwest::header::{CONTENT_TYPE, USER_AGENT};
use reqwest::{Client, StatusCode};
use secrecy::ExposeSecret;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::{Span, otlp};
use crate::VERSION;
use crate::config::Collector;

/// Spans that wait at most: some 4 MB.
const WAITING: usize = 8192;
/// Spans in one request.
const BATCH: usize = 512;
/// How long spans gather.
const GATHER: Duration = Duration::from_secs(1);
/// How long a request may take.
const DEADLINE: Duration = Duration::from_secs(10);
/// Waits before a request is made again.
const PAUSES: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(4)];
/// How long the end of the process waits for what is left.
const CLOSING: Duration = Duration::from_secs(3);

/// Why traces cannot be sent at all.
#[derive(Debug, thiserror::Error)]
#[error("the client for OTEL_EXPORTER_OTLP_ENDPOINT could not be set up: {0}")]
pub struct TraceError(String);

/// The task that sends.
#[derive(Debug)]
pub struct Export(Option<(JoinHandle<()>, CancellationToken)>);

impl Export {
    /// Nothing is sent.
    pub(super) const fn none() -> Self {
        Self(None)
    }

    /// Sends what is left, for a few seconds at most; for the end of the process.
    pub async fn close(self) {
        let Some((task, finish)) = self.0 else { return };
        finish.cancel();
        let _in_time = tokio::time::timeout(CLOSING, task).await;
    }
}

/// Begins sending. Installs ring as the process's TLS provider unless one is installed.
pub(super) fn start(collector: &Collector, program: &'static str) -> Result<(mpsc::Sender<Span>, Export), TraceError> {
    let _ = rustls::crypto::ring::default_provider().install_default();
    metrics::describe_counter!(
        "taskwire_trace_spans_total",
        "Spans by what became of them: sent, refused by the collector, left-out because too many waited"
    );
    // The collector is the operator's own: no guard, and no proxy either.
    let http = Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none()).timeout(DEADLINE).build();
    let http = http.map_err(|error| TraceError(error.without_url().to_string()))?;
    let (spans, waiting) = mpsc::channel(WAITING);
    let finish = CancellationToken::new();
    let sender = Sender { http, collector: collector.clone(), program, failing: false };
    let task = tokio::spawn(sender.run(waiting, finish.clone()));
    Ok((spans, Export(Some((task, finish)))))
}

/// Counts spans by what became of them.
pub(super) fn count(outcome: &'static str, spans: usize) {
    metrics::counter!("taskwire_trace_spans_total", "outcome" => outcome).increment(spans as u64);
}

struct Sender {
    http: Client,
    collector: Collector,
    program: &'static str,
    /// Whether the last request failed: a trouble that lasts is told once.
    failing: bool,
}

impl Sender {
    async fn run(mut self, mut waiting: mpsc::Receiver<Span>, finish: CancellationToken) {
        let mut batch = Vec::with_capacity(BATCH);
        while !finish.is_cancelled() {
            tokio::select! {
                () = finish.cancelled() => {}
                () = gather(&mut waiting, &mut batch) => {}
            }
            self.send(&mut batch, &finish).await;
        }
        while let Ok(span) = waiting.try_recv() {
            batch.push(span);
            if batch.len() == BATCH {
                self.send(&mut batch, &finish).await;
            }
        }
        self.send(&mut batch, &finish).await;
    }

    async fn send(&mut self, batch: &mut Vec<Span>, finish: &CancellationToken) {
        if batch.is_empty() {
            return;
        }
        let body = otlp::body(batch, self.program);
        let mut pauses = PAUSES.iter();
        let failure = loop {
            let Err((reason, may_pass)) = self.post(body.clone()).await else { break None };
            match pauses.next().filter(|_| may_pass && !finish.is_cancelled()) {
                Some(pause) => tokio::time::sleep(*pause).await,
                None => break Some(reason),
            }
        };
        count(if failure.is_some() { "refused" } else { "sent" }, batch.len());
        match &failure {
            Some(reason) if !self.failing => {
                tracing::warn!(
                    reason,
                    "traces cannot be sent to OTEL_EXPORTER_OTLP_ENDPOINT: spans are lost until they can"
                );
            }
            None if self.failing => tracing::info!("traces are sent again"),
            Some(_) | None => {}
        }
        self.failing = failure.is_some();
        batch.clear();
    }

    /// Why it failed, and whether trying again may help (OTLP names the statuses).
    async fn post(&self, body: String) -> Result<(), (String, bool)> {
        let mut request = self.http.post(self.collector.url.clone()).body(body);
        request = request.header(CONTENT_TYPE, "application/json").header(USER_AGENT, format!("Taskwire/{VERSION}"));
        for (name, value) in &self.collector.headers {
            request = request.header(name, value.expose_secret());
        }
        let answer = request.send().await.map_err(|error| (describe(&error), true))?;
        let status = answer.status();
        let may_pass = matches!(
            status,
            StatusCode::TOO_MANY_REQUESTS
                | StatusCode::BAD_GATEWAY
                | StatusCode::SERVICE_UNAVAILABLE
                | StatusCode::GATEWAY_TIMEOUT
        );
        if status.is_success() { Ok(()) } else { Err((format!("HTTP {}", status.as_u16()), may_pass)) }
    }
}

/// Takes spans in until a batch is full, or a second after the first one.
async fn gather(waiting: &mut mpsc::Receiver<Span>, batch: &mut Vec<Span>) {
    let Some(first) = waiting.recv().await else { return std::future::pending().await };
    batch.push(first);
    let until = tokio::time::Instant::now() + GATHER;
    while batch.len() < BATCH {
        let room = BATCH - batch.len();
        match tokio::time::timeout_at(until, waiting.recv_many(batch, room)).await {
            Ok(received) if received > 0 => {}
            Ok(_) | Err(_) => return,
        }
    }
}

/// Without the URL, which may hold a password.
fn describe(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        "no answer in time".to_owned()
    } else if error.is_connect() {
        "could not connect".to_owned()
    } else {
        "the request failed".to_owned()
    }
}
