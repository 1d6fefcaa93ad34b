//! What the task service notices: its own writes' times without Taskwire, with it, and while it drains a long queue.

use std::time::{Duration, Instant};

use anyhow::Result;
use taskwire_tests::eventually;
use tokio_util::sync::CancellationToken;

use crate::Bench;
use crate::arguments::Part;
use crate::report::{Report, Unit};
use crate::scene::{Hook, Scene};
use crate::statistics::percentile_ms;
use crate::tally::Manner;
use crate::writer::Writer;

/// Task changes a second.
const RATE: u32 = 100;

impl Bench {
    pub(crate) async fn measure_notice(&self, report: &mut Report) -> Result<()> {
        let scene = self.set_scene(&[Hook::to(Manner::Accept)]).await?;
        self.write_beside(report, &scene, "without Taskwire").await?;
        let indexer = self.indexer(&scene, "run").await?;
        self.write_beside(report, &scene, "while it tails and delivers").await?;
        self.stop(indexer).await?;
        self.write_beside_partners(report, &scene).await?;
        let rows = self.sizes.notice_rows;
        self.say(&format!("notice: queueing {rows} rows"));
        scene.queue(0..rows).await?;
        let indexer = self.indexer(&scene, "run").await?;
        self.write_while_draining(report, &scene).await?;
        self.stop(indexer).await?;
        self.leave(scene).await
    }

    async fn write_beside(&self, report: &mut Report, scene: &Scene, name: &str) -> Result<()> {
        let seconds = self.sizes.notice_seconds;
        self.say(&format!("notice: {RATE} changes a second for {seconds} s {name}"));
        let writer = Writer::new(&scene.db, &scene.group, !self.arguments.without_rows);
        let steady = writer.write_steadily(RATE, seconds).await?;
        for percent in [50, 99] {
            let figure = format!("the service's write {name}: p{percent}");
            report.add(Part::Notice, &figure, Unit::Millis, percentile_ms(&steady.micros, percent));
        }
        Ok(())
    }

    /// Partners post tasks into the same group as fast as they are let.
    async fn write_beside_partners(&self, report: &mut Report, scene: &Scene) -> Result<()> {
        let partners = self.partners(scene, 1).await?;
        let stop = CancellationToken::new();
        let posting = tokio::spawn(partners.load(stop.clone()));
        let start = Instant::now();
        self.write_beside(report, scene, "while partners post into its group").await?;
        let took = start.elapsed().as_secs_f64();
        stop.cancel();
        let (posts, api) = posting.await??;
        report.add(Part::Notice, "posts meanwhile", Unit::PerSecond, posts as f64 / took);
        self.stop(api).await
    }

    async fn write_while_draining(&self, report: &mut Report, scene: &Scene) -> Result<()> {
        let paths = scene.paths(Manner::Accept);
        let before = self.receiver.counts(&paths).await?.deliveries;
        eventually("the queue to be drained", Duration::from_secs(30), async || {
            match self.receiver.counts(&paths).await {
                Ok(counts) if counts.deliveries > before => Ok(()),
                Ok(_) => Err("nothing came".to_owned()),
                Err(error) => Err(error.to_string()),
            }
        })
        .await?;
        let begun = self.receiver.counts(&paths).await?.deliveries;
        let start = Instant::now();
        self.write_beside(report, scene, "while it drains a queue").await?;
        let took = start.elapsed().as_secs_f64();
        let ended = self.receiver.counts(&paths).await?.deliveries;
        report.add(Part::Notice, "deliveries meanwhile", Unit::PerSecond, (ended - begun) as f64 / took);
        if ended - before >= u64::from(self.sizes.notice_rows) {
            report.note("notice: the queue was empty before the writes ended".to_owned());
        }
        Ok(())
    }
}
