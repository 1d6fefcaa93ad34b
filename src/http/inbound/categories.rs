//! Categories: what a call gives, and what it makes of what stands. Pure.

use std::collections::HashMap;

use bson::{Document, oid::ObjectId};

use super::json::{Faults, Item, Node, line};
use super::plan::{Plan, Planner};
use super::task_input::{BATCH_MAX, external_id};
use crate::http::error::ApiResult;
use crate::mapping::{CategoryWriter, Mapping};
use crate::model::{InboundKind, ItemOutcome, RefKey};
use crate::store::inbound_writes::{Documents, Replace};

/// The service's own limits of a category's name.
const NAME: std::ops::RangeInclusive<usize> = 2..=50;
/// The longest icon.
const ICON: std::ops::RangeInclusive<usize> = 1..=50;

/// A category of a call.
#[derive(Debug)]
pub(super) struct CategoryInput {
    item: Item,
    pub(super) external_id: String,
    pub(super) name: Option<String>,
    icon: Option<String>,
    color: Option<String>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Key {
    ExternalId,
    Name,
    Icon,
    Color,
}

/// Reads the categories of a body.
///
/// # Errors
/// 400 if it is no JSON; 422 naming every field that cannot be used.
pub(super) fn read_categories(body: &[u8], mapping: &Mapping) -> ApiResult<Vec<CategoryInput>> {
    let shape = mapping.writer.as_ref().map(|writer| &writer.categories);
    let items = Item::all(Node::read(body)?, "categories", BATCH_MAX)?;
    let mut faults = Faults::default();
    let mut categories: Vec<CategoryInput> = Vec::new();
    for item in items {
        let mut given = item.read(&mut faults, |name, node| {
            let (key, text) = match name {
                "externalId" => (Key::ExternalId, external_id(node)),
                "name" => (Key::Name, line(node, NAME)),
                "icon" => (Key::Icon, icon(node, shape)),
                "color" => (Key::Color, color(node)),
                _ => return None,
            };
            Some(text.map(|text| (key, text)))
        });
        let mut take = |key| {
            let at = given.iter().position(|(given, _)| *given == key)?;
            Some(given.swap_remove(at).1)
        };
        let (name, icon, color) = (take(Key::Name), take(Key::Icon), take(Key::Color));
        match take(Key::ExternalId) {
            None if item.has_any(&["externalId"]) => {}
            None => faults.add(item.field("externalId"), "is missing"),
            Some(id) => match categories.iter().find(|other| other.external_id == id) {
                Some(other) => {
                    faults.add(item.field("externalId"), format!("is given twice: in {} too", other.item.name()));
                }
                None => categories.push(CategoryInput { item, external_id: id, name, icon, color }),
            },
        }
    }
    faults.finish().map(|()| categories)
}

fn icon(node: &Node, shape: Option<&CategoryWriter>) -> Result<String, String> {
    let icons = shape.map_or(&[][..], |shape| &shape.icons);
    let text = line(node, ICON)?;
    if icons.is_empty() || icons.contains(&text) {
        Ok(text)
    } else {
        Err(format!("must be one of: {}", icons.join(", ")))
    }
}

/// `^[a-z]+-[0-9]{3}$`, and no longer than any colour's name.
fn color(node: &Node) -> Result<String, String> {
    let parts = match node {
        Node::Text(text) => text.split_once('-').map(|(name, shade)| (text, name, shade)),
        _ => None,
    };
    match parts {
        Some((text, name, shade))
            if (1..=30).contains(&name.len())
                && name.bytes().all(|byte| byte.is_ascii_lowercase())
                && shade.len() == 3
                && shade.bytes().all(|byte| byte.is_ascii_digit()) =>
        {
            Ok(text.clone())
        }
        _ => Err("must be a colour and its shade, such as blue-500".to_owned()),
    }
}

/// What stands, as far as the call is about it.
#[derive(Debug, Default)]
pub(super) struct PresentCategories {
    /// What the partner's ids name.
    pub(super) refs: HashMap<String, ObjectId>,
    /// The group's categories that they name, or that have one of the call's names.
    pub(super) categories: HashMap<ObjectId, Document>,
}

impl Planner<'_> {
    /// Plans all categories of a call.
    ///
    /// # Errors
    /// 422 naming every field that does not fit what stands.
    pub(super) fn categories(
        &self,
        inputs: &[CategoryInput],
        present: &PresentCategories,
        shape: &CategoryWriter,
    ) -> ApiResult<Plan> {
        let collection = shape.collection.clone();
        let mut plan = Plan { documents: Documents { collection, ..Documents::default() }, ..Plan::default() };
        let mut faults = Faults::default();
        let mut names: HashMap<String, Option<ObjectId>> = HashMap::new();
        for (id, category) in &present.categories {
            names.insert(folded(category.get_str(&shape.name).unwrap_or_default()), Some(*id));
        }
        for input in inputs {
            let id = present.refs.get(&input.external_id).copied();
            let there = id.and_then(|id| Some((id, present.categories.get(&id)?)));
            if let Some(name) = &input.name {
                let own = there.map(|(id, _)| id);
                match names.insert(folded(name), own) {
                    Some(other) if other.is_none() || other != own => {
                        faults.add(input.item.field("name"), "is the name of another category of the group");
                        continue;
                    }
                    _ => {}
                }
            }
            match (there, &input.name) {
                (Some((id, stored)), _) => change(input, id, stored, shape, &mut plan),
                (None, Some(name)) => self.create_category(input, name, id, shape, &mut plan),
                (None, None) => faults.add(input.item.field("name"), "is missing: a new category needs it"),
            }
        }
        faults.finish().map(|()| plan)
    }

