//! `quarantine retry`: entries are read again with today's mapping and recorded as the leader would, a page at a time, each
//! with its effects and its own end in one fenced transaction. Nothing else can be recorded meanwhile, so that "no later
//! change of the task is recorded" holds when it is written.

use std::collections::{BTreeMap, HashSet};
use std::io::{self, Write};
use std::num::NonZeroUsize;
use std::sync::Arc;

use bson::{Bson, RawDocumentBuf, doc};
use mongodb::Collection;
use taskwire::model::DocId;
use taskwire::store::{ServerClock, names};

use super::entries::{Entry, Pages};
use super::reread::{Again, Reading};
use super::{Which, nothing_aside, parse_id, shown_id};
use crate::bootstrap::load_versions;
use crate::commands::seat::Seat;
use crate::commands::{CommandError, Context, Outcome};
use crate::fan_out::Versions;
use crate::judge::Part;
use crate::memory::Memory;
use crate::quarantine::EntryStatus;
use crate::record::{Batch, RecordError, Recorder};

/// Entries that stay aside and are named one by one.
const NAMED: usize = 20;

/// What became of the entries.
#[derive(Debug, Default)]
struct Sum {
    counts: BTreeMap<&'static str, usize>,
    events: usize,
    versions: usize,
    named: Vec<String>,
}

/// Everything a page of entries goes through.
struct Desk<'a> {
    context: &'a Context,
    again: Again,
    memory: Memory,
    versions: Versions,
    recorder: Recorder,
    /// Tasks of which a change stays aside.
    stuck: HashSet<DocId>,
    sum: Sum,
}

/// Retries one entry, or all.
pub(super) async fn run(which: &Which, context: &Context) -> Result<Outcome, CommandError> {
    let Some(mut pages) = Chosen::of(which, context).await? else {
        writeln!(io::stdout(), "nothing is aside")?;
        return Ok(Outcome::Fine);
    };
    let seat = Seat::take(&context.store, "quarantine retry").await?;
    let done = retry(&mut pages, &seat, context).await;
    seat.leave().await;
    let sum = done?;
    let mut out = io::stdout();
    for line in &sum.named {
        writeln!(out, "{line}")?;
    }
    let count = |status: EntryStatus| sum.counts.get(status.name()).copied().unwrap_or(0);
    let (aside, superseded) = (count(EntryStatus::Aside), count(EntryStatus::Superseded));
    let (retried, events) = (count(EntryStatus::Retried), sum.events);
    writeln!(out, "{retried} recorded ({events} events), {superseded} superseded, {aside} still aside")?;
    if sum.versions > 0 {
        writeln!(
            out,
            "{} configurations of webhooks were among them: `rebuild deliveries --since` makes what they have missed",
            sum.versions
        )?;
    }
    Ok(if aside == 0 { Outcome::Fine } else { Outcome::Wrong })
}

/// The entries to retry, in the order of their changes.
enum Chosen {
    One(Option<RawDocumentBuf>),
    All { first: Option<Vec<RawDocumentBuf>>, pages: Pages },
}

impl Chosen {
    /// `None` if nothing is aside. An entry that was asked for by its id must be.
    async fn of(which: &Which, context: &Context) -> Result<Option<Self>, CommandError> {
        let Some(id) = &which.id else {
            let mut pages = Pages::whole(&context.store, EntryStatus::Aside);
            let first = pages.next().await?;
            return Ok(first.map(|first| Self::All { first: Some(first), pages }));
        };
        let entries: Collection<RawDocumentBuf> = context.store.collection(names::QUARANTINE);
        let key = Bson::try_from(parse_id(id))?;
        let found = entries.find_one(doc! { "_id": key, "status": EntryStatus::Aside.name() }).await?;
        found.map(|entry| Some(Self::One(Some(entry)))).ok_or_else(|| nothing_aside(id))
    }

    async fn next(&mut self) -> Result<Option<Vec<RawDocumentBuf>>, CommandError> {
        match self {
            Self::One(entry) => Ok(entry.take().map(|entry| vec![entry])),
            Self::All { first, pages } => match first.take() {
                Some(first) => Ok(Some(first)),
                None => pages.next().await,
            },
        }
    }
}

