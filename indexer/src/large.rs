//! Changes larger than one answer of the server can be (16 MB). Where the server can split them (6.0.9, 7.0 and later) the
//! pieces are put together again; where it cannot, the change is put aside without what makes it so large.

use std::borrow::Cow;

use bson::{RawDocument, RawDocumentBuf};
use taskwire::mapping::Mapping;
use taskwire::model::DocId;

use crate::change::{Change, NoChange, What};

/// Why such a change was put aside.
const REASON: &str = "larger than 16 MB";

/// The fields of a change that can be large.
const DOCUMENTS: [&str; 3] = ["fullDocument", "updateDescription", "fullDocumentBeforeChange"];

/// One document of the stream.
#[derive(Debug)]
pub enum Piece<'a> {
    /// A whole change, as it came or put together.
    Whole(Cow<'a, RawDocument>),
    /// A change that is too large even for this process: what it is, without its documents.
    TooLarge(RawDocumentBuf),
    /// A piece of a change; more follow.
    Fragment,
}

/// Puts the pieces of split changes together. Each piece holds whole fields of the change, `_id` (a token of its own) and
/// `splitEvent: {fragment, of}`; only the last one's token lies behind the change.
#[derive(Debug, Default)]
pub struct Fragments {
    open: Option<RawDocumentBuf>,
    over: bool,
}

impl Fragments {
    /// The largest change that is put together, in bytes: a document and a description of its update are at most 16 MB
    /// each in the oplog, and paths make a description longer.
    pub const LIMIT: usize = 64 << 20;

    /// Takes the stream's next document.
    pub fn take<'a>(&mut self, raw: &'a RawDocument) -> Piece<'a> {
        let Ok(split) = raw.get_document("splitEvent") else { return Piece::Whole(Cow::Borrowed(raw)) };
        let (number, of) = (split.get_i32("fragment").unwrap_or(1), split.get_i32("of").unwrap_or(1));
        if number == 1 {
            self.open = None;
            self.over = false;
        }
        let open = self.open.get_or_insert_default();
        self.over |= open.as_bytes().len() + raw.as_bytes().len() > Self::LIMIT;
        for (name, value) in raw.iter().flatten() {
            let is_last_id = name == "_id" && number == of;
            let wanted = name != "_id" && name != "splitEvent" && !(self.over && DOCUMENTS.contains(&name.as_str()));
            if is_last_id || wanted {
                open.append(name, value);
            }
        }
        if number < of {
            return Piece::Fragment;
        }
        let whole = self.open.take().unwrap_or_default();
        if self.over { Piece::TooLarge(without_documents(&whole)) } else { Piece::Whole(Cow::Owned(whole)) }
    }

    /// Whether more pieces of a change are to come.
    #[must_use]
    pub const fn are_open(&self) -> bool {
        self.open.is_some()
    }
}

/// A change to be put aside because it is too large; `raw` is without its documents.
///
/// # Errors
/// [`NoChange`] if it lacks its token or cluster time.
pub fn aside(raw: &RawDocument, mapping: &Mapping) -> Result<Change, NoChange> {
    let change = Change::read(raw, mapping)?;
    let key = raw.get_document("documentKey").ok().and_then(|key| key.get("_id").ok().flatten());
    let collection = raw.get_document("ns").ok().and_then(|ns| ns.get_str("coll").ok()).unwrap_or_default();
    let what = What::Unreadable {
        key: key.and_then(DocId::from_raw),
        collection: collection.to_owned(),
        reason: REASON.to_owned(),
        raw: raw.to_owned(),
    };
    Ok(Change { what, ..change })
}

/// The largest change that is kept whole when it is put aside: a stored document has at most 16 MB, with what else an entry
/// holds.
const WHOLE: usize = (16 << 20) - (64 << 10);

/// A change as an entry of `quarantinedChanges` can hold it: whole, or without its documents.
#[must_use]
pub fn storable(raw: &RawDocument) -> Cow<'_, RawDocument> {
    if raw.as_bytes().len() > WHOLE { Cow::Owned(without_documents(raw)) } else { Cow::Borrowed(raw) }
}

