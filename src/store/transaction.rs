//! One majority transaction, repeated while the server asks for it.

use std::ops::RangeInclusive;
use std::time::Duration;

use futures::future::BoxFuture;
use mongodb::ClientSession;
use mongodb::error::{
    Error, ErrorKind, Result, TRANSIENT_TRANSACTION_ERROR, UNKNOWN_TRANSACTION_COMMIT_RESULT, WriteFailure,
};
use mongodb::options::{ReadConcern, TransactionOptions, WriteConcern};
use rand::Rng;

use super::{Store, describe};

/// How often a transaction is begun before its error is passed on: with the pauses, within about three seconds.
const TRIES: u32 = 12;
/// The longest pause between two of them, in milliseconds.
const PAUSE_MAX: u64 = 500;
/// How often a commit whose outcome is unknown is asked for again.
const COMMIT_TRIES: u32 = 5;

/// How a transaction's work ends.
#[derive(Debug)]
pub enum Verdict<T> {
    /// Keep what was written.
    Commit(T),
    /// Undo it.
    Abort(T),
}

/// Runs `work` in a transaction that reads a snapshot and writes to a majority. When it meets another transaction
/// (a write conflict, or a duplicate key that the other one has just made) it is repeated from the beginning, so `work`
/// must have no effect of its own.
///
/// # Errors
/// The driver's error that could not be overcome. After an error that says that the commit's outcome is unknown, the
/// writes may stand.
pub async fn in_transaction<T, F>(store: &Store, mut work: F) -> Result<T>
where
    T: Send,
    F: for<'s> FnMut(&'s mut ClientSession) -> BoxFuture<'s, Result<Verdict<T>>> + Send,
{
    let options = TransactionOptions::builder()
        .read_concern(ReadConcern::snapshot())
        .write_concern(WriteConcern::majority())
        .max_commit_time(Duration::from_secs(10))
        .build();
    let mut session = store.client.start_session().await?;
    let mut tries = 0;
    loop {
        tries += 1;
        session.start_transaction().with_options(options.clone()).await?;
        let error = match work(&mut session).await {
            Ok(Verdict::Commit(value)) => match commit(&mut session).await {
                Ok(()) => return Ok(value),
                Err(error) => error,
            },
            Ok(Verdict::Abort(value)) => {
                abort(&mut session).await;
                return Ok(value);
            }
            Err(error) => {
                abort(&mut session).await;
                error
            }
        };
        if tries == TRIES || !may_be_repeated(&error) {
            return Err(error);
        }
        let pause = rand::rng().random_range(pauses(tries));
        tokio::time::sleep(Duration::from_millis(pause)).await;
    }
}

/// How long to wait after so many tries, in milliseconds. Many that meet must come apart, so it grows, and differs by half.
fn pauses(tries: u32) -> RangeInclusive<u64> {
    let most = 10_u64.saturating_mul(1 << tries.saturating_sub(1).min(16)).min(PAUSE_MAX);
    most / 2..=most
}

async fn commit(session: &mut ClientSession) -> Result<()> {
    let mut tries = 0;
    loop {
        tries += 1;
        match session.commit_transaction().await {
            Err(error) if error.contains_label(UNKNOWN_TRANSACTION_COMMIT_RESULT) && tries < COMMIT_TRIES => {}
            other => return other,
        }
    }
}

/// An abort that fails leaves a transaction that the server ends by itself.
async fn abort(session: &mut ClientSession) {
    if let Err(error) = session.abort_transaction().await {
        tracing::debug!(why = describe(&error), "a transaction could not be aborted; the server will end it");
    }
}

fn may_be_repeated(error: &Error) -> bool {
    is_duplicate(error) || error.contains_label(TRANSIENT_TRANSACTION_ERROR)
}

/// Whether it met another write, and is itself surely not done.
pub(crate) fn is_conflict(error: &Error) -> bool {
    const WRITE_CONFLICT: i32 = 112;
    let met = matches!(*error.kind, ErrorKind::Command(ref command) if command.code == WRITE_CONFLICT);
    (met || is_duplicate(error)) && !error.contains_label(UNKNOWN_TRANSACTION_COMMIT_RESULT)
}

/// The server's code where a document of this key stands already.
pub const DUPLICATE_KEY: i32 = 11000;

/// Whether a document of this key stands already.
#[must_use]
pub fn is_duplicate(error: &Error) -> bool {
    match *error.kind {
        ErrorKind::Write(WriteFailure::WriteError(ref write)) => write.code == DUPLICATE_KEY,
        ErrorKind::InsertMany(ref many) => many.write_errors.iter().flatten().any(|write| write.code == DUPLICATE_KEY),
        ErrorKind::Command(ref command) => command.code == DUPLICATE_KEY,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_half_a_second_and_stay_within_a_calls_time() {
        assert_eq!(
            [1, 2, 6, 7, 11, u32::MAX].map(pauses),
            [5..=10, 10..=20, 160..=320, 250..=500, 250..=500, 250..=500]
        );
        let longest: u64 = (1..TRIES).map(|tries| *pauses(tries).end()).sum();
        assert!((2000..4000).contains(&longest), "{longest}");
    }
}
