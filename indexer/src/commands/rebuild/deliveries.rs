//! `rebuild deliveries`: from the event log, what is missing in the queue. A thousand events at a time: which deliveries
//! they must have, which of them are there, and the rest in one upsert that changes nothing that is there. The dispatchers
//! find the new rows by their claim.

use std::collections::HashSet;
use std::io::Write;

use bson::oid::ObjectId;
use bson::{DateTime, Document, RawArrayBuf, RawDocumentBuf, Timestamp, doc, rawdoc};
use futures::TryStreamExt;
use indicatif::{ProgressBar, ProgressStyle};
use mongodb::Collection;
use taskwire::config::Retention;
use taskwire::model::dates::earlier;
use taskwire::model::{Delivery, EventId, StreamTime, TaskEvent};
use taskwire::store::task_events::without_body;
use taskwire::store::{ServerClock, Store, names, parcels};

use crate::bootstrap::load_versions;
use crate::commands::{CommandError, Context, Outcome, grouped, moment};
use crate::retention::Horizon;

/// Events that are looked at together, and rows in one command.
const PAGE: usize = 1000;

/// Which events, and how.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Events from this time on: RFC 3339, or seconds[.increment] of cluster time.
    #[arg(long, value_name = "TIMESTAMP", value_parser = moment::parse)]
    since: Timestamp,
    /// Events before this time; else all.
    #[arg(long, value_name = "TIMESTAMP", value_parser = moment::parse)]
    until: Option<Timestamp>,
    /// Only count.
    #[arg(long)]
    dry_run: bool,
    /// Also where deliveries may have been sent, ended and removed: those are sent once more.
    #[arg(long)]
    force: bool,
}

/// What was found and made.
#[derive(Debug, Default)]
struct Sum {
    events: u64,
    wanted: u64,
    there: u64,
    made: u64,
    /// Wanted by webhooks that are deleted now.
    gone: u64,
}

/// Makes what is missing.
pub(super) async fn run(args: &Args, context: &Context) -> Result<Outcome, CommandError> {
    let store = &context.store;
    let clock = ServerClock::calibrated(&store.db).await?;
    if !args.force {
        respect_horizon(args, context, clock.now()).await?;
    }
    let versions = load_versions(store, args.since).await?;
    let standing = webhooks_that_stand(store).await?;
    let log = store.collection::<TaskEvent>(names::EVENTS);
    let bar = ProgressBar::new(log.count_documents(range(args, None)).await?).with_style(style());
    let mut sum = Sum::default();
    let mut rows: Vec<Delivery> = Vec::new();
    let mut last: Option<EventId> = None;
    loop {
        let events = page(&log, range(args, last.as_ref())).await?;
        let Some(newest) = events.last() else { break };
        last = Some(newest.id.clone());
        sum.events += count(events.len());
        // One that was muted is for nobody.
        for event in events.iter().filter(|event| !event.muted) {
            let at = StreamTime::new(event.cluster_time, StreamTime::END);
            for subscriber in versions.subscribers(&event.group_id, at, event.event, event.echo) {
                if standing.contains(&subscriber.webhook) {
                    rows.push(Delivery::queued(event, subscriber.webhook, subscriber.ordering, clock.now()));
                } else {
                    sum.gone += 1;
                }
            }
            if rows.len() >= PAGE {
                settle(store, std::mem::take(&mut rows), args.dry_run, &mut sum).await?;
            }
        }
        bar.set_position(sum.events);
    }
    settle(store, rows, args.dry_run, &mut sum).await?;
    bar.finish_and_clear();
    tell(&sum, args.dry_run)?;
    Ok(Outcome::Fine)
}

async fn page(log: &Collection<TaskEvent>, range: Document) -> Result<Vec<TaskEvent>, CommandError> {
    let most = i64::try_from(PAGE).unwrap_or(i64::MAX);
    Ok(log.find(range).sort(doc! { "_id": 1 }).projection(without_body()).limit(most).await?.try_collect().await?)
}

fn style() -> ProgressStyle {
    let template = "{bar:30} {percent} %  {human_pos} of {human_len} events, {per_sec}, {eta} left";
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}

fn range(args: &Args, last: Option<&EventId>) -> Document {
    let mut ids = match last {
        Some(last) => doc! { "$gt": last.as_str() },
        None => doc! { "$gte": EventId::first_at(args.since).as_str() },
    };
    if let Some(until) = args.until {
        ids.insert("$lt", EventId::first_at(until).as_str());
    }
    doc! { "_id": ids }
}

