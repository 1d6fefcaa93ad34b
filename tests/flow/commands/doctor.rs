//! What is looked at before anything is decided: `doctor` and `watch --shadow` write nothing.

use std::time::Duration;

use anyhow::Result;
use bson::{Document, doc};
use taskwire_tests::service::{NewTask, Status};
use taskwire_tests::{Profile, Program, Stack};

use super::command;

/// Names and sizes of everything in the database.
async fn contents(stack: &Stack) -> Result<Vec<(String, u64)>> {
    let mut names = stack.db.list_collection_names().await?;
    names.sort();
    let mut all = Vec::new();
    for name in names {
        let count = stack.db.collection::<Document>(&name).count_documents(doc! {}).await?;
        all.push((name, count));
    }
    Ok(all)
}

#[tokio::test]
async fn the_doctor_names_what_does_not_fit_and_what_cannot_be_told_and_writes_nothing() -> Result<()> {
    let stack = Stack::new(Profile::TasksTracker).await?;
    for number in 0..3 {
        stack.service.create(NewTask::named(&format!("private {number}"))).await?;
    }
    stack.service.tasks().insert_one(doc! { "Name": "private too", "GroupId": "none", "Status": "x" }).await?;
    let before = contents(&stack).await?;
    let told = command(&stack, &["doctor"]).await?.expect(0)?.out;
    for part in ["MongoDB 6.0", "1 of 4 do not fit", "h of changes", "task.swapped", "nobody is signed in"] {
        assert!(told.contains(part), "no {part}: {told}");
    }
    assert!(!told.contains("private"), "{told}");
    let report = command(&stack, &["doctor", "--json", "--newest", "1"]).await?.expect(1)?.json()?;
    // The newest one alone does not fit: then it is the mapping that is wrong.
    assert_eq!(report["documents"][0]["lookedAt"], 1);
    assert_eq!(report["documents"][0]["misfits"][0]["count"], 1);
    assert_eq!(contents(&stack).await?, before);
    let empty = stack.launch(Program::Indexer).set("TASKWIRE_DATABASE", "tw_there_is_no_such_database");
    let told = empty.arguments(&["doctor"]).run().await?.expect(1)?.out;
    assert!(told.contains("check TASKWIRE_DATABASE"), "{told}");
    Ok(())
}

#[tokio::test]
async fn a_shadow_prints_what_would_be_told_and_writes_nothing() -> Result<()> {
    let stack = Stack::new(Profile::TasksTracker).await?;
    let first = stack.service.create(NewTask::named("private")).await?.0.id;
    let before: Vec<String> = contents(&stack).await?.into_iter().map(|(name, _)| name).collect();
    let shadow = stack.launch(Program::Indexer).arguments(&["watch", "--shadow", "--seconds", "5"]);
    // Writes go on until it has ended: whenever it begins, it sees some.
    let writing = async {
        loop {
            stack.service.set_status(first, Status::InProgress).await?;
            stack.service.complete(first).await?;
            stack.service.create(NewTask::named("private too")).await?;
            // The pace of the writes.
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    let ran = tokio::select! {
        ran = shadow.run() => ran?.expect(0)?,
        failed = writing => return failed,
    };
    for part in
        [" tasks are known", "task.created ", "task.completed ", "task.updated ", "events", "nothing is written"]
    {
        assert!(ran.out.contains(part), "no {part}: {}", ran.out);
    }
    assert!(!ran.out.contains("private"), "{}", ran.out);
    let after: Vec<String> = contents(&stack).await?.into_iter().map(|(name, _)| name).collect();
    assert_eq!(after, before);
    Ok(())
}
