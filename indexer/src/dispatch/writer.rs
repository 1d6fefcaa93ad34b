//! Writes outcomes in groups: whatever came in while the last groups were being written is the next one. The first after
//! a silence is written at once; after it groups begin a moment apart, for each costs the server about the same, whatever
//! its length. Only where a task's next row waits for an outcome, nothing waits.
//!
//! What stands in a parcel is inserted, and is a row from then on. One that was unpacked meanwhile refuses that by its `_id`,
//! and is a row like any other.
//!
//! Rows are replaced: one transaction removes them as they were held, each by its lease's token, and inserts them as they
//! shall be. To the server that is a third of the work of as many updates. Where a token does not stand any more, the
//! outcome is refused: the group is written without it.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bson::{Document, RawArrayBuf, RawDocumentBuf, doc, oid::ObjectId, rawdoc};
use futures::TryStreamExt;
use mongodb::ClientSession;
use mongodb::error::{Error, ErrorKind};
use mongodb::options::Hint;
use taskwire::model::{Delivery, DocId};
use taskwire::store::{DUPLICATE_KEY, Store, names, parcels};
use tokio::sync::{Notify, Semaphore, mpsc};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::chain::ChainBoard;
use super::statement::Statement;

/// Rows in one transaction.
const GROUP: usize = 500;

/// Groups begin so far apart, unless one is full: at a few hundred outcomes a second each would be written alone otherwise,
/// at more than the cost of recording its event, and the writes of the service and the next events would wait for it.
const APART: Duration = Duration::from_millis(25);

/// Groups being written at once: while one waits for its majority, the server works on the other.
const GROUPS: usize = 2;

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
    pub(crate) chains: Arc<ChainBoard>,
    pub(crate) freed: Arc<FreedTasks>,
    /// Told when freed tasks are there.
    pub(crate) more: Arc<Notify>,
    /// No statements will follow: write what is there and end.
    pub(crate) finish: CancellationToken,
    /// Do not try again any more.
    pub(crate) abandon: CancellationToken,
}

/// What writing one group takes.
#[derive(Clone)]
struct GroupWriter {
    store: Store,
    chains: Arc<ChainBoard>,
    freed: Arc<FreedTasks>,
    more: Arc<Notify>,
    abandon: CancellationToken,
}

/// Why a group was not written.
#[derive(Debug, thiserror::Error)]
enum WriteError {
    #[error("{}", taskwire::store::describe(.0))]
    Database(#[from] mongodb::error::Error),
    /// Some rows are not held under their tokens any more.
    #[error("leases had passed on")]
    LeasesLost,
}

impl Writer {
    /// Runs until told to finish and nothing is left.
    pub(crate) async fn run(mut self) {
        let writer = GroupWriter {
            store: self.store,
            chains: self.chains,
            freed: self.freed,
            more: self.more,
            abandon: self.abandon,
        };
        let (turns, under_way) = (Arc::new(Semaphore::new(GROUPS)), TaskTracker::new());
        let mut next = Instant::now();
        loop {
            // The turn first: what comes in while it is waited for makes the group larger.
            let Ok(turn) = Arc::clone(&turns).acquire_owned().await else { return };
            let mut group = Vec::new();
            tokio::select! {
                biased;
                count = self.statements.recv_many(&mut group, GROUP) => {
                    if count == 0 {
                        break;
                    }
                }
                () = self.finish.cancelled(), if !self.statements.is_closed() => {
                    self.statements.close();
                    continue;
                }
            }
            gather(&mut group, &mut self.statements, next, &self.finish).await;
            next = Instant::now() + APART;
            let writer = writer.clone();
            under_way.spawn(async move {
                writer.write(group).await;
                drop(turn);
            });
        }
        under_way.close();
        under_way.wait().await;
    }
}

/// Adds what comes in until then; nothing more where an outcome is waited for, or the end is near.
async fn gather(
    group: &mut Vec<Statement>,
    statements: &mut mpsc::Receiver<Statement>,
    until: Instant,
    finish: &CancellationToken,
) {
    let mut seen = 0;
    let (time, end) = (tokio::time::sleep_until(until), finish.cancelled());
    tokio::pin!(time, end);
    while group.len() < GROUP && !group[seen..].iter().any(Statement::is_waited_for) {
        seen = group.len();
        tokio::select! {
            biased;
            count = statements.recv_many(group, GROUP - seen) => if count == 0 { return },
            () = &mut end => return,
            () = &mut time => return,
        }
    }
}

impl GroupWriter {
    /// Writes one group, however often it takes. Writing a group again does no harm: a row once written no longer carries
    /// the token.
    async fn write(&self, mut group: Vec<Statement>) {
        // Also of those that turn out to be written or lost: a task too many is looked at in vain, one too few would wait.
        let freed: Vec<_> = group.iter().filter_map(Statement::freed_task).collect();
        let chained: Vec<_> = group.iter().filter_map(Statement::chained_task).collect();
        let mut pause = FIRST_PAUSE;
        let mut again = false;
        while !group.is_empty() {
            let done = match self.try_write(&mut group).await {
                Ok(()) => break,
                Err(WriteError::LeasesLost) => self.leave_out_what_is_lost(&mut group, again).await,
                Err(error) => Err(error),
            };
            let Err(cause) = done else { continue };
            tracing::warn!(%cause, rows = group.len(), "outcomes could not be written; trying again");
            again = true;
            tokio::select! {
                () = tokio::time::sleep(pause) => pause = (pause * 2).min(LONGEST_PAUSE),
                () = self.abandon.cancelled() => {
                    tracing::error!(rows = group.len(), "outcomes given up at the stop; their attempts will count as interrupted");
                    return;
                }
            }
        }
        self.chains.ended(chained);
        if !freed.is_empty() {
            freed.into_iter().for_each(|(webhook, task)| self.freed.add(webhook, task));
            self.more.notify_one();
        }
    }

