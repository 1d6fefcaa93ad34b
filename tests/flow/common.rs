//! What these tests share.

use anyhow::Result;
use bson::doc;
use futures::TryStreamExt;
use taskwire::model::TaskEvent;
pub(crate) use taskwire_tests::SOON;
use taskwire_tests::expected::{Actors, compare};
use taskwire_tests::{Expected, Observed, Process, Program, Stack, eventually};

/// The indexer, tailing.
pub(crate) async fn start_indexer(stack: &Stack) -> Result<Process> {
    stack.launch(Program::Indexer).start().await
}

/// The event log, in the order of ids.
pub(crate) async fn event_log(stack: &Stack) -> Result<Vec<Observed>> {
    let events = stack.db.collection::<TaskEvent>("taskEvents").find(doc! {}).sort(doc! { "_id": 1 }).await?;
    let events: Vec<TaskEvent> = events.try_collect().await?;
    events.iter().map(Observed::from_event).collect()
}

/// Waits until the event log holds as many events as are expected, and compares them all.
pub(crate) async fn log_matches(stack: &Stack, expected: &[Expected], actors: Actors) -> Result<()> {
    eventually("the event log holds what the writes must give", SOON, async || {
        let log = event_log(stack).await.map_err(|error| format!("{error:#}"))?;
        let differences = compare(expected, &log, actors);
        if differences.is_empty() { Ok(()) } else { Err(differences.join("\n")) }
    })
    .await
}
