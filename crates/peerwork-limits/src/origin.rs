//! The network address, or the relay, that a connection counts for.

use std::{
    fmt,
    net::{IpAddr, Ipv6Addr},
};

/// An IPv4 address, the /64 that one IPv6 subscriber gets (RFC 6177), or the relay that a circuit comes
/// through.
///
/// Opaque: it can be compared, counted and shown, and no address can be dialled from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Origin(Counted);

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Counted {
    Address(IpAddr),
    Relay([u8; RELAY_BYTES]),
}

/// Bytes kept of a relay's id: the last ones, which are its key's or the key's hash.
const RELAY_BYTES: usize = 16;

impl Origin {
    /// The origin of an IP address; `None` for this machine's own (loopback), which is not counted,
    /// because behind a local proxy every client has it. IPv4 addresses mapped into IPv6 count as
    /// IPv4.
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

    /// The origin of everything that comes through a relay, by the bytes of the relay's id. The
    /// network address of a circuit's far end is not known here, so all circuits of one relay count
    /// together, and apart from the relay's own connections.
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
