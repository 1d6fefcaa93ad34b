//! Disabling webhooks without an admin: those whose target is gone, and those that failed for too long. Whichever process
//! finds it first does it, once: the configuration is replaced whole, guarded by its revision, together with the entry in the
//! audit.

use std::time::Duration;

use bson::{doc, oid::ObjectId};
use taskwire::model::audit::SYSTEM;
use taskwire::model::dates::earlier;
use taskwire::model::{AuditAction, AuditEntry, DisabledReason, DocId, Webhook};
use taskwire::store::health::failing_since_before;
use taskwire::store::webhooks::{Replaced, replace_and_tell};
use taskwire::store::{ServerClock, Store, names};

use taskwire::target::Target;

use super::notices;

/// How often a write that meets another one is tried.
const TRIES: usize = 5;

/// Disables a webhook whose target answered 410, unless it was disabled, deleted or pointed elsewhere since.
///
/// # Errors
/// The driver's error.
pub(crate) async fn gone(store: &Store, clock: &ServerClock, target: &Target) -> mongodb::error::Result<()> {
    for _ in 0..TRIES {
        let Some(webhook) = live(store, target.id).await? else { return Ok(()) };
        if webhook.target_url != target.target_url || disable(store, clock, webhook, DisabledReason::Gone).await? {
            return Ok(());
        }
    }
    Ok(())
}

/// Disables those of `webhooks` that have been failing for `limit`. One that is enabled anew meanwhile has another revision,
/// and its failures forgotten.
///
/// # Errors
/// The driver's error. The next failure finds what was left.
pub(crate) async fn failing(
    store: &Store,
    clock: &ServerClock,
    webhooks: &[ObjectId],
    limit: Duration,
) -> mongodb::error::Result<()> {
    let before = earlier(clock.now(), limit);
    for id in failing_since_before(store, webhooks, before).await? {
        for _ in 0..TRIES {
            // Read before its failures, so that the revision tells whether these still count.
            let Some(webhook) = live(store, id).await? else { break };
            let is_failing = !failing_since_before(store, &[id], before).await?.is_empty();
            if !is_failing || disable(store, clock, webhook, DisabledReason::FailingFor5Days).await? {
                break;
            }
        }
    }
    Ok(())
}

async fn live(store: &Store, id: ObjectId) -> mongodb::error::Result<Option<Webhook>> {
    let found = store.collection::<Webhook>(names::WEBHOOKS).find_one(doc! { "_id": id }).await?;
    Ok(found.filter(Webhook::is_live))
}

/// False if somebody else changed the webhook meanwhile.
async fn disable(
    store: &Store,
    clock: &ServerClock,
    mut webhook: Webhook,
    reason: DisabledReason,
) -> mongodb::error::Result<bool> {
    let now = clock.now();
    webhook.disable(reason, now);
    webhook.revision += 1;
    webhook.updated_at = now;
    let actor = DocId::Text(SYSTEM.to_owned());
    let entry = AuditEntry::of_webhook(&webhook, actor, now, AuditAction::WebhookDisabled);
    let entry = AuditEntry { reason: Some(reason), ..entry };
    let notice = notices::of_disabling(store, &webhook, reason, now).await?;
    if replace_and_tell(store, &webhook, &[entry], notice.as_ref()).await? == Replaced::ChangedMeanwhile {
        return Ok(false);
    }
    match reason {
        DisabledReason::Gone => {
            tracing::warn!(webhook = %webhook.id, "the target answered 410 Gone: the webhook is disabled");
        }
        DisabledReason::FailingFor5Days | DisabledReason::Admin => {
            tracing::warn!(webhook = %webhook.id, "no delivery has succeeded for too long: the webhook is disabled");
        }
    }
    metrics::counter!("taskwire_webhooks_disabled_total", "reason" => reason.to_string()).increment(1);
    Ok(true)
}
