//! Each kind of the service's own writes, and the events that the watcher records of it.

use std::time::Duration;

use bson::doc;
use futures::TryStreamExt;
use taskwire::model::TaskEvent;
use taskwire_tests::expected::Actors;
use taskwire_tests::service::{Edit, NewTask, Status};
use taskwire_tests::stack::Stack;
use taskwire_tests::{Observed, Process, Profile, Program, TaskService, compare, eventually};

const PATIENCE: Duration = Duration::from_secs(30);

/// A watcher that leaves a row as long to come as a busy machine may take.
async fn start_watcher(stack: &Stack) -> Process {
    let launch = stack.launch(Program::Indexer).arguments(&["watch"]).set("TASKWIRE_ACTOR_WAIT_MS", "2000");
    launch.start().await.unwrap()
}

async fn recorded(stack: &Stack) -> Vec<Observed> {
    let events = stack.db.collection::<TaskEvent>("taskEvents").find(doc! {}).await.unwrap();
    let events: Vec<TaskEvent> = events.try_collect().await.unwrap();
    events.iter().map(|event| Observed::from_event(event).unwrap()).collect()
}

/// Waits until exactly the expected events are recorded; fails with the differences.
async fn expect_recorded(stack: &Stack) {
    let expected = stack.service.expected();
    let differences = async || match compare(&expected, &recorded(stack).await, Actors::Exact) {
        none if none.is_empty() => Ok(()),
        differences => Err(format!("\n{}", differences.join("\n"))),
    };
    eventually("the expected events in taskEvents", PATIENCE, differences).await.unwrap();
}

/// Everything that people do with tasks, once.
async fn play(service: &TaskService) {
    let people = service.group().members.clone();
    let (a, _) = service.create(NewTask::named("a").requiring_approval()).await.unwrap();
    let (b, _) = service.create(NewTask::named("b").assigned_to(people[1])).await.unwrap();
    let (c, _) = service.create(NewTask::named("c").assigned_to(people[2])).await.unwrap();
    service.edit(a.id, &Edit { name: Some("a2".into()), difficulty: Some(9), ..Edit::default() }).await.unwrap();
    service.edit(a.id, &Edit { description: Some(None), ..Edit::default() }).await.unwrap();
    service.save_unchanged(a.id).await.unwrap();
    service.set_status(a.id, Status::InProgress).await.unwrap();
    service.request_approval(a.id).await.unwrap();
    service.reject(a.id).await.unwrap();
    service.request_approval(a.id).await.unwrap();
    service.approve(a.id).await.unwrap();
    service.swap(a.id, b.id).await.unwrap();
    service.complete(b.id).await.unwrap();
    service.reassign(b.id, people[2]).await.unwrap();
    service.reassign(b.id, people[0]).await.unwrap();
    service.swap_ring(&[a.id, b.id, c.id]).await.unwrap();
    service.unassign(c.id).await.unwrap();
    service.distribute(&[a.id, b.id, c.id]).await.unwrap();
    service.delete(a.id).await.unwrap();
    service.complete(c.id).await.unwrap();
}

#[tokio::test]
async fn under_tasks_tracker_every_write_of_the_service_is_told_once_with_its_changes_and_its_actor() {
    let stack = Stack::new(Profile::TasksTracker).await.unwrap();
    let _watcher = start_watcher(&stack).await;
    play(&stack.service).await;
    expect_recorded(&stack).await;
}

#[tokio::test]
async fn under_camel_case_every_write_of_the_service_is_told_once_with_its_changes_and_its_actor() {
    let stack = Stack::new(Profile::CamelCase).await.unwrap();
    let _watcher = start_watcher(&stack).await;
    play(&stack.service).await;
    expect_recorded(&stack).await;
}

#[tokio::test]
async fn a_watcher_restarted_after_every_write_tells_each_once() {
    let stack = Stack::new(Profile::TasksTracker).await.unwrap();
    drop(start_watcher(&stack).await);
    let (task, _) = stack.service.create(NewTask::default()).await.unwrap();
    for difficulty in 4..8 {
        let mut watcher = start_watcher(&stack).await;
        stack.service.edit(task.id, &Edit::difficulty(difficulty)).await.unwrap();
        watcher.kill().await.unwrap();
    }
    let _watcher = start_watcher(&stack).await;
    expect_recorded(&stack).await;
}
