//! Parsing and checking of a profile; every error names the key's path.

use super::path::Path;
use super::shape::{Profile, Stored};
use super::value::FieldType;
use super::written::{Source, WriterShape, Written};
use crate::model::EventKind;

/// Why a mapping cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum MappingError {
    /// No such file, or not readable.
    #[error("{path} is neither a built-in profile nor a readable file: {why}")]
    Unreadable {
        /// What was given.
        path: String,
        /// The system's reason.
        why: String,
    },
    /// A key is missing, unknown or wrong.
    #[error("key {key}: {why}")]
    Key {
        /// The key's path, such as `task.fields[2].type`.
        key: String,
        /// What is wrong with it.
        why: String,
    },
}

pub(super) fn parse(text: &str) -> Result<Profile, MappingError> {
    let deserializer = toml::Deserializer::parse(text)
        .map_err(|error| MappingError::Key { key: "(file)".into(), why: error.message().to_owned() })?;
    serde_path_to_error::deserialize(deserializer).map_err(|error| MappingError::Key {
        key: error.path().to_string(),
        why: error.inner().message().replace('\n', " "),
    })
}

pub(super) fn validate(profile: &Profile) -> Result<(), MappingError> {
    let known = |name: &str| profile.task.fields.iter().any(|field| field.name == name);
    let names_field = |key: String, name: &str| {
        if known(name) { Ok(()) } else { wrong(key, format!("{name:?} is not one of task.fields")) }
    };
    names_field("task.status".into(), &profile.task.status)?;
    names_field("task.assignee".into(), &profile.task.assignee)?;
    fields(profile)?;
    paths(profile)?;
    for (at, rule) in profile.rules.iter().enumerate() {
        if !matches!(rule.event, EventKind::Completed | EventKind::Approved | EventKind::Rejected) {
            return wrong(format!("rules[{at}].event"), "takes task.completed, task.approved or task.rejected".into());
        }
        for (nth, when) in rule.when.iter().enumerate() {
            names_field(format!("rules[{at}].when[{nth}].field"), &when.field)?;
            when.same.iter().try_for_each(|name| names_field(format!("rules[{at}].when[{nth}].same"), name))?;
        }
        rule.explains.iter().try_for_each(|name| names_field(format!("rules[{at}].explains"), name))?;
    }
    if let Some(shape) = &profile.writer {
        writer(profile, shape)?;
    }
    let Some(history) = &profile.history else { return Ok(()) };
    for (action, names) in &history.fits {
        let key = format!("history.fits.{action}");
        if !history.actions.contains(action) {
            return wrong(key, "is not one of history.actions".into());
        }
        names.iter().filter(|name| *name != "*").try_for_each(|name| names_field(key.clone(), name))?;
    }
    for (action, event) in &history.tells {
        if !history.actions.contains(action) {
            return wrong(format!("history.tells.{action}"), "is not one of history.actions".into());
        }
        if !EventKind::ALL.contains(event) {
            return wrong(format!("history.tells.{action}"), "takes an event of a task".into());
        }
    }
    history
        .keys
        .iter()
        .enumerate()
        .try_for_each(|(at, key)| names_field(format!("history.keys[{at}].field"), &key.field))
}

fn fields(profile: &Profile) -> Result<(), MappingError> {
    if profile.task.fields.len() > 64 {
        return wrong("task.fields".into(), "holds more than 64 fields".into());
    }
    for (at, field) in profile.task.fields.iter().enumerate() {
        if field.name.is_empty() || field.name.contains(['.', '$', '\0']) {
            return wrong(format!("task.fields[{at}].name"), "takes a name without dots and dollars".into());
        }
        let is_enum = field.kind == FieldType::Enum;
        if is_enum == field.names.is_empty() {
            return wrong(
                format!("task.fields[{at}].names"),
                "goes with type = \"enum\", and must not be empty".into(),
            );
        }
        if !is_enum && field.stored == Stored::Int {
            return wrong(format!("task.fields[{at}].stored"), "goes with type = \"enum\"".into());
        }
        if profile.task.fields[..at].iter().any(|other| other.name == field.name) {
            return wrong(format!("task.fields[{at}].name"), format!("{:?} stands twice", field.name));
        }
    }
    Ok(())
}

