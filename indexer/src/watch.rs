//! Watching: one ordered change stream on the database, taken in raw batches, each change read once and handed over.
//!
//! The stream lives in a task of its own (dropping a driver future halfway is unsupported) and feeds a bounded channel.
//! It is opened through the driver's raw batch cursor, which does not resume by itself: after any error the whole tail is
//! built anew from the *stored* position, with backoff.

use std::sync::Arc;
use std::time::Duration;

use bson::{Document, RawDocument, RawDocumentBuf, doc};
use futures::StreamExt;
use mongodb::error::{Error, ErrorKind};
use mongodb::options::CursorType;
use sha2::{Digest, Sha256};
use taskwire::mapping::Mapping;
use taskwire::store::{Store, names};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::change::Change;
use crate::progress::Position;

/// Raw batches on their way to the judge: each at most [`BATCH`] changes and the server's 16 MB.
const CHANNEL: usize = 4;
/// The most changes the server sends at once.
const BATCH: u32 = 1000;

/// What the stream brings.
#[derive(Debug)]
pub enum Feed {
    /// Changes, read; at least one.
    Changes {
        /// In stream order.
        changes: Vec<Change>,
        /// Whether the server had more than it could send at once.
        more: bool,
    },
    /// Nothing matched up to this high-water mark: what came before is complete.
    Quiet(Option<RawDocumentBuf>),
    /// The stream ended; nothing follows.
    Ended(StreamEnd),
}

/// Why the stream ended, and so what happens next.
#[derive(Debug, thiserror::Error)]
pub enum StreamEnd {
    /// The position is no longer in the oplog: what happened since may be lost.
    #[error("the stored position is no longer in the oplog (code {code}): {message}")]
    PositionLost {
        /// The server's code.
        code: i32,
        /// The server's message.
        message: String,
    },
    /// The token is not accepted although its time may still be there: start by time.
    #[error("the server refuses the stored resume token (code {code}): {message}")]
    TokenRefused {
        /// The server's code.
        code: i32,
        /// The server's message.
        message: String,
    },
    /// The user may not watch the database.
    #[error("the database user may not watch the database (code {code}): grant find and changeStream on it")]
    NotAllowed {
        /// The server's code.
        code: i32,
    },
    /// Anything else: network, failover, a killed cursor. Opened anew from the stored position.
    #[error("the change stream broke: {0}")]
    Broken(String),
}

impl StreamEnd {
    /// What an error of the stream means. Codes: 286 history lost, 280 fatal stream error, 260 invalid token,
    /// 136 capped position lost, 13 and 8000 not allowed.
    #[must_use]
    pub fn of(error: &Error) -> Self {
        let ErrorKind::Command(command) = error.kind.as_ref() else {
            return Self::Broken(error.kind.to_string());
        };
        let (code, message) = (command.code, command.message.clone());
        match code {
            286 | 136 => Self::PositionLost { code, message },
            260 | 280 => Self::TokenRefused { code, message },
            13 | 8000 => Self::NotAllowed { code },
            _ => Self::Broken(format!("{message} (code {code})")),
        }
    }
}

/// The server-side filter: the namespaces of interest, renames onto them, and what ends the stream.
#[must_use]
pub fn pipeline(mapping: &Mapping) -> Vec<Document> {
    let mut collections: Vec<&str> = mapping.collections();
    collections.extend([names::WEBHOOKS, names::RECEIPTS]);
    vec![doc! { "$match": { "$or": [
        { "ns.coll": { "$in": collections.clone() } },
        { "to.coll": { "$in": collections } },
        { "operationType": { "$in": ["dropDatabase", "invalidate"] } },
    ] } }]
}

/// A hash of the pipeline: a token belongs to it.
#[must_use]
pub fn pipeline_hash(mapping: &Mapping) -> String {
    let text: Vec<String> = pipeline(mapping).iter().map(ToString::to_string).collect();
    let digest = Sha256::digest(text.join("\n"));
    digest[..8].iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Opens the stream behind `position` and feeds it until it ends or `stop` is cancelled.
#[must_use]
pub fn start(
    store: Store,
    mapping: Arc<Mapping>,
    position: &Position,
    stream_await: Duration,
    stop: CancellationToken,
) -> mpsc::Receiver<Feed> {
    let (feed, receiver) = mpsc::channel(CHANNEL);
    let command = open_command(&mapping, position);
    tokio::spawn(async move {
        let end = read(&store, &mapping, command, stream_await, &feed, &stop).await;
        if let Err(error) = end {
            // A closed channel means that the tail has gone first.
            let _closed = feed.send(Feed::Ended(StreamEnd::of(&error))).await;
        }
    });
    receiver
}

fn open_command(mapping: &Mapping, position: &Position) -> Document {
    let mut stage = doc! { "fullDocument": "default" };
    match position.token.as_deref().map(Document::try_from) {
        // startAfter, because resumeAfter refuses the token of an invalidate.
        Some(Ok(token)) => stage.insert("startAfter", token),
        Some(Err(_)) | None => stage.insert("startAtOperationTime", position.time),
    };
    let mut stages = vec![doc! { "$changeStream": stage }];
    stages.extend(pipeline(mapping));
    doc! {
        "aggregate": 1, "pipeline": stages, "cursor": { "batchSize": 0 },
        "readConcern": { "level": "majority" }, "comment": "taskwire-indexer",
    }
}

async fn read(
    store: &Store,
    mapping: &Mapping,
    command: Document,
    stream_await: Duration,
    feed: &mpsc::Sender<Feed>,
    stop: &CancellationToken,
) -> mongodb::error::Result<()> {
    let mut cursor = store
        .db
        .run_cursor_command(command)
        .cursor_type(CursorType::TailableAwait)
        .batch_size(BATCH)
        .max_time(stream_await)
        .batch()
        .await?;
    while !stop.is_cancelled() {
        let Some(batch) = cursor.next().await else {
            let closed = std::io::Error::other("the server closed the cursor");
            return Err(closed.into());
        };
        let batch = batch?;
        let mut changes = Vec::new();
        for raw in batch.doc_slices()? {
            let change = raw?.as_document().map(|raw| Change::read(raw, mapping)).transpose();
            changes.extend(change.map_err(std::io::Error::other)?);
        }
        metrics::counter!("taskwire_changes_read_total").increment(changes.len() as u64);
        let next = if changes.is_empty() {
            Feed::Quiet(high_water_mark(batch.as_raw_document()))
        } else {
            // A batch ends at its count, or at 16 MB; one of at least half of that is taken for cut short.
            let bytes = batch.as_raw_document().as_bytes().len();
            let more = changes.len() >= BATCH as usize || bytes >= 8 << 20;
            Feed::Changes { changes, more }
        };
        if feed.send(next).await.is_err() {
            break;
        }
    }
    Ok(())
}

fn high_water_mark(reply: &RawDocument) -> Option<RawDocumentBuf> {
    let cursor = reply.get_document("cursor").ok()?;
    cursor.get_document("postBatchResumeToken").ok().map(ToOwned::to_owned)
}
