//! A very long queue: what it costs in memory, and whether it slows the dispatcher.

use std::time::Duration;

use anyhow::{Context, Result};
use taskwire_tests::Process;

use crate::Bench;
use crate::arguments::Part;
use crate::report::Asked::{AtLeast, AtMost};
use crate::report::{Report, Unit};
use crate::scene::{Hook, Scene};
use crate::statistics::rate;
use crate::table::thousands;
use crate::tally::Manner;
use crate::usage::{Resident, resident_mb};

impl Bench {
    /// The long queue is filled once; after each repetition what was taken from it is put back.
    pub(crate) async fn measure_million(&self, report: &mut Report) -> Result<()> {
        let (many, few, first) = (self.sizes.many, self.sizes.few, self.sizes.first);
        self.say(&format!("million: queueing {many} rows"));
        let scene = self.set_scene(&[Hook::to(Manner::Accept)]).await?;
        scene.queue(0..many).await?;
        let mut next = many;
        for repetition in 0..self.arguments.repetitions {
            report.begin(repetition);
            let short = rate(&self.drain_queue(Hook::to(Manner::Accept), few, 1).await?);
            let long = self.drain_first(report, &scene).await?;
            let part = Part::Million;
            let [few, many, first] = [few, many, first].map(|rows| thousands(rows.into()));
            report.add(part, &format!("delivered with {few} queued"), Unit::PerSecond, short);
            report.add(part, &format!("delivered with {many} queued, the first {first}"), Unit::PerSecond, long);
            report.add(part, "to the rate with the short queue", Unit::Times, long / short).asked(AtLeast(0.8));
            let gone = u32::try_from(self.receiver.counts(&scene.paths(Manner::Accept)).await?.deliveries)?;
            self.receiver.forget(&scene.paths(Manner::Accept)).await?;
            if repetition + 1 < self.arguments.repetitions {
                scene.queue(next..next + gone).await?;
                next += gone;
            }
        }
        self.leave(scene).await
    }

    /// Deliveries a second of the first rows of the queue.
    async fn drain_first(&self, report: &mut Report, scene: &Scene) -> Result<f64> {
        let first = self.sizes.first;
        self.say(&format!("million: delivering the first {first}"));
        let dispatcher = self.indexer(scene, "dispatch").await?;
        let memory = self.watch_memory(scene, &dispatcher).await?;
        let process = dispatcher.id().context("the dispatcher has ended")?;
        let peak = resident_mb(process, Resident::Peak)?;
        report.add(Part::Million, "resident memory at its peak", Unit::Megabytes, peak).asked(AtMost(200.0));
        report.series("memory", memory);
        let receipts = self.receiver.receipts(&scene.paths(Manner::Accept)).await?;
        self.stop(dispatcher).await?;
        Ok(rate(receipts.get(..first as usize).unwrap_or_default()))
    }

    /// Resident memory against deliveries made, until the first rows are delivered.
    async fn watch_memory(&self, scene: &Scene, dispatcher: &Process) -> Result<Vec<[f64; 2]>> {
        let (paths, first) = (scene.paths(Manner::Accept), u64::from(self.sizes.first));
        let looking = async {
            let mut memory = Vec::new();
            loop {
                let process = dispatcher.id().context("the dispatcher has ended")?;
                let delivered = self.receiver.counts(&paths).await?.deliveries;
                memory.push([delivered as f64, resident_mb(process, Resident::Now)?]);
                if delivered >= first {
                    return anyhow::Ok(memory);
                }
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        };
        // The wait is what notices a standstill.
        let (memory, _) = tokio::try_join!(looking, self.receiver.wait_for(&paths, first))?;
        Ok(memory)
    }
}
