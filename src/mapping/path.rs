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

/// A parsed path; one segment at most is [`Segment::Newest`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Path(pub(super) Vec<Segment>);

/// One part of the path that an update names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part<'a> {
    /// A field's name, or of digits an index: only the document knows.
    Either(&'a str),
    /// A field's name, whatever it looks like.
    Field(&'a str),
    /// A place in an array.
    Index(u32),
}

impl<'a> Part<'a> {
    /// The parts of a dotted path; `disambiguated` is what servers from 6.1 on say of paths that can be read in two ways.
    pub(super) fn all(key: &'a str, disambiguated: Option<&'a RawDocument>) -> Vec<Self> {
        match disambiguated.and_then(|paths| paths.get_array(key).ok()) {
            None => key.split('.').map(Self::Either).collect(),
            Some(parts) => parts
                .into_iter()
                .filter_map(|part| match part.ok()? {
                    RawBsonRef::String(name) => Some(Self::Field(name)),
                    RawBsonRef::Int32(index) => u32::try_from(index).ok().map(Self::Index),
                    _ => None,
                })
                .collect(),
        }
    }

    fn is(self, name: &str) -> bool {
        match self {
            Self::Either(part) | Self::Field(part) => part == name,
            Self::Index(index) => index_of(name) == Some(index),
        }
    }

    /// The place in an array that it names, if it names one.
    pub(super) fn index(self) -> Option<u32> {
        match self {
            Self::Either(part) => index_of(part),
            Self::Field(_) => None,
            Self::Index(index) => Some(index),
        }
    }
}

/// The server takes `0`, `1`, `10` for indexes, and `01` or `+1` for names.
fn index_of(name: &str) -> Option<u32> {
    let plain = name.bytes().all(|byte| byte.is_ascii_digit()) && (name == "0" || !name.starts_with('0'));
    plain.then(|| name.parse().ok())?
}

/// What an update does to a path.
pub(super) enum Touch<'a> {
    /// Nothing.
    None,
    /// It sets it; `None`: it is no longer there.
    Set(Option<RawBsonRef<'a>>),
    /// It writes inside it, at the part that follows.
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
        let arrays = segments.iter().filter(|segment| **segment == Segment::Newest).count();
        (arrays <= 1).then_some(Self(segments))
    }

    fn dotted(&self) -> String {
        let names = self.0.iter().filter_map(|segment| match segment {
            Segment::Key(name) => Some(name.as_str()),
            Segment::Newest => None,
        });
        names.collect::<Vec<_>>().join(".")
    }

    /// The array of which it reads the newest entry.
    fn array(&self) -> Option<Self> {
        let at = self.0.iter().position(|segment| *segment == Segment::Newest)?;
        Some(Self(self.0[..at].to_vec()))
    }

    /// What an update that sets `parts` to `value` (`None`: removes them) does to this path. `length` is how many entries
    /// the array has of which it reads the newest; `None`: there is no array, and digits are a field's name.
    pub(super) fn touched<'a>(
        &self,
        parts: &[Part<'_>],
        value: Option<RawBsonRef<'a>>,
        length: Option<u32>,
    ) -> Touch<'a> {
        let mut rest = self.0.as_slice();
        let mut appended = false;
        for part in parts {
            let Some((segment, after)) = rest.split_first() else { return Touch::Inside };
            let same = match segment {
                Segment::Key(name) => part.is(name),
                Segment::Newest => part.index().zip(length).is_some_and(|(index, length)| {
                    appended = index >= length;
                    index + 1 >= length
                }),
            };
            if !same {
                // A new entry of which something else is written: this is not in it.
                return if appended { Touch::Set(None) } else { Touch::None };
            }
            rest = after;
        }
        Touch::Set(value.and_then(|value| resolve(value, rest)))
    }

    /// Whether cutting the array at `parts` to `size` entries leaves nothing at this path, or nothing that is known: which
    /// entry is the newest now is not told.
    pub(super) fn cut_by(&self, parts: &[Part<'_>], size: u32) -> bool {
        let leads = parts.iter().zip(&self.0).all(|(part, segment)| match segment {
            Segment::Key(name) => part.is(name),
            Segment::Newest => false,
        });
        leads
            && match self.0.get(parts.len()) {
                Some(Segment::Newest) => true,
                Some(Segment::Key(name)) => index_of(name).is_some_and(|index| index >= size),
                None => false,
            }
    }
}

/// Follows the rest of a path from a value; digits lead into arrays too.
pub(super) fn resolve<'a>(value: RawBsonRef<'a>, rest: &[Segment]) -> Option<RawBsonRef<'a>> {
    let mut value = value;
    for segment in rest {
        value = match (segment, value) {
            (Segment::Key(name), RawBsonRef::Document(doc)) => doc.get(name).ok()??,
            (Segment::Key(name), RawBsonRef::Array(array)) => {
                array.get(usize::try_from(index_of(name)?).ok()?).ok()??
            }
            (Segment::Newest, RawBsonRef::Array(array)) => array.into_iter().last()?.ok()?,
            _ => return None,
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
    /// The length of an array whose newest entry is read.
    Length(usize),
}

/// A path, and where what stands there goes.
#[derive(Debug, Clone)]
pub(super) struct Target {
    pub(super) slot: Slot,
    pub(super) path: Path,
    /// The array of which it reads the newest entry, by its place in [`Targets::arrays`].
    pub(super) array: Option<usize>,
}

/// Every path of a task's shape, and the paths by their first key.
#[derive(Debug, Clone)]
pub(super) struct Targets {
    /// Lengths come last: what is read of an array is judged by its length before.
    pub(super) all: Vec<Target>,
    /// The arrays whose newest entries are read, as dotted paths.
    pub(super) arrays: Vec<String>,
    by_head: HashMap<String, Vec<usize>>,
}

impl Targets {
    pub(super) fn of(shape: &TaskShape) -> Self {
        let fields = shape.fields.iter().enumerate().map(|(at, field)| (Slot::Field(at), field.path.as_str()));
        let creators = shape.created_by.iter().enumerate().map(|(at, path)| (Slot::Creator(at), path.as_str()));
        let actors = shape.actors.iter().enumerate().map(|(at, actor)| (Slot::Actor(at), actor.path.as_str()));
        let group = std::iter::once((Slot::Group, shape.group.as_str()));
        let mut arrays: Vec<Path> = Vec::new();
        let mut all = Vec::new();
        for (slot, text) in fields.chain(creators).chain(actors).chain(group) {
            let Some(path) = Path::parse(text) else { continue };
            let array = path.array().map(|array| {
                arrays.iter().position(|known| *known == array).unwrap_or_else(|| {
                    arrays.push(array);
                    arrays.len() - 1
                })
            });
            all.push(Target { slot, path, array });
        }
        let names = arrays.iter().map(Path::dotted).collect();
        let lengths = arrays.into_iter().enumerate();
        all.extend(lengths.map(|(at, path)| Target { slot: Slot::Length(at), path, array: None }));
        let mut by_head: HashMap<String, Vec<usize>> = HashMap::new();
        for (at, target) in all.iter().enumerate() {
            if let Some(Segment::Key(head)) = target.path.0.first() {
                by_head.entry(head.clone()).or_default().push(at);
            }
        }
        Self { all, arrays: names, by_head }
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
                let target = &self.all[*at];
                visit(target.slot, resolve(value, &target.path.0[1..]))?;
            }
        }
        Ok(())
    }
}
