//! What an attempt's answer means, and what becomes of the delivery. Pure: two tables, [`judge`] and [`settle`].

use std::fmt;
use std::time::Duration;

use crate::model::RetryPolicy;
use chrono::{DateTime, Utc};

use crate::backoff;

/// What came back for one POST.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// A complete answer within the deadline (of a long body, the first 16 KiB).
    Response {
        /// The HTTP status.
        status: u16,
        /// `Retry-After`, as a wait from now.
        retry_after: Option<Duration>,
        /// The beginning of a failed one's body, if it is to be kept. Shown to admins, never logged.
        body: Option<String>,
    },
    /// No complete answer.
    Failure(Failure),
}

/// Why no complete answer came. Carries no URL, address, secret or body.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// The one deadline over lookup, connect, headers and body passed.
    #[error("no complete answer within {} s", .0.as_secs_f32())]
    Timeout(Duration),
    /// The name does not resolve.
    #[error("the host name could not be resolved")]
    Lookup,
    /// The guard refused every address the name resolves to.
    #[error("the host name resolves to no public address")]
    NotPublic,
    /// The target's text is refused by the guard, for instance since a setting changed.
    #[error("the target URL is not allowed")]
    BadTarget,
    /// Nothing listens there.
    #[error("connection refused")]
    Refused,
    /// No connection for another reason.
    #[error("could not connect")]
    Connect,
    /// The TLS handshake failed.
    #[error("TLS failed: the certificate is not trusted, has expired or names another host, or no version is shared")]
    Tls,
    /// Closed before a whole answer was there.
    #[error("the connection was closed before the answer was complete")]
    Closed,
    /// An answer that is not HTTP, or breaks its rules.
    #[error("the answer is not valid HTTP")]
    Protocol,
    /// The webhook's secret or headers do not open under the configured master keys.
    #[error("the webhook's secret cannot be opened: check TASKWIRE_MASTER_KEY")]
    Secret,
    /// The event's body is no longer in the log.
    #[error("the event is no longer stored")]
    EventGone,
}

/// Why an attempt failed, short enough to show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// An HTTP status that is no success.
    Status(u16),
    /// No answer.
    Failure(Failure),
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Status(status @ 300..=399) => write!(f, "HTTP {status}: redirects are not followed"),
            Self::Status(410) => f.write_str("HTTP 410: the target is gone; the webhook was disabled"),
            Self::Status(status @ (408 | 425 | 429 | 500..=599)) => write!(f, "HTTP {status}"),
            Self::Status(status @ 400..=499) => write!(f, "HTTP {status}: the target may be misconfigured"),
            Self::Status(status) => write!(f, "HTTP {status}: not an answer to a POST"),
            Self::Failure(failure) => write!(f, "{failure}"),
        }
    }
}

/// What an answer means for the delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Done.
    Delivered,
    /// Try again, not before `retry_after`.
    Retry {
        /// Why it failed.
        reason: Reason,
        /// What the target asked for; only on 429 and 503.
        retry_after: Option<Duration>,
    },
    /// No retry can help.
    GiveUp(Reason),
    /// The target says it is gone for good: the webhook is disabled.
    Gone,
}

/// The table from answer to outcome.
#[must_use]
pub const fn judge(answer: &Answer) -> Outcome {
    match *answer {
        Answer::Response { status, retry_after, .. } => match status {
            200..=299 => Outcome::Delivered,
            410 => Outcome::Gone,
            429 | 503 => Outcome::Retry { reason: Reason::Status(status), retry_after },
            // Redirects and the other 4xx too: partners misconfigure, and mend it within the policy's days.
            _ => Outcome::Retry { reason: Reason::Status(status), retry_after: None },
        },
        Answer::Failure(failure) => match failure {
            Failure::EventGone => Outcome::GiveUp(Reason::Failure(failure)),
            Failure::Timeout(_)
            | Failure::Lookup
            | Failure::NotPublic
            | Failure::BadTarget
            | Failure::Refused
            | Failure::Connect
            | Failure::Tls
            | Failure::Closed
            | Failure::Protocol
            | Failure::Secret => Outcome::Retry { reason: Reason::Failure(failure), retry_after: None },
        },
    }
}

