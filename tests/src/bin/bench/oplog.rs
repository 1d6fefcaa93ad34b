//! How many bytes of oplog whose writes cost, by collection.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use bson::{Document, Timestamp, doc};
use futures::TryStreamExt;
use mongodb::Database;

use crate::usage::number;

/// The time of the last write.
pub(crate) async fn last_write(database: &Database) -> Result<Timestamp> {
    let hello = database.run_command(doc! { "hello": 1 }).await?;
    let last = hello.get_document("lastWrite")?.get_document("opTime")?;
    Ok(last.get_timestamp("ts")?)
}

/// Bytes of the oplog entries after one time and up to another, by collection of this database. The entry of a transaction
/// that wrote to this database is divided among the collections that it wrote to; its frame is listed as `transactions`.
pub(crate) async fn bytes_between(
    database: &Database,
    after: Timestamp,
    until: Timestamp,
) -> Result<BTreeMap<String, f64>> {
    let oplog = database.client().database("local").collection::<Document>("oplog.rs");
    let ours = format!("{}.", database.name());
    let of_ours = doc! { "$regex": format!("^{}\\.", database.name()) };
    let entries = doc! {
        "ts": { "$gt": after, "$lte": until },
        "$or": [{ "ns": &of_ours }, { "o.applyOps.ns": of_ours }],
    };
    let of_entry = doc! { "$project": { "parts": { "$cond": [
        { "$isArray": "$o.applyOps" },
        { "$concatArrays": [
            { "$map": { "input": "$o.applyOps", "as": "op", "in": { "ns": "$$op.ns", "size": { "$bsonSize": "$$op" } } } },
            [{ "ns": "transactions", "size": { "$subtract": [
                { "$bsonSize": "$$ROOT" },
                { "$reduce": { "input": "$o.applyOps", "initialValue": 0,
                    "in": { "$add": ["$$value", { "$bsonSize": "$$this" }] } } },
            ] } }],
        ] },
        [{ "ns": "$ns", "size": { "$bsonSize": "$$ROOT" } }],
    ] } } };
    let sum = doc! { "$group": { "_id": "$parts.ns", "bytes": { "$sum": "$parts.size" } } };
    let stages = [doc! { "$match": entries }, of_entry, doc! { "$unwind": "$parts" }, sum];
    let sums: Vec<Document> = oplog.aggregate(stages).await?.try_collect().await?;
    let mut bytes = BTreeMap::new();
    for one in sums {
        let namespace = one.get_str("_id").context("an oplog entry without a namespace")?;
        let name = match namespace.strip_prefix(&ours) {
            Some(collection) => collection,
            None if namespace == "transactions" => namespace,
            None => continue,
        };
        *bytes.entry(name.to_owned()).or_default() += number(&one, "bytes");
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use taskwire_tests::Db;

    use super::*;

    async fn write_twice_in_a_transaction(db: &Database) -> Result<()> {
        let mut session = db.client().start_session().await?;
        session.start_transaction().await?;
        for _ in 0..2 {
            let written = doc! { "text": "x".repeat(1_000) };
            db.collection::<Document>("inside").insert_one(written).session(&mut session).await?;
        }
        Ok(session.commit_transaction().await?)
    }

    #[tokio::test]
    async fn bytes_of_a_transaction_are_counted_at_the_collections_it_wrote_to() -> Result<()> {
        let (db, other) = (Db::fresh().await?, Db::fresh().await?);
        for db in [&db, &other] {
            db.create_collection("inside").await?;
        }
        let before = last_write(&db).await?;
        db.collection::<Document>("outside").insert_one(doc! { "text": "x".repeat(3_000) }).await?;
        write_twice_in_a_transaction(&db).await?;
        for _ in 0..3 {
            write_twice_in_a_transaction(&other).await?;
        }
        let bytes = bytes_between(&db, before, last_write(&db).await?).await?;
        for (collection, least, most) in
            [("outside", 3_000.0, 3_600.0), ("inside", 2_000.0, 2_600.0), ("transactions", 50.0, 600.0)]
        {
            let there = bytes.get(collection).copied().unwrap_or_default();
            assert!((least..most).contains(&there), "{collection}: {bytes:?}");
        }
        Ok(())
    }
}