    /// What is written has left the group, whatever becomes of the rest.
    async fn try_write(&self, group: &mut Vec<Statement>) -> Result<(), WriteError> {
        self.insert_packed(group).await?;
        if group.is_empty() { Ok(()) } else { self.try_replace(group).await }
    }

    /// Makes rows of what stands in parcels; of a group, that is left which is a row already.
    async fn insert_packed(&self, group: &mut Vec<Statement>) -> Result<(), WriteError> {
        let packed = group.iter().filter(|statement| statement.parcel.is_some()).map(|statement| &*statement.row);
        let packed: Vec<&Delivery> = packed.collect();
        if packed.is_empty() {
            return Ok(());
        }
        let rows = self.store.collection::<Delivery>(names::DELIVERIES);
        let unpacked = match rows.insert_many(packed).ordered(false).await {
            Ok(_) => HashSet::new(),
            Err(error) => duplicates(&error).ok_or(error)?,
        };
        let (mut number, mut ended) = (0, Vec::new());
        group.retain_mut(|statement| {
            let Some(parcel) = statement.parcel.take() else { return true };
            let is_row = unpacked.contains(&number);
            number += 1;
            if !is_row && parcel.has_ended_with_one_more() {
                ended.push(parcel.id().to_owned());
            }
            is_row
        });
        if !ended.is_empty() {
            // What is left of an empty parcel goes when it is unpacked.
            if let Err(error) = parcels::remove(&self.store, &ended).await {
                tracing::debug!(error = taskwire::store::describe(&error), "parcels were left to be unpacked");
            }
        }
        Ok(())
    }

    async fn try_replace(&self, group: &[Statement]) -> Result<(), WriteError> {
        let mut session = self.store.client.start_session().await?;
        session.start_transaction().await?;
        match self.replace(&mut session, group).await {
            Ok(()) => Ok(session.commit_transaction().await?),
            Err(error) => {
                // The server drops an abandoned transaction by itself; the reason to tell is the first error.
                let _aborted = session.abort_transaction().await;
                Err(error)
            }
        }
    }

    async fn replace(&self, session: &mut ClientSession, group: &[Statement]) -> Result<(), WriteError> {
        let removed = self.store.db.run_raw_command(removal(group)).session(&mut *session).await?;
        if usize::try_from(removed.get_i32("n").unwrap_or(0)) != Ok(group.len()) {
            return Err(WriteError::LeasesLost);
        }
        let rows = self.store.collection::<Delivery>(names::DELIVERIES);
        rows.insert_many(group.iter().map(|statement| &*statement.row)).session(session).await?;
        Ok(())
    }

