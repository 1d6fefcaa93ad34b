//! Scanning a collection by `_id`, in chunks, each as of a point in time (a snapshot read).
//!
//! The server keeps five minutes of history by default, so a scan of any length takes a T of its own for each chunk.
//! Bounds are index bounds (`min`, `max`) and not comparisons: a comparison would see ids of one BSON type only.

use bson::{Bson, Document, RawArray, RawBsonRef, RawDocument, RawDocumentBuf, Timestamp, doc};
use futures::{StreamExt, TryStreamExt};
use serde::{Deserialize, Serialize};
use taskwire::store::Store;

/// Documents in one chunk, at most; fewer where they exceed the server's 16 MB for one reply.
pub const CHUNK: i64 = 5000;

/// A part of a collection, and how far it was scanned.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Range {
    /// The first id of the range; absent: the collection's first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<Bson>,
    /// The first id of the next range; absent: to the collection's end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Bson>,
    /// The last id that was scanned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last: Option<Bson>,
    /// Whether all of it was scanned.
    #[serde(default)]
    pub done: bool,
}

impl Range {
    /// The whole collection.
    #[must_use]
    pub fn whole() -> Self {
        Self::default()
    }

    /// Notes that everything up to and including `last` was scanned; `None`: all of it.
    pub fn reach(&mut self, last: Option<Bson>) {
        match last {
            Some(last) => self.last = Some(last),
            None => self.done = true,
        }
    }
}

/// Some documents of a collection, in the order of their ids, as the server's reply holds them.
#[derive(Debug)]
pub struct Chunk {
    reply: RawDocumentBuf,
    /// The id of the last document; `None`: the range has no more.
    pub last: Option<Bson>,
}

impl Chunk {
    /// Its documents.
    pub fn documents(&self) -> impl Iterator<Item = &RawDocument> {
        let documents = batch_of(&self.reply).into_iter().flatten();
        documents.filter_map(|raw| raw.ok()?.as_document())
    }
}

/// What is read of each document, and which.
#[derive(Debug, Clone, Default)]
pub struct Query {
    /// Only these; empty: all.
    pub filter: Document,
    /// Only these fields; empty: all.
    pub projection: Document,
}

/// Reads the next chunk of `range`, as of `time`.
///
/// # Errors
/// The driver's.
pub async fn chunk(
    store: &Store,
    collection: &str,
    range: &Range,
    query: &Query,
    time: Timestamp,
) -> mongodb::error::Result<Chunk> {
    // The last one scanned is filtered out and not skipped here: of large documents the server may answer one at a time,
    // and an answer of that one alone would look like the end.
    let beyond = range.last.iter().map(|last| doc! { "_id": { "$ne": last.clone() } });
    let filters: Vec<Document> = beyond.chain((!query.filter.is_empty()).then(|| query.filter.clone())).collect();
    let filter = if filters.is_empty() {
        Document::new()
    } else {
        doc! { "$and": filters }
    };
    let mut command = doc! {
        "find": collection, "filter": filter, "sort": { "_id": 1 }, "hint": { "_id": 1 },
        "limit": CHUNK, "batchSize": CHUNK, "singleBatch": true, "readConcern": as_of(time),
    };
    if !query.projection.is_empty() {
        command.insert("projection", query.projection.clone());
    }
    if let Some(last) = &range.last {
        command.insert("min", doc! { "_id": last.clone() });
    } else if let Some(from) = &range.from {
        command.insert("min", doc! { "_id": from.clone() });
    }
    if let Some(until) = &range.until {
        command.insert("max", doc! { "_id": until.clone() });
    }
    let mut cursor = store.db.run_raw_cursor_command(RawDocumentBuf::try_from(&command)?).batch().await?;
    let reply = cursor.next().await.transpose()?.map(|batch| batch.as_raw_document().to_owned()).unwrap_or_default();
    let id = |raw: RawBsonRef<'_>| Bson::try_from(raw.as_document()?.get("_id").ok()??).ok();
    let last = batch_of(&reply).into_iter().flatten().flatten().last().and_then(id);
    Ok(Chunk { reply, last })
}

fn batch_of(reply: &RawDocument) -> Option<&RawArray> {
    reply.get_document("cursor").ok()?.get_array("firstBatch").ok()
}

/// Everything a `find` command answers. The caller bounds it.
///
/// # Errors
/// The driver's.
pub async fn find_all(store: &Store, command: &Document) -> mongodb::error::Result<Vec<RawDocumentBuf>> {
    let mut cursor = store.db.run_raw_cursor_command(RawDocumentBuf::try_from(command)?).batch().await?;
    let mut documents = Vec::new();
    while let Some(batch) = cursor.next().await {
        for raw in batch?.doc_slices()? {
            documents.extend(raw?.as_document().map(ToOwned::to_owned));
        }
    }
    Ok(documents)
}

/// The read concern of a snapshot read as of `time`.
#[must_use]
pub fn as_of(time: Timestamp) -> Document {
    doc! { "level": "snapshot", "atClusterTime": time }
}

/// Cuts a collection into `parts` ranges of about the same size, by a sample of its ids. Fewer where it is small.
///
/// # Errors
/// The driver's.
pub async fn ranges(store: &Store, collection: &str, parts: usize) -> mongodb::error::Result<Vec<Range>> {
    /// Ids sampled for each part: enough that the parts' sizes differ by a few percent.
    const SAMPLE: usize = 64;
    if parts < 2 {
        return Ok(vec![Range::whole()]);
    }
    let size = i64::try_from(parts * SAMPLE).unwrap_or(i64::MAX);
    let stages =
        [doc! { "$sample": { "size": size } }, doc! { "$project": { "_id": 1 } }, doc! { "$sort": { "_id": 1 } }];
    let sampled = store.collection::<Document>(collection).aggregate(stages).await?;
    let mut ids: Vec<Bson> = sampled.try_filter_map(async |doc| Ok(doc.get("_id").cloned())).try_collect().await?;
    // A sample may hold a document twice.
    ids.dedup();
    let bounds: Vec<Bson> = (1..parts).filter_map(|nth| ids.get(nth * ids.len() / parts).cloned()).collect();
    let mut ranges = vec![Range::whole()];
    for bound in bounds {
        if ranges.last().is_some_and(|range| range.from.as_ref() != Some(&bound)) {
            if let Some(range) = ranges.last_mut() {
                range.until = Some(bound.clone());
            }
            ranges.push(Range { from: Some(bound), ..Range::default() });
        }
    }
    Ok(ranges)
}
