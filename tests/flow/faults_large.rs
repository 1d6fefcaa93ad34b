//! Changes larger than the server can send: put aside, and nothing else is lost or told twice.

use anyhow::{Context, Result};
use bson::oid::ObjectId;
use bson::{Document, doc};
use futures::TryStreamExt;
use taskwire_tests::service::{NewTask, Status};
use taskwire_tests::{Observed, Profile, Stack, eventually};

use crate::common::{SOON, event_log, start_indexer};

/// A field name so long that the description of a small update of many fields below it exceeds 16 MB.
fn long_name() -> String {
    "p".repeat(1900)
}

/// Gives the task many fields under the long name; the change is small. What stays the same among them is most of it, so
/// that the server logs each field's change and not all of them anew.
async fn prepare(stack: &Stack, task: ObjectId) -> Result<()> {
    let mut fields = doc! { "same": "x".repeat(1 << 20) };
    fields.extend((0..9500).map(|number| (format!("f{number}"), 0.into())));
    stack.service.tasks().update_one(doc! { "_id": task }, doc! { "$set": { long_name(): fields } }).await?;
    Ok(())
}

/// One update whose change is larger than 16 MB, and which renames the task.
async fn write_large(stack: &Stack, task: ObjectId, name: &str) -> Result<()> {
    let next = doc! { "$cond": [{ "$eq": ["$$this.k", "same"] }, "$$this.v", { "$add": ["$$this.v", 1] }] };
    let fields = doc! { "$objectToArray": format!("${}", long_name()) };
    let each = doc! { "$map": { "input": fields, "in": { "k": "$$this.k", "v": next } } };
    let set = doc! { "$set": { long_name(): { "$arrayToObject": each }, "Name": name } };
    stack.service.tasks().update_one(doc! { "_id": task }, vec![set]).await?;
    Ok(())
}

/// The task's events so far, once there are as many.
async fn events_of(stack: &Stack, task: ObjectId, count: usize) -> Result<Vec<Observed>> {
    eventually("the task's events", SOON, async || {
        let log = event_log(stack).await.map_err(|error| format!("{error:#}"))?;
        let of_task: Vec<_> = log.into_iter().filter(|event| event.task == task.to_hex()).collect();
        if of_task.len() == count { Ok(of_task) } else { Err(format!("{of_task:?}")) }
    })
    .await
}

#[tokio::test]
async fn a_change_larger_than_the_server_can_send_is_put_aside_and_all_around_it_is_told_once() -> Result<()> {
    let stack = Stack::new(Profile::TasksTracker).await?;
    let mut indexer = start_indexer(&stack).await?;
    let large = stack.service.create(NewTask::named("wash")).await?.0.id;
    let other = stack.service.create(NewTask::named("dry")).await?.0.id;
    prepare(&stack, large).await?;
    // While it reads, one comes alone.
    write_large(&stack, large, "rinse").await?;
    stack.service.set_status(other, Status::InProgress).await?;
    events_of(&stack, other, 2).await?;
    indexer.stop(SOON).await?;
    // While nobody reads, two come in the midst of others: one answer would hold them all.
    for status in [Status::Pending, Status::InProgress, Status::Pending] {
        stack.service.set_status(other, status).await?;
    }
    write_large(&stack, large, "rinse again").await?;
    write_large(&stack, large, "and again").await?;
    stack.service.set_status(other, Status::Overdue).await?;
    for _ in 0..2 {
        indexer = start_indexer(&stack).await?;
        events_of(&stack, other, 6).await?;
        events_of(&stack, large, 1).await?;
        indexer.stop(SOON).await?;
    }
    let aside = stack.db.collection::<Document>("quarantinedChanges").find(doc! {}).await?;
    let aside: Vec<Document> = aside.try_collect().await?;
    assert_eq!(aside.len(), 3);
    for entry in &aside {
        assert_eq!((entry.get_str("reason")?, entry.get_str("collection")?), ("larger than 16 MB", "tasks"));
        assert_eq!(entry.get_object_id("documentKey")?, large);
        assert!(!entry.get_document("raw")?.contains_key("updateDescription"));
    }
    // What the task's own history lacks since, later writes bring: an update its own field, a replace everything.
    indexer = start_indexer(&stack).await?;
    stack.service.tasks().update_one(doc! { "_id": large }, doc! { "$set": { "Difficulty": 9 } }).await?;
    stack.service.set_status(large, Status::InProgress).await?;
    let told = events_of(&stack, large, 3).await?;
    let changed = |nth: usize| -> Vec<&String> { told[nth].changes.keys().collect() };
    assert_eq!(changed(1), ["difficulty"]);
    assert_eq!(changed(2), ["name", "status"]);
    let name = told[2].changes.get("name").and_then(|name| name.get("to")).context("the name's change")?;
    assert_eq!(name, "and again");
    indexer.stop(SOON).await?;
    Ok(())
}

#[tokio::test]
async fn a_text_that_no_event_could_hold_is_put_aside_and_holds_nothing_up() -> Result<()> {
    let stack = Stack::new(Profile::TasksTracker).await?;
    let mut indexer = start_indexer(&stack).await?;
    let long = stack.service.create(NewTask::named("wash")).await?.0.id;
    let other = stack.service.create(NewTask::named("dry")).await?.0.id;
    let name = "x".repeat(9 << 20);
    stack.service.tasks().update_one(doc! { "_id": long }, doc! { "$set": { "Name": name } }).await?;
    stack.service.set_status(other, Status::InProgress).await?;
    events_of(&stack, other, 2).await?;
    stack.service.tasks().update_one(doc! { "_id": long }, doc! { "$set": { "Name": "rinse" } }).await?;
    let told = events_of(&stack, long, 2).await?;
    assert_eq!(told[1].changes.keys().collect::<Vec<_>>(), ["name"]);
    let aside = stack.db.collection::<Document>("quarantinedChanges");
    let entry = aside.find_one(doc! {}).await?.context("nothing was put aside")?;
    assert_eq!(entry.get_str("reason")?, "Name: too long to be recorded");
    indexer.stop(SOON).await?;
    Ok(())
}
