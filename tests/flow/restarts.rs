//! Restarts lose and double nothing.

use anyhow::Result;
use bson::doc;
use taskwire_tests::expected::Actors;
use taskwire_tests::service::{Edit, NewTask, Status};
use taskwire_tests::{Profile, Stack};

use crate::common::{SOON, log_matches, start_indexer};

#[tokio::test]
async fn a_restart_between_any_two_writes_loses_and_doubles_nothing() -> Result<()> {
    for profile in [Profile::TasksTracker, Profile::CamelCase] {
        let stack = Stack::new(profile).await?;
        let mut indexer = start_indexer(&stack).await?;
        let task = stack.service.create(NewTask::named("wash").requiring_approval()).await?.0.id;
        for step in 0..5 {
            assert_eq!(indexer.stop(SOON).await?, Some(0), "a stop by SIGTERM ends with 0");
            match step {
                0 => drop(stack.service.set_status(task, Status::InProgress).await?),
                1 => drop(stack.service.request_approval(task).await?),
                2 => drop(stack.service.approve(task).await?),
                3 => drop(stack.service.edit(task, &Edit { name: Some("dry".into()), ..Edit::default() }).await?),
                _ => drop(stack.service.create(NewTask::named("next")).await?),
            }
            indexer = start_indexer(&stack).await?;
        }
        log_matches(&stack, &stack.service.expected(), Actors::MayBeMissing).await?;
        indexer.stop(SOON).await?;
    }
    Ok(())
}

#[tokio::test]
async fn nothing_is_told_of_tasks_that_were_there_at_the_first_start() -> Result<()> {
    let stack = Stack::new(Profile::TasksTracker).await?;
    let mut old = Vec::new();
    for number in 0..20 {
        old.push(stack.service.create(NewTask::named(&format!("old {number}"))).await?.0.id);
    }
    stack.service.forget_expected();
    let mut indexer = start_indexer(&stack).await?;
    stack.service.complete(old[7]).await?;
    log_matches(&stack, &stack.service.expected(), Actors::Exact).await?;
    let snapshots = stack.db.collection::<bson::Document>("taskSnapshots");
    assert_eq!(snapshots.count_documents(doc! {}).await?, 20);
    indexer.stop(SOON).await?;
    Ok(())
}
