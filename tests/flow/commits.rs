//! Commits whose outcome is unknown, and steps of the record transaction that fail: nothing is lost or told twice.

use anyhow::Result;
use bson::{Document, doc};
use taskwire_tests::expected::Actors;
use taskwire_tests::service::{NewTask, Status};
use taskwire_tests::{Mongo, Profile, Program, Stack};

use crate::common::{SOON, event_log, log_matches};

/// The next `times` of the indexer's `command`s fail in this way.
fn failing(command: &str, times: i32, how: Document) -> Document {
    let mut data = doc! { "failCommands": [command], "appName": "taskwire-indexer" };
    data.extend(how);
    doc! { "configureFailPoint": "failCommand", "mode": { "times": times }, "data": data }
}

#[tokio::test]
async fn every_step_of_the_record_transaction_may_fail_and_each_event_is_recorded_once() -> Result<()> {
    let mongo = Mongo::single().await?;
    let stack = Stack::on(mongo.db().await?, Profile::TasksTracker).await?;
    let mut indexer = stack.launch(Program::Indexer).arguments(&["watch"]).start().await?;
    let task = stack.service.create(NewTask::named("wash")).await?.0.id;
    let closed = || doc! { "closeConnection": true };
    // The commit took effect, and its answer says that this is not known.
    let applied = || doc! { "writeConcernError": { "code": 91, "errmsg": "shutting down" } };
    let transient = || doc! { "errorCode": 112, "errorLabels": ["TransientTransactionError"] };
    let faults = [
        failing("commitTransaction", 1, closed()),
        // The driver tries a commit twice by itself; the third is ours.
        failing("commitTransaction", 3, closed()),
        failing("commitTransaction", 1, applied()),
        failing("commitTransaction", 3, applied()),
        failing("commitTransaction", 1, transient()),
        failing("insert", 1, closed()),
        failing("insert", 2, transient()),
        failing("update", 1, closed()),
        failing("update", 2, transient()),
        failing("getMore", 2, closed()),
        failing("getMore", 1, doc! { "errorCode": 237 }),
        failing("aggregate", 1, doc! { "errorCode": 13388 }),
    ];
    for (number, fault) in faults.into_iter().enumerate() {
        mongo.fail_point(fault).await?;
        let status = if number % 2 == 0 { Status::InProgress } else { Status::Overdue };
        stack.service.set_status(task, status).await?;
        log_matches(&stack, &stack.service.expected(), Actors::MayBeMissing).await?;
    }
    mongo.fail_point(doc! { "configureFailPoint": "failCommand", "mode": "off" }).await?;
    stack.service.complete(task).await?;
    log_matches(&stack, &stack.service.expected(), Actors::MayBeMissing).await?;
    assert_eq!(event_log(&stack).await?.len(), 14);
    indexer.stop(SOON).await?;
    Ok(())
}
