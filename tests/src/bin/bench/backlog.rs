//! A backlog: everything is written while no indexer runs, then one starts and works it off.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::Result;
use taskwire_tests::Program;

use crate::Bench;
use crate::report::Report;
use crate::writer::Writer;

impl Bench {
    pub(crate) async fn measure_backlog(&self, report: &mut Report) -> Result<()> {
        let writes = self.arguments.writes;
        self.say(&format!("backlog: writing {writes} task changes while no indexer runs"));
        let scene = self.set_scene().await?;
        // A first start fixes the position before the writes.
        let mut indexer = self.launch(&scene.db, Program::Indexer)?.start().await?;
        indexer.stop(Duration::from_secs(40)).await?;
        Writer::new(&scene.db, &scene.group, !self.arguments.without_rows).write_all(writes).await?;
        self.say("backlog: an indexer starts and delivers");
        let before = self.receiver.totals().await?;
        let start = micros_now();
        let mut indexer = self.launch(&scene.db, Program::Indexer)?.spawn()?;
        let after = self.receiver.wait_for(&before, u64::try_from(writes)?).await?;
        let seconds = Duration::from_micros(u64::try_from(after.last_at_micros - start)?).as_secs_f64();
        report.backlog_deliveries_per_second = Some(writes as f64 / seconds);
        report.backlog_seconds = Some(seconds);
        report.backlog_repeated = Some(after.accepted - before.accepted - u64::try_from(writes)?);
        indexer.stop(Duration::from_secs(40)).await?;
        Ok(())
    }
}

fn micros_now() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(now.as_micros()).unwrap_or(i64::MAX)
}
