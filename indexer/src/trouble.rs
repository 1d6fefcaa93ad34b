//! What an error of the database means: one table from the server's codes, the driver's kinds and its labels to a kind of
//! trouble, and what follows for the stream. `docs/ARCHITECTURE.md` ("When the stream breaks") tells operators the same.

use mongodb::error::{
    Error, ErrorKind, RESUMABLE_CHANGE_STREAM_ERROR, RETRYABLE_WRITE_ERROR, TRANSIENT_TRANSACTION_ERROR,
    UNKNOWN_TRANSACTION_COMMIT_RESULT, WriteFailure,
};
pub use taskwire::store::describe;

/// A kind of trouble.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    /// The place asked for is no longer in the oplog.
    PositionLost,
    /// The server does not take the resume token, or cannot find what it names.
    TokenRefused,
    /// The user is not known or may not do this.
    NotAllowed,
    /// A change, a document or a transaction is larger than the server can send or store.
    TooLarge,
    /// The server does not do such things at all: no replica set, or a restricted API.
    Unsuited,
    /// A failover, a lost connection, a killed cursor, a conflict: the same thing again may succeed.
    Passing,
    /// Not in the table.
    Unknown,
}

impl Trouble {
    /// What an error means: by its code if the table has that, else by its labels and the driver's kind.
    #[must_use]
    pub fn of(error: &Error) -> Self {
        let by_code = code(error).map_or(Self::Unknown, Self::of_code);
        if by_code != Self::Unknown {
            return by_code;
        }
        let passing = [
            RESUMABLE_CHANGE_STREAM_ERROR,
            RETRYABLE_WRITE_ERROR,
            TRANSIENT_TRANSACTION_ERROR,
            UNKNOWN_TRANSACTION_COMMIT_RESULT,
        ];
        match error.kind.as_ref() {
            _ if passing.iter().any(|label| error.contains_label(label)) => Self::Passing,
            ErrorKind::Io(_)
            | ErrorKind::ServerSelection { .. }
            | ErrorKind::ConnectionPoolCleared { .. }
            | ErrorKind::DnsResolve { .. } => Self::Passing,
            ErrorKind::Authentication { .. } => Self::NotAllowed,
            _ => Self::Unknown,
        }
    }

    /// What the server's code means.
    #[must_use]
    pub const fn of_code(code: i32) -> Self {
        match code {
            // CappedPositionLost, ChangeStreamHistoryLost
            136 | 286 => Self::PositionLost,
            // FailedToParse, Overflow, InvalidResumeToken, ChangeStreamFatalError, and the places where the server takes
            // a token apart.
            9 | 15 | 260 | 280 | 40_645..=40_649 | 50_788..=50_797 | 50_811 => Self::TokenRefused,
            // UserNotFound, Unauthorized, AuthenticationFailed, RoleNotFound, AtlasError
            11 | 13 | 18 | 31 | 8000 => Self::NotAllowed,
            // TransactionTooLarge, BSONObjectTooLarge, a document grown too large by an update
            257 | 10_334 | 17_419 | 17_420 => Self::TooLarge,
            // IllegalOperation, CommandNotFound, CommandNotSupported, APIVersionError, APIStrictError,
            // unknown stage, no replica set
            20 | 59 | 115 | 322 | 323 | 40_324 | 40_573 => Self::Unsuited,
            // HostUnreachable, HostNotFound, LockTimeout, CursorNotFound, MaxTimeMSExpired, StaleShardVersion,
            // WriteConcernFailed, NetworkTimeout, ShutdownInProgress, WriteConflict, FailedToSatisfyReadPreference,
            // ReadConcernMajorityNotAvailableYet, StaleEpoch, QueryPlanKilled, PrimarySteppedDown,
            // NetworkInterfaceExceededTimeLimit, DatabaseDropPending, CloseChangeStream, RetryChangeStream, CursorKilled,
            // SnapshotTooOld, SnapshotUnavailable, NoSuchTransaction, ExceededTimeLimit,
            // TransactionExceededLifetimeLimitSeconds, ReauthenticationRequired, SocketException, the NotPrimary family,
            // InterruptedAtShutdown, Interrupted, InterruptedDueToReplStateChange, StaleConfig, OutOfDiskSpace
            6
            | 7
            | 24
            | 43
            | 50
            | 63
            | 64
            | 89
            | 91
            | 112
            | 133
            | 134
            | 150
            | 175
            | 189
            | 202
            | 215
            | 222
            | 234
            | 237
            | 239
            | 246
            | 251
            | 262
            | 290
            | 391
            | 9001
            | 10_058
            | 10_107
            | 11_600..=11_602
            | 13_388
            | 13_435
            | 13_436
            | 14_031 => Self::Passing,
            _ => Self::Unknown,
        }
    }
}

/// Whether a read failed because the server has its point in time no longer (`SnapshotTooOld`), or cannot read a collection
/// as of it (`SnapshotUnavailable`: it, or an index of it, was made later).
#[must_use]
pub fn is_too_old(error: &Error) -> bool {
    matches!(code(error), Some(239 | 246))
}

