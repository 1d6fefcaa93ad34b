//! Whether what a receiver got keeps to the catalogue that the API publishes.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use serde_json::Value;

use crate::AdminApi;
use crate::receiver::Received;

/// The schemas of the catalogue.
pub struct Catalogue(BTreeMap<String, jsonschema::Validator>);

impl std::fmt::Debug for Catalogue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

/// A schema that allows no field which it does not name: what is sent is told, all of it.
#[must_use]
pub fn closed(schema: &Value) -> Value {
    match schema {
        Value::Object(fields) => {
            let mut fields: serde_json::Map<_, _> =
                fields.iter().map(|(name, value)| (name.clone(), closed(value))).collect();
            if fields.get("properties").is_some_and(Value::is_object) {
                fields.insert("additionalProperties".to_owned(), false.into());
            }
            Value::Object(fields)
        }
        Value::Array(items) => items.iter().map(closed).collect(),
        other => other.clone(),
    }
}

impl Catalogue {
    /// Reads it from the API; each sample must fit its own schema.
    ///
    /// # Errors
    /// When it cannot be read, or a sample does not fit.
    pub async fn read(api: &AdminApi) -> Result<Self> {
        let answer = api.get("/api/integrations/event-types").await?.expect(200)?;
        let mut schemas = BTreeMap::new();
        for entry in answer["items"].as_array().context("no items")? {
            let name = entry["eventType"].as_str().context("no name")?;
            let schema = jsonschema::options().should_validate_formats(true).build(&closed(&entry["schema"]))?;
            let checked = schema.validate(&entry["sample"]).map_err(|fault| fault.to_string());
            anyhow::ensure!(checked.is_ok(), "the sample of {name} does not fit: {checked:?}");
            schemas.insert(name.to_owned(), schema);
        }
        Ok(Self(schemas))
    }

    /// What is wrong with these requests' bodies, one line each; and how many of each type there were.
    #[must_use]
    pub fn check(&self, received: &[Received]) -> (Vec<String>, BTreeMap<String, usize>) {
        let (mut faults, mut counts) = (Vec::new(), BTreeMap::new());
        for request in received {
            let body: Value = serde_json::from_slice(&request.body).unwrap_or_default();
            let name = body["event"].as_str().unwrap_or_default();
            *counts.entry(name.to_owned()).or_default() += 1;
            match self.0.get(name) {
                None => faults.push(format!("{name:?} is not in the catalogue: {body}")),
                Some(schema) => {
                    faults.extend(
                        schema
                            .iter_errors(&body)
                            .map(|fault| format!("{name}: {fault} at {}: {body}", fault.instance_path())),
                    );
                }
            }
        }
        (faults, counts)
    }
}
