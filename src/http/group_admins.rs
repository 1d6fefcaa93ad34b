//! Which groups a user administers: a member whose role is an admin's. Looked up in the task service's own collection, and
//! remembered for a few seconds.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bson::{Bson, Document, doc};
use futures::TryStreamExt;

use crate::mapping::GroupShape;
use crate::model::DocId;
use crate::store::Store;

/// How long an answer is remembered: so long a demoted admin may still act.
const REMEMBERED: Duration = Duration::from_secs(5);
/// How many users are remembered.
const USERS_MAX: usize = 10_000;
/// How many groups of one user are read.
const GROUPS_MAX: i64 = 10_000;
/// How long one read of the service's groups may take.
pub(super) const READ_MAX: Duration = Duration::from_secs(5);

/// The lookup, and what it remembers.
pub struct GroupAdmins {
    store: Store,
    shape: GroupShape,
    known: Mutex<HashMap<DocId, Known>>,
}

struct Known {
    groups: Arc<Vec<DocId>>,
    until: Instant,
}

impl GroupAdmins {
    /// Reads groups as `shape` says.
    #[must_use]
    pub fn new(store: Store, shape: GroupShape) -> Self {
        Self { store, shape, known: Mutex::new(HashMap::new()) }
    }

    /// The groups that this user administers.
    ///
    /// # Errors
    /// The driver's error.
    pub async fn groups_of(&self, user: &DocId) -> mongodb::error::Result<Arc<Vec<DocId>>> {
        let now = Instant::now();
        if let Some(groups) = self.remembered(user, now) {
            return Ok(groups);
        }
        let groups = Arc::new(self.look_up(user).await?);
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= USERS_MAX {
            known.retain(|_, entry| entry.until > now);
        }
        if known.len() < USERS_MAX {
            known.insert(user.clone(), Known { groups: groups.clone(), until: now + REMEMBERED });
        }
        Ok(groups)
    }

    fn remembered(&self, user: &DocId, now: Instant) -> Option<Arc<Vec<DocId>>> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(user).filter(|entry| entry.until > now).map(|entry| entry.groups.clone())
    }

    async fn look_up(&self, user: &DocId) -> mongodb::error::Result<Vec<DocId>> {
        let found = self
            .store
            .collection::<Document>(&self.shape.collection)
            .find(admin_filter(&self.shape, user))
            .projection(doc! { "_id": 1 })
            .limit(GROUPS_MAX)
            .max_time(READ_MAX)
            .await?;
        let ids: Vec<Document> = found.try_collect().await?;
        Ok(ids.into_iter().filter_map(|group| group_id(group.get("_id")?)).collect())
    }
}

pub(super) fn group_id(id: &Bson) -> Option<DocId> {
    match id {
        Bson::ObjectId(oid) => Some(DocId::Oid(*oid)),
        Bson::String(text) => Some(DocId::Text(text.clone())),
        _ => None,
    }
}

/// Groups with one member that is both this user and an admin. The id is compared as an ObjectId and as text, whichever
/// the service stores.
fn admin_filter(shape: &GroupShape, user: &DocId) -> Document {
    let mut ids = vec![Bson::from(user.clone())];
    if let DocId::Oid(oid) = user {
        ids.push(Bson::String(oid.to_hex()));
    }
    let roles: Vec<Bson> = shape.admin_roles.iter().map(|role| any_case(role)).collect();
    let member = doc! { &shape.user: { "$in": ids }, &shape.role: { "$in": roles } };
    doc! { &shape.members: { "$elemMatch": member } }
}

/// A pattern that this text alone matches, without regard to case.
fn any_case(text: &str) -> Bson {
    let mut pattern = String::from("^");
    for letter in text.chars() {
        if !letter.is_alphanumeric() {
            pattern.push('\\');
        }
        pattern.push(letter);
    }
    pattern.push_str("\\z");
    match (bson::raw::CString::try_from(pattern), bson::raw::CString::try_from("i")) {
        (Ok(pattern), Ok(options)) => Bson::RegularExpression(bson::Regex { pattern, options }),
        // Text with a NUL in it: no pattern, and no role either.
        _ => Bson::String(text.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_roles_name_is_matched_as_it_is_whatever_signs_it_holds() {
        let Bson::RegularExpression(regex) = any_case("Co-Owner.*") else { panic!("no pattern") };
        assert_eq!(regex.pattern.as_str(), r"^Co\-Owner\.\*\z");
    }
}