impl Outcome {
    /// Whether the target is in trouble, as opposed to disliking this request: it gets fewer requests at once.
    #[must_use]
    pub const fn is_trouble(&self) -> bool {
        match self {
            Self::Delivered | Self::GiveUp(_) | Self::Gone => false,
            Self::Retry { reason: Reason::Status(status), .. } => matches!(status, 408 | 425 | 429 | 500..=599),
            Self::Retry { reason: Reason::Failure(_), .. } => true,
        }
    }

    /// Why it failed; `None` for a success.
    #[must_use]
    pub const fn reason(&self) -> Option<Reason> {
        match self {
            Self::Delivered => None,
            Self::Retry { reason, .. } | Self::GiveUp(reason) => Some(*reason),
            Self::Gone => Some(Reason::Status(410)),
        }
    }
}

/// What becomes of the delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// Finished well.
    Delivered,
    /// Another attempt after this wait.
    Retry(Duration),
    /// Given up.
    DeadLetter,
}

/// The table from outcome to the delivery's next state, `attempt` being the one that ended, counted from the last replay.
///
/// A delivery that met a 410 is scheduled like any failure: it waits while the webhook is disabled, and goes on if an admin
/// enables it again.
#[must_use]
pub fn settle(outcome: &Outcome, attempt: i32, policy: RetryPolicy, spread: f64, retry_after_cap: Duration) -> Next {
    let retry_after = match outcome {
        Outcome::Delivered => return Next::Delivered,
        Outcome::GiveUp(_) => return Next::DeadLetter,
        Outcome::Gone => None,
        Outcome::Retry { retry_after, .. } => retry_after.map(|wait| wait.min(retry_after_cap)),
    };
    if attempt >= policy.max_attempts {
        return Next::DeadLetter;
    }
    Next::Retry(backoff::wait_after(policy, attempt, spread, retry_after))
}

/// How many attempts above the policy's are granted to deliveries whose last one was interrupted.
const INTERRUPTED_ALLOWANCE: i32 = 3;

/// Whether attempt `attempt` (counted from the last replay) may be made at all. More than the policy's maximum come about
/// when holders died, which leaves it unknown whether the partner was reached: a few are made up for, not endlessly; or
/// when an admin lowered the maximum.
#[must_use]
pub const fn may_attempt(attempt: i32, policy: RetryPolicy, after_interruption: bool) -> bool {
    let allowance = if after_interruption { INTERRUPTED_ALLOWANCE } else { 0 };
    attempt <= policy.max_attempts + allowance
}

/// Reads `Retry-After` (RFC 9110, 10.2.3): seconds, or an HTTP date. `None` for anything else; a date in the past is no wait.
#[must_use]
pub fn read_retry_after(text: &str, now: DateTime<Utc>) -> Option<Duration> {
    let text = text.trim();
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        // More digits than fit are a long wait: the cap makes it a sane one.
        return Some(Duration::from_secs(text.parse().unwrap_or(u64::from(u32::MAX))));
    }
    let date = read_http_date(text)?;
    Some((date - now).to_std().unwrap_or_default())
}

/// The three forms of an HTTP date (RFC 9110, 5.6.7).
fn read_http_date(text: &str) -> Option<DateTime<Utc>> {
    ["%a, %d %b %Y %H:%M:%S GMT", "%A, %d-%b-%y %H:%M:%S GMT", "%a %b %e %H:%M:%S %Y"]
        .into_iter()
        .find_map(|form| chrono::NaiveDateTime::parse_from_str(text, form).ok())
        .map(|date| date.and_utc())
}

#[cfg(test)]
mod table;

#[cfg(test)]
mod tests {
    use super::*;

    fn response(status: u16) -> Answer {
        Answer::Response { status, retry_after: Some(Duration::from_secs(7)), body: None }
    }

    #[test]
    fn every_status_has_its_outcome() {
        for status in 100..=999 {
            let outcome = judge(&response(status));
            match status {
                200..=299 => assert_eq!(outcome, Outcome::Delivered),
                410 => assert_eq!(outcome, Outcome::Gone),
                _ => {
                    let wait = matches!(status, 429 | 503).then_some(Duration::from_secs(7));
                    assert_eq!(outcome, Outcome::Retry { reason: Reason::Status(status), retry_after: wait });
                }
            }
        }
    }

