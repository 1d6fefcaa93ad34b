//! A target that answered 410 is gone for good: its webhook is disabled.

use bson::{Bson, Document, doc};
use taskwire::store::{ServerClock, Store, names};

use super::target::Target;

/// How often a write that meets another one is tried.
const TRIES: usize = 5;

/// Disables the webhook with reason `gone`, unless it was disabled, deleted or pointed elsewhere since. The document is
/// replaced whole and guarded by its revision, so that the change stream brings it in full.
///
/// # Errors
/// The driver's error.
pub(crate) async fn disable(store: &Store, clock: &ServerClock, target: &Target) -> mongodb::error::Result<bool> {
    let webhooks = store.collection::<Document>(names::WEBHOOKS);
    for _ in 0..TRIES {
        let Some(mut webhook) = webhooks.find_one(doc! { "_id": target.id }).await? else { return Ok(false) };
        let is_live = webhook.get_bool("enabled").unwrap_or(false) && !webhook.contains_key("deletedAt");
        if !is_live || webhook.get_str("targetUrl").ok() != Some(target.target_url.as_str()) {
            return Ok(false);
        }
        let Ok(revision) = webhook.get_i64("revision") else { return Ok(false) };
        webhook.insert("enabled", false);
        webhook.insert("disabledReason", "gone");
        webhook.insert("revision", revision + 1);
        webhook.insert("updatedAt", Bson::DateTime(clock.now()));
        let replaced = webhooks.replace_one(doc! { "_id": target.id, "revision": revision }, webhook).await?;
        if replaced.matched_count == 1 {
            tracing::warn!(webhook = %target.id, "the target answered 410 Gone: the webhook is disabled");
            metrics::counter!("taskwire_webhooks_disabled_total", "reason" => "gone").increment(1);
            return Ok(true);
        }
    }
    Ok(false)
}
