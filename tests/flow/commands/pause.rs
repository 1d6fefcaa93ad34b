//! Pauses: what they stop, what they do not, and what they say.

use std::time::{Duration, SystemTime};

use anyhow::Result;
use bson::{DateTime, Document, doc};
use taskwire_tests::expected::{Actors, compare};
use taskwire_tests::service::NewTask;
use taskwire_tests::stack::HOOK;
use taskwire_tests::{Profile, Program, Stack, eventually};

use super::command;
use crate::common::{SOON, log_matches, start_indexer};

async fn rows(stack: &Stack, filter: Document) -> Result<u64, String> {
    let rows = stack.db.collection::<Document>("webhookDeliveries");
    rows.count_documents(filter).await.map_err(|error| error.to_string())
}

async fn wait_for_rows(stack: &Stack, filter: Document, count: u64) -> Result<()> {
    eventually(&format!("{count} rows {filter}"), SOON, async || match rows(stack, filter.clone()).await? {
        now if now == count => Ok(()),
        now => Err(format!("{now} rows")),
    })
    .await
}

#[tokio::test]
async fn a_pause_stops_sending_in_every_process_within_a_second_and_a_resume_sends_all_once() -> Result<()> {
    let stack = Stack::new(Profile::TasksTracker).await?;
    let mut api = stack.launch(Program::Api).start().await?;
    stack.webhook(&stack.admin(&api.url())?).await?;
    let (mut one, mut two) = tokio::try_join!(start_indexer(&stack), start_indexer(&stack))?;
    let group = stack.service.group().id.to_hex();
    for (round, arguments) in [vec![], vec!["--group", &group]].into_iter().enumerate() {
        let before = stack.service.expected().len();
        for number in 0..20 {
            stack.service.create(NewTask::named(&format!("before {number}"))).await?;
        }
        stack.receiver.wait_for_events(HOOK, before + 20, SOON).await?;
        let said = command(&stack, &[&["pause"], arguments.as_slice()].concat()).await?.expect(0)?.out;
        assert!(said.contains("is paused"), "{said}");
        let paused = SystemTime::now();
        for number in 0..20 {
            stack.service.create(NewTask::named(&format!("meanwhile {number}"))).await?;
            // So that the pause lasts for longer than a look at the pauses takes.
            tokio::time::sleep(Duration::from_millis(80)).await;
        }
        log_matches(&stack, &stack.service.expected(), Actors::MayBeMissing).await?;
        // A process that starts while it is paused sends nothing either.
        if round == 0 {
            two.stop(SOON).await?;
            two = start_indexer(&stack).await?;
        }
        wait_for_rows(&stack, doc! { "lease": { "$exists": true } }, 0).await?;
        let last = stack.receiver.received_at(HOOK).iter().map(|one| one.at).max().unwrap_or(paused);
        let after = last.duration_since(paused).unwrap_or_default();
        // What began within the second has another to arrive on a busy machine.
        assert!(after < Duration::from_secs(2), "{after:?}");
        assert!(rows(&stack, doc! { "status": "queued" }).await.map_err(anyhow::Error::msg)? > 0);
        assert!(two.metric("taskwire_dispatch_paused").await? > 0.5);
        let again = command(&stack, &[&["pause"], arguments.as_slice()].concat()).await?.expect(0)?.out;
        assert!(again.contains("nothing was changed"), "{again}");
        command(&stack, &[&["resume"], arguments.as_slice()].concat()).await?.expect(0)?;
        let expected = stack.service.expected();
        let got = stack.receiver.wait_for_events(HOOK, expected.len(), SOON).await?;
        assert_eq!(compare(&expected, &got, Actors::MayBeMissing), Vec::<String>::new());
        assert_eq!(stack.receiver.received_at(HOOK).len(), expected.len());
        wait_for_rows(&stack, doc! { "status": "delivered", "attempts": 1 }, expected.len() as u64).await?;
    }
    one.stop(SOON).await?;
    two.stop(SOON).await?;
    api.stop(SOON).await?;
    Ok(())
}

#[tokio::test]
async fn pauses_are_told_by_status_and_their_time_does_not_count_as_failing() -> Result<()> {
    let stack = Stack::new(Profile::TasksTracker).await?;
    let group = stack.service.group().id;
    let hex = group.to_hex();
    let unknown = command(&stack, &["pause", "--group", "0123456789abcdef01234567"]).await?.expect(1)?.err;
    assert!(unknown.contains("there is no group 0123456789abcdef01234567 in groups"), "{unknown}");
    command(&stack, &["pause", "--group", "a b"]).await?.expect(2)?;
    let none = command(&stack, &["resume"]).await?.expect(0)?.out;
    assert!(none.contains("no pause of all groups was in force"), "{none}");

    command(&stack, &["pause", "--note", "a bulk fix"]).await?.expect(0)?;
    command(&stack, &["pause", "--group", &hex]).await?.expect(0)?;
    let told = command(&stack, &["status"]).await?.out;
    assert!(told.contains("all groups, since") && told.contains("a bulk fix"), "{told}");
    assert!(told.contains(&format!("group {hex}, since")), "{told}");

    // All were paused for ten hours, the group for the last four of them.
    let (now, hour) = (DateTime::now().timestamp_millis(), 3_600_000);
    let at = |hours: i64| DateTime::from_millis(now - hours * hour);
    let pauses = stack.db.collection::<Document>("dispatchPauses");
    for (id, hours) in [("all".to_owned(), 10), (format!("group/{hex}"), 4)] {
        let set = doc! { "$set": { "since": at(hours) } };
        assert_eq!(pauses.update_one(doc! { "_id": id }, set).await?.matched_count, 1);
    }
    let [of_group, of_another] = [(); 2].map(|()| bson::oid::ObjectId::new());
    let configs = stack.db.collection::<Document>("webhookConfigs");
    configs.insert_one(doc! { "_id": of_group, "groupId": group }).await?;
    let health = stack.db.collection::<Document>("webhookHealth");
    for id in [of_group, of_another] {
        health.insert_one(doc! { "_id": id, "failingSince": at(12) }).await?;
    }
    let failing_hours = async |id: bson::oid::ObjectId| -> Result<f64> {
        let found = health.find_one(doc! { "_id": id }).await?.unwrap_or_default();
        #[allow(clippy::cast_precision_loss, reason = "hours")]
        Ok((now - found.get_datetime("failingSince")?.timestamp_millis()) as f64 / hour as f64)
    };
    let left = command(&stack, &["resume"]).await?.expect(0)?.out;
    assert!(left.contains("goes on") && left.contains(&format!("still paused: group {hex}")), "{left}");
    assert!((failing_hours(of_another).await? - 2.0).abs() < 0.1);
    assert!((failing_hours(of_group).await? - 6.0).abs() < 0.1);
    command(&stack, &["resume", "--group", &hex]).await?.expect(0)?;
    assert!((failing_hours(of_group).await? - 2.0).abs() < 0.1);
    assert!((failing_hours(of_another).await? - 2.0).abs() < 0.1);
    assert_eq!(pauses.count_documents(doc! {}).await?, 0);
    Ok(())
}
