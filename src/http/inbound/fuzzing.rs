//! What the fuzz target of `fuzz/` runs: bytes as the headers and the body of a call.

use std::sync::LazyLock;

use axum::http::{HeaderMap, HeaderName, HeaderValue};

use super::categories::read_categories;
use super::client_address::client_address;
use super::task_input::read_tasks;
use crate::mapping::Mapping;
use crate::signing::{SigningKey, verify};

struct Known {
    mappings: Vec<Mapping>,
    keys: Vec<SigningKey>,
}

static KNOWN: LazyLock<Known> = LazyLock::new(|| Known {
    mappings: ["tasks-tracker", "camel-case"].into_iter().filter_map(|name| Mapping::load(name).ok()).collect(),
    keys: SigningKey::new(&"a-secret-of-16-chars".into()).into_iter().collect(),
});

/// Reads the first four lines as headers (time, signature, both of forwarding) and the rest as the body.
pub fn fuzz(bytes: &[u8]) {
    let mut parts = bytes.splitn(5, |byte| *byte == b'\n');
    let mut next = || parts.next().unwrap_or_default();
    let (timestamp, signature, forwarded, forwarded_for, body) = (next(), next(), next(), next(), next());
    let (timestamp, signature) = (String::from_utf8_lossy(timestamp), String::from_utf8_lossy(signature));
    assert!(verify(&KNOWN.keys, 1_765_802_096, &timestamp, &signature, body).is_err(), "let in by chance");
    let mut headers = HeaderMap::new();
    for (name, value) in [("forwarded", forwarded), ("x-forwarded-for", forwarded_for)] {
        if let Ok(value) = HeaderValue::from_bytes(value) {
            headers.append(HeaderName::from_static(name), value);
        }
    }
    let trusted: Vec<_> = ["0.0.0.0/0", "::/0"].into_iter().filter_map(|network| network.parse().ok()).collect();
    client_address(Some([10, 0, 0, 1].into()), &headers, &trusted);
    for mapping in &KNOWN.mappings {
        for status in [read_tasks(body, mapping).err(), read_categories(body, mapping).err()].iter().flatten() {
            assert!(matches!(status.status().as_u16(), 400 | 422), "{status:?}");
        }
    }
}