/// A change without what can make it large.
fn without_documents(raw: &RawDocument) -> RawDocumentBuf {
    let mut rest = RawDocumentBuf::new();
    for (name, value) in raw.iter().flatten().filter(|(name, _)| !DOCUMENTS.contains(&name.as_str())) {
        rest.append(name, value);
    }
    rest
}

#[cfg(test)]
mod tests {
    use bson::raw::{CStr, cstr};
    use bson::{Timestamp, oid::ObjectId, rawdoc};

    use super::*;

    fn piece(number: i32, of: i32, field: (&str, RawDocumentBuf)) -> RawDocumentBuf {
        let mut raw = rawdoc! {
            "_id": { "_data": format!("82{number:02}") }, "splitEvent": { "fragment": number, "of": of },
        };
        if number == 1 {
            raw.append(cstr!("operationType"), "update");
            raw.append(cstr!("clusterTime"), Timestamp { time: 9, increment: 1 });
            raw.append(cstr!("documentKey"), rawdoc! { "_id": ObjectId::from_bytes([7; 12]) });
            raw.append(cstr!("ns"), rawdoc! { "db": "d", "coll": "tasks" });
        }
        raw.append(<&CStr>::try_from(field.0).unwrap(), field.1);
        raw
    }

    #[test]
    fn a_change_that_came_in_pieces_is_whole_with_the_last_ones_token() {
        let mut fragments = Fragments::default();
        let first = piece(1, 2, ("updateDescription", rawdoc! { "updatedFields": { "Name": "n" } }));
        assert!(matches!(fragments.take(&first), Piece::Fragment) && fragments.are_open());
        let last = piece(2, 2, ("fullDocument", rawdoc! { "Name": "n" }));
        let Piece::Whole(whole) = fragments.take(&last) else { panic!() };
        assert_eq!(whole.get_document("_id").unwrap().get_str("_data").unwrap(), "8202");
        assert!(whole.get_document("updateDescription").is_ok() && whole.get_document("fullDocument").is_ok());
        assert!(whole.get("splitEvent").unwrap().is_none() && !fragments.are_open());
        let plain = rawdoc! { "_id": { "_data": "83" } };
        assert!(matches!(fragments.take(&plain), Piece::Whole(Cow::Borrowed(_))));
    }

    #[test]
    fn pieces_that_begin_again_are_not_mixed_with_those_before() {
        let mut fragments = Fragments::default();
        let first = piece(1, 2, ("updateDescription", rawdoc! { "updatedFields": {} }));
        let _open = fragments.take(&first);
        let _again = fragments.take(&first);
        let last = piece(2, 2, ("fullDocument", rawdoc! {}));
        let Piece::Whole(whole) = fragments.take(&last) else { panic!() };
        assert_eq!(whole.iter().flatten().filter(|(name, _)| *name == "updateDescription").count(), 1);
    }

    #[test]
    fn a_change_that_no_entry_could_hold_is_kept_without_its_documents() {
        let raw = rawdoc! { "operationType": "insert", "fullDocument": { "text": "x".repeat(16 << 20) } };
        let kept = storable(&raw);
        assert!(kept.as_bytes().len() < 1000);
        assert_eq!(kept.get_str("operationType").unwrap(), "insert");
        assert!(matches!(storable(&kept), Cow::Borrowed(_)));
    }

    #[test]
    fn a_change_that_is_too_large_even_in_pieces_keeps_what_names_it() {
        let mut fragments = Fragments::default();
        let huge = "x".repeat(Fragments::LIMIT);
        let first = piece(1, 2, ("updateDescription", rawdoc! { "updatedFields": {} }));
        let _open = fragments.take(&first);
        let last = piece(2, 2, ("fullDocument", rawdoc! { "Name": huge }));
        let Piece::TooLarge(rest) = fragments.take(&last) else { panic!() };
        assert!(rest.as_bytes().len() < 1000);
        let change = aside(&rest, &Mapping::load("tasks-tracker").unwrap()).unwrap();
        let What::Unreadable { key: Some(_), collection, reason, .. } = change.what else { panic!("{change:?}") };
        assert_eq!((collection.as_str(), reason.as_str()), ("tasks", REASON));
    }
}
