//! Paths into documents, and the table that leads from a document's keys to what is read of it.

use std::collections::HashMap;

use bson::{RawBsonRef, RawDocument};

use super::shape::TaskShape;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Segment {
    Key(String),
    /// The newest (last) entry of the array.
    Newest,
}

/// A parsed path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Path(pub(super) Vec<Segment>);

/// What stands at a path that an update names.
pub(super) enum Touch<'a> {
    /// The update does not touch it.
    None,
    /// The update sets it; `None`: it is no longer there.
    Set(Option<RawBsonRef<'a>>),
    /// The update writes inside it, although it is a plain value.
    Inside,
}

impl Path {
    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut segments = Vec::new();
        for part in text.split('.') {
            let (name, newest) = part.strip_suffix("[]").map_or((part, false), |name| (name, true));
            if name.is_empty() || name.contains(['[', ']', '$', '\0']) {
                return None;
            }
            segments.push(Segment::Key(name.to_owned()));
            if newest {
                segments.push(Segment::Newest);
            }
        }
        Some(Self(segments))
    }

    /// What an update of the dotted path `key` to `value` does to this path.
    pub(super) fn touched<'a>(&self, key: &str, value: RawBsonRef<'a>) -> Touch<'a> {
        let mut rest = self.0.as_slice();
        for part in key.split('.') {
            let Some((segment, after)) = rest.split_first() else { return Touch::Inside };
            let same = match segment {
                Segment::Key(name) => name == part,
                Segment::Newest => part.bytes().all(|byte| byte.is_ascii_digit()),
            };
            if !same {
                return Touch::None;
            }
            rest = after;
        }
        Touch::Set(resolve(value, rest))
    }

    /// Whether removing the dotted path `key` removes this path.
    pub(super) fn removed_by(&self, key: &str) -> bool {
        matches!(self.touched(key, RawBsonRef::Null), Touch::Set(_))
    }

    /// Whether this path reads the newest entry of the array `key`.
    pub(super) fn newest_of(&self, key: &str) -> bool {
        let mut parts = key.split('.');
        let mut segments = self.0.iter();
        loop {
            match (parts.next(), segments.next()) {
                (Some(part), Some(Segment::Key(name))) if name == part => {}
                (None, Some(Segment::Newest)) => return true,
                _ => return false,
            }
        }
    }
}

/// Follows the rest of a path from a value.
pub(super) fn resolve<'a>(value: RawBsonRef<'a>, rest: &[Segment]) -> Option<RawBsonRef<'a>> {
    let mut value = value;
    for segment in rest {
        value = match segment {
            Segment::Key(name) => value.as_document()?.get(name).ok()??,
            Segment::Newest => value.as_array()?.into_iter().last()?.ok()?,
        };
    }
    Some(value)
}

/// What is read of a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Slot {
    Field(usize),
    Group,
    Creator(usize),
    Actor(usize),
}

/// Every path of a task's shape, and the paths by their first key.
#[derive(Debug, Clone)]
pub(super) struct Targets {
    pub(super) all: Vec<(Slot, Path)>,
    by_head: HashMap<String, Vec<usize>>,
}

impl Targets {
    pub(super) fn of(shape: &TaskShape) -> Self {
        let fields = shape.fields.iter().enumerate().map(|(at, field)| (Slot::Field(at), field.path.as_str()));
        let creators = shape.created_by.iter().enumerate().map(|(at, path)| (Slot::Creator(at), path.as_str()));
        let actors = shape.actors.iter().enumerate().map(|(at, actor)| (Slot::Actor(at), actor.path.as_str()));
        let group = std::iter::once((Slot::Group, shape.group.as_str()));
        let all: Vec<_> = fields
            .chain(creators)
            .chain(actors)
            .chain(group)
            .filter_map(|(slot, text)| Some((slot, Path::parse(text)?)))
            .collect();
        let mut by_head: HashMap<String, Vec<usize>> = HashMap::new();
        for (at, (_, path)) in all.iter().enumerate() {
            if let Some(Segment::Key(head)) = path.0.first() {
                by_head.entry(head.clone()).or_default().push(at);
            }
        }
        Self { all, by_head }
    }

    /// Visits what a whole document holds at each path, in one pass over its elements.
    pub(super) fn visit<'a, E>(
        &self,
        doc: &'a RawDocument,
        mut visit: impl FnMut(Slot, Option<RawBsonRef<'a>>) -> Result<(), E>,
        broken: impl Fn() -> E,
    ) -> Result<(), E> {
        for element in doc {
            let (key, value) = element.map_err(|_| broken())?;
            let Some(places) = self.by_head.get(key.as_str()) else { continue };
            for at in places {
                let (slot, path) = &self.all[*at];
                visit(*slot, resolve(value, &path.0[1..]))?;
            }
        }
        Ok(())
    }
}
