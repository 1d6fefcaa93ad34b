//! What the judge must know of the past before it sees the next units: read for all of them at once.

use bson::{RawDocumentBuf, doc};
use futures::TryStreamExt;
use mongodb::Collection;
use taskwire::model::DocId;
use taskwire::store::names;

use super::{Tail, TailEnd};
use crate::change::{Change, SwapApproval, What, swap_tasks};
use crate::memory::LoadError;
use crate::unit::Unit;

impl Tail {
    /// Reads, in one query each, the snapshots these units need and the swap requests that an update did not show.
    pub(super) async fn load(&mut self, units: &mut [Unit]) -> Result<(), TailEnd> {
        let snapshots: Collection<RawDocumentBuf> = self.store.collection(names::SNAPSHOTS);
        self.look_up_requests(units).await.map_err(LoadError::from)?;
        let changes = units.iter().flat_map(|unit| &unit.changes);
        let tasks = changes.flat_map(|change: &Change| match &change.what {
            What::Task { id, .. } => vec![id.clone()],
            What::Row(row) => vec![row.task.clone()],
            What::SwapApproved(approval) => approval.tasks.iter().flatten().cloned().collect(),
            _ => Vec::new(),
        });
        let tasks: Vec<DocId> = tasks.collect();
        self.memory.load(&snapshots, &self.mapping, tasks.into_iter()).await?;
        Ok(())
    }

    /// An update that approves a swap request does not show its tasks. They never change, so reading them now is as good
    /// as reading them then.
    async fn look_up_requests(&self, units: &mut [Unit]) -> mongodb::error::Result<()> {
        let Some(shape) = &self.mapping.swap_requests else { return Ok(()) };
        let changes = units.iter_mut().flat_map(|unit| &mut unit.changes);
        let mut open: Vec<&mut SwapApproval> = changes
            .filter_map(|change| match &mut change.what {
                What::SwapApproved(approval) if approval.tasks.is_none() => Some(approval),
                _ => None,
            })
            .collect();
        if open.is_empty() {
            return Ok(());
        }
        let keys: Vec<bson::Bson> = open.iter().map(|approval| approval.id.clone().into()).collect();
        let requests: Collection<RawDocumentBuf> = self.store.collection(&shape.collection);
        let mut found = requests.find(doc! { "_id": { "$in": keys } }).await?;
        while let Some(request) = found.try_next().await? {
            let id = request.get("_id").ok().flatten().and_then(DocId::from_raw);
            match swap_tasks(&request, shape) {
                Ok((tasks, approver)) => {
                    for approval in open.iter_mut().filter(|approval| Some(&approval.id) == id.as_ref()) {
                        approval.tasks = Some(tasks.clone());
                        approval.approver = approval.approver.take().or_else(|| approver.clone());
                    }
                }
                Err(misfit) => tracing::warn!(reason = %misfit, "an approved swap request does not name its tasks"),
            }
        }
        Ok(())
    }
}
