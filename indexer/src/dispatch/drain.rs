//! Whether a group's queue has been worked off.

use bson::DateTime;
use taskwire::model::DocId;
use taskwire::store::parcels;

use super::{DispatchHandle, Tally};
use crate::claim;
use taskwire::target::TargetState;

impl DispatchHandle {
    /// What was done so far.
    #[must_use]
    pub fn tally(&self) -> Tally {
        self.engine.meters.tally()
    }

    /// Whether nothing is held here, and no delivery that was due at `cutoff` waits for a webhook of this group that is sent
    /// to. The most overdue go first, so this comes true however fast new ones are queued.
    ///
    /// # Errors
    /// The driver's error.
    pub async fn is_drained(&self, group: &DocId, cutoff: DateTime) -> mongodb::error::Result<bool> {
        let engine = &self.engine;
        if !engine.view.is_fresh() || engine.board().held() > 0 {
            return Ok(false);
        }
        parcels::unpack(&engine.store, None).await?;
        let queues = claim::open_queues(&engine.store).await?;
        let waits = queues.iter().filter(|queue| queue.first_due <= cutoff).any(|queue| {
            let target = engine.view.get(queue.webhook);
            target.is_some_and(|target| target.state != TargetState::Disabled && target.group.as_ref() == Some(group))
        });
        Ok(!waits && engine.board().held() == 0)
    }
}
