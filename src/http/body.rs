//! Reading a JSON body: small, declared as JSON, every unknown field named, a wrong type named by its path.

use std::fmt;
use std::marker::PhantomData;

use axum::body::{Body, HttpBody, to_bytes};
use axum::extract::{FromRequest, Request};
use axum::http::header;
use serde::de::value::MapAccessDeserializer;
use serde::de::{DeserializeOwned, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::error::{ApiError, ApiResult, FieldError};

/// The largest body of an admin's request, in bytes.
pub const BODY_MAX: usize = 64 * 1024;

/// How deep a body may nest is serde_json's own limit (128); how many unknown fields are named is this.
const UNKNOWN_NAMED: usize = 20;

/// A body that said it is JSON and is small enough; not yet read.
#[derive(Debug)]
pub struct JsonBody(Vec<u8>);

impl<S: Send + Sync> FromRequest<S> for JsonBody {
    type Rejection = ApiError;

    async fn from_request(request: Request, _: &S) -> Result<Self, ApiError> {
        if !request.headers().contains_key(header::CONTENT_TYPE) && request.body().is_end_stream() {
            // A call all of whose fields may be left out needs no body; of the others it is said which are missing.
            return Ok(Self(b"{}".to_vec()));
        }
        let declared = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
        if !declared.is_some_and(is_json) {
            return Err(ApiError::not_json());
        }
        let encoded = request.headers().get(header::CONTENT_ENCODING);
        if encoded.is_some_and(|encoding| encoding != "identity") {
            return Err(ApiError::encoded());
        }
        read_limited(request.into_body(), BODY_MAX).await.map(Self)
    }
}

/// A body of at most so many bytes.
pub(super) async fn read_limited(body: Body, most: usize) -> ApiResult<Vec<u8>> {
    let bytes = to_bytes(body, most).await.map_err(|error| {
        let too_large = std::error::Error::source(&error).is_some_and(|why| why.to_string().contains("limit"));
        if too_large { ApiError::too_large(most) } else { ApiError::malformed("the body broke off") }
    })?;
    Ok(bytes.into())
}

fn is_json(content_type: &str) -> bool {
    let media = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    media == "application/json" || (media.starts_with("application/") && media.ends_with("+json"))
}

impl JsonBody {
    /// Reads the body as `T`. Fields that `T` does not know are refused, but for those in `passed_over`: what answers
    /// show and nobody can set, so that an answer can be sent back with one field changed.
    ///
    /// # Errors
    /// 400 if it is no JSON; 422 naming each unknown field, or the first with a wrong type.
    pub fn read<T: DeserializeOwned>(&self, passed_over: &[&str]) -> ApiResult<T> {
        if self.0.is_empty() {
            return Err(ApiError::malformed(
                "the body is empty, though its Content-Type says JSON: send {} or neither",
            ));
        }
        let mut unknown = Vec::new();
        let mut note = |path: serde_ignored::Path<'_>| {
            let path = path.to_string();
            if !passed_over.contains(&path.as_str()) && unknown.len() < UNKNOWN_NAMED {
                unknown.push(FieldError::new(path, "is no field here"));
            }
        };
        let mut reader = serde_json::Deserializer::from_slice(&self.0);
        let read: Result<Object<T>, _> =
            serde_path_to_error::deserialize(serde_ignored::Deserializer::new(&mut reader, &mut note));
        let Object(value) = read.map_err(|error| wrong_shape(&error))?;
        reader.end().map_err(|_| ApiError::malformed("the body goes on after its JSON value"))?;
        if unknown.is_empty() { Ok(value) } else { Err(ApiError::invalid(unknown)) }
    }
}

