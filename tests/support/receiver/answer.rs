//! What a receiver answers, well or badly.

use std::time::Duration;

use futures::stream::{self, StreamExt};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::Response;
use hyper::body::{Bytes, Frame};
use hyper::header::CONTENT_LENGTH;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

pub(super) type Body = UnsyncBoxBody<Bytes, BreakOff>;

/// Makes the HTTP server close the connection at once.
#[derive(Debug)]
pub(super) struct BreakOff;

impl std::fmt::Display for BreakOff {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the receiver breaks off")
    }
}

impl std::error::Error for BreakOff {}

/// One answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// This status, no body.
    Status(u16),
    /// This status with headers, such as `Retry-After` or `Location`.
    WithHeaders(u16, Vec<(String, String)>),
    /// This status with a body of so many bytes.
    WithBody(u16, usize),
    /// Waits before the status line, then answers.
    After(Duration, Box<Self>),
    /// 200 and its headers at once, then a byte every 100 ms for ever.
    EndlessBody,
    /// 200 with the promise of a body of 1,000 bytes, of which ten come before the connection is closed.
    HalfBody,
    /// Closes the connection without any answer.
    Close,
    /// Never answers.
    Hang,
}

impl Answer {
    /// This status after a wait.
    #[must_use]
    pub fn slow(wait: Duration, status: u16) -> Self {
        Self::After(wait, Box::new(Self::Status(status)))
    }

    /// 429 or 503 with `Retry-After` in seconds.
    #[must_use]
    pub fn retry_after(status: u16, seconds: u64) -> Self {
        Self::WithHeaders(status, vec![("retry-after".to_owned(), seconds.to_string())])
    }

    /// A redirect, which must not be followed.
    #[must_use]
    pub fn redirect(location: &str) -> Self {
        Self::WithHeaders(302, vec![("location".to_owned(), location.to_owned())])
    }

    /// Whether the sender sees a 2xx (if its deadline is long enough).
    #[must_use]
    pub fn is_success(&self) -> bool {
        match self {
            Self::Status(status) | Self::WithHeaders(status, _) | Self::WithBody(status, _) => {
                (200..300).contains(status)
            }
            Self::After(_, then) => then.is_success(),
            Self::EndlessBody | Self::HalfBody | Self::Close | Self::Hang => false,
        }
    }

    pub(super) async fn play(self) -> Result<Response<Body>, BreakOff> {
        let mut answer = self;
        while let Self::After(wait, then) = answer {
            tokio::time::sleep(wait).await;
            answer = *then;
        }
        match answer {
            Self::Status(status) => respond(status, &[], Bytes::new()),
            Self::WithHeaders(status, headers) => respond(status, &headers, Bytes::new()),
            Self::WithBody(status, length) => respond(status, &[], Bytes::from(vec![b'x'; length])),
            Self::EndlessBody => {
                let drip = stream::unfold((), |()| async {
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    Some((Ok(Frame::data(Bytes::from_static(b"."))), ()))
                });
                Ok(Response::new(StreamBody::new(drip).boxed_unsync()))
            }
            Self::HalfBody => {
                let ten = stream::once(async { Ok(Frame::data(Bytes::from_static(b"0123456789"))) });
                // A moment between them: the bytes go out before the end does.
                let end = stream::once(async {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    Err(BreakOff)
                });
                let body = StreamBody::new(ten.chain(end)).boxed_unsync();
                Response::builder().header(CONTENT_LENGTH, 1000).body(body).map_err(|_| BreakOff)
            }
            Self::Close | Self::After(..) => Err(BreakOff),
            Self::Hang => std::future::pending().await,
        }
    }
}

/// Answers picked at random, each as often as its weight says; the same seed gives the same picks.
#[derive(Debug)]
pub(super) struct Mix {
    pub(super) answers: Vec<(u32, Answer)>,
    rng: StdRng,
}

impl Mix {
    pub(super) fn new(seed: u64, answers: Vec<(u32, Answer)>) -> Self {
        Self { answers, rng: StdRng::seed_from_u64(seed) }
    }

    /// `None` where nothing has a weight.
    pub(super) fn pick(&mut self) -> Option<Answer> {
        let all: u32 = self.answers.iter().map(|(weight, _)| weight).sum();
        let mut left = if all == 0 { 0 } else { self.rng.random_range(0..all) };
        let picked = self.answers.iter().find(|(weight, _)| {
            let here = left < *weight;
            left = left.saturating_sub(*weight);
            here
        });
        picked.map(|(_, answer)| answer.clone())
    }
}

fn respond(status: u16, headers: &[(String, String)], body: Bytes) -> Result<Response<Body>, BreakOff> {
    let mut response = Response::builder().status(status);
    for (name, value) in headers {
        response = response.header(name, value);
    }
    response.body(Full::new(body).map_err(|never| match never {}).boxed_unsync()).map_err(|_| BreakOff)
}
