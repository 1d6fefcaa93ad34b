//! Reading one range of the tasks, chunk after chunk, into snapshots ready to be recorded.

use std::sync::Arc;

use bson::raw::cstr;
use bson::{Bson, RawArrayBuf, RawDocument, RawDocumentBuf, Timestamp, rawdoc};
use taskwire::mapping::{Mapping, Misfit};
use taskwire::model::DocId;
use taskwire::store::Store;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::lag::cluster_time;
use crate::large::storable;
use crate::scan::{self, Query, Range};
use crate::snapshot::Snapshot;

/// A chunk, read.
#[derive(Debug)]
pub(super) struct Taken {
    /// Which range.
    pub(super) range: usize,
    /// Tasks in it.
    pub(super) tasks: i64,
    /// The id of the last; `None`: the range is done.
    pub(super) last: Option<Bson>,
    /// Their snapshots, as many together as one command may hold.
    pub(super) snapshots: Vec<RawArrayBuf>,
    /// What did not fit the mapping.
    pub(super) aside: Vec<RawDocumentBuf>,
}

impl Taken {
    /// Bytes of snapshots in one command: the server takes commands of up to 16 MB.
    const BYTES: usize = 4 << 20;

    fn push(&mut self, snapshot: RawDocumentBuf) {
        let room = Self::BYTES.saturating_sub(snapshot.as_bytes().len());
        match self.snapshots.last_mut().filter(|last| last.as_bytes().len() < room) {
            Some(last) => last.push(snapshot),
            None => {
                let mut first = RawArrayBuf::new();
                first.push(snapshot);
                self.snapshots.push(first);
            }
        }
    }
}

/// Reads what is left of a range; false if stopped, or if nobody takes it any more.
pub(super) async fn read(
    store: Store,
    mapping: Arc<Mapping>,
    nth: usize,
    mut range: Range,
    found: mpsc::Sender<Taken>,
    stop: CancellationToken,
) -> mongodb::error::Result<bool> {
    while !range.done {
        if stop.is_cancelled() {
            return Ok(false);
        }
        let time = cluster_time(&store).await?;
        let chunk = scan::chunk(&store, &mapping.task.collection, &range, &Query::default(), time).await?;
        range.reach(chunk.last.clone());
        let mut taken =
            Taken { range: nth, tasks: 0, last: chunk.last.clone(), snapshots: Vec::new(), aside: Vec::new() };
        chunk.documents().for_each(|task| take(task, time, &mapping, &mut taken));
        if found.send(taken).await.is_err() {
            return Ok(false);
        }
    }
    Ok(true)
}

fn take(task: &RawDocument, time: Timestamp, mapping: &Mapping, taken: &mut Taken) {
    taken.tasks += 1;
    let Some(id) = task.get("_id").ok().flatten().and_then(DocId::from_raw) else {
        tracing::warn!("first start: a task whose _id is neither an ObjectId nor a string is left out");
        return;
    };
    match mapping.read_task(task) {
        Ok(state) => taken.push(Snapshot::of_scan(id, state, time).to_raw(mapping)),
        Err(misfit) => {
            tracing::warn!(reason = %misfit, "first start: a task does not fit the mapping and is put aside");
            taken.aside.extend(aside(task, &misfit, time, mapping));
        }
    }
}

/// The record of a task that a scan met and that does not fit the mapping; one a task.
pub(crate) fn aside(task: &RawDocument, misfit: &Misfit, time: Timestamp, mapping: &Mapping) -> Option<RawDocumentBuf> {
    let key = bson::raw::RawBson::from(task.get("_id").ok()??);
    let mut aside = rawdoc! {
        "collection": mapping.task.collection.as_str(), "reason": misfit.to_string(), "clusterTime": time,
        "status": "aside", "raw": storable(&rawdoc! { "fullDocument": task.to_owned() }).into_owned(),
    };
    aside.append(cstr!("documentKey"), key.clone());
    aside.append(cstr!("_id"), rawdoc! { "scan": key });
    Some(aside)
}