async fn retry(pages: &mut Chosen, seat: &Seat, context: &Context) -> Result<Sum, CommandError> {
    let checkpoint = seat.checkpoint();
    if !checkpoint.bootstrapped {
        return Err(CommandError::Refused(
            "the first start is not complete, so it is not known yet what is recorded: let an indexer finish it"
                .to_owned(),
        ));
    }
    let store = context.store.clone();
    let clock = ServerClock::calibrated(&store.db).await?;
    // The token in the position's document belongs to the stored pipeline, whatever today's mapping is.
    let pipeline = checkpoint.pipeline.clone().unwrap_or_default();
    let session = seat.session().await?;
    let mapping = Arc::clone(&context.mapping);
    let recorder = Recorder::new(store, mapping, clock, checkpoint, pipeline, session, None);
    let mut desk = Desk {
        again: Again::new(Arc::clone(&context.mapping), context.store.db.name()),
        memory: Memory::new(NonZeroUsize::MIN),
        versions: Versions::default(),
        stuck: HashSet::new(),
        sum: Sum::default(),
        context,
        recorder,
    };
    let mut first = true;
    while let Some(page) = pages.next().await? {
        let entries: Vec<Entry> = page.iter().filter_map(Entry::of).collect();
        if let Some(oldest) = entries.first().filter(|_| first) {
            desk.versions = load_versions(&context.store, oldest.time).await?;
            first = false;
        }
        if matches!(pages, Chosen::One(_)) {
            desk.look_before(&entries).await?;
        }
        desk.page(entries).await?;
    }
    Ok(desk.sum)
}

impl Desk<'_> {
    /// Notes the tasks of which an earlier change is aside: of those that `entries` change.
    async fn look_before(&mut self, entries: &[Entry]) -> Result<(), CommandError> {
        let stored: Collection<RawDocumentBuf> = self.context.store.collection(names::QUARANTINE);
        for entry in entries {
            let reading = Reading::of(entry, &self.context.mapping);
            let Some(task) = reading.updates() else { continue };
            let earlier = doc! {
                "status": EntryStatus::Aside.name(), "clusterTime": { "$lt": entry.time },
                "collection": &self.context.mapping.task.collection, "documentKey": task.clone(),
            };
            if stored.find_one(earlier).await?.is_some() {
                self.stuck.insert(task.clone());
            }
        }
        Ok(())
    }

    /// Reads and records one page of entries.
    async fn page(&mut self, entries: Vec<Entry>) -> Result<(), CommandError> {
        let mapping = &self.context.mapping;
        let read: Vec<(Entry, Reading)> = entries
            .into_iter()
            .map(|entry| {
                let reading = Reading::of(&entry, mapping);
                (entry, reading)
            })
            .collect();
        let snapshots: Collection<RawDocumentBuf> = self.context.store.collection(names::SNAPSHOTS);
        let of_entry = |entry: &Entry| entry.task(&mapping.task.collection);
        let tasks = read.iter().flat_map(|(entry, reading)| reading.tasks().into_iter().chain(of_entry(entry)));
        let tasks: Vec<DocId> = tasks.collect();
        self.memory.load(&snapshots, mapping, tasks.into_iter()).await?;
        let mut parts: Vec<Part> = Vec::new();
        for (entry, reading) in read {
            let reading = self.only_in_order(reading);
            let mut judged = self.again.judge(&entry, reading, &mut self.memory, &mut self.versions);
            self.note(&judged, &entry);
            parts.append(&mut judged);
        }
        let batch = Batch { parts, ..Batch::default() };
        self.recorder.record(&batch).await.map_err(|error| match error {
            RecordError::Fenced { .. } => Seat::lost(),
            other => CommandError::Refused(format!("{other} (nothing of this page was changed; try again)")),
        })?;
        let recorded = batch.parts.iter().flat_map(|part| part.snapshots.iter().map(|one| (&one.id, part.number)));
        recorded.for_each(|(task, number)| self.memory.recorded(task, number));
        Ok(())
    }

    /// A change in parts cannot be applied while one before it is aside: what that changed would be taken for what stood.
    fn only_in_order(&self, reading: Reading) -> Reading {
        match reading.updates() {
            Some(task) if self.stuck.contains(task) => {
                Reading::Misfit("an earlier change of this task is aside: retry or drop that first".to_owned())
            }
            _ => reading,
        }
    }

    fn note(&mut self, parts: &[Part], entry: &Entry) {
        self.sum.events += parts.iter().map(|part| part.events.len()).sum::<usize>();
        self.sum.versions += parts.iter().map(|part| part.versions.len()).sum::<usize>();
        for reread in parts.iter().flat_map(|part| &part.reread) {
            *self.sum.counts.entry(reread.status.name()).or_default() += 1;
            if reread.status != EntryStatus::Aside {
                continue;
            }
            if entry.collection == self.context.mapping.task.collection {
                self.stuck.extend(entry.key.clone());
            }
            if self.sum.named.len() < NAMED {
                let id = Bson::try_from(reread.id.clone()).map(|id| shown_id(&id)).unwrap_or_default();
                let reason = reread.reason.as_deref().unwrap_or_default();
                self.sum.named.push(format!("{id} stays aside: {reason}"));
            }
        }
    }
}
