//! From commit to receipt under a steady load.

use std::time::Duration;

use anyhow::Result;
use taskwire_tests::Program;

use crate::Bench;
use crate::report::{Latency, Report};
use crate::writer::{WRITES_PER_TASK, Writer};

impl Bench {
    /// Measures with this `TASKWIRE_ACTOR_WAIT_MS`; `None`: the default.
    ///
    /// An event's own time is that of its commit by the database's clock, in whole milliseconds rounded down: the figures
    /// are too high by half a millisecond on average. The first tenth is left out, in which connections are opened.
    pub(crate) async fn measure_latency(
        &self,
        report: &mut Report,
        setting: &str,
        actor_wait_ms: Option<u32>,
    ) -> Result<()> {
        let rate = self.arguments.rate;
        self.say(&format!("latency: {rate} writes a second for {} s, {setting}", self.arguments.seconds));
        let writes = usize::try_from(rate * self.arguments.seconds)? / WRITES_PER_TASK * WRITES_PER_TASK;
        let scene = self.set_scene().await?;
        let mut launch = self.launch(&scene.db, Program::Indexer)?;
        if let Some(wait) = actor_wait_ms {
            launch = launch.set("TASKWIRE_ACTOR_WAIT_MS", &wait.to_string());
        }
        let mut indexer = launch.start().await?;
        let before = self.receiver.totals().await?;
        let writer = Writer::new(&scene.db, &scene.group, !self.arguments.without_rows);
        let rate_kept = writer.write_steadily(writes, rate).await?;
        let after = self.receiver.wait_for(&before, u64::try_from(writes)?).await?;
        let new = &after.latencies_micros[before.latencies_micros.len()..];
        let mut settled = new[new.len() / 10..].to_vec();
        settled.sort_unstable();
        report.latencies.push(Latency {
            setting: setting.to_owned(),
            writes_per_second: rate_kept,
            p50_ms: percentile(&settled, 50),
            p99_ms: percentile(&settled, 99),
            max_ms: percentile(&settled, 100),
        });
        indexer.stop(Duration::from_secs(40)).await?;
        Ok(())
    }
}

/// Of sorted microseconds, in milliseconds; 0 of none.
fn percentile(sorted: &[i64], percent: usize) -> f64 {
    let rank = (sorted.len() * percent).div_ceil(100).max(1);
    sorted.get(rank - 1).map_or(0.0, |micros| *micros as f64 / 1000.0)
}

#[cfg(test)]
mod tests {
    use super::percentile;

    #[test]
    fn a_percentile_is_the_value_that_so_many_percent_do_not_exceed() {
        let sorted: Vec<i64> = (1..=200).map(|n| n * 1000).collect();
        assert_eq!([50, 99, 100].map(|percent| percentile(&sorted, percent)), [100.0, 198.0, 200.0]);
        assert_eq!(percentile(&[7000], 50), 7.0);
        assert_eq!(percentile(&[], 99), 0.0);
    }
}
