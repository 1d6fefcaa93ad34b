//! `docs/DELIVERY.md` promises a table, "What an answer leads to": it is read here and held against the code.

use std::time::Duration;

use crate::model::RetryPolicy;

use super::{Answer, Failure, Next, judge, settle};

const PAGE: &str = include_str!("../../docs/DELIVERY.md");

struct Row {
    came: &'static str,
    outcome: &'static str,
    message: &'static str,
}

fn rows() -> Vec<Row> {
    let section = PAGE.split("## What an answer leads to").nth(1).unwrap().split("\n## ").next().unwrap();
    let lines = section.lines().filter(|line| line.starts_with('|') && !line.contains("---"));
    lines
        .skip(1)
        .map(|line| {
            let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
            assert_eq!(cells.len(), 3, "{line}");
            Row { came: cells[0], outcome: cells[1], message: cells[2] }
        })
        .collect()
}

/// Whether a row's first cell names this status; a range that begins with "other" only if nothing else does.
fn names(row: &Row, status: u16, other: bool) -> bool {
    row.came.split(", ").any(|part| {
        let (is_other, part) = part.strip_prefix("other ").map_or((false, part), |part| (true, part));
        let (first, last) = part.split_once('–').unwrap_or((part, part));
        let range = first.parse::<u16>().ok().zip(last.parse::<u16>().ok());
        is_other == other && range.is_some_and(|(first, last)| (first..=last).contains(&status))
    })
}

fn row_of(rows: &[Row], status: u16) -> &Row {
    let named = |other| rows.iter().find(|row| names(row, status, other));
    named(false).or_else(|| named(true)).or_else(|| rows.iter().find(|row| row.came == "any other status")).unwrap()
}

/// What the code does with an answer, in the table's words, and its message.
fn told(answer: &Answer) -> (&'static str, String) {
    let outcome = judge(answer);
    let policy = RetryPolicy { max_attempts: 3, backoff_seconds: 10 };
    let next = |attempt| settle(&outcome, attempt, policy, 0.0, Duration::from_secs(60));
    let words = match (next(1), next(3)) {
        (Next::Delivered, Next::Delivered) => "delivered",
        (Next::Retry(_), Next::DeadLetter) if outcome == super::Outcome::Gone => {
            "the webhook is disabled (`gone`); the delivery is scheduled again and waits"
        }
        (Next::Retry(wait), Next::DeadLetter) if wait == Duration::from_secs(50) => {
            "tried again, not before `Retry-After`"
        }
        (Next::Retry(_), Next::DeadLetter) => "tried again",
        (Next::DeadLetter, Next::DeadLetter) => "given up at once",
        other => panic!("{other:?} is in no row"),
    };
    (words, outcome.reason().map(|reason| reason.to_string()).unwrap_or_default())
}

#[test]
fn every_status_leads_to_what_the_page_says() {
    let rows = rows();
    for status in 100..=999 {
        let row = row_of(&rows, status);
        let answer = Answer::Response { status, retry_after: Some(Duration::from_secs(50)), body: None };
        let (words, message) = told(&answer);
        // A range has one continuation of the outcome's text after a semicolon or colon.
        let promised =
            if words.starts_with("the webhook") { row.outcome } else { row.outcome.split([';', ':']).next().unwrap() };
        assert_eq!(words, promised, "{status}");
        let samples: Vec<&str> = row.message.split(", ").map(|sample| sample.trim_matches('`')).collect();
        let with_status = |sample: &str| {
            let (http, rest) = (sample.get(..5)?, sample.get(8..)?);
            Some(format!("{http}{status}{rest}"))
        };
        let fits = samples.iter().any(|sample| with_status(sample).unwrap_or_default() == message);
        assert!(fits || samples == [message.as_str()], "{status}: {message:?} is not {:?}", row.message);
    }
}

#[test]
fn every_failure_is_on_the_page_with_its_outcome_and_message() {
    let rows = rows();
    let failures = [
        Failure::Timeout(Duration::from_secs(15)),
        Failure::Lookup,
        Failure::NotPublic,
        Failure::BadTarget,
        Failure::Refused,
        Failure::Connect,
        Failure::Tls,
        Failure::Closed,
        Failure::Protocol,
        Failure::Secret,
        Failure::EventGone,
    ];
    for failure in failures {
        let (words, message) = told(&Answer::Failure(failure));
        let row = rows.iter().find(|row| row.message.trim_matches('`') == message);
        assert_eq!(row.map(|row| row.outcome), Some(words), "{message}");
    }
    let statuses =
        rows.iter().filter(|row| row.came.contains(|c: char| c.is_ascii_digit()) || row.came == "any other status");
    assert_eq!(rows.len(), statuses.count() + failures.len(), "the page has a row that the code does not know");
}
