//! `NodeAddress` is the dialling address of a node: a multiaddress and the node id expected there.

use std::{fmt, str::FromStr};

use multiaddr::{Multiaddr, Protocol};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::{NodeId, ParseNodeIdError};

/// The longest accepted text, in bytes.
pub const TEXT_BYTES_MAX: usize = 1024;

/// A node id with a transport address at which the node can be dialled, written
/// `<transport>/p2p/<node id>`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeAddress {
    /// The id that the node must prove in the handshake.
    pub node: NodeId,
    /// The transport address, which does not end in `/p2p/…`.
    pub transport: Multiaddr,
}

/// The reason why a text is not the address of a node.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParseNodeAddressError {
    /// The text has more bytes than are accepted.
    #[error("the address has {got} bytes where at most {TEXT_BYTES_MAX} are allowed")]
    TooLong {
        /// The bytes received.
        got: usize,
    },
    /// The node id is missing.
    #[error("the address must end in /p2p/<node id>")]
    NoNode,
    /// The transport address is missing.
    #[error("the address must begin with a transport address such as /ip4/192.0.2.1/tcp/50001")]
    NoTransport,
    /// The text after `/p2p/` is not a node id.
    #[error("reading the node id after /p2p/: {0}")]
    Node(ParseNodeIdError),
    /// The text before `/p2p/` is not a multiaddress.
    #[error("reading the transport address before /p2p/: {0}")]
    Transport(String),
    /// The transport address has no text form that parses to the same address.
    #[error("the transport address cannot be written as text")]
    Unprintable,
}

impl NodeAddress {
    /// The address as one multiaddress that ends in `/p2p/<node id>`.
    pub fn to_multiaddr(&self) -> Multiaddr {
        self.transport
            .clone()
            .with(Protocol::P2p(*self.node.as_peer_id()))
    }

    /// Splits a multiaddress that ends in `/p2p/<node id>`.
    ///
    /// # Errors
    /// [`ParseNodeAddressError`] when the node id or the transport address is missing, or the text
    /// form of the address does not parse to the same address.
    pub fn from_multiaddr(address: &Multiaddr) -> Result<Self, ParseNodeAddressError> {
        let mut transport = address.clone();
        let Some(Protocol::P2p(peer)) = transport.pop() else {
            return Err(ParseNodeAddressError::NoNode);
        };
        let node = NodeId::from_bytes(&peer.to_bytes()).map_err(ParseNodeAddressError::Node)?;
        Self::checked(node, transport)
    }

    fn checked(node: NodeId, transport: Multiaddr) -> Result<Self, ParseNodeAddressError> {
        if !is_transport(&transport) {
            return Err(ParseNodeAddressError::NoTransport);
        }
        // Some protocols accept values whose text form parses to something else, such as a path
        // with slashes.
        let again = transport.to_string().parse::<Multiaddr>();
        if !again.is_ok_and(|again| again == transport) {
            return Err(ParseNodeAddressError::Unprintable);
        }
        let address = Self { node, transport };
        let got = address.to_string().len();
        if got > TEXT_BYTES_MAX {
            return Err(ParseNodeAddressError::TooLong { got });
        }
        Ok(address)
    }
}

impl FromStr for NodeAddress {
    type Err = ParseNodeAddressError;

    /// Parses `<transport>/p2p/<node id>`; `/ipfs/` is accepted for `/p2p/`, and the node id may be
    /// a CID.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.len() > TEXT_BYTES_MAX {
            return Err(ParseNodeAddressError::TooLong { got: text.len() });
        }
        let (before, node) = text.rsplit_once('/').ok_or(ParseNodeAddressError::NoNode)?;
        let transport = before
            .strip_suffix("/p2p")
            .or_else(|| before.strip_suffix("/ipfs"))
            .ok_or(ParseNodeAddressError::NoNode)?;
        let node = node.parse().map_err(ParseNodeAddressError::Node)?;
        if transport.is_empty() {
            return Err(ParseNodeAddressError::NoTransport);
        }
        let transport = transport.parse().map_err(|error: multiaddr::Error| {
            ParseNodeAddressError::Transport(error.to_string())
        })?;
        Self::checked(node, transport)
    }
}

impl fmt::Display for NodeAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/p2p/{}", self.transport, self.node)
    }
}

impl fmt::Debug for NodeAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for NodeAddress {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for NodeAddress {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(de::Error::custom)
    }
}

