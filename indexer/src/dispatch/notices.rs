//! Tells a group's alert address of its webhooks' trouble. A notice is a delivery like any other: signed, tried again, in the
//! log. Any number of processes may look; each notice is queued once.

use std::collections::HashMap;
use std::time::Duration;

use bson::{DateTime, doc, oid::ObjectId};
use futures::TryStreamExt;
use taskwire::model::dates::{earlier, later};
use taskwire::model::{Delivery, DisabledReason, DocId, Mend, Notice, NoticeKind, Webhook};
use taskwire::store::notices::{self, Pending};
use taskwire::store::{Store, describe, names, webhooks};

use super::engine::Engine;

/// How often it is looked whether there is something to tell.
const LOOK: Duration = Duration::from_secs(2);

/// How much is told at one look.
const MOST: i64 = 200;

/// So long before its first attempt fails a delivery has been made, at most, where nothing else holds it up: what it waits for
/// room, and the attempt.
const MADE_BEFORE: Duration = Duration::from_secs(60);

/// Looks again and again. What cannot be told now is found by the next look.
pub(crate) async fn keep_telling(engine: &Engine) {
    let mut every = tokio::time::interval(LOOK);
    every.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        every.tick().await;
        for kind in [NoticeKind::Failing, NoticeKind::Recovered, NoticeKind::DeadLetter] {
            if let Err(error) = tell(engine, kind).await {
                tracing::debug!(error = describe(&error), "groups could not be told of their webhooks' trouble");
            }
        }
    }
}

async fn tell(engine: &Engine, kind: NoticeKind) -> mongodb::error::Result<()> {
    let (store, now) = (&engine.store, engine.clock.now());
    let wait = match kind {
        NoticeKind::Failing => engine.alerts.failing_after,
        NoticeKind::DeadLetter => engine.alerts.gather,
        NoticeKind::Recovered | NoticeKind::Disabled => Duration::ZERO,
    };
    let pending = notices::pending(store, kind, earlier(now, wait), MOST).await?;
    if pending.is_empty() {
        return Ok(());
    }
    let about = configurations(store, &pending).await?;
    let alerts = alerts(store, about.values().map(|webhook| webhook.group_id.clone()).collect()).await?;
    let mut untold = Vec::new();
    for pending in pending {
        let row = about.get(&pending.webhook_id).and_then(|webhook| {
            let alert = alerts.get(&webhook.group_id)?;
            notice(kind, &pending, engine.alerts.failing_after, now)
                .filter(|_| webhook.is_live())?
                .row(webhook, alert, now)
        });
        match row {
            None => untold.push(pending),
            Some(row) => {
                if notices::tell(store, kind, &pending, &row, now).await? {
                    tracing::info!(webhook = %pending.webhook_id, notice = row.event_type.name(), "notice queued");
                    engine.more.notify_one();
                }
            }
        }
    }
    notices::pass_over(store, kind, &untold, now).await
}

fn notice(kind: NoticeKind, pending: &Pending, failing_after: Duration, now: DateTime) -> Option<Notice> {
    Some(match kind {
        NoticeKind::Failing => {
            let since = pending.failing_since?;
            // Its events became deliveries, which a backfill leaves as they are. A replay goes by when they were made.
            let mend = Mend::Replay { since: earlier(since, MADE_BEFORE), until: now };
            Notice { kind, reason: pending.last_error.clone(), since, until: None, count: None, mend }
        }
        NoticeKind::Recovered => {
            let since = pending.told_failing?;
            let until = pending.last_success_at.unwrap_or(now);
            // It had been failing for so long when that was told.
            let mend = Mend::Replay { since: earlier(since, failing_after.saturating_add(MADE_BEFORE)), until };
            Notice { kind, reason: None, since, until: Some(until), count: None, mend }
        }
        NoticeKind::DeadLetter => {
            let dead = pending.dead_letters.as_ref()?;
            let after = later(dead.last_made, Duration::from_millis(1));
            Notice {
                kind,
                reason: Some(dead.reason.clone()),
                since: dead.since,
                until: Some(dead.until),
                count: Some(dead.count),
                mend: Mend::Replay { since: dead.first_made, until: after },
            }
        }
        NoticeKind::Disabled => return None,
    })
}

/// The notice of a disabling by Taskwire itself, if anybody is to hear it: written together with it.
pub(crate) async fn of_disabling(
    store: &Store,
    webhook: &Webhook,
    reason: DisabledReason,
    now: DateTime,
) -> mongodb::error::Result<Option<Delivery>> {
    let alert = alerts(store, vec![webhook.group_id.clone()]).await?.into_values().next();
    let notice = Notice {
        kind: NoticeKind::Disabled,
        reason: Some(reason.to_string()),
        since: now,
        until: None,
        count: None,
        mend: Mend::Backfill { since: now },
    };
    Ok(alert.and_then(|alert| notice.row(webhook, &alert, now)))
}

async fn configurations(store: &Store, pending: &[Pending]) -> mongodb::error::Result<HashMap<ObjectId, Webhook>> {
    let ids: Vec<ObjectId> = pending.iter().map(|pending| pending.webhook_id).collect();
    let found = store.collection::<Webhook>(names::WEBHOOKS).find(doc! { "_id": { "$in": ids } }).await?;
    found.map_ok(|webhook| (webhook.id, webhook)).try_collect().await
}

async fn alerts(store: &Store, groups: Vec<DocId>) -> mongodb::error::Result<HashMap<DocId, Webhook>> {
    let found = webhooks::alerts(store, &groups).await?;
    Ok(found.into_iter().map(|alert| (alert.group_id.clone(), alert)).collect())
}
