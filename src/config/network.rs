//! A network as settings and requests give it.

use ipnet::{IpNet, Ipv4Net};

/// Why a text is no network. The texts go on behind the one that was given.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NetworkError {
    /// Something else.
    #[error("is no CIDR")]
    NoCidr,
    /// An address whose mask leaves nothing of it: that one was meant, hardly everywhere.
    #[error("would mean everywhere: write {one} for the one address, {everywhere} for all")]
    Everywhere {
        /// The address.
        one: IpNet,
        /// What the mask leaves.
        everywhere: IpNet,
    },
}

/// Reads a network in CIDR form; bits behind the mask count for nothing. One of IPv4-mapped IPv6 is that of IPv4: so are
/// addresses, before they are compared.
///
/// # Errors
/// [`NetworkError`].
pub fn read_network(text: &str) -> Result<IpNet, NetworkError> {
    let network = unmapped(text.parse().map_err(|_| NetworkError::NoCidr)?);
    let everywhere = network.trunc();
    if network.prefix_len() == 0 && network.addr() != everywhere.addr() {
        return Err(NetworkError::Everywhere { one: network.addr().into(), everywhere });
    }
    Ok(everywhere)
}

fn unmapped(network: IpNet) -> IpNet {
    let IpNet::V6(v6) = network else { return network };
    let length = v6.prefix_len().checked_sub(96);
    let v4 = v6.addr().to_ipv4_mapped().zip(length).and_then(|(v4, length)| Ipv4Net::new(v4, length).ok());
    v4.map_or(network, IpNet::V4)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> String {
        read_network(text).map_or_else(|error| error.to_string(), |network| network.to_string())
    }

    #[test]
    fn a_mapped_network_is_that_of_ipv4() {
        for (text, network) in [
            ("10.0.0.0/8", "10.0.0.0/8"),
            ("::ffff:127.0.0.5/128", "127.0.0.5/32"),
            ("::ffff:7f00:0/104", "127.0.0.0/8"),
            ("::ffff:0:0/96", "0.0.0.0/0"),
            // Wider than what is mapped, or not mapped at all.
            ("::/0", "::/0"),
            ("::ffff:0:0/95", "::fffe:0:0/95"),
            ("10.1.2.3/8", "10.0.0.0/8"),
            ("2001:db8::/32", "2001:db8::/32"),
        ] {
            assert_eq!(read(text), network, "{text}");
        }
    }

    #[test]
    fn an_address_that_would_mean_everywhere_is_refused_and_what_was_meant_is_named() {
        let refused = read("127.0.0.5/0");
        assert_eq!(refused, "would mean everywhere: write 127.0.0.5/32 for the one address, 0.0.0.0/0 for all");
        assert!(read("2001:db8::1/0").contains("2001:db8::1/128"));
        for bad in ["", "10.0.0.0", "10.0.0.0/33", "localhost", "10.0.0.0/8 "] {
            assert_eq!(read(bad), "is no CIDR", "{bad:?}");
        }
    }
}
