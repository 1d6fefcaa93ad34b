//! What the database user may do, against what the programs need.

use bson::{Bson, Document, doc};
use taskwire::mapping::Mapping;
use taskwire::store::{Store, names};

use super::{Check, Verdict};
use crate::commands::CommandError;

/// What is granted on which resource.
#[derive(Debug)]
struct Granted {
    database: Option<String>,
    collection: Option<String>,
    actions: Vec<String>,
}

impl Granted {
    fn read(privilege: &Document) -> Option<Self> {
        let resource = privilege.get_document("resource").ok()?;
        let actions = privilege.get_array("actions").ok()?;
        let actions = actions.iter().filter_map(Bson::as_str).map(str::to_owned).collect();
        if resource.get_bool("anyResource").unwrap_or(false) {
            return Some(Self { database: None, collection: None, actions });
        }
        // An empty name stands for all.
        let name = |key: &str| resource.get_str(key).ok().filter(|name| !name.is_empty()).map(str::to_owned);
        resource.contains_key("db").then(|| Self { database: name("db"), collection: name("collection"), actions })
    }

    fn allows(&self, database: &str, collection: &str, action: &str) -> bool {
        self.database.as_deref().is_none_or(|name| name == database)
            && self.collection.as_deref().is_none_or(|name| name == collection)
            && self.actions.iter().any(|granted| granted == action)
    }

    /// Whether it lets the user write to any of our collections: a user who may not is no user for the programs.
    fn allows_any_write(&self, database: &str) -> bool {
        names::ALL.iter().any(|name| self.allows(database, name, "insert"))
    }
}

/// What is missing of what the programs need.
fn missing(granted: &[Granted], database: &str) -> Vec<String> {
    let allows = |collection: &str, action: &str| granted.iter().any(|one| one.allows(database, collection, action));
    let mut missing = Vec::new();
    let mut need = |collections: &[&str], actions: &[&str]| {
        for collection in collections {
            let lacking: Vec<&str> = actions.iter().copied().filter(|action| !allows(collection, action)).collect();
            if !lacking.is_empty() {
                missing.push(format!("{} on {database}.{collection}", lacking.join(", ")));
            }
        }
    };
    need(&names::ALL, &["find", "insert", "update", "createIndex"]);
    need(&names::REMOVED, &["remove"]);
    if !granted.iter().any(|one| one.collection.is_none() && one.allows(database, "", "changeStream")) {
        missing.push(format!("changeStream and find on all collections of {database}"));
    }
    missing
}

/// What is missing of what inbound calls need on the service's collections.
fn missing_inbound(granted: &[Granted], database: &str, mapping: &Mapping) -> Vec<String> {
    let Some(writer) = &mapping.writer else { return Vec::new() };
    let history = mapping.history.as_ref().map(|history| history.collection.as_str());
    let written = [
        Some(mapping.task.collection.as_str()),
        history,
        Some(mapping.groups.collection.as_str()),
        Some(writer.categories.collection.as_str()),
    ];
    let mut missing = Vec::new();
    for collection in written.into_iter().flatten() {
        let allows = |action: &str| granted.iter().any(|one| one.allows(database, collection, action));
        if !(allows("insert") && allows("update")) {
            missing.push(format!("insert, update on {database}.{collection}"));
        }
    }
    missing
}

/// Compares them.
pub(super) async fn checks(store: &Store, mapping: &Mapping) -> Result<Vec<Check>, CommandError> {
    let status = store.db.run_command(doc! { "connectionStatus": 1, "showPrivileges": true }).await?;
    let auth = status.get_document("authInfo").cloned().unwrap_or_default();
    let empty = Vec::new();
    if auth.get_array("authenticatedUsers").unwrap_or(&empty).is_empty() {
        let text = "nobody is signed in: this server asks for no user, or it would refuse; for production, see the role in README";
        return Ok(vec![Check::new("privileges", Verdict::Note, text)]);
    }
    let granted = auth.get_array("authenticatedUserPrivileges").unwrap_or(&empty);
    let granted: Vec<Granted> = granted.iter().filter_map(Bson::as_document).filter_map(Granted::read).collect();
    let missing = missing(&granted, store.db.name());
    let lacking_inbound = missing_inbound(&granted, store.db.name(), mapping);
    let may_write = granted.iter().any(|one| one.allows_any_write(store.db.name()));
    let programs = if !may_write {
        let text = "the user may only read, which is all that this command and `watch --shadow` do; the programs need the role in README";
        Check::new("privileges", Verdict::Note, text)
    } else if missing.is_empty() {
        Check::new("privileges", Verdict::Ok, "the user may do what both programs need")
    } else {
        let text =
            format!("the programs will need, and this user lacks: {}; the role is in README", missing.join("; "));
        Check::new("privileges", Verdict::Bad, text)
    };
    let inbound = (may_write && !lacking_inbound.is_empty()).then(|| {
        let text = format!("inbound calls will fail, for which the user lacks: {}", lacking_inbound.join("; "));
        Check::new("privileges", Verdict::Note, text)
    });
    Ok(std::iter::once(programs).chain(inbound).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn granted(resource: Document, actions: &[&str]) -> Granted {
        Granted::read(&doc! { "resource": resource, "actions": actions.to_vec() }).unwrap()
    }

    #[test]
    fn what_the_role_lacks_is_named() {
        let all = || {
            granted(doc! { "db": "d", "collection": "" }, &["find", "changeStream", "insert", "update", "createIndex"])
        };
        let remove = |name: &str| granted(doc! { "db": "d", "collection": name }, &["remove"]);
        let whole: Vec<Granted> = std::iter::once(all()).chain(names::REMOVED.map(remove)).collect();
        assert_eq!(missing(&whole, "d"), Vec::<String>::new());
        assert_eq!(missing(&[all()], "d").len(), names::REMOVED.len());
        assert!(missing(&whole, "other").iter().any(|text| text.contains("changeStream")));
        assert_eq!(
            missing(&[granted(doc! { "anyResource": true }, &["find"])], "d")[0],
            "insert, update, createIndex on d.webhookConfigs"
        );
        assert!(Granted::read(&doc! { "resource": { "cluster": true }, "actions": ["hello"] }).is_none());
    }

    #[test]
    fn what_inbound_calls_need_is_asked_for_apart() {
        let mapping = Mapping::load("tasks-tracker").unwrap();
        let lacking = missing_inbound(
            &[granted(doc! { "db": "d", "collection": "tasks" }, &["insert", "update"])],
            "d",
            &mapping,
        );
        assert_eq!(
            lacking,
            ["taskHistories", "groups", "categories"].map(|name| format!("insert, update on d.{name}"))
        );
    }

    #[test]
    fn the_role_in_the_readme_names_every_collection_of_ours() {
        let readme = include_str!("../../../../README.md");
        let list = |name: &str| {
            let (_, rest) = readme.split_once(&format!("const {name} = [")).unwrap();
            let mut names: Vec<_> = rest.split_once(']').unwrap().0.split('"').skip(1).step_by(2).collect();
            names.sort_unstable();
            names
        };
        let sorted = |names: &[&'static str]| {
            let mut names = names.to_vec();
            names.sort_unstable();
            names
        };
        assert_eq!(list("own"), sorted(&names::ALL));
        assert_eq!(list("removed"), sorted(&names::REMOVED));
    }
}
