//! The recorder's own task: while it records a batch, the tail goes on reading.

use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::record::{Batch, RecordError, Recorder};

/// Records batch after batch, and tells of each when it is done.
pub(super) async fn record_all(
    mut recorder: Recorder,
    mut todo: mpsc::Receiver<Batch>,
    tell: mpsc::Sender<Result<Batch, RecordError>>,
) -> Result<(), RecordError> {
    while let Some(batch) = todo.recv().await {
        match recorder.record(&batch).await {
            Ok(()) => {
                // A closed channel means that the tail has ended already.
                let _gone = tell.send(Ok(batch)).await;
            }
            Err(error) if tell.is_closed() => return Err(error),
            Err(error) => {
                let _gone = tell.send(Err(error)).await;
                return Ok(());
            }
        }
    }
    Ok(())
}

/// Waits for the batch under way, no longer than the grace.
pub(super) async fn wait_for(
    mut recording: JoinHandle<Result<(), RecordError>>,
    grace: Duration,
) -> Result<(), RecordError> {
    match tokio::time::timeout(grace, &mut recording).await {
        Ok(Ok(result)) => result,
        Ok(Err(panic)) => Err(mongodb::error::Error::from(std::io::Error::other(panic.to_string())).into()),
        Err(_) => {
            tracing::warn!("the database did not answer within the grace; the position tells what was recorded");
            Ok(())
        }
    }
}
