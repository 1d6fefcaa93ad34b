//! `watch --shadow`: derives what a live database's changes would tell from now on, and prints it. Writes nothing anywhere: no
//! position, no index, no event. It leads nobody and stands in nobody's way.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use bson::Timestamp;
use taskwire::config::Source;
use taskwire::mapping::Mapping;
use taskwire::model::DocId;
use taskwire::shutdown;
use taskwire::store::Store;

use super::{CommandError, Context, Outcome, grouped, moment};
use crate::bootstrap::versions_as_of;
use crate::derive::Draft;
use crate::fan_out::Versions;
use crate::judge::{Judge, Part};
use crate::lag::cluster_time;
use crate::memory::Memory;
use crate::progress::Position;
use crate::scan::{self, Query, Range};
use crate::snapshot::Snapshot;
use crate::unit::{Assembler, Unit};
use crate::watch::{self, Feed};

/// How long the server waits for changes before it answers that there are none.
const AWAIT: Duration = Duration::from_millis(500);

/// How it is done.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Only derive and print what would be told; write nothing anywhere.
    #[arg(long)]
    pub shadow: bool,
    /// End after so many seconds; else at Ctrl-C.
    #[arg(long, requires = "shadow", value_name = "SECONDS")]
    seconds: Option<u64>,
    /// Print the bodies too, which hold the tasks' names; without the actors that history rows would name.
    #[arg(long, requires = "shadow")]
    bodies: bool,
    /// Tasks whose state is kept at hand, the newest ones; the first change of any other is taken as state only. About a
    /// kilobyte each.
    #[arg(long, requires = "shadow", value_name = "COUNT", default_value = "200000")]
    tasks: NonZeroUsize,
}

/// What was seen.
#[derive(Debug, Default)]
struct Tally {
    units: u64,
    events: BTreeMap<&'static str, u64>,
    deliveries: u64,
    aside: u64,
}

/// Watches until told to end.
///
/// # Errors
/// See [`CommandError`].
pub async fn run(args: &Args, source: Source) -> Result<Outcome, CommandError> {
    let context = super::open(source).await?;
    let done = follow(args, &context).await;
    context.store.close().await;
    done
}

async fn follow(args: &Args, context: &Context) -> Result<Outcome, CommandError> {
    let (store, mapping) = (&context.store, &context.mapping);
    let stop = shutdown::on_signals()?;
    let from = cluster_time(store).await?;
    let mut shadow = Shadow::new(args, store, mapping, from).await?;
    let position = Position { token: None, time: from };
    let mut feed = watch::start(store.clone(), Arc::clone(mapping), &position, AWAIT, stop.child_token(), || {});
    let length = args.seconds.map_or(Duration::MAX, Duration::from_secs);
    let over = tokio::time::sleep(length.min(Duration::from_secs(365 * 86_400)));
    tokio::pin!(over);
    loop {
        let fed = tokio::select! {
            () = stop.cancelled() => break,
            () = &mut over => break,
            fed = feed.recv() => fed,
        };
        let mut units = Vec::new();
        match fed {
            Some(Feed::Changes { changes, .. }) => {
                changes.into_iter().for_each(|change| shadow.assembler.push(change, &mut units));
            }
            Some(Feed::Quiet(_)) => shadow.assembler.silence(&mut units),
            Some(Feed::Ended(end)) => return Err(CommandError::Refused(format!("the change stream ended: {end}"))),
            None => break,
        }
        for unit in units {
            shadow.on_unit(unit)?;
        }
    }
    stop.cancel();
    shadow.tally.tell()?;
    Ok(Outcome::Fine)
}

/// The stages without the recorder.
struct Shadow {
    mapping: Arc<Mapping>,
    bodies: bool,
    assembler: Assembler,
    judge: Judge,
    memory: Memory,
    versions: Versions,
    number: u64,
    tally: Tally,
}