/// The server's code, if the error came from a server.
#[must_use]
pub fn code(error: &Error) -> Option<i32> {
    match error.kind.as_ref() {
        ErrorKind::Command(command) => Some(command.code),
        ErrorKind::Write(WriteFailure::WriteConcernError(failure)) => Some(failure.code),
        ErrorKind::Write(WriteFailure::WriteError(failure)) => Some(failure.code),
        ErrorKind::InsertMany(failure) => {
            let first = failure.write_errors.iter().flatten().next().map(|error| error.code);
            first.or_else(|| failure.write_concern_error.as_ref().map(|error| error.code))
        }
        _ => None,
    }
}

/// What was said last, so that a reason that lasts is said once.
#[derive(Debug, Default)]
pub struct Said(String);

impl Said {
    /// Whether this is another reason than the last.
    pub fn is_new(&mut self, reason: &str) -> bool {
        let is_new = self.0 != reason;
        if is_new {
            reason.clone_into(&mut self.0);
        }
        is_new
    }

    /// It is over: whatever comes next is new.
    pub fn forget(&mut self) {
        self.0.clear();
    }
}

/// Why the stream ended, and so what happens next.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StreamEnd {
    /// The position is no longer in the oplog: what happened since may be lost.
    #[error("the stored position is no longer in the oplog ({0}): size the oplog for the longest stop")]
    PositionLost(String),
    /// The token is not accepted although its time may still be there: start by time.
    #[error("the server refuses the stored resume token ({0})")]
    TokenRefused(String),
    /// The user may not watch the database.
    #[error("the database user may not watch the database ({0}): grant it find and changeStream there")]
    NotAllowed(String),
    /// A change is too large even without its document: only an `_id` of megabytes does that.
    #[error(
        "a change behind the stored position cannot be sent even without its document ({0}): pass it with `taskwire-indexer checkpoint reset`"
    )]
    TooLarge(String),
    /// No such thing as a change stream here.
    #[error("this server gives no change stream ({0}): it takes a replica set, version 5.0 or later")]
    Unsuited(String),
    /// The server ended it, as after `dropDatabase`: the next begins behind what was read.
    #[error("the server ended the change stream")]
    Closed,
    /// Anything else: network, failover, a killed cursor. Opened anew from the stored position.
    #[error("the change stream broke: {0}")]
    Broken(String),
}

impl StreamEnd {
    /// What an error of the stream means. `after_token`: it had been opened after a token and had brought nothing yet, so
    /// that whatever the server has against this place it may have against the token alone.
    #[must_use]
    pub fn of(error: &Error, after_token: bool) -> Self {
        let text = describe(error);
        match Trouble::of(error) {
            Trouble::PositionLost | Trouble::Unknown if after_token && code(error).is_some() => {
                Self::TokenRefused(text)
            }
            Trouble::PositionLost => Self::PositionLost(text),
            Trouble::TokenRefused => Self::TokenRefused(text),
            Trouble::NotAllowed => Self::NotAllowed(text),
            Trouble::TooLarge => Self::TooLarge(text),
            Trouble::Unsuited => Self::Unsuited(text),
            Trouble::Passing | Trouble::Unknown => Self::Broken(text),
        }
    }

    /// Whether it lasts until somebody does something.
    #[must_use]
    pub const fn is_grave(&self) -> bool {
        match self {
            Self::PositionLost(_) | Self::NotAllowed(_) | Self::TooLarge(_) | Self::Unsuited(_) => true,
            Self::TokenRefused(_) | Self::Closed | Self::Broken(_) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_codes_that_servers_send_mean_what_the_table_says() {
        let table: [(&[i32], Trouble); 6] = [
            (&[136, 286], Trouble::PositionLost),
            (&[9, 15, 260, 280, 40_649, 50_793, 50_796, 50_811], Trouble::TokenRefused),
            (&[13, 18, 8000], Trouble::NotAllowed),
            (&[10_334, 257], Trouble::TooLarge),
            (&[40_573, 20], Trouble::Unsuited),
            (
                &[43, 91, 112, 175, 189, 222, 234, 237, 251, 10_107, 11_600, 11_601, 11_602, 13_435, 13_436],
                Trouble::Passing,
            ),
        ];
        for (codes, trouble) in table {
            assert!(codes.iter().all(|code| Trouble::of_code(*code) == trouble), "{trouble:?}");
        }
        assert_eq!(Trouble::of_code(4_242_424), Trouble::Unknown);
    }

    #[test]
    fn a_connection_that_is_lost_passes_and_what_nobody_knows_does_not() {
        assert_eq!(Trouble::of(&std::io::Error::other("lost").into()), Trouble::Passing);
        assert_eq!(Trouble::of(&Error::custom("what")), Trouble::Unknown);
        assert!(matches!(StreamEnd::of(&Error::custom("what"), true), StreamEnd::Broken(_)));
    }
}
