//! Each event of both profiles, from the service's own kinds of write.

use anyhow::{Context, Result};
use bson::oid::ObjectId;
use bson::{Document, doc};
use taskwire_tests::expected::Actors;
use taskwire_tests::service::{Edit, NewTask, Status};
use taskwire_tests::{Profile, Stack, eventually};

use crate::common::{SOON, event_log, log_matches, start_indexer};

/// Every operation of the service once.
pub(crate) async fn a_life(stack: &Stack) -> Result<()> {
    let service = &stack.service;
    let (task, _) = service.create(NewTask::named("wash").requiring_approval()).await?;
    service.edit(task.id, &Edit { name: Some("rinse".into()), difficulty: Some(7), ..Edit::default() }).await?;
    service.save_unchanged(task.id).await?;
    service.set_status(task.id, Status::InProgress).await?;
    service.request_approval(task.id).await?;
    service.reject(task.id).await?;
    service.request_approval(task.id).await?;
    service.approve(task.id).await?;
    service.reassign(task.id, service.group().members[1]).await?;
    let (plain, _) = service.create(NewTask::named("dry")).await?;
    service.complete(plain.id).await?;
    service.delete(plain.id).await
}

#[tokio::test]
async fn every_operation_of_the_service_gives_its_events_with_their_actors() -> Result<()> {
    for profile in [Profile::TasksTracker, Profile::CamelCase] {
        let stack = Stack::new(profile).await?;
        let mut indexer = start_indexer(&stack).await?;
        a_life(&stack).await?;
        log_matches(&stack, &stack.service.expected(), Actors::Exact).await.context(profile.name())?;
        indexer.stop(SOON).await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_pair_and_a_ring_are_swapped_in_one_transaction_and_two_reassignments_are_updates() -> Result<()> {
    for profile in [Profile::TasksTracker, Profile::CamelCase] {
        let stack = Stack::new(profile).await?;
        let mut indexer = start_indexer(&stack).await?;
        let members = stack.service.group().members.clone();
        let mut tasks = Vec::new();
        for (number, member) in members.iter().take(3).enumerate() {
            let new = NewTask::named(&format!("task {number}")).assigned_to(*member);
            tasks.push(stack.service.create(new).await?.0.id);
        }
        stack.service.swap(tasks[0], tasks[1]).await?;
        stack.service.swap_ring(&tasks).await?;
        stack.service.reassign(tasks[0], members[0]).await?;
        log_matches(&stack, &stack.service.expected(), Actors::MayBeMissing).await.context(profile.name())?;
        indexer.stop(SOON).await?;
    }
    Ok(())
}

#[tokio::test]
async fn unassigning_and_distributing_leave_no_row_and_go_out_without_an_actor() -> Result<()> {
    let stack = Stack::new(Profile::TasksTracker).await?;
    let mut indexer = start_indexer(&stack).await?;
    let mut ids = Vec::new();
    for number in 0..5 {
        ids.push(stack.service.create(NewTask::named(&format!("task {number}"))).await?.0.id);
    }
    stack.service.unassign(ids[0]).await?;
    stack.service.distribute(&ids).await?;
    log_matches(&stack, &stack.service.expected(), Actors::Exact).await?;
    indexer.stop(SOON).await?;
    Ok(())
}

/// A swap request as the camel-case service keeps it.
fn request(id: ObjectId, status: &str, tasks: [ObjectId; 2]) -> Document {
    doc! {
        "_id": id, "status": status, "requester": { "userId": ObjectId::new(), "taskId": tasks[0] },
        "target": { "userId": ObjectId::new(), "taskId": tasks[1] }, "approvedBy": null,
    }
}

#[tokio::test]
async fn an_approved_swap_request_tells_each_tasks_swap_once_by_its_approver() -> Result<()> {
    let stack = Stack::new(Profile::CamelCase).await?;
    let mut indexer = start_indexer(&stack).await?;
    let one = stack.service.create(NewTask::named("one")).await?.0.id;
    let other = stack.service.create(NewTask::named("other")).await?.0.id;
    let (requests, id, approver) = (stack.db.collection::<Document>("swapRequests"), ObjectId::new(), ObjectId::new());
    requests.insert_one(request(id, "Pending", [one, other])).await?;
    // A partial update: the change does not show the tasks.
    let approved = doc! { "$set": { "status": "Approved", "approvedBy": approver } };
    requests.update_one(doc! { "_id": id }, approved).await?;
    // Told once, however often the request is written.
    let mut whole = request(id, "Approved", [one, other]);
    whole.insert("approvedBy", approver);
    requests.replace_one(doc! { "_id": id }, whole).await?;
    let last = stack.service.create(NewTask::named("last")).await?.0.id;
    let log = eventually("the last task is told", SOON, async || {
        let log = event_log(&stack).await.map_err(|error| error.to_string())?;
        if log.iter().any(|event| event.task == last.to_hex()) { Ok(log) } else { Err(format!("{log:?}")) }
    })
    .await?;
    let swaps: Vec<_> = log.iter().filter(|event| event.event == "task.swapped").collect();
    assert_eq!(swaps.len(), 2, "{swaps:?}");
    for (task, with) in [(one, other), (other, one)] {
        let swap = swaps.iter().find(|swap| swap.task == task.to_hex()).context("a swap of each task")?;
        assert_eq!(swap.swapped_with, Some(with.to_hex()));
        assert_eq!(swap.actor, Some(approver.to_hex()));
    }
    indexer.stop(SOON).await?;
    Ok(())
}

#[tokio::test]
async fn a_review_row_tells_the_review_only_if_nothing_told_it() -> Result<()> {
    let stack = Stack::new(Profile::TasksTracker).await?;
    let mut indexer = start_indexer(&stack).await?;
    let task = stack.service.create(NewTask::named("wash")).await?.0;
    // Straight to Completed: no approval by the transition. The row alone tells it.
    stack.service.set_status(task.id, Status::Completed).await?;
    let (group, reviewer) = (stack.service.group().id, stack.service.group().admin);
    let row = || {
        doc! {
            "_id": ObjectId::new(), "TaskId": task.id, "GroupId": group, "ChangedByUserId": reviewer, "Action": 5,
            "ChangedAt": bson::DateTime::now(), "Changes": {}, "Notes": null,
        }
    };
    stack.service.histories().insert_one(row()).await?;
    stack.service.histories().insert_one(row()).await?;
    let last = stack.service.create(NewTask::named("last")).await?.0.id;
    let log = eventually("the last task is told", SOON, async || {
        let log = event_log(&stack).await.map_err(|error| error.to_string())?;
        if log.iter().any(|event| event.task == last.to_hex()) { Ok(log) } else { Err(format!("{log:?}")) }
    })
    .await?;
    let of_task: Vec<_> = log.iter().filter(|event| event.task == task.id.to_hex()).collect();
    let names: Vec<_> = of_task.iter().map(|event| event.event.as_str()).collect();
    assert_eq!(names, ["task.created", "task.completed", "task.approved"]);
    assert_eq!(of_task[2].actor, Some(reviewer.to_hex()));
    assert_eq!(of_task[2].sequence, 3);
    indexer.stop(SOON).await?;
    Ok(())
}
