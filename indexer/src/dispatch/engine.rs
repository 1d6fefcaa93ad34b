//! The engine's shared state, and the way of one attempt through it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bson::oid::ObjectId;
use taskwire::config::{AlertSettings, Retention};
use taskwire::store::{ServerClock, Store, describe};
use tokio::sync::{Notify, mpsc};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::board::{Board, Turn};
use super::chain::ChainBoard;
use super::clock::Clocks;
use super::disable;
use super::health::HealthBoard;
use super::job::Job;
use super::lane::Verdict;
use super::meters::Meters;
use super::statement::{self, AttemptRecord, Statement};
use super::stats::StatsBoard;
use super::told::{self, Ended};
use super::view::View;
use taskwire::backoff;
use taskwire::client::TargetClient;
use taskwire::outcome::Next;
use taskwire::outcome::{Answer, Failure, Outcome, Reason, judge, may_attempt, settle};
use taskwire::target::{Label, Target, TargetState};
use taskwire::telemetry::traces;

/// What all parts of the dispatcher share.
#[derive(Debug)]
pub(crate) struct Engine {
    pub(crate) store: Store,
    pub(crate) clock: ServerClock,
    pub(crate) view: View,
    pub(crate) meters: Meters,
    pub(crate) health: HealthBoard,
    pub(crate) stats: StatsBoard,
    pub(crate) clocks: Clocks,
    /// When a group hears of its webhooks' trouble.
    pub(crate) alerts: AlertSettings,
    /// How long a webhook may fail.
    pub(crate) disable_failing_after: Duration,
    /// There is work for the claim.
    pub(crate) more: Arc<Notify>,
    /// A row waits for a share of its webhook's rate limit.
    pub(crate) lacks_share: Notify,
    pub(crate) workers: TaskTracker,
    /// Ends requests in flight, when the grace is over.
    pub(crate) cut_off: CancellationToken,
    pub(crate) client: TargetClient,
    pub(crate) statements: mpsc::Sender<Statement>,
    pub(crate) retry_after_cap: Duration,
    pub(crate) retention: Retention,
    pub(crate) board: Mutex<Board>,
    /// What keeps an order and was handed over.
    pub(crate) chains: Arc<ChainBoard>,
}

/// What a worker does with a row whose turn has come.
enum Step {
    Attempt(Job, Arc<Target>),
    /// It may not be sent now.
    Release(Job),
    /// Its attempts are used up.
    GiveUp(Job),
}

impl Engine {
    pub(crate) fn board(&self) -> MutexGuard<'_, Board> {
        self.board.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts whatever may start.
    pub(crate) fn kick(self: &Arc<Self>) {
        while let Some(step) = self.next() {
            let engine = Arc::clone(self);
            self.workers.spawn(async move {
                let cut_off = engine.cut_off.clone();
                tokio::select! {
                    () = engine.work(step) => {}
                    () = cut_off.cancelled() => {}
                }
            });
        }
    }

    /// Does one row after the other for as long as one may start.
    async fn work(self: &Arc<Self>, first: Step) {
        let mut step = Some(first);
        while let Some(current) = step {
            match current {
                Step::Attempt(job, target) => self.attempt(job, &target).await,
                Step::Release(job) => self.finish_without_attempt(job, None).await,
                Step::GiveUp(job) => {
                    let reason = if job.is_after_interruption() {
                        "attempts used up, the last one interrupted"
                    } else {
                        "attempts used up: the retry policy allows fewer by now"
                    };
                    self.finish_without_attempt(job, Some(reason)).await;
                }
            }
            step = self.next();
        }
    }

