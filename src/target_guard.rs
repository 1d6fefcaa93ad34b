//! The guard that keeps webhooks away from private addresses (server-side request forgery).
//!
//! It stands in three places: [`check_url`] when a target is saved and when it is made ready for sending, which judges the text
//! and every spelling of an IP literal; [`check_host`] right before each request, because literals are never looked up; and
//! [`is_allowed`] on each address a name resolved to, in the HTTP client's resolver, so that the address connected to is the
//! address that was checked and a rebinding name gains nothing.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use url::{Host, Url};

use crate::config::TargetPolicy;

/// The longest target, in bytes.
pub const MAX_URL_LENGTH: usize = 2048;

/// Why a target is refused. The texts are shown to admins.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TargetError {
    /// Longer than [`MAX_URL_LENGTH`].
    #[error("must have at most {MAX_URL_LENGTH} bytes")]
    TooLong,
    /// Not an absolute URL.
    #[error("not a URL: {0}")]
    NotAUrl(String),
    /// Another scheme than HTTP's.
    #[error("the scheme must be https")]
    Scheme,
    /// `http:` where it is not allowed.
    #[error("the scheme must be https (http is allowed only where TASKWIRE_ALLOW_HTTP_TARGETS is true)")]
    PlainHttp,
    /// `user:password@`.
    #[error("it must not hold a user name or password; use a header instead")]
    Credentials,
    /// `#…`.
    #[error("it must not hold a fragment (#…), which is never sent")]
    Fragment,
    /// No host.
    #[error("it has no host")]
    NoHost,
    /// Port 0.
    #[error("the port must be 1 to 65535")]
    Port,
    /// An address that is not public and not on the allowlist.
    #[error("{0} is not a public address")]
    Address(IpAddr),
    /// A name that by definition is this machine.
    #[error("localhost is not a public address")]
    Localhost,
}

/// Checks a target as text. Names are not looked up here: their addresses are judged when a connection is made.
///
/// # Errors
/// See [`TargetError`].
pub fn check_url(text: &str, policy: &TargetPolicy) -> Result<Url, TargetError> {
    if text.len() > MAX_URL_LENGTH {
        return Err(TargetError::TooLong);
    }
    // The parser drops tabs and newlines and trims blanks; what is stored should be what is sent.
    if text.chars().any(|c| c.is_control() || c.is_whitespace()) {
        return Err(TargetError::NotAUrl("it holds a blank or a control character".into()));
    }
    let url = Url::parse(text).map_err(|error| TargetError::NotAUrl(error.to_string()))?;
    match url.scheme() {
        "https" => {}
        "http" if policy.allow_http => {}
        "http" => return Err(TargetError::PlainHttp),
        _ => return Err(TargetError::Scheme),
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(TargetError::Credentials);
    }
    if url.fragment().is_some() {
        return Err(TargetError::Fragment);
    }
    if url.port() == Some(0) {
        return Err(TargetError::Port);
    }
    check_host(&url, policy)?;
    Ok(url)
}

/// Judges the host: literals (which the parser has brought into one spelling, from `127.1`, `0x7f000001`, `017700000001`,
/// `127.0.0.1.` and the like) and the names that are this machine by definition (RFC 6761, section 6.3).
///
/// # Errors
/// [`TargetError::NoHost`], [`TargetError::Address`] or [`TargetError::Localhost`].
pub fn check_host(url: &Url, policy: &TargetPolicy) -> Result<(), TargetError> {
    let judge = |ip: IpAddr| if is_allowed(ip, policy) { Ok(()) } else { Err(TargetError::Address(ip)) };
    match url.host() {
        None => Err(TargetError::NoHost),
        Some(Host::Ipv4(ip)) => judge(ip.into()),
        Some(Host::Ipv6(ip)) => judge(ip.into()),
        Some(Host::Domain(name)) => {
            let name = name.trim_end_matches('.');
            if name.is_empty() {
                return Err(TargetError::NoHost);
            }
            let is_this_machine = name == "localhost" || name.ends_with(".localhost");
            let loopback_is_allowed =
                is_allowed(Ipv4Addr::LOCALHOST.into(), policy) || is_allowed(Ipv6Addr::LOCALHOST.into(), policy);
            if is_this_machine && !loopback_is_allowed { Err(TargetError::Localhost) } else { Ok(()) }
        }
    }
}