    /// Keeps those of a group whose lease still stands. Written a second time, rows that the first try wrote are not lost.
    async fn leave_out_what_is_lost(&self, group: &mut Vec<Statement>, again: bool) -> Result<(), WriteError> {
        let held = self.held(group).await?;
        let all = group.len();
        group.retain(|statement| held.contains(&(statement.row.id.as_str().to_owned(), statement.token.to_string())));
        if !again {
            let lost = all - group.len();
            tracing::debug!(lost, "outcomes refused: their leases had passed on");
            metrics::counter!("taskwire_delivery_leases_lost_total").increment(lost as u64);
        }
        Ok(())
    }

    /// Id and token of those rows of a group that are held, by whomever.
    async fn held(&self, group: &[Statement]) -> mongodb::error::Result<HashSet<(String, String)>> {
        let ids: Vec<&str> = group.iter().map(|statement| statement.row.id.as_str()).collect();
        let rows = self.store.collection::<Document>(names::DELIVERIES);
        let found = rows
            .find(doc! { "_id": { "$in": ids } })
            .projection(doc! { "lease": 1 })
            .hint(Hint::Keys(doc! { "_id": 1 }));
        let found: Vec<Document> =
            found.batch_size(u32::try_from(GROUP).unwrap_or(u32::MAX)).await?.try_collect().await?;
        let held = |row: &Document| Some((row.get_str("_id").ok()?.to_owned(), row.get_str("lease").ok()?.to_owned()));
        Ok(found.iter().filter_map(held).collect())
    }
}

/// Which of the documents were there, where that is all that stopped an unordered insert.
fn duplicates(error: &Error) -> Option<HashSet<usize>> {
    let ErrorKind::InsertMany(failure) = error.kind.as_ref() else { return None };
    if failure.write_concern_error.is_some() {
        return None;
    }
    let errors = failure.write_errors.as_ref()?;
    errors.iter().map(|error| (error.code == DUPLICATE_KEY).then_some(error.index)).collect()
}

/// Removes the rows as they are held: one statement for each lease.
fn removal(group: &[Statement]) -> RawDocumentBuf {
    let mut by_token: HashMap<&str, RawArrayBuf> = HashMap::new();
    for statement in group {
        by_token.entry(&*statement.token).or_default().push(statement.row.id.as_str());
    }
    let mut deletes = RawArrayBuf::new();
    for (token, ids) in by_token {
        deletes.push(rawdoc! { "q": { "_id": { "$in": ids }, "lease": token }, "limit": 0, "hint": { "_id": 1 } });
    }
    rawdoc! { "delete": names::DELIVERIES, "deletes": deletes }
}

#[cfg(test)]
mod tests {
    use super::super::job::tests::job;
    use super::super::statement::released;
    use super::*;

    fn statement(of_chain: bool) -> Statement {
        let mut held = job(ObjectId::new());
        held.of_chain = of_chain;
        released(held, bson::DateTime::from_millis(0))
    }

    /// How many are in a group that begins with the first, where two more are there.
    async fn gathered(first: Statement, until: Instant) -> usize {
        let (sender, mut statements) = mpsc::channel(2);
        assert!(sender.try_send(statement(false)).is_ok() && sender.try_send(statement(false)).is_ok());
        drop(sender);
        let mut group = vec![first];
        gather(&mut group, &mut statements, until, &CancellationToken::new()).await;
        group.len()
    }

    #[tokio::test]
    async fn a_group_takes_in_what_comes_unless_its_first_is_waited_for() {
        let later = Instant::now() + Duration::from_secs(3600);
        assert_eq!(gathered(statement(false), later).await, 3);
        assert_eq!(gathered(statement(true), later).await, 1);
    }

    #[tokio::test]
    async fn nothing_more_is_waited_for_after_its_time_or_at_the_end() {
        let (_open, mut statements) = mpsc::channel(1);
        let (mut group, now) = (vec![statement(false)], Instant::now());
        gather(&mut group, &mut statements, now, &CancellationToken::new()).await;
        let finish = CancellationToken::new();
        finish.cancel();
        gather(&mut group, &mut statements, now + Duration::from_secs(3600), &finish).await;
        assert_eq!(group.len(), 1);
    }
}
