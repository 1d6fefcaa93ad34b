//! What one change costs in the stages that do no input or output, for a change of both profiles: read, fold, derive, sign.
//!
//! `cargo bench --workspace --bench stages`

use std::hint::black_box;
use std::sync::Arc;

use anyhow::{Context, Result};
use bson::oid::ObjectId;
use bson::{DateTime, Document, RawDocumentBuf, Timestamp, doc};
use criterion::{BenchmarkId, Criterion};
use secrecy::SecretString;
use taskwire::mapping::Mapping;
use taskwire::model::{DocId, EventId, StreamTime};
use taskwire::signing::{Signer, SigningKey};
use taskwire_indexer::change::{Change, TaskWrite, What};
use taskwire_indexer::derive::{Draft, Rules, SwapPart};
use taskwire_indexer::fold::{Transition, fold};
use taskwire_indexer::snapshot::Snapshot;
use taskwire_tests::Profile;
use taskwire_tests::service::{Status, Task, camel, tracker};

fn main() -> Result<()> {
    let mut criterion = Criterion::default().configure_from_args();
    for profile in [Profile::TasksTracker, Profile::CamelCase] {
        measure(&mut criterion, profile)?;
    }
    criterion.final_summary();
    Ok(())
}

/// A task that somebody completes, on its way from the raw change to the signatures.
fn measure(criterion: &mut Criterion, profile: Profile) -> Result<()> {
    let mapping = Mapping::load(profile.name())?;
    let rules = Rules::of(&mapping);
    let (before, after) = completion();
    let raw = raw_change(profile, &before, &after)?;
    let time = Timestamp { time: 1_765_802_096, increment: 1 };
    let past = Timestamp { time: time.time - 60, increment: 1 };
    let known = RawDocumentBuf::try_from(&document(profile, &before)?)?;
    let last = Snapshot::of_scan(DocId::Oid(before.id), mapping.read_task(&known)?, past);
    let at = StreamTime::new(time, 0);
    let What::Task { write, .. } = Change::read(&raw, &mapping)?.what else { anyhow::bail!("the change is no task's") };
    let draft = draft(&mapping, &rules, &last, &write, at).context("the change has no event")?;
    let event = draft.finish(&mapping);
    let name = profile.name();
    let mut group = criterion.benchmark_group("change");
    group.bench_function(BenchmarkId::new("read", name), |bencher| {
        bencher.iter(|| Change::read(black_box(&raw), &mapping));
    });
    group.bench_function(BenchmarkId::new("fold", name), |bencher| {
        bencher.iter(|| fold(&mapping, at, Some(black_box(&last)), black_box(&write)));
    });
    group.bench_function(BenchmarkId::new("derive", name), |bencher| {
        let before = draft.before.as_ref().unwrap_or(&draft.state);
        bencher.iter(|| {
            let kinds = rules.events(black_box(before), &draft.state, draft.fields, SwapPart::None);
            (kinds, draft.finish(&mapping))
        });
    });
    group.bench_function(BenchmarkId::new("sign", name), |bencher| {
        let secret = SecretString::from("whsec_dGFza3dpcmUtYmVuY2htYXJrLXNpZ25pbmcta2V5LTMy");
        let Ok(key) = SigningKey::new(&secret) else { return };
        let signer = Signer::new(key);
        bencher.iter(|| signer.sign(event.id.as_str(), 1_765_802_097, black_box(event.body.as_bytes())));
    });
    group.finish();
    Ok(())
}

/// The first event of the change.
fn draft(mapping: &Mapping, rules: &Rules, last: &Snapshot, write: &TaskWrite, at: StreamTime) -> Option<Draft> {
    let Ok(Some(Transition::Changed { before, after, fields })) = fold(mapping, at, Some(last), write) else {
        return None;
    };
    let kind = *rules.events(&before, &after, fields, SwapPart::None).first()?;
    Some(Draft {
        id: EventId::derive(at, "TasksTrackerDb.tasks", &last.id, kind.name()),
        kind,
        task: last.id.clone(),
        at,
        ms: 1_765_802_096_123,
        sequence: 7,
        state: Arc::clone(&after),
        before: Some(before),
        fields,
        swap: None,
        actor: Some(ObjectId::from_bytes([3; 12]).to_hex()),
        echo: false,
        muted: false,
        recovered: false,
        subscribers: Vec::new(),
    })
}

fn completion() -> (Task, Task) {
    let now = DateTime::from_millis(1_765_802_000_000);
    let before = Task {
        id: ObjectId::from_bytes([1; 12]),
        group: ObjectId::from_bytes([2; 12]),
        template: None,
        assignee: ObjectId::from_bytes([3; 12]),
        name: "Clean the kitchen".to_owned(),
        description: Some("Surfaces, floor and the inside of the oven; the cloths are under the sink.".to_owned()),
        difficulty: 4,
        status: Status::InProgress,
        requires_approval: false,
        due_at: now,
        frequency: 2,
        created_at: now,
        created_by: ObjectId::from_bytes([4; 12]),
        review: None,
    };
    let after = Task { status: Status::Completed, ..before.clone() };
    (before, after)
}

fn document(profile: Profile, task: &Task) -> Result<Document> {
    match profile {
        Profile::TasksTracker => tracker::document(task),
        Profile::CamelCase => Ok(camel::document(task)),
    }
}

/// The change as the stream brings it: a replace of the whole document, or an update of parts of it.
fn raw_change(profile: Profile, before: &Task, after: &Task) -> Result<RawDocumentBuf> {
    let (now, by) = (DateTime::from_millis(1_765_802_096_123), after.assignee);
    let mut change = doc! {
        "_id": { "_data": "82693FFE30000000012B022C0100296E5A1004".repeat(3) },
        "clusterTime": Timestamp { time: 1_765_802_096, increment: 1 },
        "wallTime": now,
        "ns": { "db": "TasksTrackerDb", "coll": "tasks" },
        "documentKey": { "_id": after.id },
    };
    match profile {
        Profile::TasksTracker => {
            change.insert("operationType", "replace");
            change.insert("fullDocument", document(profile, after)?);
        }
        Profile::CamelCase => {
            change.insert("operationType", "update");
            let mut updated = camel::update(before, after, "completed", by);
            let mut fields = updated.get_document_mut("$set")?.clone();
            fields.insert("history.1", doc! { "action": "completed", "userId": by, "at": now });
            let parts = doc! { "updatedFields": fields, "removedFields": [], "truncatedArrays": [] };
            change.insert("updateDescription", parts);
        }
    }
    Ok(RawDocumentBuf::try_from(&change)?)
}
