//! What is written down of tasks that differ, so that the cause can be found: what the writers know, the log, the
//! deliveries, the snapshot, and the task's own entries in the oplog.

use std::fmt::Write as _;

use anyhow::Result;
use bson::oid::ObjectId;
use bson::{Document, doc};
use futures::TryStreamExt;

use crate::findings::Findings;
use crate::stage::Stage;
use crate::writers::Model;

/// Writes `evidence.txt` beside the logs.
pub(crate) async fn write_down(stage: &Stage, model: &Model, findings: &Findings) -> Result<()> {
    let mut text = format!("{findings}\n");
    for id in
        stage.database.collection::<Document>("watcherCheckpoints").find(doc! {}).await?.try_collect::<Vec<_>>().await?
    {
        writeln!(text, "checkpoint {id}")?;
    }
    for task in findings.tasks() {
        writeln!(text, "\n== task {task}")?;
        let Ok(id) = task.parse::<ObjectId>() else { continue };
        for told in model.told.iter().filter(|told| told.expected.task == id) {
            writeln!(text, "expected: {} (group {}, generation {})", told.expected, told.group, told.generation)?;
        }
        for (collection, filter, sort) in [
            ("tasks", doc! { "_id": id }, doc! {}),
            ("taskSnapshots", doc! { "_id": id }, doc! {}),
            ("taskEvents", doc! { "taskId": id }, doc! { "_id": 1 }),
            ("taskHistories", doc! { "TaskId": id }, doc! { "_id": 1 }),
            ("webhookDeliveries", doc! { "taskId": id }, doc! { "_id": 1 }),
            ("quarantinedChanges", doc! { "documentKey": id }, doc! { "_id": 1 }),
        ] {
            let found = stage.database.collection::<Document>(collection).find(filter).sort(sort).await?;
            for document in found.try_collect::<Vec<_>>().await? {
                writeln!(text, "{collection}: {document}")?;
            }
        }
        let oplog = stage.database.client().database("local").collection::<Document>("oplog.rs");
        let own = doc! { "$or": [{ "o._id": id }, { "o2._id": id }, { "o.applyOps.o._id": id }, { "o.applyOps.o2._id": id }] };
        for entry in oplog.find(own).sort(doc! { "$natural": 1 }).await?.try_collect::<Vec<_>>().await? {
            writeln!(text, "oplog: {entry}")?;
        }
    }
    std::fs::write(stage.log_directory().join("evidence.txt"), text)?;
    Ok(())
}
