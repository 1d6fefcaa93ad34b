//! Points in time as operators write and read them.

use bson::{DateTime, Timestamp};
use chrono::{SecondsFormat, Utc};

/// Reads RFC 3339 (`2026-11-24T06:00:00Z`) or cluster time (`seconds` or `seconds.increment`).
///
/// # Errors
/// What it takes, for the command line's message.
pub fn parse(text: &str) -> Result<Timestamp, String> {
    let takes = "it takes RFC 3339 such as 2026-11-24T06:00:00Z, or seconds[.increment] of cluster time";
    if let Ok(date) = chrono::DateTime::parse_from_rfc3339(text) {
        let time = u32::try_from(date.timestamp()).map_err(|_| format!("out of range: {takes}"))?;
        return Ok(Timestamp { time, increment: 0 });
    }
    let (seconds, increment) = text.split_once('.').unwrap_or((text, "0"));
    match (seconds.parse(), increment.parse()) {
        (Ok(time), Ok(increment)) => Ok(Timestamp { time, increment }),
        _ => Err(takes.to_owned()),
    }
}

/// A cluster time for people: UTC to the second.
#[must_use]
pub fn shown(time: Timestamp) -> String {
    shown_date(DateTime::from_millis(i64::from(time.time) * 1000))
}

/// A date for people: UTC to the second.
#[must_use]
pub fn shown_date(date: DateTime) -> String {
    date.to_chrono().with_timezone(&Utc).to_rfc3339_opts(SecondsFormat::Secs, true)
}

/// A cluster time as [`parse`] takes it, with nothing lost.
#[must_use]
pub fn exact(time: Timestamp) -> String {
    format!("{}.{}", time.time, time.increment)
}

/// A span of time in its two largest units.
#[must_use]
pub fn span(seconds: u64) -> String {
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, _) => format!("{minutes} min {} s", seconds % 60),
        (0, _, _) => format!("{hours} h {minutes} min"),
        _ => format!("{days} d {hours} h"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_read_in_each_form_and_what_is_printed_can_be_read() {
        let at = |time, increment| Ok(Timestamp { time, increment });
        assert_eq!(parse("2026-11-24T06:00:00Z"), at(1_795_500_000, 0));
        assert_eq!(parse("2026-11-24T07:00:00.9+01:00"), at(1_795_500_000, 0));
        assert_eq!(parse("1795500000"), at(1_795_500_000, 0));
        assert_eq!(parse("1795500000.7"), at(1_795_500_000, 7));
        assert_eq!(parse(&exact(Timestamp { time: 5, increment: 6 })), at(5, 6));
        assert_eq!(parse(&shown(Timestamp { time: 5, increment: 6 })), at(5, 0));
        for wrong in ["", "yesterday", "1.2.3", "-5", "1900-01-01T00:00:00Z", "1."] {
            assert!(parse(wrong).is_err_and(|why| why.contains("RFC 3339")), "{wrong}");
        }
    }

    #[test]
    fn spans_are_told_in_their_two_largest_units() {
        let told = [5, 61, 3600, 21 * 3600 + 120, 90_000].map(span);
        assert_eq!(told, ["5 s", "1 min 1 s", "1 h 0 min", "21 h 2 min", "1 d 1 h"]);
    }
}
