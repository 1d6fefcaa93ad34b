//! What can be broken by hand, and the kinds that the audit then tells.

use anyhow::{Context, Result, ensure};
use bson::oid::ObjectId;
use bson::{DateTime, Document, doc};
use taskwire::model::{DeliveryId, EventId};

use super::{Scene, audit};

/// Something broken by hand: a document of a collection is replaced by another, or removed, or inserted.
pub(super) struct Broken {
    what: &'static str,
    collection: &'static str,
    before: Option<Document>,
    after: Option<Document>,
    kinds: &'static [&'static str],
}

impl Broken {
    async fn put(&self, scene: &Scene, from: Option<&Document>, to: Option<&Document>) -> Result<()> {
        let collection = scene.collection(self.collection);
        match (from, to) {
            (Some(from), None) => {
                collection.delete_one(doc! { "_id": from.get("_id").cloned() }).await?;
            }
            (_, Some(to)) => {
                let id = doc! { "_id": to.get("_id").cloned() };
                collection.replace_one(id, to).upsert(true).await?;
            }
            (None, None) => {}
        }
        Ok(())
    }

    pub(super) async fn is_told(&self, scene: &Scene) -> Result<()> {
        self.put(scene, self.before.as_ref(), self.after.as_ref()).await?;
        let audited = audit(&scene.stack, &[]).await?;
        self.put(scene, self.after.as_ref(), self.before.as_ref()).await?;
        ensure!(audited.code == 1 && audited.kinds() == self.kinds, "{}: {:#}", self.what, audited.report);
        Ok(())
    }
}

fn changed(document: &Document, change: impl FnOnce(&mut Document)) -> Option<Document> {
    let mut changed = document.clone();
    change(&mut changed);
    Some(changed)
}

/// Everything that can be wrong with deliveries and the log.
pub(super) async fn of_the_log(scene: &Scene) -> Result<Vec<Broken>> {
    let (events, rows) = (scene.collection("taskEvents"), scene.collection("webhookDeliveries"));
    let by_time = doc! { "_id": 1 };
    let task = scene.stack.service.expected().first().context("an event")?.task;
    let of_task = |sequence: i64| doc! { "taskId": task, "sequence": sequence };
    let row = rows.find_one(of_task(2)).sort(by_time.clone()).await?.context("a row")?;
    let second = events.find_one(of_task(2)).await?.context("an event")?;
    let first = events.find_one(of_task(1)).await?.context("an event")?;
    let newest = events.find_one(doc! { "taskId": task }).sort(doc! { "sequence": -1 }).await?.context("an event")?;
    let row_broken = |what, kinds, change: &dyn Fn(&mut Document)| {
        let after = changed(&row, change);
        Broken { what, collection: "webhookDeliveries", before: Some(row.clone()), after, kinds }
    };
    let event_broken = |what, event: &Document, after, kinds| Broken {
        what,
        collection: "taskEvents",
        before: Some(event.clone()),
        after,
        kinds,
    };
    let (nowhere, stranger) = (EventId::first_at(second.get_timestamp("clusterTime")?), ObjectId::new());
    let orphan = changed(&row, |row| {
        row.insert("_id", DeliveryId::derive(&nowhere, scene.webhook).as_str());
        row.insert("eventId", nowhere.as_str());
    });
    let unwanted = changed(&row, |row| {
        let event = EventId::from(second.get_str("_id").unwrap_or_default().to_owned());
        row.insert("_id", DeliveryId::derive(&event, stranger).as_str());
        row.insert("webhookId", stranger);
    });
    let twice = changed(&second, |event| drop(event.insert("_id", nowhere.as_str())));
    let inserted = |what, collection, after, kinds| Broken { what, collection, before: None, after, kinds };
    Ok(vec![
        Broken {
            what: "a row is removed",
            collection: "webhookDeliveries",
            before: Some(row.clone()),
            after: None,
            kinds: &["delivery-missing"],
        },
        row_broken("a finished row is due", &["delivery-unlawful"], &|row| {
            drop(row.insert("nextAttemptAt", DateTime::now()))
        }),
        row_broken("a row without its time of delivery", &["delivery-unlawful"], &|row| {
            drop(row.remove("deliveredAt"))
        }),
        row_broken("a row of an unknown status", &["delivery-unlawful"], &|row| drop(row.insert("status", "lost"))),
        row_broken("a row of another task", &["delivery-contradicts"], &|row| {
            drop(row.insert("taskId", ObjectId::new()))
        }),
        row_broken("a row of another sequence", &["delivery-contradicts"], &|row| drop(row.insert("sequence", 77i64))),
        row_broken("a row without its task", &["unreadable"], &|row| drop(row.remove("taskId"))),
        inserted("a row of no event", "webhookDeliveries", orphan, &["delivery-orphan"]),
        inserted("a row of no webhook", "webhookDeliveries", unwanted, &["delivery-unwanted"]),
        event_broken("an event is removed", &second, None, &["delivery-orphan", "sequence-hole"]),
        event_broken("the first event is removed", &first, None, &["delivery-orphan", "sequence-hole"]),
        event_broken("the newest event is removed", &newest, None, &["delivery-orphan", "sequence-end"]),
        inserted("an event is there twice", "taskEvents", twice, &["delivery-missing", "sequence-twice"]),
    ])
}

/// Everything that can be wrong with the snapshots.
pub(super) async fn of_the_snapshots(scene: &Scene) -> Result<Vec<Broken>> {
    let snapshots = scene.collection("taskSnapshots");
    let snapshot = snapshots.find_one(doc! { "deleted": null }).sort(doc! { "_id": 1 }).await?.context("a snapshot")?;
    let whole = |kinds: &'static [&'static str], what, after| Broken {
        what,
        collection: "taskSnapshots",
        before: Some(snapshot.clone()),
        after,
        kinds,
    };
    let change = |change: &dyn Fn(&mut Document)| changed(&snapshot, change);
    let field = change(&|snapshot| {
        if let Ok(fields) = snapshot.get_document_mut("fields") {
            fields.insert("difficulty", 9i64);
        }
    });
    let dead = change(&|snapshot| {
        snapshot.insert("deleted", true);
        snapshot.remove("fields");
    });
    let counter = change(&|snapshot| drop(snapshot.insert("sequence", 50i64)));
    let damaged = change(&|snapshot| drop(snapshot.remove("at")));
    let left_over = change(&|snapshot| {
        snapshot.insert("_id", ObjectId::new());
        snapshot.insert("sequence", 0i64);
    });
    Ok(vec![
        whole(&["snapshot-differs"], "a snapshot was changed", field),
        whole(&["snapshot-missing"], "a snapshot is a tombstone", dead),
        whole(&["sequence-end"], "a snapshot counts more events", counter),
        whole(&["snapshot-unreadable"], "a snapshot is damaged", damaged),
        whole(&["sequence-end", "snapshot-missing"], "a snapshot was removed", None),
        Broken {
            what: "a snapshot of no task",
            collection: "taskSnapshots",
            before: None,
            after: left_over,
            kinds: &["snapshot-left-over"],
        },
    ])
}
