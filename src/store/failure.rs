//! What an error of the database says in a log line or a message: its cause in one line, which stays the same as long as the
//! cause does, and nothing of a document. The server repeats the whole command where a user may not run it, and values where
//! a key stands already; the driver's own texts repeat both, and the texts of `serde` show what they met.

use mongodb::error::{Error, ErrorKind, WriteFailure};

/// The most that is told of a server's message.
const LONGEST: usize = 400;

/// An error of the driver in one line, without payload.
#[must_use]
pub fn describe(error: &Error) -> String {
    match error.kind.as_ref() {
        ErrorKind::ServerSelection { .. } => "no primary of the replica set can be reached".to_owned(),
        ErrorKind::Command(command) => {
            let message = without_values(&command.message);
            format!("{message} (code {}, {})", command.code, command.code_name)
        }
        ErrorKind::Write(WriteFailure::WriteError(write)) => {
            format!("{} (code {})", without_values(&write.message), write.code)
        }
        ErrorKind::InsertMany(failure) => match failure.write_errors.iter().flatten().next() {
            Some(first) => format!("{} (code {})", without_values(&first.message), first.code),
            None => "a write concern was not met".to_owned(),
        },
        ErrorKind::Write(_) => "a write concern was not met".to_owned(),
        ErrorKind::Bson(error) => describe_document(error),
        ErrorKind::InvalidResponse { .. } => "the server's answer cannot be read".to_owned(),
        // The driver's own texts, about connections and sessions.
        kind => without_values(&kind.to_string()),
    }
}

/// Why a document cannot be read or made, without its values.
#[must_use]
pub fn describe_document(error: &bson::error::Error) -> String {
    let missing = error.message.as_deref().filter(|message| message.starts_with("missing field"));
    match (missing, &error.key) {
        (Some(missing), _) => format!("a document does not have the expected form: {missing}"),
        (None, Some(key)) => format!("a document does not have the expected form, at {key:?}"),
        (None, None) => "a document does not have the expected form: a value is of another kind".to_owned(),
    }
}

/// A server's message up to where it begins to repeat documents. Of a command it keeps the name and the collection.
#[must_use]
pub fn without_values(message: &str) -> String {
    let message = message.split(" dup key").next().unwrap_or_default();
    let told = match message.split_once('{') {
        None => message.to_owned(),
        Some((before, command)) if before.ends_with(" command ") => {
            format!("{before}{{{}, …", command.split(',').next().unwrap_or_default())
        }
        Some((before, _)) => before.trim_end().to_owned(),
    };
    told.chars().take(LONGEST).map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_servers_message_is_told_up_to_the_first_document() {
        let unauthorized = "not authorized on d to execute command { update: \"taskSnapshots\", updates: [ { q: { _id: \
                            1 }, u: { name: \"private\" } } ], lsid: { id: 1 } }";
        assert_eq!(
            without_values(unauthorized),
            "not authorized on d to execute command { update: \"taskSnapshots\", …"
        );
        let duplicate = "E11000 duplicate key error collection: d.c index: name_1 dup key: { name: \"private\" }";
        assert_eq!(without_values(duplicate), "E11000 duplicate key error collection: d.c index: name_1");
        let nested = "Cannot create field 'x' in element {name: \"private\"}";
        assert_eq!(without_values(nested), "Cannot create field 'x' in element");
        assert_eq!(without_values("two\nlines"), "two lines");
        assert_eq!(without_values(&"x".repeat(LONGEST + 1)).len(), LONGEST);
    }

    #[test]
    fn a_document_of_another_form_is_told_without_its_values() {
        #[derive(Debug, serde::Deserialize)]
        struct Form {
            #[serde(rename = "count")]
            _count: i32,
        }
        let other = bson::deserialize_from_document::<Form>(bson::doc! { "count": "private" }).unwrap_err();
        assert!(other.to_string().contains("private"), "the library shows it: {other}");
        assert!(!describe_document(&other).contains("private"));
        assert!(!describe(&Error::from(other)).contains("private"));
        let missing = bson::deserialize_from_document::<Form>(bson::doc! {}).unwrap_err();
        assert!(describe_document(&missing).ends_with("missing field `count`"));
    }
}
