//! What came to the receiver, kept small: a run of half an hour makes a million requests.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

use taskwire_tests::Receiver;
use taskwire_tests::receiver::Received;
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;

/// One request.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Arrival {
    /// Its place among all requests.
    pub(crate) order: u64,
    /// `X-Attempt`.
    pub(crate) attempt: i32,
    /// A hash of the body.
    pub(crate) body: u64,
    /// Whether it was answered with success; the sender may not have seen it.
    pub(crate) accepted: bool,
}

/// All requests, by delivery.
#[derive(Debug, Default)]
pub(crate) struct Arrivals {
    pub(crate) by_delivery: HashMap<String, Vec<Arrival>>,
    pub(crate) requests: u64,
    pub(crate) complaints: Vec<String>,
}

impl Arrivals {
    fn take_in(&mut self, received: Vec<Received>) {
        for one in received {
            self.requests += 1;
            let arrival = Arrival {
                order: self.requests,
                attempt: i32::try_from(one.attempt()).unwrap_or(0),
                body: digest(&one.body),
                accepted: one.is_accepted(),
            };
            self.by_delivery.entry(one.header("x-delivery-id").to_owned()).or_default().push(arrival);
        }
    }
}

/// Enough to tell two bodies apart.
pub(crate) fn digest(body: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    body.hash(&mut hasher);
    hasher.finish()
}

/// Takes requests out of the receiver's memory until stopped.
pub(crate) async fn count(receiver: Arc<Mutex<Receiver>>, stop: CancellationToken) -> Arrivals {
    let mut arrivals = Arrivals::default();
    loop {
        let stopped = stop.is_cancelled();
        let received = receiver.lock().await.take_received();
        arrivals.take_in(received);
        if stopped {
            arrivals.complaints = receiver.lock().await.complaints();
            return arrivals;
        }
        tokio::select! {
            () = stop.cancelled() => {}
            () = tokio::time::sleep(Duration::from_millis(200)) => {}
        }
    }
}
