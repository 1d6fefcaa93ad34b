//! Watching: one ordered change stream on the database, taken in raw batches, each change read once and handed over.
//!
//! The stream lives in a task of its own (dropping a driver future halfway is unsupported) and feeds a bounded channel.
//! It is opened through the driver's raw batch cursor, which does not resume by itself: after any error the whole tail is
//! built anew from the *stored* position, with backoff.

use std::sync::Arc;
use std::time::Duration;

use bson::{Document, RawDocument, RawDocumentBuf, Timestamp, doc};
use futures::StreamExt;
use mongodb::options::CursorType;
use mongodb::raw_batch_cursor::{RawBatch, RawBatchCursor};
use sha2::{Digest, Sha256};
use taskwire::mapping::Mapping;
use taskwire::store::{Store, names};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::change::Change;
use crate::large::{Fragments, Piece, aside};
use crate::progress::Position;
use crate::trouble::{StreamEnd, Trouble, code};

/// Raw batches on their way to the judge: each at most [`BATCH`] changes and the server's 16 MB.
const CHANNEL: usize = 4;
/// The most changes the server sends at once.
const BATCH: u32 = 1000;
/// What a server says that does not know a stage.
const UNKNOWN_STAGE: i32 = 40_324;

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

/// The server-side filter: the namespaces of interest, renames onto them, and what ends the stream.
#[must_use]
pub fn pipeline(mapping: &Mapping) -> Vec<Document> {
    let mut collections: Vec<&str> = mapping.collections();
    collections.extend([names::WEBHOOKS, names::MUTES, names::RECEIPTS]);
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

/// Opens the stream behind `position` and feeds it until it ends or `stop` is cancelled. `opened` is called once the server
/// has answered: only then is the position known to be of use.
#[must_use]
pub fn start(
    store: Store,
    mapping: Arc<Mapping>,
    position: &Position,
    stream_await: Duration,
    stop: CancellationToken,
    opened: impl FnOnce() + Send + 'static,
) -> mpsc::Receiver<Feed> {
    let (feed, receiver) = mpsc::channel(CHANNEL);
    let place = match &position.token {
        Some(token) => Place::After(token.clone()),
        None => Place::From(position.time),
    };
    let on_trial = position.token.is_some();
    let reader = Reader { store, mapping, stream_await, feed, stop, place, on_trial, splits: true };
    tokio::spawn(reader.run(opened));
    receiver
}

/// Where a cursor is opened.
enum Place {
    /// Behind this token.
    After(RawDocumentBuf),
    /// At this cluster time, inclusive.
    From(Timestamp),
}

/// Why a cursor was given up while the stream goes on.
enum Halt {
    /// Asked to stop, or nobody listens any more.
    Stopped,
    /// The next change is too large to be sent, or an answer with it.
    TooLarge,
    /// What was to be read one by one lies behind.
    CaughtUp,
}

/// Reads the stream, cursor after cursor.
struct Reader {
    store: Store,
    mapping: Arc<Mapping>,
    stream_await: Duration,
    feed: mpsc::Sender<Feed>,
    stop: CancellationToken,
    /// Behind everything that was fed.
    place: Place,
    /// A stored token was given, and the server has not shown yet that it takes it.
    on_trial: bool,
    /// Whether the server can split large changes, as far as is known.
    splits: bool,
}

impl Reader {
    async fn run(mut self, opened: impl FnOnce() + Send) {
        if let Err(end) = self.read_all(opened).await {
            // A closed channel means that the tail has gone first.
            let _closed = self.feed.send(Feed::Ended(end)).await;
        }
    }

    /// Where an answer would be too large, what it would hold is read one by one, up to the change that is too large
    /// alone. That one is put aside, and the stream goes on behind it.
    async fn read_all(&mut self, opened: impl FnOnce()) -> Result<(), StreamEnd> {
        let mut opened = Some(opened);
        let mut size = BATCH;
        loop {
            size = match self.read(size, &mut opened).await? {
                Halt::Stopped => return Ok(()),
                Halt::TooLarge if size > 1 => 1,
                Halt::TooLarge => {
                    self.put_aside().await?;
                    BATCH
                }
                Halt::CaughtUp => BATCH,
            }
        }
    }

    /// One cursor, in batches of at most `size`, until something ends it.
    async fn read(&mut self, size: u32, opened: &mut Option<impl FnOnce()>) -> Result<Halt, StreamEnd> {
        let mut cursor = self.open(size, false).await?;
        let mut fragments = Fragments::default();
        let mut fed = 0;
        while !self.stop.is_cancelled() {
            let batch = match cursor.next().await {
                None => return Err(StreamEnd::Closed),
                Some(Ok(batch)) => batch,
                Some(Err(error)) if Trouble::of(&error) == Trouble::TooLarge => return Ok(Halt::TooLarge),
                Some(Err(error)) => return Err(StreamEnd::of(&error, self.on_trial)),
            };
            self.on_trial = false;
            opened.take().into_iter().for_each(|opened| opened());
            let changes = self.changes(&batch, &mut fragments)?;
            metrics::counter!("taskwire_changes_read_total").increment(changes.len() as u64);
            fed += changes.len();
            let reply = batch.as_raw_document();
            let next = match changes.last().map(|change| change.token.clone()) {
                // The answers' own mark lies inside the change that comes in pieces.
                None if fragments.are_open() => continue,
                None => Feed::Quiet(high_water_mark(reply).inspect(|mark| self.place = Place::After(mark.clone()))),
                Some(token) => {
                    self.place = Place::After(token);
                    // A batch ends at its count, or at 16 MB; one of at least half of that is taken for cut short.
                    let cut = changes.len() >= size as usize || reply.as_bytes().len() >= 8 << 20;
                    Feed::Changes { changes, more: cut || fragments.are_open() }
                }
            };
            let quiet = matches!(next, Feed::Quiet(_));
            if self.feed.send(next).await.is_err() {
                break;
            }
            if size < BATCH && (quiet || fed >= BATCH as usize) {
                return Ok(Halt::CaughtUp);
            }
        }
        Ok(Halt::Stopped)
    }

    /// The changes of a batch, read; those that came in pieces once they are whole.
    fn changes(&self, batch: &RawBatch, fragments: &mut Fragments) -> Result<Vec<Change>, StreamEnd> {
        let broken = |error: &dyn std::fmt::Display| StreamEnd::Broken(error.to_string());
        let mut changes = Vec::new();
        for raw in batch.doc_slices().map_err(|error| broken(&error.kind))? {
            let Some(raw) = raw.map_err(|error| broken(&error))?.as_document() else { continue };
            let change = match fragments.take(raw) {
                Piece::Fragment => continue,
                Piece::Whole(whole) => Change::read(&whole, &self.mapping),
                Piece::TooLarge(rest) => aside(&rest, &self.mapping),
            };
            changes.push(change.map_err(|error| broken(&error))?);
        }
        Ok(changes)
    }

    /// Feeds the next change without what makes it so large, to be put aside together with the position behind it.
    async fn put_aside(&mut self) -> Result<(), StreamEnd> {
        let mut cursor = self.open(1, true).await?;
        while !self.stop.is_cancelled() {
            let batch = cursor.next().await.ok_or(StreamEnd::Closed)?;
            let batch = batch.map_err(|error| StreamEnd::of(&error, false))?;
            let broken = |error: &dyn std::fmt::Display| StreamEnd::Broken(error.to_string());
            let first = batch.doc_slices().map_err(|error| broken(&error.kind))?.into_iter().next();
            let Some(raw) = first.and_then(|raw| raw.ok()?.as_document()) else { continue };
            let change = aside(raw, &self.mapping).map_err(|error| broken(&error))?;
            self.place = Place::After(change.token.clone());
            metrics::counter!("taskwire_changes_read_total").increment(1);
            let _closed = self.feed.send(Feed::Changes { changes: vec![change], more: true }).await;
            return Ok(());
        }
        Ok(())
    }

    /// A cursor at the place. Its first answer, which comes with the opening and is always empty, is taken off.
    async fn open(&mut self, size: u32, without_documents: bool) -> Result<RawBatchCursor, StreamEnd> {
        loop {
            let split = self.splits && !without_documents;
            let command = open_command(&self.mapping, &self.place, split, without_documents)
                .map_err(|error| StreamEnd::TokenRefused(error.to_string()))?;
            let cursor = self
                .store
                .db
                .run_cursor_command(command)
                .cursor_type(CursorType::TailableAwait)
                .batch_size(size)
                .max_time(self.stream_await)
                .batch()
                .await;
            match cursor {
                Ok(mut cursor) => {
                    let _empty = cursor.next().await;
                    return Ok(cursor);
                }
                Err(error) if split && code(&error) == Some(UNKNOWN_STAGE) => self.splits = false,
                Err(error) => return Err(StreamEnd::of(&error, self.on_trial)),
            }
        }
    }
}

fn open_command(
    mapping: &Mapping,
    place: &Place,
    split: bool,
    without_documents: bool,
) -> bson::error::Result<Document> {
    let mut stage = doc! { "fullDocument": "default" };
    match place {
        // startAfter, because resumeAfter refuses the token of an invalidate.
        Place::After(token) => stage.insert("startAfter", Document::try_from(token.as_ref())?),
        Place::From(time) => stage.insert("startAtOperationTime", *time),
    };
    let mut stages = vec![doc! { "$changeStream": stage }];
    stages.extend(pipeline(mapping));
    if without_documents {
        stages.push(doc! { "$project": { "fullDocument": 0, "fullDocumentBeforeChange": 0, "updateDescription": 0 } });
    } else if split {
        // Must be the last.
        stages.push(doc! { "$changeStreamSplitLargeEvent": {} });
    }
    Ok(doc! {
        "aggregate": 1, "pipeline": stages, "cursor": { "batchSize": 0 },
        "readConcern": { "level": "majority" }, "comment": "taskwire-indexer",
    })
}

fn high_water_mark(reply: &RawDocument) -> Option<RawDocumentBuf> {
    let cursor = reply.get_document("cursor").ok()?;
    cursor.get_document("postBatchResumeToken").ok().map(ToOwned::to_owned)
}
