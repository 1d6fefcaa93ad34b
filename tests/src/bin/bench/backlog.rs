//! A backlog: everything is written while no indexer runs, then one starts and works it off. Beside the whole way the two
//! halves alone: watching without delivering, and delivering what is queued.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::Result;
use bson::Document;
use taskwire::model::Ordering;
use taskwire::store::names;
use taskwire_tests::{Program, eventually};

use crate::arguments::Part;
use crate::report::Asked::{AtLeast, AtMost};
use crate::report::{Ceiling, Report, Unit};
use crate::scene::{Hook, Scene};
use crate::statistics::{rate, seconds};
use crate::tally::{Manner, micros_now};
use crate::usage::{Work, cpu_seconds};
use crate::writer::Writer;
use crate::{Bench, oplog};

/// A backlog that was worked off.
struct Drained {
    /// Deliveries a second from the indexer's start to the last receipt.
    rate: f64,
    /// Accepted requests beyond one for each delivery.
    repeated: u64,
    /// Processor seconds by process.
    cpu: [(&'static str, f64); 3],
    work: Work,
    /// Bytes of oplog by collection: the service's writes, and what followed from them.
    service_oplog: BTreeMap<String, f64>,
    oplog: BTreeMap<String, f64>,
}

impl Bench {
    pub(crate) async fn measure_backlog(&self, report: &mut Report) -> Result<()> {
        let drained = self.drain_backlog(Ordering::None).await?;
        let part = Part::Backlog;
        let all = [Ceiling::StreamReads, Ceiling::Records, Ceiling::Updates, Ceiling::Posts];
        let figure = report.add(part, "watched and delivered", Unit::PerSecond, drained.rate);
        figure.asked(AtLeast(10_000.0)).of(&all);
        report.add(part, "delivered more than once", Unit::Count, drained.repeated as f64).asked(AtMost(0.0));
        self.report_usage(report, &drained);
        let watched = self.watch_backlog().await?;
        let figure = report.add(part, "watched only: derived and recorded", Unit::PerSecond, watched);
        figure.of(&[Ceiling::StreamReads, Ceiling::Records]);
        let delivered = self.drain_queue(Hook::to(Manner::Accept), self.sizes.queued, 1).await?;
        let figure = report.add(part, "delivered only: queued beforehand", Unit::PerSecond, rate(&delivered));
        figure.of(&[Ceiling::Updates, Ceiling::Posts]);
        Ok(())
    }

    /// The same backlog for a webhook that keeps the order of each task.
    pub(crate) async fn measure_per_task(&self, report: &mut Report) -> Result<()> {
        let unordered = match report.this_time(Part::Backlog, "watched and delivered") {
            Some(rate) => rate,
            None => self.drain_backlog(Ordering::None).await?.rate,
        };
        let ordered = self.drain_backlog(Ordering::PerTask).await?.rate;
        let figure = report.add(Part::PerTask, "watched and delivered", Unit::PerSecond, ordered);
        figure.of(&[Ceiling::Records, Ceiling::Updates, Ceiling::Posts]);
        report.add(Part::PerTask, "to the unordered rate", Unit::Times, ordered / unordered).asked(AtLeast(0.5));
        Ok(())
    }

    /// One event for many webhooks.
    pub(crate) async fn measure_fan_out(&self, report: &mut Report) -> Result<()> {
        const WEBHOOKS: usize = 20;
        let events = self.sizes.fan_out_events;
        self.say(&format!("fan-out: {events} events for {WEBHOOKS} webhooks"));
        let scene = self.set_scene(&[Hook::to(Manner::Accept); WEBHOOKS]).await?;
        self.write_backlog(&scene, events).await?;
        let (took, _) = self.drain(&scene, events * WEBHOOKS).await?;
        let figure = report.add(Part::FanOut, "deliveries", Unit::PerSecond, (events * WEBHOOKS) as f64 / took);
        figure.of(&[Ceiling::Updates, Ceiling::Posts]);
        report.add(Part::FanOut, "events", Unit::PerSecond, events as f64 / took);
        self.leave(scene).await
    }

    /// Task changes, written while no indexer runs and after a first start fixed the position.
    async fn write_backlog(&self, scene: &Scene, writes: usize) -> Result<()> {
        self.fix_position(scene).await?;
        Writer::new(&scene.db, &scene.group, !self.arguments.without_rows).write_all(writes).await
    }

    /// Starts an indexer and waits for so many deliveries. Gives the seconds that it took, and the processor seconds.
    async fn drain(&self, scene: &Scene, deliveries: usize) -> Result<(f64, [(&'static str, f64); 3])> {
        let (database, receiver) = (self.mongo.process(0)?, self.receiver.process()?);
        let before = [cpu_seconds(database)?, cpu_seconds(receiver)?];
        let start = micros_now();
        let mut indexer = self.launch(&scene.db, Program::Indexer)?.spawn()?;
        let paths = scene.paths(Manner::Accept);
        self.receiver.wait_for(&paths, deliveries.try_into()?).await?;
        let cpu = [
            ("indexer", indexer.id().map_or(Ok(0.0), cpu_seconds)?),
            ("MongoDB", cpu_seconds(database)? - before[0]),
            ("receiver", cpu_seconds(receiver)? - before[1]),
        ];
        indexer.wait_until_ready(Duration::from_secs(30)).await?;
        self.stop(indexer).await?;
        let receipts = self.receiver.receipts(&paths).await?;
        let last = receipts.last().map_or(start, |receipt| receipt.at);
        Ok((seconds(last - start), cpu))
    }

    async fn drain_backlog(&self, ordering: Ordering) -> Result<Drained> {
        let writes = self.arguments.writes;
        self.say(&format!("backlog ({ordering:?}): {writes} task changes while no indexer runs, then one delivers"));
        let scene = self.set_scene(&[Hook { ordering, ..Hook::to(Manner::Accept) }]).await?;
        self.fix_position(&scene).await?;
        let begun = oplog::last_write(&scene.db).await?;
        Writer::new(&scene.db, &scene.group, !self.arguments.without_rows).write_all(writes).await?;
        let written = oplog::last_write(&scene.db).await?;
        let before = Work::so_far(&scene.db).await?;
        let (took, cpu) = self.drain(&scene, writes).await?;
        let work = Work::so_far(&scene.db).await?.since(before);
        let ended = oplog::last_write(&scene.db).await?;
        let counts = self.receiver.counts(&scene.paths(Manner::Accept)).await?;
        let drained = Drained {
            rate: writes as f64 / took,
            repeated: counts.accepted - counts.deliveries,
            cpu,
            work,
            service_oplog: oplog::bytes_between(&scene.db, begun, written).await?,
            oplog: oplog::bytes_between(&scene.db, written, ended).await?,
        };
        self.leave(scene).await?;
        Ok(drained)
    }

    /// What each delivery, or each task change, of a backlog costs.
    fn report_usage(&self, report: &mut Report, drained: &Drained) {
        let each = 1.0 / self.arguments.writes as f64;
        for (process, seconds) in drained.cpu {
            let name = format!("processor time a delivery: {process}");
            report.add(Part::Backlog, &name, Unit::Micros, seconds * 1e6 * each);
        }
        let Work { commands, documents } = drained.work;
        report.add(Part::Backlog, "commands at MongoDB a delivery", Unit::Number, commands * each);
        report.add(Part::Backlog, "documents written a delivery", Unit::Number, documents * each);
        let service: f64 = drained.service_oplog.values().sum();
        report.add(Part::Oplog, "the service's own", Unit::Bytes, service * each);
        let ours: f64 = drained.oplog.values().sum();
        report.add(Part::Oplog, "Taskwire's, with one webhook", Unit::Bytes, ours * each);
        for (collection, bytes) in &drained.oplog {
            // Positions and health cost next to nothing where there is much to do.
            if bytes * each >= 1.0 {
                report.add(Part::Oplog, &format!("  of it {collection}"), Unit::Bytes, bytes * each);
            }
        }
    }

    /// Task changes a second that an indexer derives and records, from its start on.
    async fn watch_backlog(&self) -> Result<f64> {
        let writes = self.arguments.writes;
        self.say(&format!("backlog: {writes} task changes, then an indexer that only watches"));
        let scene = self.set_scene(&[Hook::to(Manner::Accept)]).await?;
        self.write_backlog(&scene, writes).await?;
        let rows = scene.db.collection::<Document>(names::DELIVERIES);
        let start = Instant::now();
        let watcher = self.launch(&scene.db, Program::Indexer)?.arguments(&["watch"]).spawn()?;
        eventually("every change to be recorded", Duration::from_secs(300), async || {
            match rows.estimated_document_count().await {
                Ok(count) if count >= writes as u64 => Ok(()),
                Ok(count) => Err(format!("{count} of {writes} are")),
                Err(error) => Err(error.to_string()),
            }
        })
        .await?;
        let took = start.elapsed().as_secs_f64();
        self.stop(watcher).await?;
        self.leave(scene).await?;
        Ok(writes as f64 / took)
    }
}
