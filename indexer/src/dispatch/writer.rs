//! Writes outcomes in groups: whatever came in while the last group was being written is the next one.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bson::{Document, RawArrayBuf, RawDocumentBuf, oid::ObjectId, rawdoc};
use taskwire::model::DocId;
use taskwire::store::{Store, names};
use tokio::sync::{Notify, mpsc};
use tokio_util::sync::CancellationToken;

use super::statement::Statement;

/// Statements in one command.
const GROUP: usize = 500;

/// Statements that may wait; beyond, finished requests keep their slots until there is room.
pub(crate) const WAITING: usize = 4096;

const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// Tasks whose next `perTask` row may go, by webhook.
#[derive(Debug, Default)]
pub(crate) struct FreedTasks(Mutex<HashMap<ObjectId, HashSet<DocId>>>);

impl FreedTasks {
    fn add(&self, webhook: ObjectId, task: DocId) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(webhook).or_default().insert(task);
    }

    /// Puts back what could not be looked at.
    pub(crate) fn restore(&self, webhook: ObjectId, tasks: HashSet<DocId>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(webhook).or_default().extend(tasks);
    }

    /// Takes what was freed since the last call.
    pub(crate) fn take(&self) -> HashMap<ObjectId, HashSet<DocId>> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// What the writer needs.
#[derive(Debug)]
pub(crate) struct Writer {
    pub(crate) store: Store,
    pub(crate) statements: mpsc::Receiver<Statement>,
    pub(crate) freed: Arc<FreedTasks>,
    /// Told when freed tasks are there.
    pub(crate) more: Arc<Notify>,
    /// No statements will follow: write what is there and end.
    pub(crate) finish: CancellationToken,
    /// Do not try again any more.
    pub(crate) abandon: CancellationToken,
}

impl Writer {
    /// Runs until told to finish and nothing is left.
    pub(crate) async fn run(mut self) {
        let mut group = Vec::with_capacity(GROUP);
        loop {
            tokio::select! {
                biased;
                count = self.statements.recv_many(&mut group, GROUP) => {
                    if count == 0 {
                        return;
                    }
                }
                () = self.finish.cancelled(), if !self.statements.is_closed() => {
                    self.statements.close();
                    continue;
                }
            }
            self.write(&mut group).await;
        }
    }

    /// Writes one group, however often it takes. Writing a group again does no harm: a row once written no longer carries
    /// the token.
    async fn write(&self, group: &mut Vec<Statement>) {
        let command = command(group);
        let mut pause = FIRST_PAUSE;
        let mut again = false;
        while let Err(cause) = self.try_write(&command, group.len(), again).await {
            tracing::warn!(%cause, rows = group.len(), "outcomes could not be written; trying again");
            again = true;
            tokio::select! {
                () = tokio::time::sleep(pause) => pause = (pause * 2).min(LONGEST_PAUSE),
                () = self.abandon.cancelled() => {
                    tracing::error!(rows = group.len(), "outcomes given up at the stop; their attempts will count as interrupted");
                    group.clear();
                    return;
                }
            }
        }
        let mut freed_any = false;
        for statement in group.drain(..) {
            if let Some((webhook, task)) = statement.frees {
                self.freed.add(webhook, task);
                freed_any = true;
            }
        }
        if freed_any {
            self.more.notify_one();
        }
    }

    async fn try_write(&self, command: &RawDocumentBuf, rows: usize, again: bool) -> Result<(), String> {
        let answer = self.store.db.run_raw_command(command.clone()).await.map_err(|error| error.kind.to_string())?;
        check(&answer)?;
        let matched = usize::try_from(answer.get_i32("n").unwrap_or(0)).unwrap_or(0);
        // Written a second time, rows that the first try wrote do not match either.
        if matched < rows && !again {
            let lost = rows - matched;
            tracing::debug!(lost, "outcomes refused: their leases had passed on");
            metrics::counter!("taskwire_delivery_leases_lost_total").increment(lost as u64);
        }
        Ok(())
    }
}

fn command(group: &[Statement]) -> RawDocumentBuf {
    let mut updates = RawArrayBuf::new();
    for statement in group {
        updates.push(&*statement.update);
    }
    rawdoc! {
        "update": names::DELIVERIES,
        "updates": updates,
        "ordered": false,
        "writeConcern": { "w": "majority" },
    }
}

/// Errors of single statements, and of the write concern, come inside an answer that says `ok`.
fn check(answer: &Document) -> Result<(), String> {
    let first = answer
        .get_array("writeErrors")
        .ok()
        .and_then(|errors| errors.first())
        .and_then(|error| error.as_document())
        .or_else(|| answer.get_document("writeConcernError").ok());
    match first {
        None => Ok(()),
        Some(error) => {
            let code = error.get_i32("code").unwrap_or(0);
            Err(format!("error {code}: {}", error.get_str("errmsg").unwrap_or("unknown")))
        }
    }
}
