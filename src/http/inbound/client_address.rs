//! Whose request it is: the peer of the connection, or whom a trusted proxy names. Pure.

use std::net::IpAddr;

use axum::http::{HeaderMap, header};
use ipnet::IpNet;

const X_FORWARDED_FOR: &str = "x-forwarded-for";

/// The client's address; `None` where it cannot be told.
///
/// Forwarding headers are believed only of a peer in `trusted`. They are read from their end, where the nearest proxy
/// wrote, past all that are trusted; the first that is not is the client. A proxy writes one of the two headers and may let
/// a client's own other one through: where both are there and differ, neither is believed.
pub(super) fn client_address(peer: Option<IpAddr>, headers: &HeaderMap, trusted: &[IpNet]) -> Option<IpAddr> {
    let peer = peer?.to_canonical();
    let is_trusted = |address: IpAddr| trusted.iter().any(|network| network.contains(&address));
    if !is_trusted(peer) {
        return Some(peer);
    }
    let chains = [
        chain(headers, X_FORWARDED_FOR, |entry| Some(entry)),
        chain(headers, header::FORWARDED.as_str(), forwarded_for),
    ];
    let mut clients = chains.into_iter().flatten().map(|chain| {
        let mut nearest = Some(peer);
        for address in chain.into_iter().rev() {
            nearest = address;
            // What cannot be read may hide anybody.
            if !address.is_some_and(is_trusted) {
                break;
            }
        }
        nearest
    });
    match (clients.next(), clients.next()) {
        (None, _) => Some(peer),
        (Some(client), None) => client,
        (Some(one), Some(other)) => one.filter(|_| one == other),
    }
}

/// The addresses that a header names, over all its lines; `None` if it is not there.
fn chain(headers: &HeaderMap, name: &str, part: impl Fn(&str) -> Option<&str>) -> Option<Vec<Option<IpAddr>>> {
    let mut lines = headers.get_all(name).iter().peekable();
    lines.peek()?;
    let mut addresses = Vec::new();
    for line in lines {
        match line.to_str() {
            Ok(line) => addresses.extend(line.split(',').map(|entry| part(entry.trim()).and_then(address))),
            Err(_) => addresses.push(None),
        }
    }
    Some(addresses)
}

/// The value of `for` in one element of `Forwarded` (RFC 7239, 4).
fn forwarded_for(element: &str) -> Option<&str> {
    element.split(';').find_map(|pair| {
        let (name, value) = pair.trim().split_once('=')?;
        name.trim().eq_ignore_ascii_case("for").then(|| value.trim().trim_matches('"'))
    })
}

/// An address, with or without a port: `192.0.2.1`, `192.0.2.1:80`, `2001:db8::1`, `[2001:db8::1]`, `[2001:db8::1]:80`.
fn address(text: &str) -> Option<IpAddr> {
    let plain = text.parse().ok();
    let with_port = || text.parse::<std::net::SocketAddr>().ok().map(|address| address.ip());
    let bracketed = || text.strip_prefix('[')?.strip_suffix(']')?.parse().ok();
    plain.or_else(with_port).or_else(bracketed).map(|address: IpAddr| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn client(peer: &str, lines: &[(&'static str, &'static str)]) -> Option<String> {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(*name, HeaderValue::from_static(value));
        }
        let trusted = ["10.0.0.0/8".parse().unwrap(), "fd00::/8".parse().unwrap()];
        client_address(Some(peer.parse().unwrap()), &headers, &trusted).map(|address| address.to_string())
    }

    fn is(address: &str) -> Option<String> {
        Some(address.to_owned())
    }

    #[test]
    fn a_peer_that_is_no_trusted_proxy_is_the_client_whatever_it_says() {
        let lines = [("x-forwarded-for", "203.0.113.9"), ("forwarded", "for=203.0.113.9")];
        assert_eq!(client("192.0.2.1", &lines), is("192.0.2.1"));
        assert_eq!(client("::ffff:192.0.2.1", &lines), is("192.0.2.1"));
        assert_eq!(client_address(None, &HeaderMap::new(), &[]), None);
    }

    #[test]
    fn the_last_that_is_not_trusted_is_the_client_whatever_stands_before_it() {
        assert_eq!(client("10.0.0.1", &[]), is("10.0.0.1"));
        assert_eq!(client("10.0.0.1", &[("x-forwarded-for", "1.1.1.1, 203.0.113.9, 10.2.3.4")]), is("203.0.113.9"));
        let lines = [("x-forwarded-for", "1.1.1.1"), ("x-forwarded-for", "2001:db8::1")];
        assert_eq!(client("10.0.0.1", &lines), is("2001:db8::1"));
        assert_eq!(client("fd00::1", &[("x-forwarded-for", "10.9.9.9, 10.2.3.4")]), is("10.9.9.9"));
        let forwarded = r#"for=1.1.1.1;proto=https, For="[2001:db8::7]:4711";by=10.0.0.1"#;
        assert_eq!(client("10.0.0.1", &[("forwarded", forwarded)]), is("2001:db8::7"));
        assert_eq!(client("10.0.0.1", &[("x-forwarded-for", "203.0.113.9:1234")]), is("203.0.113.9"));
        assert_eq!(client("10.0.0.1", &[("x-forwarded-for", "::ffff:203.0.113.9")]), is("203.0.113.9"));
    }

    #[test]
    fn what_cannot_be_read_or_contradicts_itself_names_nobody() {
        for value in ["unknown", "", "203.0.113.9, _hidden", "a b"] {
            assert_eq!(client("10.0.0.1", &[("x-forwarded-for", value)]), None, "{value}");
        }
        assert_eq!(client("10.0.0.1", &[("forwarded", "proto=https")]), None);
        let both = |one, other| client("10.0.0.1", &[("x-forwarded-for", one), ("forwarded", other)]);
        assert_eq!(both("203.0.113.9", "for=203.0.113.10"), None);
        assert_eq!(both("203.0.113.9", "for=203.0.113.9"), is("203.0.113.9"));
    }
}
