//! Keeping one transaction's changes together.
//!
//! A transaction's changes are contiguous and share session, number and cluster time, but a large one comes in several
//! batches: it has ended only when a change of something else follows, or the stream fell silent after it. Until then it
//! is held back, so that it is judged as a whole and the position never lies inside it. One that is larger than
//! [`Assembler::LIMIT`] is passed on in pieces, judged change by change.

use bson::{RawDocumentBuf, Timestamp};

use crate::change::{Change, Transaction};

/// Changes that are judged and recorded together: one, or a transaction's.
#[derive(Debug)]
pub struct Unit {
    /// The changes, in stream order; at least one.
    pub changes: Vec<Change>,
    /// Occurrences before this unit must be counted on: it is a further piece of one transaction.
    pub continues: bool,
    /// False if more of the same transaction follows: the position must stay before it.
    pub ends: bool,
}

impl Unit {
    /// The cluster time all its changes share.
    #[must_use]
    pub fn time(&self) -> Timestamp {
        self.changes.first().map_or(Timestamp { time: 0, increment: 0 }, |change| change.time)
    }

    /// The token after which the stream goes on behind this unit.
    #[must_use]
    pub fn token(&self) -> Option<&RawDocumentBuf> {
        self.changes.last().map(|change| &change.token)
    }

    /// Whether it is a whole transaction, to be judged by its net effect.
    #[must_use]
    pub fn is_whole_transaction(&self) -> bool {
        !self.continues && self.ends && self.changes.first().is_some_and(|change| change.transaction.is_some())
    }
}

/// Puts changes into units.
#[derive(Debug, Default)]
pub struct Assembler {
    open: Vec<Change>,
    continues: bool,
}

impl Assembler {
    /// The most changes of one transaction that are held back.
    pub const LIMIT: usize = 10_000;

    /// Takes the next change; what is complete by it goes to `out`.
    pub fn push(&mut self, change: Change, out: &mut Vec<Unit>) {
        if self.transaction() != change.transaction {
            self.close(out);
        }
        if change.transaction.is_none() {
            out.push(Unit { changes: vec![change], continues: false, ends: true });
            return;
        }
        self.open.push(change);
        if self.open.len() > Self::LIMIT {
            tracing::warn!(
                limit = Self::LIMIT,
                "a transaction of the service exceeds the limit: its changes are told one by one, without swaps"
            );
            let last = self.open.pop();
            let changes = std::mem::take(&mut self.open);
            out.push(Unit { changes, continues: self.continues, ends: false });
            self.continues = true;
            self.open.extend(last);
        }
    }

    /// The stream fell silent: what is open has ended.
    pub fn silence(&mut self, out: &mut Vec<Unit>) {
        self.close(out);
    }

    /// Whether a transaction is held back.
    #[must_use]
    pub fn is_open(&self) -> bool {
        !self.open.is_empty()
    }

    fn transaction(&self) -> Option<Transaction> {
        self.open.last().and_then(|change| change.transaction)
    }

    fn close(&mut self, out: &mut Vec<Unit>) {
        if !self.open.is_empty() {
            let changes = std::mem::take(&mut self.open);
            out.push(Unit { changes, continues: self.continues, ends: true });
        }
        self.continues = false;
    }
}

#[cfg(test)]
mod tests {
    use bson::raw::cstr;
    use bson::{Binary, rawdoc, spec::BinarySubtype};
    use taskwire::mapping::Mapping;

    use super::*;

    fn change(transaction: Option<i64>, at: u32) -> Change {
        let mut raw = rawdoc! {
            "_id": { "_data": "82" }, "operationType": "other", "clusterTime": Timestamp { time: at, increment: 1 },
        };
        if let Some(number) = transaction {
            let id = Binary { subtype: BinarySubtype::Uuid, bytes: vec![7; 16] };
            raw.append(cstr!("lsid"), rawdoc! { "id": id });
            raw.append(cstr!("txnNumber"), number);
        }
        Change::read(&raw, &Mapping::load("tasks-tracker").unwrap()).unwrap()
    }

    fn sizes(units: &[Unit]) -> Vec<(usize, bool, bool)> {
        units.iter().map(|unit| (unit.changes.len(), unit.continues, unit.ends)).collect()
    }

    #[test]
    fn a_plain_change_is_complete_at_once() {
        let (mut assembler, mut out) = (Assembler::default(), Vec::new());
        assembler.push(change(None, 1), &mut out);
        assembler.push(change(None, 2), &mut out);
        assert_eq!(sizes(&out), [(1, false, true), (1, false, true)]);
        assert_eq!(out[1].token(), Some(&rawdoc! { "_data": "82" }));
    }

    #[test]
    fn a_transaction_is_held_until_something_else_or_silence_follows() {
        let (mut assembler, mut out) = (Assembler::default(), Vec::new());
        assembler.push(change(Some(1), 1), &mut out);
        assembler.push(change(Some(1), 1), &mut out);
        assert!(out.is_empty() && assembler.is_open());
        assembler.push(change(Some(2), 2), &mut out);
        assert_eq!(sizes(&out), [(2, false, true)]);
        assembler.push(change(None, 3), &mut out);
        assert_eq!(sizes(&out[1..]), [(1, false, true), (1, false, true)]);
        assembler.push(change(Some(3), 4), &mut out);
        assembler.silence(&mut out);
        assert_eq!(out.len(), 4);
        assert!(out[3].is_whole_transaction() && !assembler.is_open());
    }

    #[test]
    fn a_transaction_over_the_limit_goes_on_in_pieces_and_ends_only_at_its_end() {
        let (mut assembler, mut out) = (Assembler::default(), Vec::new());
        let one = change(Some(1), 1);
        for _ in 0..=Assembler::LIMIT {
            assembler.push(one.clone(), &mut out);
        }
        assert_eq!(sizes(&out), [(Assembler::LIMIT, false, false)]);
        assembler.silence(&mut out);
        assert_eq!(sizes(&out[1..]), [(1, true, true)]);
        assert!(out.iter().all(|unit| !unit.is_whole_transaction()));
    }
}
