//! Where traces go, if anywhere.

use axum::http::{HeaderName, HeaderValue};
use secrecy::SecretString;
use url::Url;

use super::source::wrong;
use super::{SettingError, Source};

/// What takes spans.
#[derive(Debug, Clone)]
pub struct Collector {
    /// `OTEL_EXPORTER_OTLP_ENDPOINT` with `/v1/traces`. May hold a password: never logged.
    pub url: Url,
    /// `OTEL_EXPORTER_OTLP_HEADERS` (empty): a comma-separated list of `name=value`, percent-encoded, sent with each request.
    pub headers: Vec<(HeaderName, SecretString)>,
}

/// Settings of traces.
#[derive(Debug, Clone)]
pub struct TraceSettings {
    /// Unset: no traces.
    pub collector: Option<Collector>,
    /// `TASKWIRE_TRACE_PERCENT` (100; 0–100): of a hundred events, and requests, so many have their traces sent.
    pub percent: u8,
    /// `TASKWIRE_TRACE_TO_PARTNERS` (`false`): partners get `traceparent` with each attempt.
    pub to_partners: bool,
}

impl TraceSettings {
    /// Reads and checks everything; all of it has defaults.
    ///
    /// # Errors
    /// A [`SettingError`] naming the variable.
    pub fn read(source: &Source) -> Result<Self, SettingError> {
        Ok(Self {
            collector: read_collector(source)?,
            percent: u8::try_from(source.number("trace_percent", 100, 0..=100)?).unwrap_or(100),
            to_partners: source.flag("trace_to_partners", false)?,
        })
    }
}

/// It may hold a password: no message repeats it.
fn read_collector(source: &Source) -> Result<Option<Collector>, SettingError> {
    const KEY: &str = "otel_exporter_otlp_endpoint";
    const TAKES: &str =
        "the http:// or https:// URL of a collector such as http://127.0.0.1:4318, to which /v1/traces is added";
    let Some(text) = source.text(KEY) else { return Ok(None) };
    let mut url = Url::parse(&text).map_err(|error| wrong(KEY, error.to_string(), TAKES))?;
    if !matches!(url.scheme(), "http" | "https") || !url.has_host() || url.query().is_some() || url.fragment().is_some()
    {
        return Err(wrong(KEY, "no URL of a collector".to_owned(), TAKES));
    }
    let path = format!("{}/v1/traces", url.path().trim_end_matches('/'));
    url.set_path(&path);
    // Set for other programs of this machine, it would have spans vanish in a collector's port for another protocol.
    match source.text("otel_exporter_otlp_protocol").as_deref() {
        None | Some("http/json") => {}
        Some(_) => {
            let takes = "http/json, which collectors take at the port of http/protobuf (4318) too";
            return Err(wrong("otel_exporter_otlp_protocol", "not spoken here".to_owned(), takes));
        }
    }
    Ok(Some(Collector { url, headers: read_headers(source)? }))
}

fn read_headers(source: &Source) -> Result<Vec<(HeaderName, SecretString)>, SettingError> {
    const KEY: &str = "otel_exporter_otlp_headers";
    let Some(text) = source.text(KEY) else { return Ok(Vec::new()) };
    let read = |pair: &str| {
        let (name, value) = pair.split_once('=')?;
        let name = HeaderName::try_from(name.trim()).ok()?;
        let value = percent_decoded(value.trim())?;
        HeaderValue::try_from(&value).ok()?;
        Some((name, SecretString::from(value)))
    };
    let takes = "a comma-separated list of name=value, percent-encoded";
    let pairs = text.split(',').filter(|pair| !pair.trim().is_empty()).enumerate();
    pairs.map(|(at, pair)| read(pair).ok_or_else(|| wrong(KEY, format!("part {} is none", at + 1), takes))).collect()
}

fn percent_decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let digits = [rest.next()?, rest.next()?];
            bytes.push(u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?);
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;

    fn read(pairs: &[(&str, &str)]) -> Result<TraceSettings, String> {
        TraceSettings::read(&Source::from_pairs(pairs).unwrap()).map_err(|error| error.to_string())
    }

    #[test]
    fn without_an_endpoint_there_are_no_traces_and_with_one_they_go_to_its_path() {
        assert!(read(&[("otel_exporter_otlp_headers", "broken")]).unwrap().collector.is_none());
        for (endpoint, url) in [
            ("http://127.0.0.1:4318", "http://127.0.0.1:4318/v1/traces"),
            ("https://collector.example/otlp/", "https://collector.example/otlp/v1/traces"),
        ] {
            let pairs =
                [("otel_exporter_otlp_endpoint", endpoint), ("otel_exporter_otlp_headers", "a=b%20c, x-key = d=e")];
            let collector = read(&pairs).unwrap().collector.unwrap();
            assert_eq!(collector.url.as_str(), url);
            let headers: Vec<_> =
                collector.headers.iter().map(|(name, value)| (name.as_str(), value.expose_secret())).collect();
            assert_eq!(headers, [("a", "b c"), ("x-key", "d=e")]);
        }
    }

    #[test]
    fn what_is_wrong_is_named_without_its_value() {
        let endpoint = ("otel_exporter_otlp_endpoint", "http://127.0.0.1:4318");
        for (pairs, named) in [
            (vec![("otel_exporter_otlp_endpoint", "private:4317")], "OTEL_EXPORTER_OTLP_ENDPOINT"),
            (vec![("otel_exporter_otlp_endpoint", "http://u:private@h/?q")], "OTEL_EXPORTER_OTLP_ENDPOINT"),
            (vec![endpoint, ("otel_exporter_otlp_protocol", "grpc")], "OTEL_EXPORTER_OTLP_PROTOCOL"),
            (vec![endpoint, ("otel_exporter_otlp_headers", "a=b,private")], "OTEL_EXPORTER_OTLP_HEADERS"),
            (vec![endpoint, ("otel_exporter_otlp_headers", "a=private%2")], "OTEL_EXPORTER_OTLP_HEADERS"),
            (vec![("trace_percent", "101")], "TASKWIRE_TRACE_PERCENT"),
        ] {
            let error = read(&pairs).unwrap_err();
            assert!(error.starts_with(&format!("{named} is wrong")) && !error.contains("private"), "{error}");
        }
    }
}