fn wrong_shape(error: &serde_path_to_error::Error<serde_json::Error>) -> ApiError {
    let inner = error.inner();
    if !inner.is_data() {
        return ApiError::malformed(format!("the body is no JSON: line {}, column {}", inner.line(), inner.column()));
    }
    // serde quotes the wrong value and ends with the place; neither helps, and the value may be a secret.
    let text = inner.to_string();
    let expected = text.split(", expected ").nth(1).and_then(|rest| rest.split(" at line ").next());
    let message = match expected {
        Some(expected) => format!("has the wrong type or value: it takes {expected}"),
        None if text.starts_with("duplicate field") => "is given twice".to_owned(),
        None => "cannot be read".to_owned(),
    };
    let path = error.path().to_string();
    let field = match (path.as_str(), text.split('`').nth(1)) {
        (".", Some(name)) if text.starts_with("duplicate field") => name.to_owned(),
        (path, Some(name)) if text.starts_with("duplicate field") => format!("{path}.{name}"),
        (".", _) => "body".to_owned(),
        _ => path,
    };
    ApiError::invalid_field(&field, message)
}

/// For optional fields: given or left out, but not null.
///
/// # Errors
/// The field's own.
pub fn given<'de, D: Deserializer<'de>, T: Deserialize<'de>>(from: D) -> Result<Option<T>, D::Error> {
    T::deserialize(from).map(Some)
}

/// A JSON object that reads as `T`; derived readers would take an array of the fields in their order too.
#[derive(Debug)]
pub struct Object<T>(pub T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_map(ObjectVisitor(PhantomData))
    }
}

struct ObjectVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for ObjectVisitor<T> {
    type Value = Object<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
        T::deserialize(MapAccessDeserializer::new(map)).map(Object)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Thing {
        #[serde(default, deserialize_with = "given")]
        #[allow(dead_code, reason = "only whether it can be read matters")]
        max_size: Option<i64>,
        #[serde(default, deserialize_with = "given")]
        #[allow(dead_code, reason = "only whether it can be read matters")]
        inner: Option<Object<Inner>>,
    }

    #[derive(Debug, Default, Deserialize)]
    #[serde(default)]
    struct Inner {
        #[allow(dead_code, reason = "only whether it can be read matters")]
        on: bool,
    }

    fn fault(text: &str) -> String {
        format!("{:?}", JsonBody(text.into()).read::<Thing>(&["id"]).unwrap_err())
    }

    #[test]
    fn every_unknown_field_is_named_with_its_path() {
        let text = fault(r#"{"colour": 1, "inner": {"off": true}, "id": 5}"#);
        assert!(text.contains("\"colour\"") && text.contains("\"inner.off\""), "{text}");
        assert!(!text.contains("\"id\""), "{text}");
        assert!(JsonBody(br#"{"id": 5}"#.to_vec()).read::<Thing>(&["id"]).is_ok());
    }

    #[test]
    fn a_wrong_type_is_named_by_its_path_and_its_value_not_repeated() {
        let text = fault(r#"{"inner": {"on": "s3cret"}}"#);
        assert!(text.contains("\"inner.on\"") && text.contains("a boolean") && !text.contains("s3cret"), "{text}");
        for bad in [r#"{"maxSize": null}"#, r#"{"maxSize": 1.5}"#, r#"{"maxSize": 1e400}"#] {
            assert!(fault(bad).contains("422") || fault(bad).contains("400"), "{bad}");
        }
        assert!(fault(r#"{"maxSize": null}"#).contains("\"maxSize\""));
        assert!(fault(r#"{"maxSize": 1, "maxSize": 2}"#).contains("\"maxSize\""));
        assert!(fault(r#"{"inner": {"on": true, "on": true}}"#).contains("\"inner.on\""));
        assert!(fault("[1]").contains("\"body\"") && fault("[1]").contains("an object"));
        assert!(fault(r#"{"inner": [true]}"#).contains("\"inner\""));
    }

    #[test]
    fn what_is_no_json_is_malformed() {
        for bad in ["", "{", "{} {}", "\u{0}", "{'a': 1}"] {
            assert!(fault(bad).contains("400"), "{bad:?}");
        }
    }

    #[test]
    fn only_json_counts_as_json() {
        assert!(is_json("application/json; charset=utf-8") && is_json("application/merge-patch+json"));
        assert!(!is_json("text/plain") && !is_json("application/x-www-form-urlencoded") && !is_json(""));
    }
}
