//! What is sent keeps to the catalogue.

use anyhow::Result;
use taskwire_tests::catalogue::Catalogue;
use taskwire_tests::service::NewTask;
use taskwire_tests::stack::HOOK;
use taskwire_tests::{Profile, Program, Stack};

use crate::common::{SOON, start_indexer};
use crate::events::a_life;

#[tokio::test]
async fn every_body_that_a_busy_group_causes_fits_the_schema_of_its_type() -> Result<()> {
    for profile in [Profile::TasksTracker, Profile::CamelCase] {
        let stack = Stack::new(profile).await?;
        let mut api = stack.launch(Program::Api).start().await?;
        let admin = stack.admin(&api.url())?;
        stack.webhook(&admin).await?;
        let mut indexer = start_indexer(&stack).await?;
        a_life(&stack).await?;
        let mut tasks = Vec::new();
        for (number, member) in stack.service.group().members.iter().take(3).enumerate() {
            let new = NewTask::named(&format!("task {number}")).assigned_to(*member);
            tasks.push(stack.service.create(new).await?.0.id);
        }
        stack.service.swap(tasks[0], tasks[1]).await?;
        stack.service.swap_ring(&tasks).await?;
        stack.service.unassign(tasks[0]).await?;
        stack.service.distribute(&tasks).await?;
        stack.receiver.wait_for_events(HOOK, stack.service.expected().len(), SOON).await?;
        let (faults, counts) = Catalogue::read(&admin).await?.check(&stack.receiver.received());
        assert_eq!(faults, Vec::<String>::new());
        assert_eq!(counts.len(), 6, "every kind was sent: {counts:?}");
        indexer.stop(SOON).await?;
        api.stop(SOON).await?;
    }
    Ok(())
}
