//! `quarantine`: what was put aside, tried again or given up.

mod entries;
mod reread;
mod retry;

use std::io::{self, Write};

use bson::raw::RawBson;
use bson::{Bson, Document, doc, rawdoc};
use clap::Subcommand;
use serde::Serialize;
use taskwire::model::DocId;
use taskwire::store::names;

use self::entries::Pages;
use super::{CommandError, Context, Outcome, moment};
use crate::quarantine::EntryStatus;

/// What to do with what was put aside.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Print the entries, oldest change first: why, and of which document; never its text.
    List {
        /// Only those.
        #[arg(long)]
        status: Option<EntryStatus>,
        /// As a JSON array.
        #[arg(long)]
        json: bool,
    },
    /// Read again with today's mapping, and record what fits, unless a later change of the same task is recorded.
    Retry(Which),
    /// Give up: the entry stays, without the raw change.
    Drop(Which),
}

/// Which entries.
#[derive(Debug, clap::Args)]
#[group(required = true, multiple = false)]
pub struct Which {
    /// An entry's id, as `list` prints it.
    id: Option<String>,
    /// All that are aside.
    #[arg(long)]
    all: bool,
}

/// An entry as it is printed.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Shown {
    id: String,
    status: String,
    collection: String,
    key: Option<String>,
    reason: String,
    changed_at: Option<String>,
    put_aside_at: Option<String>,
    retried_at: Option<String>,
}

/// Runs it.
///
/// # Errors
/// See [`CommandError`].
pub async fn run(command: Command, context: &Context) -> Result<Outcome, CommandError> {
    match command {
        Command::List { status, json } => list(context, status, json).await,
        Command::Retry(which) => retry::run(&which, context).await,
        Command::Drop(which) => drop_entries(&which, context).await,
    }
}

/// An entry's id as it is printed: of a stream's change its text, of a scan's document `scan:` and the document's id.
fn shown_id(id: &Bson) -> String {
    match id {
        Bson::Document(scan) => format!("scan:{}", scan.get("scan").map_or_else(String::new, shown_key)),
        other => shown_key(other),
    }
}

fn shown_key(key: &Bson) -> String {
    match key {
        Bson::ObjectId(oid) => oid.to_hex(),
        Bson::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// The id that was printed so.
fn parse_id(text: &str) -> RawBson {
    match text.strip_prefix("scan:").map(DocId::parse) {
        Some(DocId::Oid(oid)) => RawBson::Document(rawdoc! { "scan": oid }),
        Some(DocId::Text(key)) => RawBson::Document(rawdoc! { "scan": key }),
        None => RawBson::String(text.to_owned()),
    }
}

impl Shown {
    fn of(entry: &Document) -> Self {
        let text = |key| entry.get_str(key).unwrap_or_default().to_owned();
        let date = |key| entry.get_datetime(key).ok().copied().map(moment::shown_date);
        Self {
            id: entry.get("_id").map_or_else(String::new, shown_id),
            status: text("status"),
            collection: text("collection"),
            key: entry.get("documentKey").map(shown_key),
            reason: text("reason"),
            changed_at: entry.get_timestamp("clusterTime").ok().map(moment::shown),
            put_aside_at: date("at"),
            retried_at: date("retriedAt"),
        }
    }

    fn line(&self) -> String {
        let when = self.changed_at.as_deref().unwrap_or("?");
        let Self { id, status, collection, reason, .. } = self;
        let key = self.key.as_deref().unwrap_or("-");
        format!("{id}  {status:<10}  {when}  {collection} {key}: {reason}")
    }
}

async fn list(context: &Context, status: Option<EntryStatus>, json: bool) -> Result<Outcome, CommandError> {
    let mut out = io::stdout();
    let mut count = 0;
    let wanted = status.map_or_else(|| EntryStatus::ALL.to_vec(), |status| vec![status]);
    if json {
        write!(out, "[")?;
    }
    for status in wanted {
        let mut pages = Pages::without_raw(&context.store, status);
        while let Some(page) = pages.next().await? {
            for entry in page {
                let shown = Shown::of(&Document::try_from(&entry)?);
                if json {
                    write!(out, "{}\n  {}", if count == 0 { "" } else { "," }, serde_json::to_string(&shown)?)?;
                } else {
                    writeln!(out, "{}", shown.line())?;
                }
                count += 1;
            }
        }
    }
    if json {
        writeln!(out, "{}]", if count == 0 { "" } else { "\n" })?;
    } else if count == 0 {
        writeln!(out, "nothing")?;
    }
    Ok(Outcome::Fine)
}

async fn drop_entries(which: &Which, context: &Context) -> Result<Outcome, CommandError> {
    let mut filter = doc! { "status": EntryStatus::Aside.name() };
    if let Some(id) = &which.id {
        filter.insert("_id", Bson::try_from(parse_id(id))?);
    }
    let update = doc! {
        "$set": { "status": EntryStatus::Dropped.name() }, "$currentDate": { "droppedAt": true }, "$unset": { "raw": "" },
    };
    let entries = context.store.collection::<Document>(names::QUARANTINE);
    let dropped = entries.update_many(filter, update).await?.matched_count;
    match &which.id {
        Some(id) if dropped == 0 => Err(nothing_aside(id)),
        _ => {
            writeln!(io::stdout(), "{dropped} dropped")?;
            Ok(Outcome::Fine)
        }
    }
}

fn nothing_aside(id: &str) -> CommandError {
    CommandError::Refused(format!("nothing with the id {id} is aside: `quarantine list --status aside` shows what is"))
}

#[cfg(test)]
mod tests {
    use bson::oid::ObjectId;

    use super::*;

    #[test]
    fn an_id_is_read_as_it_was_printed() {
        for id in [
            Bson::String("evt_0abc".into()),
            Bson::Document(doc! { "scan": ObjectId::new() }),
            Bson::Document(doc! { "scan": "some text" }),
        ] {
            assert_eq!(Bson::try_from(parse_id(&shown_id(&id))).unwrap(), id);
        }
    }
}
