//! Deliveries as lines for people.

use std::collections::HashMap;

use chrono::{DateTime, Local};
use serde_json::Value;
use taskwire_tests::receiver::Received;

/// So many deliveries are kept to be shown before memory is freed.
const FULL: usize = 5_000;

/// Prints each received request once.
#[derive(Debug, Default)]
pub(crate) struct Printer {
    printed: usize,
    /// A user's id → a short name, in the order of appearance.
    people: HashMap<String, String>,
}

impl Printer {
    /// Prints what came since the last call.
    pub(crate) fn print_new(&mut self, received: &[Received]) {
        for one in received.iter().skip(self.printed) {
            println!("{}", self.line(one));
        }
        self.printed = received.len();
    }

    /// Whether the caller should begin anew.
    pub(crate) const fn is_full(&self) -> bool {
        self.printed >= FULL
    }

    fn line(&mut self, one: &Received) -> String {
        let body: Value = serde_json::from_slice(&one.body).unwrap_or_default();
        let text = |at: &str| body.pointer(at).and_then(Value::as_str).unwrap_or("?").to_owned();
        let at: DateTime<Local> = one.at.into();
        let late = DateTime::parse_from_rfc3339(&text("/timestamp"))
            .map(|changed| (at.fixed_offset() - changed).num_milliseconds())
            .map_or_else(|_| String::new(), |late| format!(", {late} ms after the write"));
        let outcome = match (&one.verdict, one.answer.is_success()) {
            (Ok(()), true) => "verified".to_owned(),
            (Ok(()), false) => "verified, but answered 503".to_owned(),
            (Err(why), _) => format!("REFUSED: {why}"),
        };
        format!(
            "{} {:<11} {:<14} {:<24} {}{} ({outcome}, attempt {}{late})",
            at.format("%H:%M:%S%.3f"),
            one.path,
            text("/event"),
            text("/data/name"),
            self.changes(&body),
            self.actor(&body),
            one.attempt(),
        )
    }

    fn changes(&mut self, body: &Value) -> String {
        let Some(changes) = body.pointer("/data/changes").and_then(Value::as_object) else { return String::new() };
        let mut parts = Vec::new();
        for (name, change) in changes {
            let side = |side: &str| match change.get(side) {
                Some(Value::String(text)) => text.clone(),
                Some(other) => other.to_string(),
                None => "?".to_owned(),
            };
            let (mut from, mut to) = (side("from"), side("to"));
            if name == "assignedUserId" {
                (from, to) = (self.person(&from), self.person(&to));
            }
            parts.push(format!("{name} {from} -> {to}"));
        }
        parts.join(", ")
    }

    fn actor(&mut self, body: &Value) -> String {
        match body.get("actorId").and_then(Value::as_str) {
            Some(actor) => format!(" by {}", self.person(actor)),
            None => String::new(),
        }
    }

    /// Ids are long: people are shown as user1, user2, …
    fn person(&mut self, id: &str) -> String {
        let next = format!("user{}", self.people.len() + 1);
        self.people.entry(id.to_owned()).or_insert(next).clone()
    }
}
