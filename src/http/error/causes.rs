//! What the database and the secrets can do wrong, as answers. Each is logged here, once.

use mongodb::error::{Error as MongoError, ErrorKind};

use super::ApiError;
use crate::secrets::SecretError;
use crate::store::{describe, is_conflict};

impl From<MongoError> for ApiError {
    fn from(error: MongoError) -> Self {
        // MaxTimeMSExpired
        const TOO_SLOW: i32 = 50;
        // PrimarySteppedDown, ShutdownInProgress, NotWritablePrimary, InterruptedAtShutdown,
        // InterruptedDueToReplStateChange, NotPrimaryNoSecondaryOk, NotPrimaryOrSecondary
        const CHANGING_PRIMARY: [i32; 7] = [189, 91, 10107, 11600, 11602, 13435, 13436];
        let why = describe(&error);
        match *error.kind {
            ErrorKind::Io(_)
            | ErrorKind::ServerSelection { .. }
            | ErrorKind::ConnectionPoolCleared { .. }
            | ErrorKind::DnsResolve { .. }
            | ErrorKind::Authentication { .. } => {
                tracing::error!(%why, "the database does not answer");
                Self::unavailable()
            }
            ErrorKind::Command(ref command) if command.code == TOO_SLOW => {
                tracing::warn!("a query took too long and was ended");
                Self::timed_out()
            }
            ErrorKind::Command(ref command) if CHANGING_PRIMARY.contains(&command.code) => {
                tracing::error!(%why, "the database has no primary at present");
                Self::unavailable()
            }
            _ if is_conflict(&error) => {
                tracing::warn!(%why, "a write met others again and again");
                Self::busy()
            }
            _ if error.contains_label(mongodb::error::RETRYABLE_WRITE_ERROR)
                || error.contains_label(mongodb::error::TRANSIENT_TRANSACTION_ERROR) =>
            {
                tracing::error!(%why, "the database cannot take a write at present");
                Self::unavailable()
            }
            _ => {
                tracing::error!(%why, "the database refused a request");
                Self::internal()
            }
        }
    }
}

impl From<SecretError> for ApiError {
    fn from(error: SecretError) -> Self {
        tracing::error!(%error, "a stored secret cannot be opened or sealed");
        Self::internal()
    }
}
