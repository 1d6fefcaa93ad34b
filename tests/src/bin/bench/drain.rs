//! Draining a queue of rows that stand already: by one dispatcher or two, and with a target that fails at times.

use anyhow::Result;
use taskwire_tests::Program;

use crate::Bench;
use crate::arguments::Part;
use crate::report::{Ceiling, Report, Unit};
use crate::scene::Hook;
use crate::statistics::{rate, request_rate};
use crate::tally::{Manner, Receipt};

impl Bench {
    /// Queues rows for one webhook, starts so many dispatchers, and gives the receipts.
    pub(crate) async fn drain_queue(&self, hook: Hook, rows: u32, dispatchers: usize) -> Result<Vec<Receipt>> {
        self.say(&format!("queue: {rows} rows; processes that only deliver: {dispatchers}"));
        let scene = self.set_scene(&[hook]).await?;
        scene.queue(0..rows).await?;
        let mut started = Vec::new();
        for _ in 0..dispatchers {
            started.push(self.launch(&scene.db, Program::Indexer)?.arguments(&["dispatch"]).spawn()?);
        }
        let paths = scene.paths(Manner::Accept);
        self.receiver.wait_for(&paths, rows.into()).await?;
        for dispatcher in started {
            self.stop(dispatcher).await?;
        }
        let receipts = self.receiver.receipts(&paths).await?;
        self.leave(scene).await?;
        Ok(receipts)
    }

    /// The same queue for one dispatcher and for two.
    pub(crate) async fn measure_dispatchers(&self, report: &mut Report) -> Result<()> {
        let alone = match report.this_time(Part::Backlog, "delivered only: queued beforehand") {
            Some(rate) => rate,
            None => rate(&self.drain_queue(Hook::to(Manner::Accept), self.sizes.queued, 1).await?),
        };
        let two = rate(&self.drain_queue(Hook::to(Manner::Accept), self.sizes.queued, 2).await?);
        let part = Part::Dispatchers;
        let figure = report.add(part, "delivered only: queued beforehand", Unit::PerSecond, two);
        figure.of(&[Ceiling::Updates, Ceiling::Posts]);
        report.add(part, "to the rate of one process", Unit::Times, two / alone);
        Ok(())
    }

    /// One answer in ten is a 500. Measured until 95 % are delivered: the last ones wait for their backoff.
    pub(crate) async fn measure_failures(&self, report: &mut Report) -> Result<()> {
        let rows = self.sizes.queued;
        self.say(&format!("failures: {rows} rows for a target that answers 500 to every tenth request"));
        let scene = self.set_scene(&[Hook { backoff_seconds: 1, ..Hook::to(Manner::Flaky) }]).await?;
        scene.queue(0..rows).await?;
        let dispatcher = self.launch(&scene.db, Program::Indexer)?.arguments(&["dispatch"]).spawn()?;
        let (paths, most) = (scene.paths(Manner::Flaky), rows * 19 / 20);
        self.receiver.wait_for(&paths, most.into()).await?;
        let receipts = self.receiver.receipts(&paths).await?;
        let measured = receipts.get(..most as usize).unwrap_or_default();
        report.add(Part::Failures, "deliveries", Unit::PerSecond, rate(measured));
        let figure = report.add(Part::Failures, "attempts", Unit::PerSecond, request_rate(measured));
        figure.of(&[Ceiling::Updates, Ceiling::Posts]);
        self.stop(dispatcher).await?;
        self.leave(scene).await
    }
}
