//! Reading a query string: every parameter by name, unknown ones refused, all faults told at once.

use std::collections::BTreeMap;

use bson::DateTime;
use chrono::{SecondsFormat, Utc};

use super::error::{ApiError, ApiResult, FieldError};
use super::page::{LIMIT_DEFAULT, LIMIT_MAX};

/// The longest value of a parameter, in bytes.
const VALUE_MAX: usize = 2048;

/// A query string's parameters, and the faults found in them so far.
#[derive(Debug)]
pub struct Query {
    values: BTreeMap<String, String>,
    errors: Vec<FieldError>,
}

impl Query {
    /// Reads `raw`; a parameter that is not in `known`, given twice, empty or too long is a fault.
    #[must_use]
    pub fn read(raw: Option<&str>, known: &[&str]) -> Self {
        let mut query = Self { values: BTreeMap::new(), errors: Vec::new() };
        for (name, value) in url::form_urlencoded::parse(raw.unwrap_or_default().as_bytes()) {
            if !known.contains(&name.as_ref()) {
                let known = if known.is_empty() {
                    "there are none".to_owned()
                } else {
                    format!("there are: {}", known.join(", "))
                };
                query.fault(&name, format!("is no parameter here; {known}"));
            } else if value.is_empty() {
                query.fault(&name, "is empty: leave it out".to_owned());
            } else if value.len() > VALUE_MAX {
                query.fault(&name, "is too long".to_owned());
            } else if query.values.insert(name.to_string(), value.into_owned()).is_some() {
                query.fault(&name, "is given twice".to_owned());
            }
        }
        query
    }

    /// Notes what is wrong with a parameter.
    pub fn fault(&mut self, name: &str, message: String) {
        // A query string may hold thousands of names; the first few tell enough.
        if self.errors.len() < 20 {
            self.errors.push(FieldError::new(name, message));
        }
    }

    /// The text of a parameter.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<&str> {
        self.values.get(name).map(String::as_str)
    }

    /// Takes it as a fault if this parameter is missing.
    pub fn needs(&mut self, name: &str) {
        if self.text(name).is_none() {
            self.fault(name, "is missing".to_owned());
        }
    }

    /// A parameter with few values: what `parse` makes of it, or a fault that lists `values`.
    pub fn one_of<T>(&mut self, name: &str, values: &[&str], parse: impl Fn(&str) -> Option<T>) -> Option<T> {
        let text = self.text(name)?;
        let value = parse(text);
        if value.is_none() {
            self.fault(name, format!("is none of: {}", values.join(", ")));
        }
        value
    }

    /// A time, in RFC 3339.
    pub fn time(&mut self, name: &str) -> Option<DateTime> {
        let time = read_time(self.text(name)?);
        if time.is_none() {
            self.fault(name, "is no time in RFC 3339, such as 2026-01-31T12:00:00Z".to_owned());
        }
        time
    }

    /// `limit`: 1 to [`LIMIT_MAX`], or [`LIMIT_DEFAULT`].
    pub fn limit(&mut self) -> u32 {
        let Some(text) = self.text("limit") else { return LIMIT_DEFAULT };
        // The parser would take a sign.
        let digits = Some(text).filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
        match digits.unwrap_or_default().parse::<u32>() {
            Ok(limit) if (1..=LIMIT_MAX).contains(&limit) => limit,
            _ => {
                self.fault("limit", format!("is no whole number from 1 to {LIMIT_MAX}"));
                LIMIT_DEFAULT
            }
        }
    }

    /// Ends the reading.
    ///
    /// # Errors
    /// 422 naming every parameter that has a fault.
    pub fn finish(&mut self) -> ApiResult<()> {
        let errors = std::mem::take(&mut self.errors);
        if errors.is_empty() { Ok(()) } else { Err(ApiError::invalid(errors)) }
    }
}

/// A time in RFC 3339.
#[must_use]
pub fn read_time(text: &str) -> Option<DateTime> {
    let time = chrono::DateTime::parse_from_rfc3339(text).ok()?;
    Some(DateTime::from_millis(time.timestamp_millis()))
}

/// A time as answers show it: RFC 3339, UTC, milliseconds.
#[must_use]
pub fn show_time(time: DateTime) -> String {
    chrono::DateTime::<Utc>::from(time).to_rfc3339_opts(SecondsFormat::Millis, true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_faulty_parameter_is_named_at_once() {
        let mut query = Query::read(Some("limit=0&since=yesterday&statuss=x&limit=3"), &["limit", "since", "status"]);
        query.time("since");
        query.limit();
        let text = format!("{:?}", query.finish().unwrap_err());
        for name in ["\"limit\"", "\"since\"", "\"statuss\""] {
            assert!(text.contains(name), "{text}");
        }
    }

    #[test]
    fn an_empty_value_is_a_fault_and_one_left_out_is_not_given() {
        let mut query = Query::read(Some("since=&limit="), &["limit", "since"]);
        assert!(format!("{:?}", query.finish().unwrap_err()).contains("limit"));
        let mut query = Query::read(None, &["limit", "since"]);
        assert_eq!((query.time("since"), query.limit()), (None, LIMIT_DEFAULT));
        assert!(query.finish().is_ok());
    }

    #[test]
    fn times_are_shown_in_utc_with_milliseconds() {
        let mut query = Query::read(Some("since=2025-12-15T13:34:56.1%2B01:00"), &["since"]);
        assert_eq!(show_time(query.time("since").unwrap()), "2025-12-15T12:34:56.100Z");
    }
}
