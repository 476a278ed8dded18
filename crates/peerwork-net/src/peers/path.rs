//! Facts that an address states: the kind of path, the IP address, the node at its end.

use std::net::IpAddr;

use multiaddr::{Multiaddr, Protocol as Part};

/// How a connection reaches a node. Direct sorts before relayed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Path {
    /// The connection goes from host to host.
    Direct,
    /// The connection is a circuit through a relay.
    Relayed,
}

impl Path {
    /// The kind of path an address describes.
    #[must_use]
    pub fn of(address: &Multiaddr) -> Self {
        if address.iter().any(|part| part == Part::P2pCircuit) {
            Self::Relayed
        } else {
            Self::Direct
        }
    }
}

/// The IP address at the front of an address; `None` for names and everything else.
#[must_use]
pub fn ip(address: &Multiaddr) -> Option<IpAddr> {
    match address.iter().next()? {
        Part::Ip4(ip) => Some(ip.into()),
        Part::Ip6(ip) => Some(ip.into()),
        _ => None,
    }
}

/// Removes the id of the far end from an address `/…/p2p/<id>`.
pub(crate) fn without_last_peer(mut address: Multiaddr) -> Multiaddr {
    if matches!(address.iter().last(), Some(Part::P2p(_))) {
        address.pop();
    }
    address
}
