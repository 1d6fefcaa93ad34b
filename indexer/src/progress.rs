//! How far everything up to a point of the stream is recorded: the position stays before the oldest unit with something
//! still waiting. Pure.

use std::collections::VecDeque;

use bson::{RawDocumentBuf, Timestamp};

/// A place to go on from.
#[derive(Debug, Clone, PartialEq)]
pub struct Position {
    /// The resume token, whole; `None`: by time alone.
    pub token: Option<RawDocumentBuf>,
    /// The position's cluster time.
    pub time: Timestamp,
}

#[derive(Debug)]
struct Entry {
    number: u64,
    position: Option<Position>,
    open: usize,
}

/// The units read but not wholly recorded.
#[derive(Debug, Default)]
pub struct Progress {
    entries: VecDeque<Entry>,
}

impl Progress {
    /// Unit `number` was read, with `parts` to be recorded. `position` is the place behind it; `None` if more of the same
    /// transaction follows.
    pub fn read(&mut self, number: u64, position: Option<Position>, parts: usize) {
        self.entries.push_back(Entry { number, position, open: parts });
    }

    /// One more part of the newest unit `number` is to be recorded.
    pub fn also(&mut self, number: u64) {
        if let Some(entry) = self.entries.back_mut().filter(|entry| entry.number == number) {
            entry.open += 1;
        }
    }

    /// A part of unit `number` goes into the batch that is being made.
    pub fn leaves(&mut self, number: u64) {
        if let Ok(at) = self.entries.binary_search_by_key(&number, |entry| entry.number) {
            self.entries[at].open = self.entries[at].open.saturating_sub(1);
        }
    }

    /// The furthest place before which nothing waits, if it moved.
    pub fn advance(&mut self) -> Option<Position> {
        let mut position = None;
        while self.entries.front().is_some_and(|entry| entry.open == 0) {
            let entry = self.entries.pop_front()?;
            // Within a transaction that goes on, the position stays before its first piece.
            match entry.position {
                Some(place) => position = Some(place),
                None if self.entries.is_empty() => {
                    self.entries.push_front(entry);
                    break;
                }
                None => {}
            }
        }
        position
    }

    /// Whether anything is still to be recorded.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(time: u32) -> Option<Position> {
        Some(Position { token: None, time: Timestamp { time, increment: 0 } })
    }

    fn time(position: Option<Position>) -> Option<u32> {
        position.map(|position| position.time.time)
    }

    #[test]
    fn the_position_stays_before_the_oldest_that_waits() {
        let mut progress = Progress::default();
        for number in 1..=3 {
            progress.read(u64::from(number), place(number), 1);
        }
        progress.leaves(2);
        assert_eq!(time(progress.advance()), None);
        progress.leaves(1);
        assert_eq!(time(progress.advance()), Some(2));
        progress.leaves(3);
        assert_eq!(time(progress.advance()), Some(3));
        assert!(progress.is_empty());
    }

    #[test]
    fn it_never_lies_inside_a_transaction() {
        let mut progress = Progress::default();
        progress.read(1, place(1), 0);
        progress.read(2, None, 1);
        progress.leaves(2);
        assert_eq!(time(progress.advance()), Some(1));
        assert!(!progress.is_empty(), "a quiet stream's mark would move the position to inside the transaction");
        progress.read(3, None, 0);
        assert_eq!(time(progress.advance()), None);
        progress.read(4, place(4), 1);
        assert_eq!(time(progress.advance()), None);
        progress.leaves(4);
        assert_eq!(time(progress.advance()), Some(4));
        assert!(progress.is_empty());
    }

    #[test]
    fn a_further_part_of_a_unit_holds_it_too() {
        let mut progress = Progress::default();
        progress.read(1, place(1), 1);
        progress.also(1);
        progress.leaves(1);
        assert_eq!(progress.advance(), None);
        progress.leaves(1);
        assert_eq!(time(progress.advance()), Some(1));
    }
}
