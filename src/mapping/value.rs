//! A tracked field's value, and how one is read out of raw BSON.

use std::sync::Arc;

use bson::raw::RawBson;
use bson::{DateTime, RawBsonRef, oid::ObjectId};
use serde::Deserialize;
use serde::ser::{Serialize, Serializer};

use super::shape::Field;

/// The value of a tracked field. Cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Value {
    /// Null, or missing.
    Null,
    /// True or false.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// Text; also an enum's name, and ids that are text.
    Text(Arc<str>),
    /// A point in time: milliseconds since the epoch, UTC.
    Date(i64),
    /// An id.
    Oid(ObjectId),
}

/// What a field's values are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FieldType {
    /// A string.
    Text,
    /// int32, int64, or a double without a fraction.
    Int,
    /// A bool.
    Bool,
    /// A BSON date.
    Date,
    /// An ObjectId, or an id as text.
    Id,
    /// One of a list of names, stored as its place in the list or as the name.
    Enum,
}

impl FieldType {
    /// What a document should have held, for messages.
    #[must_use]
    pub const fn describe(self) -> &'static str {
        match self {
            Self::Text => "a string",
            Self::Int => "a whole number",
            Self::Bool => "a bool",
            Self::Date => "a date",
            Self::Id => "an ObjectId or a string",
            Self::Enum => "one of the mapping's names",
        }
    }
}

impl Value {
    /// A whole number out of any of BSON's number types.
    #[must_use]
    pub fn whole_number(raw: RawBsonRef<'_>) -> Option<i64> {
        match raw {
            RawBsonRef::Int32(number) => Some(i64::from(number)),
            RawBsonRef::Int64(number) => Some(number),
            #[allow(clippy::cast_possible_truncation, reason = "no fraction, and within 2^53")]
            RawBsonRef::Double(number) if number.fract() == 0.0 && number.abs() < 9.0e15 => Some(number as i64),
            _ => None,
        }
    }

    /// Whether it is this text.
    #[must_use]
    pub fn is_text(&self, text: &str) -> bool {
        matches!(self, Self::Text(own) if **own == *text)
    }

    /// Reads a value back as a snapshot keeps it.
    #[must_use]
    pub fn from_snapshot(raw: RawBsonRef<'_>) -> Self {
        match raw {
            RawBsonRef::Boolean(flag) => Self::Bool(flag),
            RawBsonRef::Int32(number) => Self::Int(i64::from(number)),
            RawBsonRef::Int64(number) => Self::Int(number),
            RawBsonRef::String(text) => Self::Text(text.into()),
            RawBsonRef::DateTime(date) => Self::Date(date.timestamp_millis()),
            RawBsonRef::ObjectId(oid) => Self::Oid(oid),
            _ => Self::Null,
        }
    }

    /// The value as a snapshot keeps it.
    #[must_use]
    pub fn to_snapshot(&self) -> RawBson {
        match self {
            Self::Null => RawBson::Null,
            Self::Bool(flag) => RawBson::Boolean(*flag),
            Self::Int(number) => RawBson::Int64(*number),
            Self::Text(text) => RawBson::String(text.to_string()),
            Self::Date(ms) => RawBson::DateTime(DateTime::from_millis(*ms)),
            Self::Oid(oid) => RawBson::ObjectId(*oid),
        }
    }

    /// The value that a history row's text says of a field; `None` where that cannot be told (a name where the field has
    /// an id).
    #[must_use]
    pub fn from_text(field: &Field, text: &str) -> Option<Self> {
        if text.is_empty() {
            return Some(Self::Null);
        }
        match field.kind {
            FieldType::Text => Some(Self::Text(text.into())),
            FieldType::Int => text.parse().ok().map(Self::Int),
            // .NET writes True and False.
            FieldType::Bool => text.to_ascii_lowercase().parse().ok().map(Self::Bool),
            // Rows keep 100 ns, BSON dates whole milliseconds.
            FieldType::Date => {
                chrono::DateTime::parse_from_rfc3339(text).ok().map(|time| Self::Date(time.timestamp_millis()))
            }
            FieldType::Id => text.parse().ok().map(Self::Oid),
            FieldType::Enum => field.names.iter().any(|name| name == text).then(|| Self::Text(text.into())),
        }
    }

    /// The value as text, for comparing with what a history row says; `None` for null.
    #[must_use]
    pub fn to_text(&self) -> Option<String> {
        match self {
            Self::Null => None,
            Self::Bool(flag) => Some(flag.to_string()),
            Self::Int(number) => Some(number.to_string()),
            Self::Text(text) => Some(text.to_string()),
            Self::Date(ms) => Some(rfc3339(*ms)),
            Self::Oid(oid) => Some(oid.to_hex()),
        }
    }
}

/// UTC with milliseconds, as bodies show times: `2025-12-15T12:34:56.123Z`.
#[must_use]
pub fn rfc3339(ms: i64) -> String {
    chrono::DateTime::from_timestamp_millis(ms)
        .map_or_else(String::new, |time| time.to_rfc3339_opts(chrono::SecondsFormat::Millis, true))
}

/// As bodies show it.
impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Null => serializer.serialize_none(),
            Self::Bool(flag) => serializer.serialize_bool(*flag),
            Self::Int(number) => serializer.serialize_i64(*number),
            Self::Text(text) => serializer.serialize_str(text),
            Self::Date(ms) => serializer.serialize_str(&rfc3339(*ms)),
            Self::Oid(oid) => serializer.serialize_str(&oid.to_hex()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mapping::Mapping;

    #[test]
    fn what_a_rows_text_says_is_read_by_the_fields_kind_and_nothing_where_it_says_no_value_of_it() {
        let mapping = Mapping::load("tasks-tracker").unwrap();
        let read = |name: &str, text: &str| {
            let field = &mapping.task.fields[mapping.field(name).unwrap()];
            Value::from_text(field, text)
        };
        let oid = ObjectId::new();
        assert_eq!(read("name", "True"), Some(Value::Text("True".into())));
        assert_eq!(read("difficulty", "7"), Some(Value::Int(7)));
        assert_eq!(read("difficulty", "hard"), None);
        assert_eq!(
            [read("requiresApproval", "True"), read("requiresApproval", "false")].map(Option::unwrap),
            [Value::Bool(true), Value::Bool(false)]
        );
        assert_eq!(read("requiresApproval", "yes"), None);
        assert_eq!(read("dueAt", "2023-11-14T22:13:20.1239999Z"), Some(Value::Date(1_700_000_000_123)));
        assert_eq!(read("dueAt", "tomorrow"), None);
        assert_eq!(read("assignedUserId", &oid.to_hex()), Some(Value::Oid(oid)));
        assert_eq!(read("assignedUserId", "Dana"), None);
        assert_eq!(read("status", "Completed"), Some(Value::Text("Completed".into())));
        assert_eq!(read("status", "Done"), None);
        assert_eq!(read("name", ""), Some(Value::Null));
    }
}
