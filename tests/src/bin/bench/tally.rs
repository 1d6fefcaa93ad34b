//! The benchmark's receiver, as a process of its own: it counts what comes and when, and answers as its path says. So that
//! it is not what limits, it works on one thread and verifies the first request of each path and every 32nd after it.
//!
//! `GET` on the beginning of paths gives their [`Counts`], with `?receipts` their [`Receipt`]s; `DELETE` forgets them.

use std::collections::{HashMap, HashSet};
use std::convert::Infallible;
use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};
use chrono::DateTime;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::{HeaderMap, Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use serde::{Deserialize, Serialize};
use taskwire_tests::receiver::verify;
use tokio::net::{TcpListener, TcpStream};

use crate::remote::SECRET;

/// One in so many requests of a path is verified.
const VERIFIED: u64 = 32;

/// One in so many requests of a flaky path is answered 500.
const FLAKY: u64 = 10;

/// The most that is read of a request.
const REQUEST_LIMIT: usize = 4 * 1024 * 1024;

/// How a path answers: the first part of its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Manner {
    /// 204.
    Accept,
    /// 500 to every tenth, else 204.
    Flaky,
    /// 204 after ten seconds.
    Slow,
    /// Never.
    Hang,
}

impl Manner {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Accept => "accept",
            Self::Flaky => "flaky",
            Self::Slow => "slow",
            Self::Hang => "hang",
        }
    }

    fn of(path: &str) -> Self {
        let first = path.trim_start_matches('/').split('/').next();
        let all = [Self::Flaky, Self::Slow, Self::Hang];
        all.into_iter().find(|manner| Some(manner.name()) == first).unwrap_or(Self::Accept)
    }
}

/// What came to some paths.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Counts {
    pub(crate) requests: u64,
    /// Answered with success.
    pub(crate) accepted: u64,
    /// Different deliveries among them.
    pub(crate) deliveries: u64,
    /// Requests that did not verify.
    pub(crate) refused: u64,
    /// Why the last of them did not.
    pub(crate) complaint: Option<String>,
}

/// When a delivery was first accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Receipt {
    /// Microseconds of Unix time.
    pub(crate) at: i64,
    /// Microseconds since the change's own time, which the database gives in whole milliseconds.
    pub(crate) latency: i64,
    /// Which request of its path it was, from 1.
    pub(crate) request: u64,
}

#[derive(Debug, Default)]
struct Seen {
    counts: Counts,
    /// Hashes of the deliveries' ids: of a million, two are the same once in 30 million runs.
    deliveries: HashSet<u64>,
    receipts: Vec<Receipt>,
}

#[derive(Debug, Default)]
struct Tally {
    paths: Mutex<HashMap<String, Seen>>,
    hasher: BuildHasherDefault<DefaultHasher>,
}

/// Serves until the process is killed.
pub(crate) async fn serve(address: SocketAddr) -> Result<()> {
    let listener = TcpListener::bind(address).await.with_context(|| format!("cannot listen on {address}"))?;
    let tally = Arc::new(Tally::default());
    loop {
        let (stream, _) = listener.accept().await.context("the receiver takes no more connections")?;
        tokio::spawn(serve_connection(stream, Arc::clone(&tally)));
    }
}

async fn serve_connection(stream: TcpStream, tally: Arc<Tally>) {
    // Small answers must not wait for more.
    let _ = stream.set_nodelay(true);
    let service = hyper::service::service_fn(move |request| {
        let tally = Arc::clone(&tally);
        async move { Ok::<_, Infallible>(tally.respond(request).await) }
    });
    let mut connection = hyper::server::conn::http1::Builder::new();
    connection.timer(TokioTimer::new());
    // A sender that goes away is its own affair.
    let _ = connection.serve_connection(TokioIo::new(stream), service).await;
}

impl Tally {
    fn paths(&self) -> MutexGuard<'_, HashMap<String, Seen>> {
        self.paths.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn respond(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let at = micros_now();
        let (head, body) = request.into_parts();
        let path = head.uri.path();
        match head.method {
            Method::GET if head.uri.query() == Some("receipts") => return page(&self.receipts(path)),
            Method::GET => return page(&self.counts(path)),
            Method::DELETE => {
                self.paths().retain(|known, _| !known.starts_with(path));
                return status(StatusCode::NO_CONTENT);
            }
            _ => {}
        }
        let Ok(body) = Limited::new(body, REQUEST_LIMIT).collect().await else {
            return status(StatusCode::PAYLOAD_TOO_LARGE);
        };
        let answer = self.take_in(path, &head.headers, &body.to_bytes(), at);
        match Manner::of(path) {
            Manner::Accept | Manner::Flaky => {}
            Manner::Slow => tokio::time::sleep(Duration::from_secs(10)).await,
            Manner::Hang => std::future::pending().await,
        }
        status(answer)
    }

