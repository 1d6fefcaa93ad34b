//! The version of what is stored: brought forward in steps, refused where it is newer.

use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context, Result, ensure};
use bson::{Bson, Document, doc};
use futures::TryStreamExt;
use futures::future::BoxFuture;
use mongodb::ClientSession;
use mongodb::error::Error;
use taskwire::VERSION;
use taskwire::config::MongoSettings;
use taskwire::store::layout::{Migration, Page, migrate};
use taskwire::store::{LayoutError, Store, connect};
use taskwire_tests::{Db, Profile, Program, Stack};

use crate::common::SOON;

/// What the steps of these tests change.
const COLLECTION: &str = "mutes";

async fn layout(store: &Store) -> Result<Document> {
    let found = store.db.collection::<Document>("watcherCheckpoints").find_one(doc! { "_id": "layout" }).await?;
    found.context("no layout is stored")
}

/// Adds 1 to a field of 100 documents behind `last`: what is written twice is seen.
async fn add(store: &Store, session: &mut ClientSession, last: Option<Bson>, field: &str) -> Result<Page, Error> {
    let documents = store.db.collection::<Document>(COLLECTION);
    let behind = last.map_or_else(Document::new, |last| doc! { "_id": { "$gt": last } });
    let mut found = documents.find(behind).sort(doc! { "_id": 1 }).limit(100).session(&mut *session).await?;
    let page: Vec<Document> = found.stream(&mut *session).try_collect().await?;
    let ids: Vec<Bson> = page.iter().filter_map(|document| document.get("_id").cloned()).collect();
    let Some(last) = ids.last().cloned() else { return Ok(Page::Done) };
    documents.update_many(doc! { "_id": { "$in": ids } }, doc! { "$inc": { field: 1 } }).session(session).await?;
    Ok(Page::More(last))
}

static PAGES: AtomicUsize = AtomicUsize::new(0);

/// Breaks once, after its writes and before its commit.
fn first<'a>(
    store: &'a Store,
    session: &'a mut ClientSession,
    last: Option<Bson>,
) -> BoxFuture<'a, Result<Page, Error>> {
    Box::pin(async move {
        let page = add(store, session, last, "first").await?;
        if PAGES.fetch_add(1, Ordering::Relaxed) == 1 { Err(Error::custom("broken off")) } else { Ok(page) }
    })
}

fn second<'a>(
    store: &'a Store,
    session: &'a mut ClientSession,
    last: Option<Bson>,
) -> BoxFuture<'a, Result<Page, Error>> {
    Box::pin(add(store, session, last, "second"))
}

const STEPS: [Migration; 2] = [Migration { what: "first", page: first }, Migration { what: "second", page: second }];

#[tokio::test]
async fn a_database_is_brought_forward_page_by_page_once_whoever_breaks_off_or_works_beside() -> Result<()> {
    let db = Db::fresh().await?;
    let settings = MongoSettings { uri: db.uri().to_owned(), database: db.name().to_owned() };
    let store = connect(&settings, "taskwire-tests").await?;
    let documents = db.collection::<Document>(COLLECTION);
    documents.insert_many((0..250).map(|number| doc! { "_id": number, "first": 0, "second": 0 })).await?;

    ensure!(migrate(&store, &STEPS).await.is_err(), "it must break off");
    let broken = layout(&store).await?;
    assert_eq!((broken.get_i64("version")?, broken.get_i32("last")?), (1, 99));
    assert_eq!(documents.count_documents(doc! { "first": 1 }).await?, 100);

    let beside = futures::future::join_all((0..3).map(|_| migrate(&store, &STEPS))).await;
    ensure!(beside.iter().all(Result::is_ok), "{beside:?}");
    assert_eq!(documents.count_documents(doc! { "first": 1, "second": 1 }).await?, 250);
    let done = layout(&store).await?;
    assert_eq!((done.get_i64("version")?, done.get("last")), (3, Some(&Bson::Null)));
    let pages = done.get_i64("pages")?;
    migrate(&store, &STEPS).await?;
    assert_eq!(layout(&store).await?.get_i64("pages")?, pages, "there is nothing left to do");

    // This build knows no such version.
    let refused = connect(&settings, "taskwire-tests").await.err().context("it was not refused")?.to_string();
    ensure!(refused.contains("version 3") && refused.contains("version 1"), "{refused}");
    ensure!(matches!(migrate(&store, &[]).await, Err(LayoutError::Newer { stored: 3, known: 1, .. })));
    Ok(())
}

#[tokio::test]
async fn what_a_newer_program_has_stored_is_refused_by_both_programs_and_every_command_and_left_as_it_is() -> Result<()>
{
    let stack = Stack::new(Profile::TasksTracker).await?;
    let mut indexer = stack.launch(Program::Indexer).start().await?;
    indexer.stop(SOON).await?;
    let layouts = stack.db.collection::<Document>("watcherCheckpoints");
    let here = doc! { "_id": "layout" };
    let fresh = layouts.find_one(here.clone()).await?.context("a first start stores the layout")?;
    assert_eq!((fresh.get_i64("version")?, fresh.get_str("by")?), (1, VERSION));
    layouts.update_one(here, doc! { "$set": { "version": 9i64, "by": "9.1.0" } }).await?;

    let everything = async || -> Result<Vec<Document>> { Ok(layouts.find(doc! {}).await?.try_collect().await?) };
    let before = everything().await?;
    for (program, arguments) in [
        (Program::Api, &[][..]),
        (Program::Api, &["rekey"]),
        (Program::Indexer, &[]),
        (Program::Indexer, &["status"]),
        (Program::Indexer, &["checkpoint", "reset", "--to", "now", "--yes"]),
        (Program::Indexer, &["dispatch", "--group", "g", "--once"]),
    ] {
        let ran = stack.launch(program).set("RUST_LOG", "off").arguments(arguments).run().await?.expect(1)?;
        ensure!(ran.err.lines().count() == 1, "{arguments:?}: {}", ran.err);
        for part in ["version 9", "Taskwire 9.1.0", VERSION, "version 1"] {
            ensure!(ran.err.contains(part), "{arguments:?}: no {part}: {}", ran.err);
        }
    }
    assert_eq!(everything().await?, before);
    Ok(())
}
