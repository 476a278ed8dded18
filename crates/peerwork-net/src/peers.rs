//! Who is connected, how, and what is known of them.

mod addresses;
mod advertised;
mod control;
mod driver;
mod handle;
mod table;

use std::{
    net::IpAddr,
    time::{Duration, SystemTime},
};

use libp2p::multiaddr::Protocol as Part;
use multiaddr::Multiaddr;
use peerwork_identity::NodeId;

pub(crate) use addresses::{AddressLimits, origin};
pub(crate) use advertised::Advertised;
pub(crate) use control::Control;
pub(crate) use driver::{Command, Driver};
pub(crate) use table::PeerTable;

/// How a connection reaches a node. Direct sorts before relayed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Path {
    /// From host to host.
    Direct,
    /// Over a circuit through a relay.
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

/// One connection to a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnectionInfo {
    /// Direct or relayed.
    pub path: Path,
    /// The remote address (of a circuit: the relay's).
    pub address: Multiaddr,
    /// Whether this node dialled.
    pub outbound: bool,
    /// When it was established.
    pub since: SystemTime,
}

/// What is known of a connected node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerInfo {
    /// Its id.
    pub node: NodeId,
    /// Its connections, at least one.
    pub connections: Vec<ConnectionInfo>,
    /// The agent it claims in identify; `None` until identified. At most 128 characters.
    pub agent: Option<String>,
    /// The protocols it claims in identify; at most 256.
    pub protocols: Vec<String>,
    /// The addresses it claims in identify; at most 32.
    pub addresses: Vec<Multiaddr>,
    /// The latest measured round-trip time; `None` until measured.
    pub rtt: Option<Duration>,
    /// Whether it holds a reservation at this node's relay.
    pub reserved: bool,
}

impl PeerInfo {
    /// The best path among its connections.
    #[must_use]
    pub fn path(&self) -> Path {
        let paths = self.connections.iter().map(|c| c.path);
        paths.min().unwrap_or(Path::Relayed)
    }
}

/// Whether others can reach this node.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Reachability {
    /// Not known yet.
    #[default]
    Unknown,
    /// At these addresses, which others confirmed or the operator configured.
    Public(Vec<Multiaddr>),
    /// A relay tells others these addresses it listens on, and nobody has confirmed them yet.
    Assumed(Vec<Multiaddr>),
    /// Tested by others, and not reachable.
    Private,
}

/// What happened in the network.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// The first connection to a node was established.
    Connected(NodeId),
    /// A node told who it is: [`PeerInfo::agent`], protocols and addresses are known.
    Identified(NodeId),
    /// The last connection to a node closed.
    Disconnected(NodeId),
    /// A node made or renewed a reservation at this relay.
    Reserved(NodeId),
    /// A node's reservation at this relay ended.
    ReservationEnded(NodeId),
    /// This node's addresses or reachability changed.
    AddressesChanged,
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

/// `/…/p2p/<id>` without the id of the far end.
pub(crate) fn without_last_peer(mut address: Multiaddr) -> Multiaddr {
    if matches!(address.iter().last(), Some(Part::P2p(_))) {
        address.pop();
    }
    address
}
