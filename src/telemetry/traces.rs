//! Traces, sent by OTLP where `OTEL_EXPORTER_OTLP_ENDPOINT` names a collector; otherwise nothing here costs anything.
//!
//! The trace of an event is a function of the event's id, and so are the spans in it: the process that records an event and
//! those that deliver it, days later even, tell parts of one trace without a word between them, and nothing is stored for it.
//!
//! ```text
//! task.completed            from the change to the commit that recorded it
//! ├─ read                   from the change until it came off the stream
//! ├─ derive                 judged; the wait for its history row
//! ├─ record                 the transaction
//! └─ deliver (each attempt) one POST
//! ```

mod export;
mod otlp;

use std::sync::OnceLock;
use std::time::Duration;

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use rand::Rng;
use sha2::{Digest, Sha256};
use tokio::sync::mpsc;

use crate::config::TraceSettings;
pub use export::{Export, TraceError};

/// The header of the W3C's Trace Context.
pub const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// A trace's id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TraceId([u8; 16]);

/// A span's id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SpanId([u8; 8]);

/// Whom a span serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Work inside.
    Internal,
    /// A request that was answered.
    Server,
    /// A request that was made.
    Client,
}

/// What a span says of itself. No payload: ids, names of events, numbers, short reasons.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// Text.
    Text(String),
    /// A whole number.
    Whole(i64),
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Self::Whole(number)
    }
}

/// A span that has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Span {
    /// Its trace.
    pub trace: TraceId,
    /// Its id.
    pub id: SpanId,
    /// The span it is a part of.
    pub parent: Option<SpanId>,
    /// What was done.
    pub name: &'static str,
    /// For whom.
    pub kind: Kind,
    /// Its beginning, in nanoseconds since the epoch.
    pub began: u64,
    /// Its end.
    pub ended: u64,
    /// What it says of itself.
    pub attributes: Vec<(&'static str, Value)>,
    /// Why it failed, if it did.
    pub failure: Option<String>,
}

impl TraceId {
    /// The trace of an event.
    #[must_use]
    pub fn of_event(event: &str) -> Self {
        Self(first(&Sha256::digest(event)[..]))
    }

    fn random() -> Self {
        Self(rand::rng().random())
    }

    /// A number that is even over all traces and the same in every process: which of them are sent.
    fn hundredth(self) -> u8 {
        let [.., a, b, c, d] = self.0;
        u8::try_from(u32::from_be_bytes([a, b, c, d]) % 100).unwrap_or(0)
    }
}

impl SpanId {
    /// The span of this name, and number, of an event or delivery.
    #[must_use]
    pub fn of(name: &str, subject: &str, number: i32) -> Self {
        let mut hash = Sha256::new();
        for part in [name.as_bytes(), subject.as_bytes(), &number.to_be_bytes()] {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
        Self(first(&hash.finalize()[..]))
    }

    /// The span that an event's others are parts of.
    #[must_use]
    pub fn of_event(event: &str) -> Self {
        Self::of("event", event, 0)
    }

    /// The span of a delivery's attempt.
    #[must_use]
    pub fn of_attempt(delivery: &str, attempt: i32) -> Self {
        Self::of("deliver", delivery, attempt)
    }

    fn random() -> Self {
        Self(rand::rng().random())
    }
}

fn first<const N: usize>(digest: &[u8]) -> [u8; N] {
    let mut bytes = [0; N];
    bytes.iter_mut().zip(digest).for_each(|(byte, from)| *byte = *from);
    bytes
}

/// What this process does about traces.
#[derive(Debug)]
struct Traces {
    /// Of a hundred traces so many are sent.
    percent: u8,
    to_partners: bool,
    spans: Option<mpsc::Sender<Span>>,
}

static TRACES: OnceLock<Traces> = OnceLock::new();

/// Begins, once a process. [`Export::close`] sends what is left at its end.
///
/// # Errors
/// [`TraceError`], if the client for the collector cannot be made.
pub fn init(settings: &TraceSettings, program: &'static str) -> Result<Export, TraceError> {
    let (spans, export) = match &settings.collector {
        Some(collector) => export::start(collector, program).map(|(spans, export)| (Some(spans), export))?,
        None => (None, Export::none()),
    };
    let (percent, to_partners) = (settings.percent, settings.to_partners);
    // Set already: another part of this process began, whose settings are the same.
    let _first = TRACES.set(Traces { percent, to_partners, spans });
    Ok(export)
}

/// Whether spans of this trace are sent. Cheap: ask before one is made.
#[must_use]
pub fn is_sent(trace: TraceId) -> bool {
    TRACES.get().is_some_and(|traces| traces.spans.is_some() && trace.hundredth() < traces.percent)
}

/// Whether any spans are sent.
#[must_use]
pub fn are_sent() -> bool {
    TRACES.get().is_some_and(|traces| traces.spans.is_some())
}

/// Hands a span over to be sent. One that finds no room is left out, and counted: work never waits for a collector.
pub fn tell(span: Span) {
    if let Some(spans) = TRACES.get().and_then(|traces| traces.spans.as_ref())
        && spans.try_send(span).is_err()
    {
        export::count("left-out", 1);
    }
}

/// `traceparent` of an attempt's request, where the settings have partners get one.
#[must_use]
pub fn header_of_attempt(event: &str, delivery: &str, attempt: i32) -> Option<HeaderValue> {
    TRACES.get().filter(|traces| traces.to_partners)?;
    let trace = TraceId::of_event(event);
    let (trace_id, span) = (otlp::hex(&trace.0), otlp::hex(&SpanId::of_attempt(delivery, attempt).0));
    HeaderValue::try_from(format!("00-{trace_id}-{span}-{:02x}", u8::from(is_sent(trace)))).ok()
}

/// A request that is being answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Caller {
    trace: TraceId,
    parent: Option<SpanId>,
}