/// Whether a connection to this address may be made: it is on the allowlist, or public.
#[must_use]
pub fn is_allowed(ip: IpAddr, policy: &TargetPolicy) -> bool {
    let meant = embedded(ip);
    policy.allowlist.iter().any(|net| net.contains(&ip) || net.contains(&meant)) || is_global(meant)
}

/// The IPv4 address that an IPv6 one stands for, if it does; else the address itself.
fn embedded(ip: IpAddr) -> IpAddr {
    let IpAddr::V6(v6) = ip else { return ip };
    let v4 = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        IpAddr::V4(Ipv4Addr::new(a, b, c, d))
    };
    match v6.segments() {
        // The unspecified and the loopback address are no embedded ones.
        [0, 0, 0, 0, 0, 0, 0, 0 | 1] => ip,
        // IPv4-mapped and the deprecated IPv4-compatible (RFC 4291, 2.5.5), IPv4-translated (RFC 2765).
        [0, 0, 0, 0, 0, 0 | 0xffff, high, low] | [0, 0, 0, 0, 0xffff, 0, high, low] => v4(high, low),
        // NAT64's well-known prefix (RFC 6052).
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => v4(high, low),
        // 6to4 (RFC 3056).
        [0x2002, high, low, ..] => v4(high, low),
        _ => ip,
    }
}

fn is_global(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => is_global_v4(ip),
        IpAddr::V6(ip) => is_global_v6(ip),
    }
}

/// Not in the IANA IPv4 Special-Purpose Address Registry (entries that are globally reachable aside), not multicast or
/// reserved, and not the one public-looking address that clouds use for their own metadata.
fn is_global_v4(ip: Ipv4Addr) -> bool {
    let [a, b, c, d] = ip.octets();
    !matches!(
        (a, b, c, d),
        (0 | 10 | 127, ..)                      // this network, private use, loopback
        | (100, 64..=127, ..)                   // shared address space (RFC 6598)
        | (169, 254, ..)                        // link local, cloud metadata
        | (172, 16..=31, ..)                    // private use
        | (192, 0, 0 | 2, _)                    // protocol assignments, TEST-NET-1
        | (192, 88, 99, _)                      // deprecated 6to4 relay anycast
        | (192, 168, ..)                        // private use
        | (198, 18 | 19, ..)                    // benchmarking
        | (198, 51, 100, _) | (203, 0, 113, _)  // TEST-NET-2 and -3
        | (224..=255, ..)                       // multicast, reserved, broadcast
        | (168, 63, 129, 16) // Azure's host agent
    )
}