    /// The next row whose turn it is. The view is asked here, right before the request.
    fn next(self: &Arc<Self>) -> Option<Step> {
        if !self.view.is_fresh() {
            return None;
        }
        let now = Instant::now();
        let (turn, alarms) = {
            let mut board = self.board();
            (board.turn(now), board.take_alarms())
        };
        for (webhook, at) in alarms {
            self.wake_lane_at(webhook, at);
        }
        let job = match turn {
            Turn::Start(job) => job,
            Turn::Nothing => return None,
        };
        let target = self.view.sendable(job.webhook());
        Some(match target.filter(|target| job.has_time_for(target.timeout, now)) {
            None => Step::Release(job),
            Some(target) if may_attempt(job.tries(), target.retry, job.is_after_interruption()) => {
                Step::Attempt(job, target)
            }
            Some(_) => Step::GiveUp(job),
        })
    }

    fn wake_lane_at(self: &Arc<Self>, webhook: ObjectId, at: Instant) {
        let engine = Arc::clone(self);
        tokio::spawn(async move {
            tokio::select! {
                () = tokio::time::sleep_until(at.into()) => {}
                () = engine.workers.wait() => return,
            }
            engine.board().wake(webhook);
            engine.kick();
        });
    }

    async fn attempt(&self, job: Job, target: &Target) {
        let (webhook, kind, happened_at) = (job.webhook(), job.row.event_type, job.happened_at);
        let (began, began_at) = (Instant::now(), self.clock.now());
        self.meters.attempted(kind);
        let answer = self.post(&job, target, began_at.timestamp_millis() / 1000).await;
        let (took, ended_at) = (began.elapsed(), self.clock.now());
        let outcome = judge(&answer);
        let next = settle(&outcome, job.tries(), target.retry, backoff::random_spread(), self.retry_after_cap);
        let reason = outcome.reason().map(|reason| reason.to_string());
        match &reason {
            None => {
                let since_change = ended_at.timestamp_millis() - happened_at.timestamp_millis();
                // What failed before or is replayed tells of the target, not of the way from the change to it.
                self.meters.succeeded(kind, took, (job.row.attempts == 1).then_some(since_change));
                self.health.succeeded(webhook, ended_at);
            }
            Some(reason) => {
                self.meters.failed(kind, took);
                self.health.failed(webhook, ended_at, reason);
            }
        }
        self.stats.attempted(&job.row, ended_at, took, reason.is_none());
        if next == Next::DeadLetter {
            self.meters.dead_lettered(kind, 1);
            self.stats.gave_up(&job.row, ended_at);
            self.health.given_up(webhook, ended_at, job.row.created_at, reason.as_deref().unwrap_or_default());
        }
        let (status, told_reason) = (response_status(&answer), reason.as_deref());
        told::attempt(&Ended { row: &job.row, began: began_at, took, status, next, reason: told_reason });
        let record = AttemptRecord {
            began: began_at,
            ended: ended_at,
            duration_ms: i64::try_from(took.as_millis()).unwrap_or(i64::MAX),
            response_status: response_status(&answer),
            error: reason,
            response_body: response_body(answer),
        };
        if outcome == Outcome::Gone {
            self.stop_gone(target).await;
        }
        self.send(statement::attempted(job, record, next, self.retention)).await;
        self.end(webhook, verdict(&outcome), began);
    }

    async fn post(&self, job: &Job, target: &Target, timestamp: i64) -> Answer {
        let Some(body) = &job.body else { return Answer::Failure(Failure::EventGone) };
        let label = Label::from(&*job.row);
        match target.request(&label, timestamp, body) {
            Ok(mut request) => {
                if let Some(trace) = traces::header_of_attempt(label.event, label.delivery, label.attempt) {
                    request.headers.insert(traces::TRACEPARENT, trace);
                }
                self.client.post(request.url, request.headers, body.clone(), target.timeout).await
            }
            Err(failure) => Answer::Failure(failure),
        }
    }

