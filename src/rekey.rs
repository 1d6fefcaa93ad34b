//! Seals everything anew under the first master key, so that an old one can be given up.
//!
//! Documents are gone through by id, in batches. Each write is guarded by the sealed text that was read, and one that is
//! sealed with the first key already is passed over: so it may be stopped at any time and begun again, beside running
//! programs. Documents are replaced as a whole, because the change stream brings configurations only so. Each gets a new
//! revision: who has read it before and writes it back afterwards, with the old seals, must find that it has changed.

use bson::{Bson, Document, doc};
use futures::TryStreamExt;
use secrecy::ExposeSecret;

use crate::secrets::{MasterKeys, Sealed, SecretError};
use crate::store::{Store, describe, names};

/// Documents in one batch.
const BATCH: i64 = 200;
/// How often what others change meanwhile is gone through again.
const ROUNDS: u32 = 5;

/// Where sealed texts stand. Each is sealed for `collection/id/field`.
const PLACES: [(&str, &[&str]); 3] = [
    (names::WEBHOOKS, &["secret.current", "secret.previous", "headers"]),
    (names::INBOUND, &["secret.current", "secret.previous"]),
    (names::IDEMPOTENCY, &["answer.body"]),
];

/// Why it was not done.
#[derive(Debug, thiserror::Error)]
pub enum RekeyError {
    /// The database.
    #[error("the database: {}", describe(.0))]
    Database(#[from] mongodb::error::Error),
    /// A sealed text does not open.
    #[error(
        "{collection} {id}, {field}: {why}; put the key that sealed it into TASKWIRE_MASTER_KEY, behind the new one"
    )]
    Secret {
        /// The collection.
        collection: &'static str,
        /// The document.
        id: String,
        /// The field.
        field: &'static str,
        /// Why.
        why: SecretError,
    },
    /// Others kept changing documents.
    #[error("{left} documents kept being changed by others: run it again")]
    Busy {
        /// How many.
        left: u64,
    },
}

/// What was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Rekeyed {
    /// Documents that were sealed anew.
    pub sealed: u64,
    /// Documents that were sealed with the first key already, or hold nothing sealed.
    pub passed_over: u64,
}

/// Goes through everything. `told` hears of each batch.
///
/// # Errors
/// See [`RekeyError`]; what was sealed anew by then stays so.
pub async fn rekey(store: &Store, keys: &MasterKeys, mut told: impl FnMut(Rekeyed)) -> Result<Rekeyed, RekeyError> {
    let mut done = Rekeyed::default();
    for (collection, fields) in PLACES {
        let mut left = 0;
        for round in 0..ROUNDS {
            let mut after = Bson::MinKey;
            left = 0;
            while let Some(last) = batch(store, keys, (collection, fields), &after, &mut done, &mut left).await? {
                after = last;
                told(done);
            }
            if left == 0 {
                break;
            }
            tracing::debug!(collection, left, round, "documents were changed by others meanwhile");
        }
        if left > 0 {
            return Err(RekeyError::Busy { left });
        }
    }
    Ok(done)
}

/// Seals the next documents anew; the last one's id, or `None` at the end. `left` counts those that were changed meanwhile.
async fn batch(
    store: &Store,
    keys: &MasterKeys,
    (collection, fields): (&'static str, &'static [&'static str]),
    after: &Bson,
    done: &mut Rekeyed,
    left: &mut u64,
) -> Result<Option<Bson>, RekeyError> {
    let documents = store.collection::<Document>(collection);
    let next = documents.find(doc! { "_id": { "$gt": after } }).sort(doc! { "_id": 1 }).limit(BATCH);
    let found: Vec<Document> = next.await?.try_collect().await?;
    let Some(last) = found.last().and_then(|document| document.get("_id")).cloned() else { return Ok(None) };
    let mut updates = Vec::new();
    for document in found {
        match reseal(keys, collection, fields, document)? {
            Some((guard, document)) => updates.push(doc! { "q": guard, "u": document }),
            None => done.passed_over += 1,
        }
    }
    if !updates.is_empty() {
        let wanted = updates.len() as u64;
        let command = doc! { "update": collection, "updates": updates, "ordered": false };
        let answer = store.db.run_command(command).await?;
        let written = u64::try_from(answer.get_i32("n").unwrap_or(0)).unwrap_or(0);
        done.sealed += written;
        *left += wanted.saturating_sub(written);
    }
    Ok(Some(last))
}

/// The document with its texts sealed anew, and what must still stand for it to be written; `None`: nothing is to be done.
fn reseal(
    keys: &MasterKeys,
    collection: &'static str,
    fields: &'static [&'static str],
    mut document: Document,
) -> Result<Option<(Document, Document)>, RekeyError> {
    let id = document.get("_id").cloned().unwrap_or(Bson::Null);
    let shown = match &id {
        Bson::ObjectId(id) => id.to_hex(),
        Bson::String(text) => text.clone(),
        other => other.to_string(),
    };
    let mut guard = doc! { "_id": id };
    for field in fields {
        let Some(place) = place(&mut document, field) else { continue };
        let Bson::String(text) = place else { continue };
        let sealed = Sealed::from(text.clone());
        if keys.is_newest(&sealed) {
            continue;
        }
        let context = format!("{collection}/{shown}/{field}");
        let again = keys.open(&context, &sealed).and_then(|plain| keys.seal(&context, plain.expose_secret()));
        let again = again.map_err(|why| RekeyError::Secret { collection, id: shown.clone(), field, why })?;
        guard.insert(*field, text.clone());
        *place = Bson::String(again.as_str().to_owned());
    }
    // Whatever else others changed must not be undone.
    for version in ["revision", "updatedAt"] {
        if let Some(value) = document.get(version) {
            guard.insert(version, value.clone());
        }
    }
    if let Some(Bson::Int64(revision)) = document.get_mut("revision") {
        *revision += 1;
    }
    let sealed_anew = fields.iter().any(|field| guard.contains_key(field));
    Ok(sealed_anew.then_some((guard, document)))
}

fn place<'a>(document: &'a mut Document, path: &str) -> Option<&'a mut Bson> {
    let mut parts = path.split('.');
    let mut value = document.get_mut(parts.next()?)?;
    for part in parts {
        value = value.as_document_mut()?.get_mut(part)?;
    }
    Some(value)
}