    fn take_in(&self, path: &str, headers: &HeaderMap, body: &[u8], at: i64) -> StatusCode {
        let mut paths = self.paths();
        if !paths.contains_key(path) {
            paths.insert(path.to_owned(), Seen::default());
        }
        let Some(seen) = paths.get_mut(path) else { return StatusCode::INTERNAL_SERVER_ERROR };
        seen.counts.requests += 1;
        if seen.counts.requests % VERIFIED == 1
            && let Err(why) = verify(&[SECRET.to_owned()], headers, body)
        {
            seen.counts.refused += 1;
            seen.counts.complaint = Some(why);
            return StatusCode::UNAUTHORIZED;
        }
        if Manner::of(path) == Manner::Flaky && seen.counts.requests.is_multiple_of(FLAKY) {
            return StatusCode::INTERNAL_SERVER_ERROR;
        }
        seen.counts.accepted += 1;
        let delivery = headers.get("x-delivery-id").map_or(&b""[..], |id| id.as_bytes());
        if seen.deliveries.insert(self.hasher.hash_one(delivery)) {
            seen.counts.deliveries += 1;
            let latency = at - changed_at(body).unwrap_or(at);
            seen.receipts.push(Receipt { at, latency, request: seen.counts.requests });
        }
        StatusCode::NO_CONTENT
    }

    fn counts(&self, beginning: &str) -> Counts {
        let paths = self.paths();
        let of_these = paths.iter().filter(|(path, _)| path.starts_with(beginning));
        of_these.fold(Counts::default(), |sum, (_, seen)| Counts {
            requests: sum.requests + seen.counts.requests,
            accepted: sum.accepted + seen.counts.accepted,
            deliveries: sum.deliveries + seen.counts.deliveries,
            refused: sum.refused + seen.counts.refused,
            complaint: sum.complaint.or_else(|| seen.counts.complaint.clone()),
        })
    }

    fn receipts(&self, beginning: &str) -> Vec<Receipt> {
        let paths = self.paths();
        let of_these = paths.iter().filter(|(path, _)| path.starts_with(beginning));
        let mut receipts: Vec<_> = of_these.flat_map(|(_, seen)| &seen.receipts).copied().collect();
        receipts.sort_unstable();
        receipts
    }
}

/// The change's own time, in microseconds, from a body of the promised form; read without parsing all of it.
fn changed_at(body: &[u8]) -> Option<i64> {
    const BEFORE: &[u8] = br#","timestamp":""#;
    let start = body.windows(BEFORE.len()).position(|window| window == BEFORE)? + BEFORE.len();
    let length = body.get(start..)?.iter().position(|byte| *byte == b'"')?;
    let text = std::str::from_utf8(body.get(start..start + length)?).ok()?;
    Some(DateTime::parse_from_rfc3339(text).ok()?.timestamp_micros())
}

fn page(value: &impl Serialize) -> Response<Full<Bytes>> {
    match serde_json::to_vec(value) {
        Ok(json) => Response::new(Full::new(Bytes::from(json))),
        Err(_) => status(StatusCode::INTERNAL_SERVER_ERROR),
    }
}

fn status(code: StatusCode) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::default());
    *response.status_mut() = code;
    response
}

/// Microseconds of Unix time.
pub(crate) fn micros_now() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(now.as_micros()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const BODY: &[u8] = br#"{"id":"evt_1","event":"task.updated","timestamp":"2025-12-15T12:34:56.123Z","data":{}}"#;

    fn headers(delivery: &str) -> HeaderMap {
        HeaderMap::from_iter([("x-delivery-id".parse().unwrap(), delivery.parse().unwrap())])
    }

    /// What follows the first request, which is verified.
    fn begun(path: &str) -> Tally {
        let tally = Tally::default();
        assert_eq!(tally.take_in(path, &headers("forged"), BODY, 0), StatusCode::UNAUTHORIZED);
        assert!(tally.counts(path).complaint.is_some());
        tally
    }

    #[test]
    fn a_delivery_that_comes_again_is_counted_once_and_timed_from_its_change() {
        let tally = begun("/accept/1/0");
        let changed = 1_765_802_096_123_000;
        assert_eq!(tally.take_in("/accept/1/0", &headers("a"), BODY, changed + 2_500), StatusCode::NO_CONTENT);
        assert_eq!(tally.take_in("/accept/1/0", &headers("a"), BODY, changed + 9_000), StatusCode::NO_CONTENT);
        let counts = tally.counts("/accept/1/");
        assert_eq!((counts.requests, counts.accepted, counts.deliveries, counts.refused), (3, 2, 1, 1));
        assert_eq!(tally.receipts("/accept/1/"), [Receipt { at: changed + 2_500, latency: 2_500, request: 2 }]);
        assert_eq!(tally.counts("/accept/2/").requests, 0);
    }

    #[test]
    fn a_flaky_path_refuses_every_tenth() {
        let tally = begun("/flaky/1/0");
        let answers: Vec<_> =
            (2..=20).map(|n| tally.take_in("/flaky/1/0", &headers(&n.to_string()), BODY, 0)).collect();
        let refused: Vec<_> =
            (2..).zip(answers).filter(|(_, answer)| answer.is_server_error()).map(|(n, _)| n).collect();
        assert_eq!(refused, [10, 20]);
    }
}
