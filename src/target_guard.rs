//! Which URLs may be sent to.

use std::net::IpAddr;

use url::{Host, Url};

use crate::config::TargetPolicy;

/// Why a URL is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TargetError {
    /// No URL at all.
    #[error("is no absolute URL")]
    NoUrl,
    /// Neither https, nor http where that is allowed.
    #[error("must begin with https://")]
    Scheme,
    /// User and password in the URL.
    #[error("must not hold a user or password: use a header")]
    Credentials,
    /// An address that is not public.
    #[error("points to an address that is not public")]
    NotPublic,
}

/// Checks a URL as far as it can be checked without looking its name up.
///
/// # Errors
/// See [`TargetError`].
pub fn check_url(text: &str, policy: &TargetPolicy) -> Result<Url, TargetError> {
    let url = Url::parse(text).map_err(|_| TargetError::NoUrl)?;
    if !(url.scheme() == "https" || (policy.allow_http && url.scheme() == "http")) {
        return Err(TargetError::Scheme);
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(TargetError::Credentials);
    }
    let address: IpAddr = match url.host().ok_or(TargetError::NoUrl)? {
        Host::Ipv4(address) => address.into(),
        Host::Ipv6(address) => address.to_ipv4_mapped().map_or(address.into(), IpAddr::from),
        Host::Domain(name) if name.trim_end_matches('.') == "localhost" => IpAddr::from([127, 0, 0, 1]),
        Host::Domain(_) => return Ok(url),
    };
    let private = match address {
        IpAddr::V4(v4) => v4.is_private() || v4.is_loopback() || v4.is_link_local() || v4.is_unspecified(),
        IpAddr::V6(v6) => v6.is_loopback() || v6.is_unique_local() || v6.is_unicast_link_local() || v6.is_unspecified(),
    };
    let allowed = policy.allowlist.iter().any(|net| net.contains(&address));
    if private && !allowed { Err(TargetError::NotPublic) } else { Ok(url) }
}
