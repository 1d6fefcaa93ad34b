//! From commit to receipt under a steady load.

use std::io::Write;
use std::time::Instant;

use anyhow::Result;
use taskwire_tests::Program;

use crate::Bench;
use crate::arguments::Part;
use crate::report::Asked::AtMost;
use crate::report::{Report, Unit};
use crate::scene::Hook;
use crate::statistics::{percentile_ms, settled};
use crate::tally::Manner;
use crate::writer::Writer;

/// Flushes that are measured.
const FLUSHES: usize = 200;

/// The rate at which latencies are asked for, and at which the default wait for actors is measured too.
const ASKED_RATE: u32 = 300;

impl Bench {
    pub(crate) async fn measure_latency(&self, report: &mut Report) -> Result<()> {
        // Each change is flushed twice before it is sent: as it is written, and with its event.
        let flushes = tokio::task::spawn_blocking(flushes).await??;
        let least = self.least_latencies().await?;
        for (step, micros) in [("one flush to this disk", flushes), ("a change read and one document written", least)] {
            for (name, percent) in [("p50", 50), ("p99", 99)] {
                let value = percentile_ms(&micros, percent);
                report.add(Part::Latency, &format!("{step}: {name}"), Unit::Millis, value);
            }
        }
        for rate in self.sizes.rates.clone() {
            self.measure_latency_at(report, rate, Some(0)).await?;
            if rate == ASKED_RATE {
                self.measure_latency_at(report, rate, None).await?;
            }
        }
        Ok(())
    }

    /// With this `TASKWIRE_ACTOR_WAIT_MS`; `None`: the default.
    ///
    /// An event's own time is that of its commit by the database's clock, in whole milliseconds rounded down: the figures
    /// are too high by half a millisecond on average.
    async fn measure_latency_at(&self, report: &mut Report, rate: u32, wait_ms: Option<u32>) -> Result<()> {
        let seconds = self.arguments.seconds;
        let setting = if wait_ms.is_some() { "" } else { ", waiting for actors" };
        self.say(&format!("latency: {rate} changes a second for {seconds} s{setting}"));
        let scene = self.set_scene(&[Hook::to(Manner::Accept)]).await?;
        let mut launch = self.launch(&scene.db, Program::Indexer)?;
        if let Some(wait) = wait_ms {
            launch = launch.set("TASKWIRE_ACTOR_WAIT_MS", &wait.to_string());
        }
        let indexer = launch.start().await?;
        let writer = Writer::new(&scene.db, &scene.group, !self.arguments.without_rows);
        let steady = writer.write_steadily(rate, seconds).await?;
        let paths = scene.paths(Manner::Accept);
        self.receiver.wait_for(&paths, steady.micros.len().try_into()?).await?;
        let latencies = settled(&self.receiver.receipts(&paths).await?);
        let asked = rate == ASKED_RATE && wait_ms.is_some();
        for (name, percent, most) in
            [("p50", 50, Some(3.0)), ("p95", 95, None), ("p99", 99, Some(10.0)), ("at most", 100, None)]
        {
            let figure = format!("{rate} changes/s{setting}: {name}");
            let added = report.add(Part::Latency, &figure, Unit::Millis, percentile_ms(&latencies, percent));
            if let (true, Some(most)) = (asked, most) {
                added.asked(AtMost(most));
            }
        }
        // Where the writer did not keep up, the figures belong to another rate.
        if steady.rate < f64::from(rate) * 0.95 {
            report.note(format!("latency: of {rate} changes a second {:.0} were made", steady.rate));
        }
        self.stop(indexer).await?;
        self.leave(scene).await
    }
}

/// How long it takes to write 4 KB behind each other and have them on the disk where the database is, in sorted
/// microseconds.
fn flushes() -> Result<Vec<i64>> {
    let mut file = tempfile::tempfile()?;
    let mut micros = (0..FLUSHES)
        .map(|_| {
            file.write_all(&[b'x'; 4096])?;
            let began = Instant::now();
            file.sync_data()?;
            Ok(i64::try_from(began.elapsed().as_micros())?)
        })
        .collect::<Result<Vec<_>>>()?;
    micros.sort_unstable();
    Ok(micros)
}