fn paths(profile: &Profile) -> Result<(), MappingError> {
    let check = |key: String, text: &str| match Path::parse(text) {
        Some(_) => Ok(()),
        None => wrong(key, format!("{text:?} is not a path: names joined by dots, name[] once for a newest entry")),
    };
    // An update that cuts an array does not tell what its newest entry is then: good enough for an actor only.
    let plain = |key: String, text: &str| match text.contains("[]") {
        true => wrong(key, format!("{text:?} reads a newest entry, which only task.actors may")),
        false => check(key, text),
    };
    plain("task.group".into(), &profile.task.group)?;
    profile.groups.name.iter().try_for_each(|path| plain("groups.name".into(), path))?;
    for (at, field) in profile.task.fields.iter().enumerate() {
        plain(format!("task.fields[{at}].path"), &field.path)?;
    }
    for (at, actor) in profile.task.actors.iter().enumerate() {
        check(format!("task.actors[{at}].path"), &actor.path)?;
    }
    profile.task.created_by.iter().enumerate().try_for_each(|(at, path)| plain(format!("task.created_by[{at}]"), path))
}

/// What `[writer]` writes must be known, and what reads must be able to read it.
fn writer(profile: &Profile, shape: &WriterShape) -> Result<(), MappingError> {
    for (list, fields) in shape.lists() {
        let known = |name: &str| match list {
            "writer.categories.fields" => ["name", "icon", "color"].contains(&name),
            _ => profile.task.fields.iter().any(|field| field.name == name),
        };
        for (at, Written { path, from, constant }) in fields.iter().enumerate() {
            let key = |part: &str| format!("{list}[{at}].{part}");
            if Path::parse(path).is_none() || path.contains("[]") {
                return wrong(key("path"), format!("{path:?} is not a path: names joined by dots"));
            }
            match (from, constant) {
                (Some(Source::Field(name)), None) if !known(name) => {
                    return wrong(key("from"), format!("{name:?} is none of the fields that can be given"));
                }
                (Some(_), None) | (None, Some(_)) => {}
                _ => return wrong(format!("{list}[{at}]"), "takes either from or constant".into()),
            }
        }
    }
    let Some(history) = profile.history.as_ref().filter(|_| !shape.row.is_empty()) else { return Ok(()) };
    let deeds = &shape.deeds;
    for (key, name) in [
        ("created", &deeds.created),
        ("edited", &deeds.edited),
        ("status", &deeds.status),
        ("assignee", &deeds.assignee),
        ("approved", &deeds.approved),
        ("rejected", &deeds.rejected),
    ] {
        if !history.actions.contains(name) {
            return wrong(format!("writer.deeds.{key}"), "is not one of history.actions".into());
        }
    }
    Ok(())
}

fn wrong<T>(key: String, why: String) -> Result<T, MappingError> {
    Err(MappingError::Key { key, why })
}

#[cfg(test)]
mod tests {
    use crate::mapping::Mapping;

    const GOOD: &str = include_str!("profiles/tasks-tracker.toml");

    fn refusal(from: &str, to: &str) -> String {
        let text = GOOD.replacen(from, to, 1);
        assert_ne!(text, GOOD);
        Mapping::from_toml(&text).unwrap_err().to_string()
    }

    #[test]
    fn both_built_in_profiles_are_whole() {
        for name in ["tasks-tracker", "camel-case"] {
            assert_eq!(Mapping::load(name).unwrap().name, name);
        }
    }

    #[test]
    fn an_error_names_the_path_of_the_key() {
        assert!(refusal("type = \"enum\"", "type = \"colour\"").contains("task.fields[1].type"));
        assert!(refusal("show = \"data\"", "shown = \"data\"").contains("task.fields[0]"));
        assert!(refusal("status = \"status\"", "status = \"state\"").contains("task.status"));
        assert!(refusal("field = \"status\", to", "field = \"stat\", to").contains("rules[0].when[0].field"));
        assert!(refusal("event = \"task.completed\"", "event = \"task.created\"").contains("rules[0].event"));
        assert!(refusal("path = \"Name\"", "path = \"Name..x\"").contains("task.fields[0].path"));
        assert!(refusal("path = \"Name\"", "path = \"names[]\"").contains("task.fields[0].path"));
        assert!(refusal("Updated = [", "Changed = [").contains("history.fits.Changed"));
        assert!(refusal("group = \"GroupId\"", "").contains("group"));
        assert!(
            refusal("collection = \"groups\"\nname = \"name\"", "collection = \"groups\"\nname = \"names[]\"")
                .contains("groups.name")
        );
        assert!(refusal("from = \"$userText\"", "from = \"$users\"").contains("writer.task[12].from"));
        assert!(refusal("from = \"dueAt\"", "from = \"due\"").contains("writer.task[9].from"));
        assert!(refusal("constant = 1 }", "from = \"$id\", constant = 1 }").contains("writer.categories.fields[8]"));
        assert!(refusal("edited = \"Updated\"", "edited = \"Edited\"").contains("writer.deeds.edited"));
    }

    #[test]
    fn a_file_that_is_not_there_is_named() {
        assert!(Mapping::load("no/such.toml").unwrap_err().to_string().contains("no/such.toml"));
    }
}
