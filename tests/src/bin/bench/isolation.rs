//! Whether a webhook's neighbours delay it: one that never answers, one that takes ten seconds, one that refuses.

use std::time::Duration;

use anyhow::Result;
use taskwire_tests::{Program, eventually};

use crate::Bench;
use crate::arguments::Part;
use crate::report::Asked::AtMost;
use crate::report::{Report, Unit};
use crate::scene::{Hook, Target};
use crate::statistics::{percentile_ms, settled};
use crate::tally::Manner;
use crate::writer::Writer;

/// Task changes a second.
const RATE: u32 = 100;

impl Bench {
    pub(crate) async fn measure_isolation(&self, report: &mut Report) -> Result<()> {
        let healthy = Hook::to(Manner::Accept);
        let closed = Hook { target: Target::Closed, ..healthy };
        // Long enough that requests to those in trouble run into their deadline of 15 s.
        let seconds = self.sizes.isolation_seconds;
        let alone = self.healthy_latencies(&[healthy], seconds.div_ceil(2)).await?;
        let neighbours = [healthy, Hook::to(Manner::Hang), Hook::to(Manner::Slow), closed];
        let beside = self.healthy_latencies(&neighbours, seconds).await?;
        let part = Part::Isolation;
        for (name, latencies) in [("alone", &alone), ("beside three that are in trouble", &beside)] {
            for percent in [50, 99] {
                let figure = format!("{name}: p{percent}");
                report.add(part, &figure, Unit::Millis, percentile_ms(latencies, percent));
            }
        }
        let times = percentile_ms(&beside, 99) / percentile_ms(&alone, 99);
        report.add(part, "p99 beside them to p99 alone", Unit::Times, times).asked(AtMost(2.0));
        Ok(())
    }

    /// From commit to receipt at the healthy webhook, in sorted microseconds.
    async fn healthy_latencies(&self, hooks: &[Hook], seconds: u32) -> Result<Vec<i64>> {
        self.say(&format!("isolation: {RATE} changes a second for {seconds} s; webhooks: {}", hooks.len()));
        let scene = self.set_scene(hooks).await?;
        let launch = self.launch(&scene.db, Program::Indexer)?.set("TASKWIRE_ACTOR_WAIT_MS", "0");
        let mut indexer = launch.start().await?;
        let writer = Writer::new(&scene.db, &scene.group, !self.arguments.without_rows);
        let steady = writer.write_steadily(RATE, seconds).await?;
        let paths = scene.paths(Manner::Accept);
        self.receiver.wait_for(&paths, steady.micros.len().try_into()?).await?;
        let latencies = settled(&self.receiver.receipts(&paths).await?);
        if hooks.len() > 1 {
            // The scene is what it says only if the others got their requests.
            for manner in [Manner::Hang, Manner::Slow] {
                eventually(manner.name(), Duration::from_secs(5), async || {
                    match self.receiver.counts(&scene.paths(manner)).await {
                        Ok(counts) if counts.requests > 0 => Ok(()),
                        Ok(_) => Err("no request came".to_owned()),
                        Err(error) => Err(error.to_string()),
                    }
                })
                .await?;
            }
        }
        // In good order it would wait for those that never answer.
        indexer.kill().await?;
        self.leave(scene).await?;
        Ok(latencies)
    }
}