impl Caller {
    /// The trace that a request belongs to: its caller's, if it names one and has it sent, else one of its own. `None` if
    /// its spans are not sent.
    #[must_use]
    pub fn of(headers: &HeaderMap) -> Option<Self> {
        if !are_sent() {
            return None;
        }
        match headers.get(TRACEPARENT).and_then(|value| read_traceparent(value.to_str().ok()?)) {
            Some((trace, span, sent)) => sent.then_some(Self { trace, parent: Some(span) }),
            None => Some(Self { trace: TraceId::random(), parent: None }).filter(|new| is_sent(new.trace)),
        }
    }

    /// Tells how it was answered.
    pub fn answered(self, took: Duration, attributes: Vec<(&'static str, Value)>, failure: Option<String>) {
        let ended = nanoseconds(chrono::Utc::now().timestamp_nanos_opt().unwrap_or(0));
        let began = ended.saturating_sub(length(took));
        let (trace, parent, id) = (self.trace, self.parent, SpanId::random());
        tell(Span { trace, id, parent, name: "request", kind: Kind::Server, began, ended, attributes, failure });
    }
}

/// Trace, span, and whether the trace is sent. Versions to come begin like this one.
fn read_traceparent(text: &str) -> Option<(TraceId, SpanId, bool)> {
    let mut parts = text.split('-');
    let (version, trace, span, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let ours = version == "00";
    if version.len() != 2 || version == "ff" || flags.len() != 2 || (ours && parts.next().is_some()) {
        return None;
    }
    let (trace, span) = (TraceId(bytes(trace)?), SpanId(bytes(span)?));
    let flags = u8::from_str_radix(flags, 16).ok()?;
    (trace.0 != [0; 16] && span.0 != [0; 8]).then_some((trace, span, flags & 1 == 1))
}

/// Lower-case hexadecimal digits, as the header takes them.
fn bytes<const N: usize>(text: &str) -> Option<[u8; N]> {
    let decoded = data_encoding::HEXLOWER.decode(text.as_bytes()).ok()?;
    decoded.try_into().ok()
}

/// Nanoseconds since the epoch; a time before it is the epoch.
#[must_use]
pub fn nanoseconds(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}

/// A database's time in nanoseconds since the epoch.
#[must_use]
pub fn at(time: bson::DateTime) -> u64 {
    nanoseconds(time.timestamp_millis()).saturating_mul(1_000_000)
}

/// A span of time in nanoseconds.
#[must_use]
pub fn length(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_event_gives_the_same_trace_and_its_attempts_their_own_spans() {
        assert_eq!(TraceId::of_event("evt_1"), TraceId::of_event("evt_1"));
        assert_ne!(TraceId::of_event("evt_1"), TraceId::of_event("evt_2"));
        assert_ne!(SpanId::of_attempt("dlv_1", 1), SpanId::of_attempt("dlv_1", 2));
        assert_ne!(SpanId::of("read", "evt_1", 0), SpanId::of("record", "evt_1", 0));
    }

    #[test]
    fn a_share_of_traces_is_about_that_share() {
        let sent = (0..2000).filter(|number| TraceId::of_event(&format!("evt_{number}")).hundredth() < 25).count();
        assert!((400..600).contains(&sent), "{sent}");
    }

    #[test]
    fn a_callers_trace_is_read_and_what_is_none_is_not() {
        let good = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let (trace, span, sent) = read_traceparent(good).unwrap();
        assert_eq!(otlp::hex(&trace.0), "4bf92f3577b34da6a3ce929d0e0e4736");
        assert_eq!((otlp::hex(&span.0).as_str(), sent), ("00f067aa0ba902b7", true));
        assert!(!read_traceparent("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00").unwrap().2);
        assert!(read_traceparent("01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more").is_some());
        for bad in [
            "",
            "00",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
            "00-4bf92f3577b34da6a3ce929d0e0e47-00f067aa0ba902b7-01",
        ] {
            assert!(read_traceparent(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn without_a_beginning_nothing_is_sent_and_partners_get_no_header() {
        assert!(!are_sent() && !is_sent(TraceId::of_event("evt_1")));
        assert_eq!(header_of_attempt("evt_1", "dlv_1", 1), None);
        assert_eq!(Caller::of(&HeaderMap::new()), None);
    }
}
