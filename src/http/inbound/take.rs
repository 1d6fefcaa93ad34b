//! Taking a call that was let in: planned on what stands, written in one transaction, answered by its receipt.

use std::time::Duration;

use axum::Json;
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use bson::DateTime;
use rand::Rng;
use serde::Serialize;

use super::categories::{CategoryInput, read_categories};
use super::door::Pass;
use super::plan::{Plan, Planner, group_update};
use super::present;
use super::task_input::{TaskInput, read_tasks};
use crate::http::App;
use crate::http::error::{ApiError, ApiResult};
use crate::http::idempotency::REPLAYED;
use crate::mapping::{Mapping, Writer, WriterShape};
use crate::model::dates::later;
use crate::model::{InboundKind, ItemOutcome, ItemResult, Receipt};
use crate::store;
use crate::store::inbound_writes::{Applied, Documents, GroupTouch, Writes, apply};

/// How often a call is planned anew on what has changed meanwhile.
const PLANS_MAX: u32 = 10;
/// How long a receipt is kept: long after its signature is too old.
const RECEIPT_KEPT: Duration = Duration::from_secs(7 * 86_400);

/// How a call ended, for its metric.
#[derive(Debug, Clone, Copy)]
pub(super) enum Outcome {
    Created,
    Updated,
    Unchanged,
    Replayed,
    Read,
}

impl Outcome {
    /// All of them.
    pub(super) const ALL: [Self; 5] = [Self::Created, Self::Updated, Self::Unchanged, Self::Replayed, Self::Read];

    /// Its label.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Updated => "updated",
            Self::Unchanged => "unchanged",
            Self::Replayed => "replayed",
            Self::Read => "read",
        }
    }

    /// What a call did in all: the most that it did to one of its items.
    fn of(results: &[ItemResult]) -> Self {
        let any = |outcome| results.iter().any(|result| result.outcome == outcome);
        if any(ItemOutcome::Created) {
            Self::Created
        } else if any(ItemOutcome::Updated) {
            Self::Updated
        } else {
            Self::Unchanged
        }
    }
}

/// Does what a call that was let in asks for, once.
pub(super) async fn take(app: &App, pass: &Pass, kind: InboundKind, body: &[u8]) -> ApiResult<(Outcome, Response)> {
    if let Some(answer) = answered_before(app, pass, kind).await? {
        return Ok(answer);
    }
    let shape = app.mapping.writer.as_ref().ok_or_else(|| {
        ApiError::conflict("this Taskwire cannot write for the task service: its mapping has no [writer]")
    })?;
    let wanted = Wanted::read(kind, body, &app.mapping)?;
    let _turn = app.inbound.turns.take(&pass.group).await?;
    for attempt in 1..=PLANS_MAX {
        let now = app.clock.now();
        let (plan, names_seen) = wanted.plan(app, pass, shape, now).await?;
        let receipt = receipt_of(pass, kind, &plan, now);
        let answer = first_answer(&receipt);
        match apply(&app.store, writes(app, pass, kind, shape, plan, names_seen, receipt)).await? {
            Applied::Done => return Ok(answer),
            Applied::TakenBefore => {
                // Not yet on a majority if there is none.
                if let Some(answer) = answered_before(app, pass, kind).await? {
                    return Ok(answer);
                }
            }
            Applied::Stale => {}
        }
        let pause = rand::rng().random_range(1..=u64::from(attempt) * 10);
        tokio::time::sleep(Duration::from_millis(pause)).await;
    }
    Err(ApiError::busy())
}

/// What a call wants, read and checked by itself.
enum Wanted {
    Tasks(Vec<TaskInput>),
    Categories(Vec<CategoryInput>),
}

impl Wanted {
    fn read(kind: InboundKind, body: &[u8], mapping: &Mapping) -> ApiResult<Self> {
        match kind {
            InboundKind::Tasks => read_tasks(body, mapping).map(Self::Tasks),
            InboundKind::Categories => read_categories(body, mapping).map(Self::Categories),
        }
    }

    /// Looks up what stands and plans on it; with how often names had been written by then, where names are looked at.
    async fn plan(&self, app: &App, pass: &Pass, shape: &WriterShape, now: DateTime) -> ApiResult<(Plan, Option<i64>)> {
        let (mapping, integration) = (&*app.mapping, &pass.integration);
        let writer = Writer::new(mapping, shape, &pass.group, &integration.user_id, now);
        let planner = Planner { mapping, writer, group: &pass.group, scopes: &integration.scopes, now };
        match self {
            Self::Tasks(inputs) => {
                let present = present::tasks(app, pass, shape, inputs).await?;
                Ok((planner.tasks(inputs, &present)?, None))
            }
            Self::Categories(inputs) => {
                let (present, seen) = present::categories(app, pass, &shape.categories, inputs).await?;
                let plan = planner.categories(inputs, &present, &shape.categories)?;
                let names = plan.writes().then_some(seen);
                Ok((plan, names))
            }
        }
    }
}

fn writes(
    app: &App,
    pass: &Pass,
    kind: InboundKind,
    shape: &WriterShape,
    plan: Plan,
    names_seen: Option<i64>,
    receipt: Receipt,
) -> Writes {
    let mapping = &app.mapping;
    let touches = kind == InboundKind::Tasks && plan.writes();
    let update = touches.then(|| group_update(&shape.group, &plan, receipt.at));
    let history = mapping.history.as_ref().map(|history| history.collection.clone());
    Writes {
        receipt,
        new_refs: plan.new_refs,
        moved_refs: plan.moved_refs,
        names_seen,
        rows: Documents { collection: history.unwrap_or_default(), inserts: plan.rows, replaces: Vec::new() },
        documents: plan.documents,
        group: update.map(|update| GroupTouch {
            collection: mapping.groups.collection.clone(),
            id: pass.group.clone(),
            update,
        }),
    }
}

fn receipt_of(pass: &Pass, kind: InboundKind, plan: &Plan, now: DateTime) -> Receipt {
    let created = plan.results.iter().any(|result| result.outcome == ItemOutcome::Created);
    Receipt {
        id: pass.receipt.clone(),
        integration_id: pass.integration.id,
        group_id: pass.group.clone(),
        kind,
        status: if created { 201 } else { 200 },
        results: plan.results.clone(),
        at: now,
        expire_at: later(now, RECEIPT_KEPT),
    }
}

#[derive(Serialize)]
struct Answer<'a> {
    results: &'a [ItemResult],
}

fn first_answer(receipt: &Receipt) -> (Outcome, Response) {
    let created = Outcome::of(&receipt.results);
    let status = u16::try_from(receipt.status).ok().and_then(|status| StatusCode::from_u16(status).ok());
    let answer = (status.unwrap_or(StatusCode::OK), Json(Answer { results: &receipt.results }));
    (created, answer.into_response())
}

/// The answer to this very request, if it was taken before.
///
/// # Errors
/// 409 where it was taken at the other endpoint: a signature covers time and body, not the path.
async fn answered_before(app: &App, pass: &Pass, kind: InboundKind) -> ApiResult<Option<(Outcome, Response)>> {
    let Some(receipt) = store::inbound::receipt(&app.store, &pass.receipt).await? else { return Ok(None) };
    if receipt.kind != kind {
        let detail =
            format!("this signature was used for {} already: sign the request with a new time", receipt.kind.name());
        return Err(ApiError::conflict(detail));
    }
    let (_, mut response) = first_answer(&receipt);
    response.headers_mut().insert(REPLAYED, HeaderValue::from_static("true"));
    Ok(Some((Outcome::Replayed, response)))
}
