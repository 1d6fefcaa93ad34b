//! A long read as of a point in time, batch by batch, in a task of its own, so that the server reads on while what it
//! found is checked. Bounded: a few batches ahead.

use bson::{RawDocument, RawDocumentBuf};
use futures::StreamExt;
use mongodb::error::Result;
use taskwire::store::Store;
use tokio::sync::mpsc;

use super::AuditError;

/// Documents in a batch.
pub(super) const BATCH: i32 = 4000;

/// Batches read ahead.
const AHEAD: usize = 2;

/// What a read gives, in its order.
pub(super) struct Feed<T> {
    batches: mpsc::Receiver<Result<Vec<T>>>,
    batch: std::vec::IntoIter<T>,
    head: Option<T>,
}

impl<T: Send + 'static> Feed<T> {
    /// Begins a read; `read` makes of each document what is needed of it.
    pub(super) fn open(
        store: &Store,
        command: RawDocumentBuf,
        read: impl FnMut(&RawDocument) -> T + Send + 'static,
    ) -> Self {
        let (sender, batches) = mpsc::channel(AHEAD);
        let store = store.clone();
        tokio::spawn(async move {
            if let Err(error) = pump(&store, command, read, &sender).await {
                // A closed channel means that nobody wants to know.
                let _closed = sender.send(Err(error)).await;
            }
        });
        Self { batches, batch: Vec::new().into_iter(), head: None }
    }

    /// The next one, which stays.
    pub(super) async fn peek(&mut self) -> std::result::Result<Option<&T>, AuditError> {
        if self.head.is_none() {
            self.head = self.take().await?;
        }
        Ok(self.head.as_ref())
    }

    /// The next one.
    pub(super) async fn take(&mut self) -> std::result::Result<Option<T>, AuditError> {
        if let Some(head) = self.head.take() {
            return Ok(Some(head));
        }
        loop {
            if let Some(next) = self.batch.next() {
                return Ok(Some(next));
            }
            match self.batches.recv().await {
                Some(batch) => self.batch = batch?.into_iter(),
                None => return Ok(None),
            }
        }
    }

    /// The next one, if it fits.
    pub(super) async fn take_if(
        &mut self,
        fits: impl FnOnce(&T) -> bool,
    ) -> std::result::Result<Option<T>, AuditError> {
        match self.peek().await?.is_some_and(fits) {
            true => self.take().await,
            false => Ok(None),
        }
    }
}

async fn pump<T>(
    store: &Store,
    command: RawDocumentBuf,
    mut read: impl FnMut(&RawDocument) -> T,
    sender: &mpsc::Sender<Result<Vec<T>>>,
) -> Result<()> {
    let size = u32::try_from(BATCH).unwrap_or(1);
    let mut cursor = store.db.run_raw_cursor_command(command).batch_size(size).batch().await?;
    while let Some(batch) = cursor.next().await {
        let batch = batch?;
        let mut documents = Vec::with_capacity(usize::try_from(BATCH).unwrap_or(0));
        for raw in batch.doc_slices()? {
            documents.extend(raw?.as_document().map(&mut read));
        }
        if sender.send(Ok(documents)).await.is_err() {
            break;
        }
    }
    Ok(())
}

/// All that a small read gives.
pub(super) async fn all<T: Send + 'static>(
    store: &Store,
    command: RawDocumentBuf,
    read: impl FnMut(&RawDocument) -> T + Send + 'static,
) -> std::result::Result<Vec<T>, AuditError> {
    let mut feed = Feed::open(store, command, read);
    let mut found = Vec::new();
    while let Some(next) = feed.take().await? {
        found.push(next);
    }
    Ok(found)
}

/// The first document of a read.
pub(super) async fn one<T: Send + 'static>(
    store: &Store,
    command: RawDocumentBuf,
    read: impl FnMut(&RawDocument) -> T + Send + 'static,
) -> std::result::Result<Option<T>, AuditError> {
    Feed::open(store, command, read).take().await
}
