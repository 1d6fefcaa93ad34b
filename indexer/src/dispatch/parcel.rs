//! What was handed over packed (`taskwire::store::parcels`), and how much of it has not come to an end.

use std::sync::atomic::{AtomicUsize, Ordering};

/// A document of `deliveryParcels` whose rows this process holds.
#[derive(Debug)]
pub struct Parcel {
    id: String,
    left: AtomicUsize,
}

impl Parcel {
    /// One that holds so many rows.
    #[must_use]
    pub const fn new(id: String, rows: usize) -> Self {
        Self { id, left: AtomicUsize::new(rows) }
    }

    /// Its `_id`.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Counts one more that has become a row. True: it was the last.
    pub(crate) fn has_ended_with_one_more(&self) -> bool {
        self.left.fetch_sub(1, Ordering::Relaxed) == 1
    }
}
