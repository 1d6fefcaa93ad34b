//! The bodies of `POST` and `PUT` as the document describes them: one input, of which each takes another part.

use std::borrow::Cow;

use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{Object, ObjectBuilder, Schema, SchemaType};
use utoipa::{PartialSchema, ToSchema};

use super::answer::READ_ONLY;
use super::input::WebhookInput;

/// What is for `PUT` only.
const CHANGES_ONLY: [&str; 3] = ["rotateSecret", "finalizeRotation", "dismissMissed"];

/// The body of `POST`.
pub(super) enum NewWebhook {}

/// The body of `PUT`.
pub(super) enum WebhookChange {}

fn changed<T: PartialSchema>(change: impl FnOnce(&mut Object)) -> RefOr<Schema> {
    let mut schema = T::schema();
    if let RefOr::T(Schema::Object(object)) = &mut schema {
        change(object);
    }
    schema
}

/// The body of a `PUT`: what `T` takes, and what answers show and a `PUT` passes over.
pub(in crate::http) fn with_passed_over<T: PartialSchema>(what: &str, names: &[&str]) -> RefOr<Schema> {
    let passed_over = ObjectBuilder::new()
        .schema_type(SchemaType::AnyValue)
        .description(Some("Passed over, so that an answer can be sent back with one field changed."))
        .read_only(true)
        .build();
    changed::<T>(|object| {
        object.description = Some(what.to_owned());
        for name in names {
            object.properties.insert((*name).to_owned(), passed_over.clone().into());
        }
    })
}

impl PartialSchema for NewWebhook {
    fn schema() -> RefOr<Schema> {
        changed::<WebhookInput>(|object| {
            object.description = Some("A new webhook. Fields that are left out have their defaults.".to_owned());
            object.properties.retain(|name, _| !CHANGES_ONLY.contains(&name.as_str()));
            object.required = ["groupId", "name", "targetUrl", "events"].map(str::to_owned).to_vec();
        })
    }
}

impl PartialSchema for WebhookChange {
    fn schema() -> RefOr<Schema> {
        let what = "A change of a webhook. Fields that are left out keep their values.";
        with_passed_over::<WebhookInput>(what, &READ_ONLY)
    }
}

impl ToSchema for NewWebhook {
    fn name() -> Cow<'static, str> {
        "NewWebhook".into()
    }

    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        WebhookInput::schemas(schemas);
    }
}

impl ToSchema for WebhookChange {
    fn name() -> Cow<'static, str> {
        "WebhookChange".into()
    }

    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        WebhookInput::schemas(schemas);
    }
}
