//! Bulk replays and backfills, done in the background: a page at a time, each in one transaction with the place behind it,
//! so that whatever is killed, the next process goes on and does nothing twice. Any process that dispatches may do it; those
//! that wait take turns.

mod backfill;
mod requeue;

use std::time::Duration;

use bson::{DateTime, Document, doc};
use mongodb::ClientSession;
use mongodb::error::Result;
use taskwire::model::dates::later;
use taskwire::model::{Last, Replay, ReplayKind, ReplayState, Webhook};
use taskwire::store::{ServerClock, Store, Verdict, describe, in_transaction, names, replays};
use tokio_util::sync::CancellationToken;

use crate::dispatch::DispatchHandle;

/// Rows or events that are worked off in one transaction.
const PAGE: usize = 500;

/// Pages in one turn: then another replay may be next.
const TURN: usize = 20;

/// How long a taken one is held. Each page renews it; one that takes longer is undone by whoever took it over.
const LEASE: Duration = Duration::from_secs(30);

/// How often somebody looks for new ones.
const LOOK: Duration = Duration::from_secs(1);

/// After trouble.
const AGAIN: Duration = Duration::from_secs(5);

/// What came of a page.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Page {
    /// There is more.
    More(Last),
    /// It was the last one.
    End,
    /// Another process holds it, or it was cancelled.
    Lost,
    /// It cannot go on.
    Failed,
}

/// What a page did.
#[derive(Debug, Clone, Default)]
struct Done {
    done: u64,
    skipped: u64,
    /// Behind what was looked at.
    last: Option<Last>,
    is_end: bool,
}

/// Works on them until stopped.
pub async fn run(store: Store, clock: ServerClock, dispatcher: DispatchHandle, stop: CancellationToken) {
    let worker = Worker { store, clock, dispatcher };
    while !stop.is_cancelled() {
        let pause = match worker.turn(&stop).await {
            Ok(true) => continue,
            Ok(false) => LOOK,
            Err(error) => {
                tracing::warn!(error = describe(&error), "bulk replays cannot go on; trying again");
                AGAIN
            }
        };
        tokio::select! {
            () = stop.cancelled() => {}
            () = tokio::time::sleep(pause) => {}
        }
    }
}

struct Worker {
    store: Store,
    clock: ServerClock,
    dispatcher: DispatchHandle,
}

impl Worker {
    /// One turn of the replay that waited longest; false if none waits.
    async fn turn(&self, stop: &CancellationToken) -> Result<bool> {
        let token = format!("{:032x}", rand::random::<u128>());
        let now = self.clock.now();
        let Some(mut replay) = replays::take(&self.store, &token, now, later(now, LEASE)).await? else {
            return Ok(false);
        };
        let mut done = Ok(());
        for _ in 0..TURN {
            match self.page(&replay, &token).await {
                Ok(Page::More(last)) if !stop.is_cancelled() => replay.last = Some(last),
                Ok(Page::More(_)) => break,
                Ok(Page::End | Page::Lost | Page::Failed) => return Ok(true),
                Err(error) => {
                    done = Err(error);
                    break;
                }
            }
        }
        // After an error too: it is tried again sooner than the lease ends.
        replays::give_back(&self.store, replay.id, &token).await?;
        done.map(|()| true)
    }

    async fn page(&self, replay: &Replay, token: &str) -> Result<Page> {
        let page = match replay.kind {
            ReplayKind::Replay => requeue::page(&self.store, replay).await?,
            ReplayKind::Backfill => backfill::page(&self.store, replay).await?,
        };
        let now = self.clock.now();
        let done = in_transaction(&self.store, |session| {
            let (store, page, replay, token) = (self.store.clone(), page.clone(), replay.clone(), token.to_owned());
            Box::pin(async move {
                let Some(webhook) = standing(&store, session, &replay).await? else {
                    let end = failed("the webhook was deleted", now);
                    write(&store, session, &replay, &token, end).await?;
                    return Ok(Verdict::Commit((Page::Failed, 0)));
                };
                let done = page.apply(&store, session, &webhook, now).await?;
                let result = match done.last.clone().filter(|_| !done.is_end) {
                    Some(last) => Page::More(last),
                    None => Page::End,
                };
                if !write(&store, session, &replay, &token, progress(&done, now)).await? {
                    return Ok(Verdict::Abort((Page::Lost, 0)));
                }
                Ok(Verdict::Commit((result, done.done)))
            })
        });
        let (page, queued) = done.await?;
        if queued > 0 {
            self.dispatcher.wake();
        }
        if let Page::End | Page::Failed = page {
            tracing::info!(replay = %replay.id, webhook = %replay.webhook_id, kind = replay.kind.name(), "bulk work is over");
        }
        Ok(page)
    }
}

/// What was found for one page, not yet applied.
#[derive(Debug, Clone)]
enum Found {
    /// Rows to be queued again.
    Rows(requeue::Rows),
    /// Events whose deliveries are to be made.
    Events(backfill::Events),
}

impl Found {
    async fn apply(self, store: &Store, session: &mut ClientSession, webhook: &Webhook, now: DateTime) -> Result<Done> {
        match self {
            Self::Rows(rows) => rows.apply(store, session, webhook, now).await,
            Self::Events(events) => events.apply(store, session, webhook, now).await,
        }
    }
}

/// The webhook as it is now, unless it is deleted.
async fn standing(store: &Store, session: &mut ClientSession, replay: &Replay) -> Result<Option<Webhook>> {
    let there = doc! { "_id": replay.webhook_id, "deletedAt": { "$exists": false } };
    store.collection(names::WEBHOOKS).find_one(there).session(session).await
}

fn progress(done: &Done, now: DateTime) -> Document {
    let count = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
    let mut set = doc! { "leaseUntil": later(now, LEASE) };
    if let Some(last) = &done.last {
        set.insert("last", doc! { "at": last.at, "id": &last.id });
    }
    let counts = doc! { "done": count(done.done), "skipped": count(done.skipped) };
    if !done.is_end {
        return doc! { "$set": set, "$inc": counts };
    }
    set.remove("leaseUntil");
    set.extend(end(ReplayState::Done, now));
    doc! { "$set": set, "$inc": counts, "$unset": { "lease": "", "leaseUntil": "" } }
}

fn failed(reason: &str, now: DateTime) -> Document {
    let mut set = end(ReplayState::Failed, now);
    set.insert("reason", reason);
    doc! { "$set": set, "$unset": { "lease": "", "leaseUntil": "" } }
}

fn end(status: ReplayState, now: DateTime) -> Document {
    doc! { "status": status.name(), "finishedAt": now, "expireAt": replays::expiry(now) }
}

/// Changes the record where it is still ours to change.
async fn write(
    store: &Store,
    session: &mut ClientSession,
    replay: &Replay,
    token: &str,
    update: Document,
) -> Result<bool> {
    let ours = doc! { "_id": replay.id, "status": ReplayState::Running.name(), "lease": token };
    let records = store.collection::<Document>(names::REPLAYS);
    Ok(records.update_one(ours, update).session(session).await?.matched_count == 1)
}
