//! An origin is the network address, or the relay, that a connection is counted for.

use std::{
    fmt,
    net::{IpAddr, Ipv6Addr},
};

/// The source that a connection is counted for: an IPv4 address, the /64 prefix of one IPv6
/// subscriber (RFC 6177), or the relay that a circuit passes through.
///
/// The value is opaque: callers can compare, count and print an origin, but cannot dial it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Origin(Counted);

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Counted {
    Address(IpAddr),
    Relay([u8; RELAY_BYTES]),
}

/// The number of bytes kept of a relay's peer id. They are the last bytes, which belong to the
/// public key or to its hash.
const RELAY_BYTES: usize = 16;

impl Origin {
    /// The origin of an IP address. `None` for loopback addresses, which are not counted, because
    /// all clients behind a local proxy share them. IPv4 addresses mapped into IPv6 count as IPv4.
    #[must_use]
    pub fn of(ip: IpAddr) -> Option<Self> {
        let address = match ip.to_canonical() {
            ip if ip.is_loopback() => return None,
            IpAddr::V4(ip) => ip.into(),
            IpAddr::V6(ip) => {
                let network = ip.to_bits() & (u128::MAX << 64);
                Ipv6Addr::from_bits(network).into()
            }
        };
        Some(Self(Counted::Address(address)))
    }

    /// The origin of all circuits through a relay, made from the bytes of the relay's peer id. A
    /// circuit does not reveal the network address of its far end, so all circuits of one relay
    /// count together, and apart from the relay's own connections.
    #[must_use]
    pub fn through_relay(id: &[u8]) -> Self {
        let mut kept = [0; RELAY_BYTES];
        for (kept, byte) in kept.iter_mut().rev().zip(id.iter().rev()) {
            *kept = *byte;
        }
        Self(Counted::Relay(kept))
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Counted::Address(address) => address.fmt(f),
            Counted::Relay([.., a, b, c]) => write!(f, "relay …{a:02x}{b:02x}{c:02x}"),
        }
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

    #[test]
    fn circuits_count_for_their_relay_and_apart_from_addresses() {
        let relay = |id: &[u8]| Origin::through_relay(id);
        assert_eq!(relay(&[7; 38]), relay(&[7; 38]));
        assert_ne!(relay(&[7; 38]), relay(&[8; 38]));
        assert_eq!(relay(&[]), relay(&[0, 0]));
        assert_eq!(relay(b"\x12\x20\xab\xcd\xef").to_string(), "relay …abcdef");
        assert_ne!(
            Some(relay(&[0; 38])),
            Origin::of(IpAddr::from([0, 0, 0, 0]))
        );
    }
}
