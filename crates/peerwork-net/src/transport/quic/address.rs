//! Addresses of QUIC: `/ip4/…/udp/…/quic-v1`, with the id of a node or without.

use std::net::SocketAddr;

use libp2p::PeerId;
use multiaddr::{Multiaddr, Protocol as Part};

/// The socket address of a QUIC address, and the node that it names.
pub(super) fn parse(address: &Multiaddr) -> Option<(SocketAddr, Option<PeerId>)> {
    let mut parts = address.iter();
    let ip = match parts.next()? {
        Part::Ip4(ip) => ip.into(),
        Part::Ip6(ip) => ip.into(),
        _ => return None,
    };
    let (Some(Part::Udp(port)), Some(Part::QuicV1)) = (parts.next(), parts.next()) else {
        return None;
    };
    let node = match parts.next() {
        Some(Part::P2p(node)) => Some(node),
        Some(_) => return None,
        None => None,
    };
    parts
        .next()
        .is_none()
        .then_some((SocketAddr::new(ip, port), node))
}

/// As [`parse`], for an address that can be dialled.
pub(super) fn dialled(address: &Multiaddr) -> Option<(SocketAddr, Option<PeerId>)> {
    parse(address).filter(|(socket, _)| socket.port() > 0 && !socket.ip().is_unspecified())
}

/// The QUIC address of a socket address.
pub(super) fn of(socket: SocketAddr) -> Multiaddr {
    Multiaddr::from(socket.ip())
        .with(Part::Udp(socket.port()))
        .with(Part::QuicV1)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn only_addresses_of_quic_and_a_node_are_parsed() {
        let node = "12D3KooWPjceQrSwdWXPyLLeABRXmuqt69Rg3sBYbU1Nft9HyQ6X";
        let of_node = |text: &str| parse(&format!("{text}/p2p/{node}").parse().unwrap());
        let v4 = "/ip4/192.0.2.1/udp/4001/quic-v1";
        for text in [v4, "/ip6/2001:db8::1/udp/4001/quic-v1"] {
            let (socket, named) = parse(&text.parse().unwrap()).unwrap();
            assert_eq!((of(socket).to_string(), named), (text.to_owned(), None));
            assert_eq!(
                of_node(text).unwrap(),
                (socket, Some(node.parse().unwrap()))
            );
        }
        for text in [
            "/ip4/192.0.2.1/udp/4001",
            "/ip4/192.0.2.1/tcp/4001",
            "/ip4/192.0.2.1/udp/4001/quic",
            "/ip4/192.0.2.1/udp/4001/quic-v1/webtransport",
            "/dns4/example.org/udp/4001/quic-v1",
        ] {
            assert_eq!(parse(&text.parse().unwrap()), None, "{text}");
        }
        assert!(of_node(&format!("{v4}/p2p/{node}")).is_none());
    }

    #[test]
    fn an_address_without_a_port_or_a_host_is_listened_on_and_not_dialled() {
        for text in ["/ip4/192.0.2.1/udp/0/quic-v1", "/ip6/::/udp/4001/quic-v1"] {
            let address = text.parse().unwrap();
            assert!(
                parse(&address).is_some() && dialled(&address).is_none(),
                "{text}"
            );
        }
    }
}
