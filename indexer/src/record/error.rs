//! Why recording fails, and what follows.

use mongodb::error::{Error, UNKNOWN_TRANSACTION_COMMIT_RESULT};
use taskwire::store::{describe_document, is_duplicate};

use crate::trouble::{Trouble, describe};

/// Why recording ended.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// Another process leads.
    #[error("another process has taken over (epoch {epoch} is fenced off)")]
    Fenced {
        /// This process's epoch.
        epoch: i64,
    },
    /// What was read again is aside no longer.
    #[error("an entry of quarantinedChanges was retried or dropped by somebody else meanwhile: nothing was recorded")]
    NoLongerAside,
    /// Waiting does not help.
    #[error("recording failed: {}", describe(.0))]
    Database(#[from] Error),
    /// The server refused a statement.
    #[error("recording into {collection} failed: {message} (code {code})")]
    Refused {
        /// The collection.
        collection: String,
        /// The server's code.
        code: i32,
        /// The server's message.
        message: String,
    },
    /// A document could not be made.
    #[error("recording failed: {}", describe_document(.0))]
    Document(#[from] bson::error::Error),
}

/// What follows an attempt that failed.
pub(super) enum Next {
    /// The same batch, after a wait: the reason may pass.
    Again,
    /// The batch without what stands already.
    WithoutWhatStands,
    /// A new tail from the stored position.
    GiveUp,
}

pub(super) fn next(error: &RecordError) -> Next {
    let trouble = match error {
        RecordError::Database(error) if is_duplicate(error) => return Next::WithoutWhatStands,
        RecordError::Database(error) => Trouble::of(error),
        RecordError::Refused { code, .. } => Trouble::of_code(*code),
        RecordError::Fenced { .. } | RecordError::NoLongerAside | RecordError::Document(_) => return Next::GiveUp,
    };
    match trouble {
        Trouble::Passing => Next::Again,
        Trouble::PositionLost
        | Trouble::TokenRefused
        | Trouble::NotAllowed
        | Trouble::TooLarge
        | Trouble::Unsuited
        | Trouble::Unknown => Next::GiveUp,
    }
}

pub(super) fn is_in_doubt(error: &RecordError) -> bool {
    matches!(error, RecordError::Database(error) if error.contains_label(UNKNOWN_TRANSACTION_COMMIT_RESULT))
}