/// Global unicast (2000::/3) and not in the IANA IPv6 Special-Purpose Address Registry. All of 2001::/23 counts as special,
/// its few globally reachable entries (anycast, ORCHID, drones) being no place for a web server.
fn is_global_v6(ip: Ipv6Addr) -> bool {
    let [a, b, ..] = ip.segments();
    if a & 0xe000 != 0x2000 {
        return false;
    }
    !matches!(
        (a, b),
        (0x2001, 0..=0x01ff)                    // protocol assignments, Teredo, benchmarking, ORCHID
        | (0x2001, 0x0db8)                      // documentation
        | (0x2002, _)                           // 6to4: judged by its IPv4 address before
        | (0x3fff, 0..=0x0fff) // documentation (RFC 9637)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(allowlist: &[&str], allow_http: bool) -> TargetPolicy {
        TargetPolicy { allowlist: allowlist.iter().map(|net| net.parse().unwrap()).collect(), allow_http }
    }

    #[test]
    fn every_spelling_of_a_private_address_is_refused() {
        let strict = policy(&[], true);
        for host in [
            "127.0.0.1",
            "127.1",
            "127.0.1",
            "2130706433",
            "0x7f000001",
            "0x7f.1",
            "0177.0.0.1",
            "017700000001",
            "127.0.0.1.",
            "127.1.",
            "0",
            "0.0.0.0",
            "%31%32%37.0.0.1",
            "127。0。0。1",
            "１２７.0.0.1",
            "10.1.2.3",
            "100.64.0.1",
            "100.100.100.200",
            "169.254.169.254",
            "0xa9fea9fe",
            "169.254.43518",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.1",
            "192.0.2.1",
            "192.88.99.1",
            "192.168.0.1",
            "198.18.0.1",
            "198.51.100.7",
            "203.0.113.9",
            "224.0.0.1",
            "240.0.0.1",
            "255.255.255.255",
            "168.63.129.16",
            "[::]",
            "[::1]",
            "[0:0::0:1]",
            "[::ffff:127.0.0.1]",
            "[::ffff:7f00:1]",
            "[::ffff:0:10.0.0.1]",
            "[::127.0.0.1]",
            "[::10.0.0.1]",
            "[64:ff9b::10.0.0.1]",
            "[64:ff9b::a9fe:a9fe]",
            "[64:ff9b:1::1]",
            "[2002:7f00:1::]",
            "[2002:a00:1::1]",
            "[2001::1]",
            "[2001:0:53aa:64c::1]",
            "[2001:2::1]",
            "[2001:10::1]",
            "[2001:db8::1]",
            "[3fff::1]",
            "[100::1]",
            "[5f00::1]",
            "[fc00::1]",
            "[fd00:ec2::254]",
            "[fe80::1]",
            "[fec0::1]",
            "[ff02::1]",
            "[4000::1]",
        ] {
            let text = format!("http://{host}:8080/hook");
            assert!(matches!(check_url(&text, &strict), Err(TargetError::Address(_))), "{text}");
        }
    }

    #[test]
    fn names_of_this_machine_are_refused_unless_loopback_is_allowed() {
        for host in ["localhost", "LOCALHOST", "localhost.", "a.localhost", "a.localhost."] {
            let text = format!("https://{host}/");
            assert_eq!(check_url(&text, &policy(&[], false)), Err(TargetError::Localhost), "{text}");
            assert!(check_url(&text, &policy(&["127.0.0.0/8"], false)).is_ok(), "{text}");
        }
    }

    #[test]
    fn public_targets_pass() {
        for text in [
            "https://example.com",
            "https://example.com./hook?a=b",
            "https://hooks.example.com:8443/x",
            "https://8.8.8.8/",
            "https://100.63.255.255/",
            "https://100.128.0.1/",
            "https://172.32.0.1/",
            "https://192.0.1.1/",
            "https://198.20.0.1/",
            "https://223.255.255.255/",
            "https://[2606:4700::1111]/",
            "https://[::ffff:8.8.8.8]/",
            "https://[64:ff9b::808:808]/",
            "https://[2002:808:808::1]/",
            "https://[2001:4860:4860::8888]/",
            "https://localhost.example.com/",
            "https://bücher.example/",
        ] {
            assert!(check_url(text, &policy(&[], false)).is_ok(), "{text}: {:?}", check_url(text, &policy(&[], false)));
        }
    }

    #[test]
    fn the_allowlist_opens_what_it_lists_and_no_more() {
        let lab = policy(&["10.0.0.0/8", "fd00::/16"], false);
        for text in ["https://10.1.2.3/", "https://[::ffff:10.1.2.3]/", "https://[fd00::1]/", "https://8.8.8.8/"] {
            assert!(check_url(text, &lab).is_ok(), "{text}");
        }
        for text in ["https://11.0.0.1.nip.example/", "https://192.168.1.1/", "https://[fd01::1]/"] {
            assert_eq!(check_url(text, &lab).is_ok(), text.contains("nip"), "{text}");
        }
    }

    #[test]
    fn each_other_fault_has_its_own_message() {
        let strict = policy(&[], false);
        let long = format!("https://example.com/{}", "a".repeat(2048));
        let cases = [
            (long.as_str(), TargetError::TooLong),
            ("http://example.com/", TargetError::PlainHttp),
            ("ftp://example.com/", TargetError::Scheme),
            ("file:///etc/passwd", TargetError::Scheme),
            ("gopher://example.com/", TargetError::Scheme),
            ("https://user@example.com/", TargetError::Credentials),
            ("https://user:pass@example.com/", TargetError::Credentials),
            ("https://:pass@example.com/", TargetError::Credentials),
            ("https://example.com/#x", TargetError::Fragment),
            ("https://example.com/#", TargetError::Fragment),
            ("https://example.com:0/", TargetError::Port),
            ("https://./", TargetError::NoHost),
        ];
        for (text, expected) in cases {
            assert_eq!(check_url(text, &strict), Err(expected), "{text}");
        }
        for text in [
            "",
            "example.com",
            "/hook",
            "https://",
            "https:///",
            "https://example.com:65536/",
            "https://a b/",
            "https://a\n/",
            " https://example.com/",
            "https://[::1",
            "https://256.256.256.256/",
            "https://1.2.3.4.5/",
        ] {
            assert!(matches!(check_url(text, &strict), Err(TargetError::NotAUrl(_))), "{text}");
        }
    }
}