    /// Stops sending to a target that is gone: here at once, and everywhere by disabling its webhook.
    async fn stop_gone(&self, target: &Target) {
        if self
            .view
            .get(target.id)
            .is_some_and(|known| known.state == TargetState::Live && known.revision == target.revision)
        {
            self.view.put(Target::placeholder(target.id, target.revision, TargetState::Disabled));
        }
        if let Err(error) = disable::gone(&self.store, &self.clock, target).await {
            tracing::warn!(webhook = %target.id, error = describe(&error), "a webhook whose target is gone could not be disabled");
        }
        // Whatever came of it, the stored configuration decides.
        self.view.forget(target.id);
    }

    async fn finish_without_attempt(&self, job: Job, given_up: Option<&str>) {
        let (webhook, kind) = (job.webhook(), job.row.event_type);
        match given_up {
            None => self.send(statement::released(job, self.clock.now())).await,
            Some(reason) => {
                let now = self.clock.now();
                self.meters.dead_lettered(kind, 1);
                self.stats.gave_up(&job.row, now);
                self.health.given_up(webhook, now, job.row.created_at, reason);
                told::given_up(&job.row, reason);
                let expire_at = self.retention.expiry(now);
                self.send(statement::given_up(job, reason, expire_at)).await;
            }
        }
        self.end(webhook, Verdict::Neutral, Instant::now());
    }

    fn end(&self, webhook: ObjectId, verdict: Verdict, began: Instant) {
        let ended = self.board().ended(webhook, verdict, began, Instant::now());
        if ended.wants_more {
            self.more.notify_one();
        }
    }

    /// Gives rows back that were held and not begun.
    pub(crate) async fn release(&self, jobs: Vec<Job>) {
        for job in jobs {
            self.send(statement::released(job, self.clock.now())).await;
        }
    }

    /// Gives rows back that have room in their lanes and did not get into them.
    pub(crate) async fn give_back(&self, jobs: Vec<Job>) {
        {
            let mut board = self.board();
            jobs.iter().for_each(|job| board.give_back(job.webhook(), 1));
        }
        // Nothing of their tasks waits any more.
        self.release(jobs.into_iter().map(|job| Job { of_chain: false, ..job }).collect()).await;
    }

    /// Waits while the writer is behind. After the stop the writer may be gone: the row's lease then runs out by itself.
    async fn send(&self, statement: Statement) {
        if self.statements.send(statement).await.is_err() {
            tracing::debug!("a row was left to its lease: the writer has ended");
        }
    }

    /// Takes held rows in and starts what may start. A board that is closed gives them back.
    pub(crate) fn take_in(self: &Arc<Self>, jobs: Vec<Job>) {
        let (refused, lacks_share) = {
            let mut board = self.board();
            let mut by_webhook = Vec::new();
            for job in jobs {
                if board.is_closed() {
                    board.give_back(job.webhook(), 1);
                    by_webhook.push(job);
                } else {
                    board.fill(job);
                }
            }
            (by_webhook, board.take_lacks_share())
        };
        if lacks_share {
            self.lacks_share.notify_one();
        }
        for job in refused {
            let _ = self.statements.try_send(statement::released(job, self.clock.now()));
        }
        self.kick();
    }
}

const fn response_status(answer: &Answer) -> Option<u16> {
    match answer {
        Answer::Response { status, .. } => Some(*status),
        Answer::Failure(_) => None,
    }
}

fn response_body(answer: Answer) -> Option<String> {
    match answer {
        Answer::Response { body, .. } => body,
        Answer::Failure(_) => None,
    }
}

/// What an outcome says about the target's capacity.
const fn verdict(outcome: &Outcome) -> Verdict {
    match outcome {
        Outcome::Delivered => Verdict::Well,
        Outcome::Retry { reason: Reason::Status(_), .. } if outcome.is_trouble() => Verdict::Strained,
        Outcome::Retry { reason: Reason::Failure(_), .. } => Verdict::Absent,
        Outcome::Retry { .. } | Outcome::GiveUp(_) | Outcome::Gone => Verdict::Neutral,
    }
}
