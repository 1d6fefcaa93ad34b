//! The version of what is stored: of the forms that `docs/COLLECTIONS.md` describes. It stands in the database, so that a
//! program never reads or writes a form that it does not know, and a newer program brings an older database forward.

use std::fmt;

use bson::{Bson, DateTime, Document, doc};
use futures::future::BoxFuture;
use mongodb::ClientSession;
use mongodb::error::Error;
use mongodb::options::ReturnDocument;

use super::{Store, Verdict, describe, ensure_indexes, in_transaction, names};
use crate::VERSION;

/// `_id` of its document in `watcherCheckpoints`.
const LAYOUT: &str = "layout";

/// The version of a database in which none is stored: the first one.
const FIRST: i64 = 1;

/// Changes some documents behind the place given (`None`: from the beginning).
pub type TakePage = for<'a> fn(&'a Store, &'a mut ClientSession, Option<Bson>) -> BoxFuture<'a, Result<Page, Error>>;

/// One step from a version to the next.
///
/// A step goes through its documents page by page. Each page is one transaction together with how far the step has come, so
/// whoever is killed, frozen or overtaken changes nothing twice, and the next program goes on behind the last page. Programs
/// of the version before may still run meanwhile: a step leaves what they need in place, and a later version takes it away.
#[derive(Clone, Copy)]
pub struct Migration {
    /// What it does, for the log.
    pub what: &'static str,
    /// One page of it.
    pub page: TakePage,
}

impl fmt::Debug for Migration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.what)
    }
}

/// How far a page brought its step.
#[derive(Debug, Clone, PartialEq)]
pub enum Page {
    /// There is more behind this place.
    More(Bson),
    /// The step is done.
    Done,
}

/// Every step there has been, in order: the first one leads from version 1 to 2. None so far.
const MIGRATIONS: &[Migration] = &[];

/// Why a database cannot be used as it is.
#[derive(Debug, thiserror::Error)]
pub enum LayoutError {
    /// A newer program was here.
    #[error(
        "what is stored in {database} is of version {stored}, brought there by Taskwire {by}; this is Taskwire {VERSION}, which \
         knows version {known}: start Taskwire {by} or later, or restore a backup from before"
    )]
    Newer {
        /// The database.
        database: String,
        /// Its version.
        stored: i64,
        /// The newest that this program knows.
        known: i64,
        /// The program that brought it there.
        by: String,
    },
    /// The database refused.
    #[error("the layout of Taskwire's collections cannot be read or brought forward: {}", describe(.0))]
    Database(#[from] Error),
}

/// How a database stands.
#[derive(Debug)]
struct Layout {
    version: i64,
    /// Counts pages, so that of two programs at one step each page is written by one.
    pages: i64,
    /// Behind which place the step under way goes on.
    last: Option<Bson>,
}

impl Layout {
    /// Of a database without a document it is the first version, at its beginning.
    fn read(found: Option<&Document>) -> Self {
        let number = |key: &str, default| found.and_then(|found| found.get_i64(key).ok()).unwrap_or(default);
        let last = found.and_then(|found| found.get("last")).filter(|last| last.as_null().is_none());
        Self { version: number("version", FIRST), pages: number("pages", 0), last: last.cloned() }
    }
}

/// Refuses a database that a newer program has brought forward. Reads only.
///
/// # Errors
/// See [`LayoutError`].
pub async fn check_layout(store: &Store) -> Result<(), LayoutError> {
    check(store, MIGRATIONS).await.map(|_| ())
}

/// Brings the database forward to this program's version, and makes the indexes. Either program does it at its start; doing
/// it again, or side by side, does nothing more.
///
/// # Errors
/// See [`LayoutError`].
pub async fn prepare(store: &Store) -> Result<(), LayoutError> {
    migrate(store, MIGRATIONS).await?;
    Ok(ensure_indexes(store).await?)
}

/// The newest version that these steps lead to.
fn newest(migrations: &[Migration]) -> i64 {
    FIRST + i64::try_from(migrations.len()).unwrap_or(0)
}

async fn check(store: &Store, migrations: &[Migration]) -> Result<Layout, LayoutError> {
    let found = store.collection::<Document>(names::CHECKPOINTS).find_one(doc! { "_id": LAYOUT }).await?;
    let (layout, known) = (Layout::read(found.as_ref()), newest(migrations));
    if layout.version > known {
        let by = found.as_ref().and_then(|found| found.get_str("by").ok()).unwrap_or("of a later version");
        let database = store.db.name().to_owned();
        return Err(LayoutError::Newer { database, stored: layout.version, known, by: by.to_owned() });
    }
    Ok(layout)
}

/// Takes one step after the other, beginning at the stored version.
///
/// # Errors
/// See [`LayoutError`].
pub async fn migrate(store: &Store, migrations: &[Migration]) -> Result<(), LayoutError> {
    let fresh = doc! { "version": FIRST, "pages": 0i64, "by": VERSION, "at": DateTime::now() };
    store
        .collection::<Document>(names::CHECKPOINTS)
        .find_one_and_update(doc! { "_id": LAYOUT }, doc! { "$setOnInsert": fresh })
        .upsert(true)
        .return_document(ReturnDocument::After)
        .await?;
    let mut told = None;
    loop {
        let layout = check(store, migrations).await?;
        let step = usize::try_from(layout.version - FIRST).ok().and_then(|number| migrations.get(number));
        let Some(step) = step else { return Ok(()) };
        if told != Some(layout.version) {
            tracing::info!(
                from = layout.version,
                to = layout.version + 1,
                what = step.what,
                "bringing collections forward"
            );
            told = Some(layout.version);
        }
        take_page(store, &layout, *step).await?;
    }
}

/// One page, where nobody else has come further meanwhile.
async fn take_page(store: &Store, layout: &Layout, step: Migration) -> Result<(), LayoutError> {
    let (version, pages, last) = (layout.version, layout.pages, layout.last.clone());
    let store_of_page = store.clone();
    in_transaction(store, move |session| {
        let (store, last) = (store_of_page.clone(), last.clone());
        Box::pin(async move {
            let layouts = store.collection::<Document>(names::CHECKPOINTS);
            let here = doc! { "_id": LAYOUT, "version": version, "pages": pages };
            let taken = layouts.update_one(here, doc! { "$inc": { "pages": 1i64 } }).session(&mut *session).await?;
            if taken.matched_count == 0 {
                return Ok(Verdict::Abort(()));
            }
            let set = match (step.page)(&store, &mut *session, last).await? {
                Page::More(last) => doc! { "last": last },
                Page::Done => {
                    doc! { "version": version + 1, "last": Bson::Null, "by": VERSION, "at": DateTime::now() }
                }
            };
            layouts.update_one(doc! { "_id": LAYOUT }, doc! { "$set": set }).session(&mut *session).await?;
            Ok(Verdict::Commit(()))
        })
    })
    .await?;
    Ok(())
}
