//! The network address that a connection counts for.

use std::{
    fmt,
    net::{IpAddr, Ipv6Addr},
};

/// One network address: an IPv4 address, or the /64 that one IPv6 subscriber gets (RFC 6177).
///
/// Opaque: it can be compared, counted and shown, and no address can be dialled from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Origin(IpAddr);

impl Origin {
    /// The origin of an IP address; `None` for this machine's own (loopback), which is not counted,
    /// because behind a local proxy every client has it. IPv4 addresses mapped into IPv6 count as
    /// IPv4.
    #[must_use]
    pub fn of(ip: IpAddr) -> Option<Self> {
        match ip.to_canonical() {
            ip if ip.is_loopback() => None,
            IpAddr::V4(ip) => Some(Self(ip.into())),
            IpAddr::V6(ip) => {
                let network = ip.to_bits() & (u128::MAX << 64);
                Some(Self(Ipv6Addr::from_bits(network).into()))
            }
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn origin(text: &str) -> Option<String> {
        Origin::of(text.parse().unwrap()).map(|origin| origin.to_string())
    }

    #[test]
    fn an_origin_is_an_ipv4_address_or_the_first_half_of_an_ipv6_address() {
        assert_eq!(origin("192.0.2.1"), Some("192.0.2.1".into()));
        assert_eq!(origin("::ffff:192.0.2.1"), Some("192.0.2.1".into()));
        let v6 = origin("2001:db8:1:2:3:4:5:6");
        assert_eq!(v6, Some("2001:db8:1:2::".into()));
        for loopback in ["127.0.0.1", "::1", "::ffff:127.0.0.1"] {
            assert_eq!(origin(loopback), None, "{loopback}");
        }
    }
}