impl Shadow {
    async fn new(args: &Args, store: &Store, mapping: &Arc<Mapping>, from: Timestamp) -> Result<Self, CommandError> {
        let mut memory = Memory::new(args.tasks);
        let (known, unreadable) = take_in(store, mapping, &mut memory, from).await?;
        let mut versions = Versions::default();
        for version in versions_as_of(store, from).await? {
            versions.add(version);
        }
        let webhooks = versions.newest_of_all().filter(|version| version.live).count();
        writeln!(
            io::stdout(),
            "watching from {} on: {} tasks are known ({} do not fit the mapping), {webhooks} webhooks; nothing is written",
            moment::shown(from),
            grouped(known),
            grouped(unreadable)
        )?;
        Ok(Self {
            judge: Judge::new(Arc::clone(mapping), store.db.name()),
            mapping: Arc::clone(mapping),
            bodies: args.bodies,
            assembler: Assembler::default(),
            memory,
            versions,
            number: 0,
            tally: Tally::default(),
        })
    }

    fn on_unit(&mut self, unit: Unit) -> Result<(), CommandError> {
        self.number += 1;
        self.tally.units += 1;
        let judged = self.judge.judge(unit, self.number, &mut self.memory, &mut self.versions);
        self.tell(judged.part)?;
        for (row, at, ms) in judged.rows {
            // The row that belongs to a change told just now only names who did it; one that tells by itself is told.
            if let Some(part) = self.judge.tell_row((&row, at, ms), self.number, &mut self.memory, &self.versions) {
                self.tell(part)?;
            }
        }
        Ok(())
    }

    fn tell(&mut self, part: Part) -> Result<(), CommandError> {
        self.tally.aside += part.quarantined.len() as u64;
        for draft in &part.events {
            self.tally.deliveries += draft.subscribers.len() as u64;
            *self.tally.events.entry(draft.kind.name()).or_default() += 1;
            self.print(draft)?;
        }
        for quarantined in &part.quarantined {
            writeln!(io::stdout(), "put aside: {}: {}", quarantined.collection, quarantined.reason)?;
        }
        let tasks: Vec<DocId> = part.snapshots.into_iter().map(|snapshot| snapshot.id).collect();
        tasks.iter().for_each(|task| self.memory.recorded(task, self.number));
        Ok(())
    }

    fn print(&self, draft: &Draft) -> Result<(), CommandError> {
        let event = draft.finish(&self.mapping);
        let mut out = io::stdout();
        let webhooks = draft.subscribers.len();
        writeln!(
            out,
            "{} {:<14} task {} group {} {webhooks} webhook(s) changed: {}",
            moment::shown_date(event.at),
            event.event.name(),
            event.task_id,
            event.group_id,
            event.summary.changed.join(", ")
        )?;
        if self.bodies {
            writeln!(out, "  {}", event.body)?;
        }
        Ok(())
    }
}

/// The state of the tasks as of `from`, as far as there is room; answers how many there were, and how many did not fit.
async fn take_in(
    store: &Store,
    mapping: &Mapping,
    memory: &mut Memory,
    from: Timestamp,
) -> Result<(i64, i64), CommandError> {
    let (mut known, mut unreadable) = (0, 0);
    let mut range = Range::whole();
    while !range.done {
        let chunk = scan::chunk(store, &mapping.task.collection, &range, &Query::default(), from).await?;
        for raw in chunk.documents() {
            let id = raw.get("_id").ok().flatten().and_then(DocId::from_raw);
            let (Some(id), Ok(state)) = (id, mapping.read_task(raw)) else {
                unreadable += 1;
                continue;
            };
            known += 1;
            memory.put(Snapshot::of_scan(id.clone(), state, from), 0);
            memory.recorded(&id, 0);
        }
        range.reach(chunk.last);
    }
    Ok((known, unreadable))
}

impl Tally {
    fn tell(&self) -> Result<(), CommandError> {
        let count = |number: u64| grouped(i64::try_from(number).unwrap_or(i64::MAX));
        let mut out = io::stdout();
        let events: u64 = self.events.values().sum();
        writeln!(
            out,
            "{} writes or transactions of interest: {} events, {} deliveries would have been sent, {} changes put aside",
            count(self.units),
            count(events),
            count(self.deliveries),
            count(self.aside)
        )?;
        for (name, number) in &self.events {
            writeln!(out, "  {name:<15} {}", count(*number))?;
        }
        Ok(())
    }
}
