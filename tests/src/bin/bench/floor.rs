//! The least time from a commit to a receipt that this database leaves to anybody who tells only what is safe: a change is read
//! from the stream once a majority has it, and what follows from it must be on a majority too before it may be sent.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use bson::{Document, doc};
use futures::TryStreamExt;

use crate::Bench;

/// How often it is measured, and how far apart.
const TIMES: i32 = 200;
const APART: Duration = Duration::from_millis(20);

impl Bench {
    /// From the beginning of a write until it was read from a stream and one document was written after it, in sorted
    /// microseconds. Nothing else runs.
    pub(crate) async fn least_latencies(&self) -> Result<Vec<i64>> {
        let db = self.mongo.db().await?;
        let (changes, marks) = (db.collection::<Document>("changes"), db.collection::<Document>("marks"));
        for collection in [&changes, &marks] {
            collection.insert_one(doc! { "_id": "first" }).await?;
        }
        let mut stream = changes.watch().await?;
        let mut micros = Vec::new();
        for number in 0..TIMES {
            tokio::time::sleep(APART).await;
            let began = Instant::now();
            let write = async { anyhow::Ok(changes.insert_one(doc! { "_id": number }).await?) };
            let tell = async {
                stream.try_next().await?.context("the stream ended")?;
                marks.insert_one(doc! { "_id": number }).await?;
                anyhow::Ok(began.elapsed())
            };
            let (_, took) = tokio::try_join!(write, tell)?;
            micros.push(i64::try_from(took.as_micros())?);
        }
        micros.sort_unstable();
        Ok(micros)
    }
}
