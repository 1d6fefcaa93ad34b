//! A collector of traces: takes OTLP's JSON over HTTP as the real ones do, strictly, and keeps the spans.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::eventually;

/// A span as it came.
#[derive(Debug, Clone, PartialEq)]
pub struct Span {
    /// `service.name` of the resource.
    pub service: String,
    /// Hexadecimal digits.
    pub trace: String,
    /// Hexadecimal digits.
    pub id: String,
    /// Hexadecimal digits.
    pub parent: Option<String>,
    /// Its name.
    pub name: String,
    /// OTLP's number.
    pub kind: i64,
    /// Nanoseconds since the epoch.
    pub began: u64,
    /// Nanoseconds since the epoch.
    pub ended: u64,
    /// Its attributes; numbers as text.
    pub attributes: BTreeMap<String, String>,
    /// The text of its status, if that is an error.
    pub failure: Option<String>,
}

#[derive(Debug, Default)]
struct Log {
    spans: Vec<Span>,
    bodies: Vec<String>,
    /// What was no OTLP.
    complaints: Vec<String>,
    /// A header of each request must have this value.
    key: Option<(&'static str, &'static str)>,
    /// So many requests are answered 503 first.
    refuse: usize,
}

/// A collector on 127.0.0.1.
#[derive(Debug)]
pub struct Collector {
    address: SocketAddr,
    log: Arc<Mutex<Log>>,
    server: JoinHandle<()>,
}

impl Collector {
    /// Listens on a free port. Each request must carry this header; the first `refuse` are answered 503.
    ///
    /// # Errors
    /// When no port can be had.
    pub async fn start(key: (&'static str, &'static str), refuse: usize) -> Result<Self> {
        let log = Arc::new(Mutex::new(Log { key: Some(key), refuse, ..Log::default() }));
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let routes = Router::new().route("/v1/traces", post(take)).with_state(Arc::clone(&log));
        let server = tokio::spawn(async move {
            let _ended = axum::serve(listener, routes).await;
        });
        Ok(Self { address, log, server })
    }

    /// The value of `OTEL_EXPORTER_OTLP_ENDPOINT`.
    #[must_use]
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The spans of a trace, in the order of arrival.
    #[must_use]
    pub fn trace(&self, trace: &str) -> Vec<Span> {
        let log = self.log.lock().unwrap_or_else(PoisonError::into_inner);
        log.spans.iter().filter(|span| span.trace == trace).cloned().collect()
    }

    /// All bodies that came.
    #[must_use]
    pub fn bodies(&self) -> Vec<String> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner).bodies.clone()
    }

    /// What came and was no OTLP.
    #[must_use]
    pub fn complaints(&self) -> Vec<String> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner).complaints.clone()
    }

    /// Waits until a trace has so many spans, and gives them.
    ///
    /// # Errors
    /// When the deadline passes, with what came.
    pub async fn wait_for_trace(&self, trace: &str, count: usize, deadline: Duration) -> Result<Vec<Span>> {
        eventually(&format!("{count} spans of {trace}"), deadline, async || {
            let spans = self.trace(trace);
            if spans.len() >= count { Ok(spans) } else { Err(format!("{spans:?}; {:?}", self.complaints())) }
        })
        .await
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn take(State(log): State<Arc<Mutex<Log>>>, headers: HeaderMap, body: String) -> (StatusCode, &'static str) {
    let mut log = log.lock().unwrap_or_else(PoisonError::into_inner);
    if log.refuse > 0 {
        log.refuse -= 1;
        return (StatusCode::SERVICE_UNAVAILABLE, "{}");
    }
    let has = |name: &str, value: &str| headers.get(name).is_some_and(|found| found == value);
    let is_known = log.key.is_none_or(|(name, value)| has(name, value));
    let read = if is_known && has("content-type", "application/json") {
        spans(&body)
    } else {
        Err(anyhow::anyhow!("headers: {headers:?}"))
    };
    log.bodies.push(body);
    match read {
        Ok(spans) => {
            log.spans.extend(spans);
            (StatusCode::OK, "{}")
        }
        Err(error) => {
            log.complaints.push(format!("{error:#}"));
            (StatusCode::BAD_REQUEST, "{}")
        }
    }
}

fn spans(body: &str) -> Result<Vec<Span>> {
    let body: Value = serde_json::from_str(body)?;
    let mut spans = Vec::new();
    for resource in list(&body, "resourceSpans")? {
        let service = attributes(&resource["resource"])?.remove("service.name").context("no service.name")?;
        for scope in list(resource, "scopeSpans")? {
            ensure!(scope["scope"]["name"].is_string(), "no scope");
            for span in list(scope, "spans")? {
                spans.push(read(&service, span).with_context(|| span.to_string())?);
            }
        }
    }
    Ok(spans)
}

fn read(service: &str, span: &Value) -> Result<Span> {
    let id = |key: &str, length: usize| -> Result<String> {
        let text = span[key].as_str().with_context(|| format!("no {key}"))?;
        let is_id = text.len() == length && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
        ensure!(is_id && text.bytes().any(|b| b != b'0'), "{key} is no id");
        Ok(text.to_owned())
    };
    let time = |key: &str| -> Result<u64> { Ok(span[key].as_str().with_context(|| format!("no {key}"))?.parse()?) };
    let (began, ended) = (time("startTimeUnixNano")?, time("endTimeUnixNano")?);
    ensure!(began > 1_600_000_000_000_000_000 && ended >= began, "times: {began} to {ended}");
    let kind = span["kind"].as_i64().context("no kind")?;
    ensure!((1..=5).contains(&kind), "kind {kind}");
    let failure = match &span["status"] {
        Value::Null => None,
        status if status["code"] == 2 => Some(status["message"].as_str().context("no message")?.to_owned()),
        other => anyhow::bail!("status {other}"),
    };
    Ok(Span {
        service: service.to_owned(),
        trace: id("traceId", 32)?,
        id: id("spanId", 16)?,
        parent: if span["parentSpanId"].is_null() { None } else { Some(id("parentSpanId", 16)?) },
        name: span["name"].as_str().context("no name")?.to_owned(),
        kind,
        began,
        ended,
        attributes: attributes(span)?,
        failure,
    })
}

fn list<'a>(of: &'a Value, key: &str) -> Result<&'a Vec<Value>> {
    of[key].as_array().with_context(|| format!("no {key}"))
}

fn attributes(of: &Value) -> Result<BTreeMap<String, String>> {
    let read = |attribute: &Value| {
        let value = &attribute["value"];
        let text =
            value["stringValue"].as_str().or_else(|| value["intValue"].as_str().filter(|it| it.parse::<i64>().is_ok()));
        Ok((attribute["key"].as_str().context("no key")?.to_owned(), text.context("no value")?.to_owned()))
    };
    list(of, "attributes")?.iter().map(read).collect()
}
