//! Sets of tracked fields, by their places in the mapping (at most 64).

use taskwire::mapping::TaskState;

/// A set of tracked fields, a bit for each place in the mapping.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct FieldSet(u64);

impl FieldSet {
    /// The set of one field.
    #[must_use]
    pub const fn one(field: usize) -> Self {
        Self(1 << field)
    }

    /// The fields in which two states differ.
    #[must_use]
    pub fn difference(before: &TaskState, after: &TaskState) -> Self {
        let pairs = before.values.iter().zip(&after.values).enumerate();
        Self(pairs.fold(0, |bits, (at, (old, new))| bits | (u64::from(old != new) << at)))
    }

    /// Whether the field is in it.
    #[must_use]
    pub const fn has(self, field: usize) -> bool {
        self.0 & (1 << field) != 0
    }

    /// Whether nothing is in it.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Both sets together.
    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// This set less the other.
    #[must_use]
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }
}