/// Whether an address can be dialled: it has a host with a port, or a transport without ports, and
/// no node id at its end.
fn is_transport(address: &Multiaddr) -> bool {
    let mut parts = address.iter();
    let mut host = parts.next();
    if let Some(Protocol::Ip6zone(_)) = host {
        host = parts.next();
    }
    let begins_well = match host {
        Some(
            Protocol::Ip4(_)
            | Protocol::Ip6(_)
            | Protocol::Dns(_)
            | Protocol::Dns4(_)
            | Protocol::Dns6(_),
        ) => matches!(parts.next(), Some(Protocol::Tcp(_) | Protocol::Udp(_))),
        Some(
            Protocol::Dnsaddr(_)
            | Protocol::Memory(_)
            | Protocol::Unix(_)
            | Protocol::Onion(..)
            | Protocol::Onion3(_)
            | Protocol::Garlic32(_)
            | Protocol::Garlic64(_),
        ) => true,
        _ => false,
    };
    begins_well && !matches!(address.iter().last(), Some(Protocol::P2p(_)))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;

    use super::*;

    const NODE: &str = "16Uiu2HAmEWQnHq2jLKJypwVnVoQeFCULuyop6atvq2eWjYSUjzNi";

    fn parse(text: &str) -> Result<NodeAddress, ParseNodeAddressError> {
        text.parse()
    }

    #[test]
    fn usual_addresses_are_read_and_written_alike() {
        for transport in [
            "/ip4/127.0.0.1/tcp/50001",
            "/ip6/2001:db8::1/udp/50001/quic-v1",
            "/ip6zone/eth0/ip6/fe80::1/tcp/1",
            "/dns4/relay.example/tcp/443/tls/ws",
            "/dnsaddr/relay.example",
            "/memory/7",
            &format!("/ip4/127.0.0.1/tcp/1/p2p/{NODE}/p2p-circuit"),
        ] {
            let text = format!("{transport}/p2p/{NODE}");
            let address = parse(&text).unwrap();
            assert_eq!(address.to_string(), text);
            assert_eq!(address.node.to_string(), NODE);
            assert_eq!(
                NodeAddress::from_multiaddr(&address.to_multiaddr()).unwrap(),
                address
            );
        }
    }

    #[test]
    fn the_old_name_and_a_cid_name_the_same_node() {
        let address = parse(&format!("/ip4/127.0.0.1/tcp/1/p2p/{NODE}")).unwrap();
        assert_eq!(
            parse(&format!("/ip4/127.0.0.1/tcp/1/ipfs/{NODE}")).unwrap(),
            address
        );
        let mut cid = vec![0x01, 0x72];
        cid.extend(address.node.to_bytes());
        let cid = multibase::encode(multibase::Base::Base32Lower, cid);
        assert_eq!(
            parse(&format!("/ip4/127.0.0.1/tcp/1/p2p/{cid}")).unwrap(),
            address
        );
    }

    #[test]
    fn a_node_without_a_transport_address_is_refused() {
        for text in [
            format!("/p2p/{NODE}"),
            format!("/ip4/127.0.0.1/p2p/{NODE}"),
            format!("/p2p/{NODE}/p2p-circuit/p2p/{NODE}"),
            format!("/p2p-circuit/p2p/{NODE}"),
            format!("/ip4/127.0.0.1/tcp/1/p2p/{NODE}/p2p/{NODE}"),
        ] {
            assert_eq!(
                parse(&text),
                Err(ParseNodeAddressError::NoTransport),
                "{text}"
            );
        }
    }

    #[test]
    fn a_transport_address_without_a_node_is_refused() {
        for text in ["", "/", "/ip4/127.0.0.1/tcp/1", NODE] {
            assert_eq!(parse(text), Err(ParseNodeAddressError::NoNode), "{text}");
        }
        let circuit = format!("/ip4/127.0.0.1/tcp/1/p2p/{NODE}/p2p-circuit");
        assert_eq!(parse(&circuit), Err(ParseNodeAddressError::NoNode));
    }

    #[test]
    fn mistyped_halves_are_named() {
        let node = parse("/ip4/127.0.0.1/tcp/1/p2p/16Uiu2HAm0");
        assert!(matches!(node, Err(ParseNodeAddressError::Node(_))));
        let transport = parse(&format!("/ip4/127.0.0.300/tcp/1/p2p/{NODE}"));
        assert!(matches!(
            transport,
            Err(ParseNodeAddressError::Transport(_))
        ));
    }

    #[test]
    fn text_beyond_the_limit_is_refused_unread() {
        let address = |host: usize| format!("/dnsaddr/{}/p2p/{NODE}", "a".repeat(host));
        let room = TEXT_BYTES_MAX - address(0).len();
        assert!(parse(&address(room)).is_ok());
        assert!(matches!(
            parse(&address(room + 1)),
            Err(ParseNodeAddressError::TooLong { .. })
        ));
    }

    proptest! {
        #[test]
        fn any_host_and_port_round_trip(ip in any::<std::net::IpAddr>(), port in any::<u16>()) {
            let transport = Multiaddr::from(ip).with(Protocol::Tcp(port));
            let address = NodeAddress { node: NODE.parse().unwrap(), transport };
            prop_assert_eq!(parse(&address.to_string()).unwrap(), address);
        }

        #[test]
        fn any_text_is_read_or_refused_without_a_panic(text in "(/[a-z0-9.:]{0,8}){0,6}(/p2p/)?[\\PC]{0,60}") {
            if let Ok(address) = parse(&text) {
                prop_assert_eq!(parse(&address.to_string()).unwrap(), address);
            }
        }
    }
}
