//! `pause` and `resume`: sending stops, for all groups or one, while events are derived and queued as ever.

use std::io::{self, Write};

use bson::doc;
use taskwire::model::DocId;
use taskwire::store::pauses::{self, Pause};
use taskwire::store::{ServerClock, Store};

use super::{CommandError, Context, Outcome, moment};

/// The longest note and group id, in characters.
const TEXT_MOST: usize = 200;

/// What to pause.
#[derive(Debug, clap::Args)]
pub struct PauseArgs {
    /// Only this group's webhooks.
    #[arg(long, value_parser = group_id)]
    group: Option<DocId>,
    /// Why, for whoever looks at `status`.
    #[arg(long, value_parser = note)]
    note: Option<String>,
}

/// What to resume.
#[derive(Debug, clap::Args)]
pub struct ResumeArgs {
    /// The pause of this group; without it, the pause of all.
    #[arg(long, value_parser = group_id)]
    group: Option<DocId>,
}

fn short_text(text: &str, what: &str) -> Result<String, String> {
    if text.trim().is_empty() || text.chars().count() > TEXT_MOST || text.chars().any(char::is_control) {
        return Err(format!("{what} has 1 to {TEXT_MOST} characters, and no control characters"));
    }
    Ok(text.to_owned())
}

pub(super) fn note(text: &str) -> Result<String, String> {
    short_text(text, "a note")
}

/// A group's id as the command line gives it.
pub(super) fn group_id(text: &str) -> Result<DocId, String> {
    if text.contains(char::is_whitespace) {
        return Err("a group's id holds no spaces".to_owned());
    }
    short_text(text, "a group's id").map(|text| DocId::parse(&text))
}

/// Pauses.
///
/// # Errors
/// See [`CommandError`].
pub async fn pause(args: PauseArgs, context: &Context) -> Result<Outcome, CommandError> {
    let store = &context.store;
    if let Some(group) = &args.group {
        must_exist(context, group).await?;
    }
    let clock = ServerClock::calibrated(&store.db).await?;
    let pause = Pause::new(args.group, clock.now(), operator(), args.note);
    let what = scope(pause.group_id.as_ref());
    match pauses::begin(store, &pause).await? {
        Some(there) => {
            let since = moment::shown_date(there.since);
            writeln!(
                io::stdout(),
                "sending for {what} has been paused since {since}, by {}: nothing was changed",
                there.by
            )?;
        }
        None => writeln!(
            io::stdout(),
            "sending for {what} is paused: no attempt starts later than a second from now; events are still derived and queued"
        )?,
    }
    Ok(Outcome::Fine)
}

/// Resumes.
///
/// # Errors
/// See [`CommandError`].
pub async fn resume(args: ResumeArgs, context: &Context) -> Result<Outcome, CommandError> {
    let store = &context.store;
    let clock = ServerClock::calibrated(&store.db).await?;
    let now = clock.now();
    let what = scope(args.group.as_ref());
    match pauses::end(store, args.group.as_ref(), now).await? {
        Some(ended) => {
            let seconds = now.timestamp_millis().saturating_sub(ended.since.timestamp_millis()) / 1000;
            writeln!(io::stdout(), "sending for {what} goes on, after {}", moment::span(seconds.unsigned_abs()))?;
        }
        None => writeln!(io::stdout(), "no pause of {what} was in force: nothing was changed")?,
    }
    tell_what_is_left(store).await
}

async fn tell_what_is_left(store: &Store) -> Result<Outcome, CommandError> {
    for left in pauses::list(store).await? {
        let (what, since) = (scope(left.group_id.as_ref()), moment::shown_date(left.since));
        writeln!(io::stdout(), "still paused: {what}, since {since}, by {}", left.by)?;
    }
    Ok(Outcome::Fine)
}

/// Whose sending a pause stops, in words.
fn scope(group: Option<&DocId>) -> String {
    group.map_or_else(|| "all groups".to_owned(), |group| format!("group {group}"))
}

pub(super) async fn must_exist(context: &Context, group: &DocId) -> Result<(), CommandError> {
    let collection = &context.mapping.groups.collection;
    let groups = context.store.collection::<bson::Document>(collection);
    if groups.find_one(doc! { "_id": group.clone() }).projection(doc! { "_id": 1 }).await?.is_none() {
        return Err(CommandError::Refused(format!(
            "there is no group {group} in {collection} of {}: check the id, and TASKWIRE_DATABASE",
            context.store.db.name()
        )));
    }
    Ok(())
}

/// Who calls, as far as the machine says.
pub(super) fn operator() -> String {
    let user = ["SUDO_USER", "USER", "LOGNAME"].iter().find_map(|name| std::env::var(name).ok());
    let host = std::fs::read_to_string("/etc/hostname").unwrap_or_default();
    format!("{}@{}", user.as_deref().unwrap_or("unknown"), host.trim())
}