/// Refuses to go where a delivery that is not there may have been sent and removed since, or the log has no events left.
async fn respect_horizon(args: &Args, context: &Context, now: DateTime) -> Result<(), CommandError> {
    let kept = Retention::read(&context.source)?.deliveries;
    let days = kept.as_secs() / 86_400;
    let horizon = Horizon::read(&context.store).await?;
    let since = DateTime::from_millis(i64::from(args.since.time) * 1000);
    let by_setting = earlier(now, kept);
    // A shorter retention may have been set before.
    let deliveries_from = horizon.deliveries_from.map_or(by_setting, |stored| stored.max(by_setting));
    if since < deliveries_from {
        return Err(CommandError::Refused(format!(
            "deliveries are removed {days} days after their end (TASKWIRE_DELIVERY_RETENTION_DAYS), so those of events \
             before {} may be missing because they were sent: name a later --since, or add --force to send them once more",
            moment::shown_date(deliveries_from)
        )));
    }
    if let Some(events_from) = horizon.events_from.filter(|from| since < *from) {
        return Err(CommandError::Refused(format!(
            "events before {} may have been removed (TASKWIRE_EVENT_RETENTION), and nothing can be made from them: name \
             that or a later --since, or add --force to take what is left",
            moment::shown_date(events_from)
        )));
    }
    Ok(())
}

/// The webhooks that are not deleted: a row for one that is would only be ended.
async fn webhooks_that_stand(store: &Store) -> Result<HashSet<ObjectId>, CommandError> {
    let webhooks = store.collection::<Document>(names::WEBHOOKS);
    let mut found = webhooks.find(doc! { "deletedAt": null }).projection(doc! { "_id": 1 }).await?;
    let mut live = HashSet::new();
    while let Some(webhook) = found.try_next().await? {
        live.extend(webhook.get_object_id("_id"));
    }
    Ok(live)
}

fn count(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}

/// Finds those of `rows` that are missing, and makes them.
async fn settle(store: &Store, rows: Vec<Delivery>, dry_run: bool, sum: &mut Sum) -> Result<(), CommandError> {
    if rows.is_empty() {
        return Ok(());
    }
    let ids: Vec<&str> = rows.iter().map(|row| row.id.as_str()).collect();
    // Before the rows: what leaves a parcel is a row.
    let packed = parcels::find(store, &ids).await?;
    let deliveries = store.collection::<Document>(names::DELIVERIES);
    let mut found =
        deliveries.find(doc! { "_id": { "$in": ids } }).projection(doc! { "_id": 1 }).batch_size(10_000).await?;
    let mut there: HashSet<String> = packed.into_iter().map(|row| row.id.as_str().to_owned()).collect();
    while let Some(row) = found.try_next().await? {
        there.extend(row.get_str("_id").map(ToOwned::to_owned));
    }
    sum.wanted += count(rows.len());
    sum.there += count(there.len());
    let missing: Vec<Delivery> = rows.into_iter().filter(|row| !there.contains(row.id.as_str())).collect();
    sum.made += if dry_run { count(missing.len()) } else { make(store, &missing).await? };
    Ok(())
}

/// Puts them where they are still missing, and tells how many that were.
async fn make(store: &Store, rows: &[Delivery]) -> Result<u64, CommandError> {
    let mut made = 0;
    for chunk in rows.chunks(PAGE) {
        let mut updates = RawArrayBuf::new();
        for row in chunk {
            let fields: RawDocumentBuf = bson::serialize_to_raw_document_buf(row)?;
            updates.push(rawdoc! { "q": { "_id": row.id.as_str() }, "u": { "$setOnInsert": fields }, "upsert": true });
        }
        let command = rawdoc! { "update": names::DELIVERIES, "updates": updates, "ordered": false };
        let reply = store.db.run_raw_command(command).await?;
        if let Some(first) = reply.get_array("writeErrors").ok().and_then(|errors| errors.first()) {
            let why = first.as_document().and_then(|error| error.get_str("errmsg").ok()).unwrap_or("a write error");
            return Err(CommandError::Refused(format!("deliveries could not be written: {why}; run it again")));
        }
        made += reply.get_array("upserted").map_or(0, |rows| rows.len() as u64);
    }
    Ok(made)
}

fn tell(sum: &Sum, dry_run: bool) -> Result<(), CommandError> {
    let count = |number: u64| grouped(i64::try_from(number).unwrap_or(i64::MAX));
    let mut out = std::io::stdout();
    let made = if dry_run { "would be made" } else { "made" };
    writeln!(
        out,
        "{} events want {} deliveries: {} are there, {} {made}",
        count(sum.events),
        count(sum.wanted),
        count(sum.there),
        count(sum.made)
    )?;
    if sum.gone > 0 {
        writeln!(out, "{} more were wanted by webhooks that are deleted now, and are left out", count(sum.gone))?;
    }
    Ok(())
}
