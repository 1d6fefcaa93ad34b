//! A body as a tree that keeps what is given twice, so that every fault can be named by its place. Pure.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};

use crate::http::error::{ApiError, ApiResult, FieldError};

/// The most faults that one answer names.
const FAULTS_MAX: usize = 100;

/// A JSON value.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Node {
    Null,
    Bool(bool),
    Int(i64),
    /// Any other number.
    Number,
    Text(String),
    List(Vec<Node>),
    /// As written: a key may stand twice.
    Map(Vec<(String, Node)>),
}

impl Node {
    /// Reads a whole body.
    ///
    /// # Errors
    /// 400 if it is no JSON, no UTF-8, or nested deeper than 127.
    pub(super) fn read(body: &[u8]) -> ApiResult<Self> {
        serde_json::from_slice(body).map_err(|error| {
            let (line, column) = (error.line(), error.column());
            ApiError::malformed(format!("the body is no JSON: line {line}, column {column}"))
        })
    }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(NodeVisitor)
    }
}

struct NodeVisitor;

impl<'de> Visitor<'de> for NodeVisitor {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Node, E> {
        Ok(Node::Null)
    }

    fn visit_bool<E>(self, flag: bool) -> Result<Node, E> {
        Ok(Node::Bool(flag))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Node, E> {
        Ok(Node::Int(number))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Node, E> {
        Ok(i64::try_from(number).map_or(Node::Number, Node::Int))
    }

    fn visit_f64<E>(self, _: f64) -> Result<Node, E> {
        Ok(Node::Number)
    }

    fn visit_str<E>(self, text: &str) -> Result<Node, E> {
        Ok(Node::Text(text.to_owned()))
    }

    fn visit_string<E>(self, text: String) -> Result<Node, E> {
        Ok(Node::Text(text))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Node, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Node::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Node, A::Error> {
        let mut map = Vec::new();
        while let Some(entry) = entries.next_entry()? {
            map.push(entry);
        }
        Ok(Node::Map(map))
    }
}

/// Faults found so far, by the place of the field.
#[derive(Debug, Default)]
pub(super) struct Faults(Vec<FieldError>);

impl Faults {
    /// Notes one; an answer names the first hundred.
    pub(super) fn add(&mut self, field: impl Into<String>, message: impl Into<String>) {
        if self.0.len() < FAULTS_MAX {
            self.0.push(FieldError::new(field, message));
        }
    }

    /// Whether what comes now would not be named any more.
    fn is_full(&self) -> bool {
        self.0.len() >= FAULTS_MAX
    }

    /// # Errors
    /// 422 naming all that were noted.
    pub(super) fn finish(self) -> ApiResult<()> {
        if self.0.is_empty() { Ok(()) } else { Err(ApiError::invalid(self.0)) }
    }
}

/// One item of a body, and where it stands in it.
#[derive(Debug)]
pub(super) struct Item {
    /// Empty for a body that is one object, else such as `tasks[3]`.
    place: String,
    map: Vec<(String, Node)>,
}

impl Item {
    /// The items of a body: one object, or `{"<batch>": […]}` of at most `most`.
    ///
    /// # Errors
    /// 422 if it is neither.
    pub(super) fn all(body: Node, batch: &str, most: usize) -> ApiResult<Vec<Self>> {
        let Node::Map(map) = body else {
            return Err(ApiError::invalid_field("body", format!("must be an object, or {{\"{batch}\": […]}}")));
        };
        if !map.iter().any(|(key, _)| key == batch) {
            return Ok(vec![Self { place: String::new(), map }]);
        }
        let mut faults = Faults::default();
        let mut lists = Vec::new();
        for (key, value) in map {
            match value {
                _ if key != batch => faults.add(key, format!("is no field here: {batch} stands alone")),
                _ if !lists.is_empty() => faults.add(batch, "is given twice"),
                Node::List(list) if (1..=most).contains(&list.len()) => lists.push(list),
                _ => faults.add(batch, format!("must be a list of 1 to {most} objects")),
            }
        }
        let mut items = Vec::new();
        for (at, node) in lists.into_iter().flatten().enumerate() {
            let place = format!("{batch}[{at}]");
            match node {
                Node::Map(map) => items.push(Self { place, map }),
                _ => faults.add(place, "must be an object"),
            }
        }
        faults.finish().map(|()| items)
    }

    /// The full name of one of its fields.
    pub(super) fn field(&self, name: &str) -> String {
        match (self.place.as_str(), name) {
            ("", name) => name.to_owned(),
            (place, "") => place.to_owned(),
            (place, name) => format!("{place}.{name}"),
        }
    }

    /// Whether one of these is given, readable or not.
    pub(super) fn has_any(&self, names: &[&str]) -> bool {
        self.map.iter().any(|(key, _)| names.contains(&key.as_str()))
    }

    /// What it calls itself in a message.
    pub(super) fn name(&self) -> &str {
        if self.place.is_empty() { "the body" } else { &self.place }
    }

    /// Its fields as `known` reads them; what is unknown, given twice or unreadable is noted. It ends where no more faults are
    /// named, so that no body of very many keys takes long.
    pub(super) fn read<T>(
        &self,
        faults: &mut Faults,
        mut known: impl FnMut(&str, &Node) -> Option<Result<T, String>>,
    ) -> Vec<T> {
        let mut read = Vec::new();
        for (at, (name, node)) in self.map.iter().enumerate() {
            if faults.is_full() {
                break;
            }
            if self.map[..at].iter().any(|(earlier, _)| earlier == name) {
                faults.add(self.field(name), "is given twice");
                continue;
            }
            match known(name, node) {
                None => faults.add(self.field(name), "is no field here"),
                Some(Ok(value)) => read.push(value),
                Some(Err(message)) => faults.add(self.field(name), message),
            }
        }
        read
    }
}

/// A text of `range` characters, counted as the service counts them (UTF-16), not blank, without control characters.
pub(super) fn line(node: &Node, range: std::ops::RangeInclusive<usize>) -> Result<String, String> {
    match node {
        Node::Text(text)
            if range.contains(&text.encode_utf16().count())
                && !text.trim().is_empty()
                && !text.chars().any(char::is_control) =>
        {
            Ok(text.clone())
        }
        _ => Err(format!(
            "must be a text of {} to {} characters, not only spaces, without control characters",
            range.start(),
            range.end()
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(body: &str) -> String {
        let read = |body: Node| {
            let mut faults = Faults::default();
            for item in Item::all(body, "tasks", 3)? {
                item.read(&mut faults, |name, node| (name == "a").then(|| line(node, 1..=3)));
            }
            faults.finish()
        };
        match Node::read(body.as_bytes()).and_then(read) {
            Ok(()) => "none".to_owned(),
            Err(error) => format!("{error:?}"),
        }
    }

    #[test]
    fn every_fault_is_named_by_its_place() {
        assert_eq!(faults(r#"{"a": "xyz"}"#), "none");
        assert_eq!(faults(r#"{"tasks": [{"a": "x"}, {"a": "y"}]}"#), "none");
        for (body, places) in [
            (r#"{"a": "x", "b": 1}"#, &["\"b\""][..]),
            (r#"{"a": "x", "a": "y"}"#, &["\"a\""]),
            (r#"{"tasks": [{"a": "x"}, {"a": 1, "c": 2}, 7]}"#, &["\"tasks[2]\""]),
            (r#"{"tasks": [{"a": "x"}, {"a": 1, "c": 2}]}"#, &["\"tasks[1].a\"", "\"tasks[1].c\""]),
            (r#"{"tasks": []}"#, &["\"tasks\""]),
            (r#"{"tasks": [{},{},{},{}]}"#, &["\"tasks\""]),
            (r#"{"tasks": {"a": 1}}"#, &["\"tasks\""]),
            (r#"{"tasks": [{}], "tasks": [{}]}"#, &["\"tasks\""]),
            (r#"{"tasks": [{}], "x": 1}"#, &["\"x\""]),
            ("[{}]", &["\"body\""]),
            ("7", &["\"body\""]),
        ] {
            let text = faults(body);
            assert!(text.contains("422") && places.iter().all(|place| text.contains(place)), "{body}: {text}");
        }
    }

    #[test]
    fn of_very_many_keys_no_more_are_looked_at_than_are_named() {
        let keys: Vec<_> = (0..30_000).map(|n| format!("\"{n}\":0")).collect();
        let body = Node::read(format!("{{{}}}", keys.join(",")).as_bytes()).unwrap();
        let mut faults = Faults::default();
        let mut looked_at = 0;
        Item::all(body, "tasks", 3).unwrap()[0].read(&mut faults, |_, _| -> Option<Result<(), String>> {
            looked_at += 1;
            None
        });
        assert_eq!((looked_at, faults.0.len()), (FAULTS_MAX, FAULTS_MAX));
    }

    #[test]
    fn what_is_no_json_is_malformed_and_its_text_not_repeated() {
        let deep = format!("{{\"a\":{}", "[".repeat(200_000));
        for body in ["", "{", "{} {}", "{'a': 1}", "{\"a\": 1e999}", r#"{"a": "\ud800"}"#, &deep] {
            assert!(faults(body).contains("400"), "{body:.40}");
        }
        assert!(Node::read(b"{\"a\": \"\xff\"}").is_err(), "no UTF-8");
    }

    #[test]
    fn characters_are_counted_as_the_service_does() {
        assert!(line(&Node::Text("äöü".into()), 1..=3).is_ok());
        assert!(line(&Node::Text("😀😀".into()), 1..=3).is_err());
        for bad in [Node::Text(String::new()), Node::Text("  ".into()), Node::Text("a\nb".into()), Node::Int(1)] {
            assert!(line(&bad, 1..=3).is_err(), "{bad:?}");
        }
    }
}