    #[test]
    fn only_signs_of_overload_or_absence_count_as_trouble() {
        let trouble: Vec<u16> = (200..=599).filter(|status| judge(&response(*status)).is_trouble()).collect();
        let expected: Vec<u16> = [408, 425, 429].into_iter().chain(500..=599).collect();
        assert_eq!(trouble, expected);
        assert!(judge(&Answer::Failure(Failure::Timeout(Duration::from_secs(15)))).is_trouble());
        assert!(judge(&Answer::Failure(Failure::Refused)).is_trouble());
    }

    #[test]
    fn a_missing_event_is_given_up_at_once_and_any_other_failure_is_retried() {
        let policy = RetryPolicy { max_attempts: 3, backoff_seconds: 10 };
        let cap = Duration::from_secs(60);
        let gone = judge(&Answer::Failure(Failure::EventGone));
        assert_eq!(settle(&gone, 1, policy, 0.0, cap), Next::DeadLetter);
        let refused = judge(&Answer::Failure(Failure::Refused));
        assert_eq!(settle(&refused, 1, policy, 0.0, cap), Next::Retry(Duration::from_secs(10)));
        assert_eq!(settle(&refused, 2, policy, 0.0, cap), Next::Retry(Duration::from_secs(20)));
        assert_eq!(settle(&refused, 3, policy, 0.0, cap), Next::DeadLetter);
        assert_eq!(settle(&Outcome::Delivered, 3, policy, 0.0, cap), Next::Delivered);
        assert_eq!(settle(&Outcome::Gone, 1, policy, 0.0, cap), Next::Retry(Duration::from_secs(10)));
    }

    #[test]
    fn retry_after_is_honoured_up_to_the_cap() {
        let policy = RetryPolicy { max_attempts: 3, backoff_seconds: 1 };
        let asked =
            |seconds| Outcome::Retry { reason: Reason::Status(429), retry_after: Some(Duration::from_secs(seconds)) };
        let cap = Duration::from_secs(60);
        assert_eq!(settle(&asked(30), 1, policy, 0.0, cap), Next::Retry(Duration::from_secs(30)));
        assert_eq!(settle(&asked(3000), 1, policy, 0.0, cap), Next::Retry(cap));
    }

    #[test]
    fn an_interrupted_attempt_is_made_up_for_a_few_times() {
        let policy = RetryPolicy { max_attempts: 2, backoff_seconds: 1 };
        assert!(may_attempt(2, policy, false) && !may_attempt(3, policy, false));
        assert!(may_attempt(3, policy, true) && may_attempt(5, policy, true) && !may_attempt(6, policy, true));
    }

    #[test]
    fn retry_after_is_read_as_seconds_or_any_http_date() {
        let now = DateTime::parse_from_rfc3339("1994-11-06T08:49:00Z").unwrap().to_utc();
        for text in [
            "37",
            " 37 ",
            "Sun, 06 Nov 1994 08:49:37 GMT",
            "Sunday, 06-Nov-94 08:49:37 GMT",
            "Sun Nov  6 08:49:37 1994",
        ] {
            assert_eq!(read_retry_after(text, now), Some(Duration::from_secs(37)), "{text}");
        }
        assert_eq!(read_retry_after("Sun, 06 Nov 1994 08:48:00 GMT", now), Some(Duration::ZERO));
        assert!(read_retry_after("99999999999999999999999", now).unwrap() > Duration::from_secs(604_800));
        for bad in ["", "-1", "1.5", "soon", "Sun, 06 Nov 1994"] {
            assert_eq!(read_retry_after(bad, now), None, "{bad}");
        }
    }

    #[test]
    fn reasons_are_short_and_say_what_to_look_at() {
        assert_eq!(Reason::Status(500).to_string(), "HTTP 500");
        assert_eq!(Reason::Status(404).to_string(), "HTTP 404: the target may be misconfigured");
        assert_eq!(Reason::Status(302).to_string(), "HTTP 302: redirects are not followed");
        let timeout = Reason::Failure(Failure::Timeout(Duration::from_secs(15)));
        assert_eq!(timeout.to_string(), "no complete answer within 15 s");
    }
}