    fn create_category(
        &self,
        input: &CategoryInput,
        name: &str,
        old: Option<ObjectId>,
        shape: &CategoryWriter,
        plan: &mut Plan,
    ) {
        let id = ObjectId::new();
        let icon = input.icon.as_deref().unwrap_or(&shape.default_icon);
        let color = input.color.as_deref().unwrap_or(&shape.default_color);
        plan.documents.inserts.push(self.writer.new_category(id, name, icon, color));
        let (group, external_id) = (self.group.clone(), input.external_id.clone());
        plan.created(RefKey { group, kind: InboundKind::Categories, external_id }, id, old, self.now);
    }
}

fn change(input: &CategoryInput, id: ObjectId, stored: &Document, shape: &CategoryWriter, plan: &mut Plan) {
    let mut after = stored.clone();
    for (path, wanted) in [(&shape.name, &input.name), (&shape.icon, &input.icon), (&shape.color, &input.color)] {
        if let Some(wanted) = wanted.as_ref().filter(|wanted| stored.get_str(path).ok() != Some(wanted.as_str())) {
            after.insert(path.clone(), wanted.clone());
        }
    }
    let outcome = if after == *stored { ItemOutcome::Unchanged } else { ItemOutcome::Updated };
    if outcome == ItemOutcome::Updated {
        plan.documents.replaces.push(Replace { before: stored.clone(), after });
    }
    plan.kept(Some(&input.external_id), id, outcome);
}

/// A name as it is compared: without regard to case.
fn folded(name: &str) -> String {
    name.to_lowercase()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn fault(body: &serde_json::Value) -> String {
        format!("{:?}", read_categories(body.to_string().as_bytes(), &Mapping::load("tasks-tracker").unwrap()))
    }

    #[test]
    fn every_value_that_a_field_does_not_take_is_refused_under_the_fields_name() {
        for (field, value) in [
            ("externalId", json!("")),
            ("externalId", json!(null)),
            ("name", json!("x")),
            ("name", json!("x".repeat(51))),
            ("icon", json!("")),
            ("icon", json!(1)),
            ("color", json!("blue")),
            ("color", json!("Blue-500")),
            ("color", json!("blue-50")),
            ("color", json!("-500")),
            ("color", json!("blue-500\n")),
            ("id", json!("65a000000000000000000001")),
        ] {
            let mut category = json!({"externalId": "a", "name": "Garden"});
            category[field] = value.clone();
            let text = fault(&json!({"categories": [category]}));
            assert!(text.contains(&format!("field: \"categories[0].{field}\"")), "{field} {value}: {text}");
        }
        let twice = fault(&json!({"categories": [{"externalId": "a"}, {"externalId": "a"}]}));
        assert!(twice.contains("categories[1].externalId"), "{twice}");
    }
}
