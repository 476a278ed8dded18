//! Connections, the nodes at their other ends, and the addresses of this node.

mod addresses;
mod advertised;
mod connection;
mod control;
mod dials;
mod driver;
mod found;
mod handle;
mod links;
mod path;
mod subscriptions;
mod table;

use std::time::Duration;

use multiaddr::Multiaddr;
use peerwork_identity::NodeId;
use peerwork_limits::Origin;

pub(crate) use addresses::{AddressLimits, counted};
pub(crate) use advertised::Advertised;
pub use connection::{
    CloseReason, Connection, ConnectionEvent, ConnectionId, ConnectionInfo, Direction,
};
pub(crate) use control::Control;
pub(crate) use driver::{Change, Command, Driver};
pub(crate) use found::FoundTable;
pub(crate) use links::Links;
pub(crate) use path::without_last_peer;
pub use path::{Path, ip};
pub use subscriptions::{ConnectionEvents, Lagged};
pub(crate) use table::PeerTable;

/// A connected node: its connections, its claims in identify, and measurements.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerInfo {
    /// The node's id.
    pub node: NodeId,
    /// The connections to the node, at least one.
    pub connections: Vec<ConnectionInfo>,
    /// The agent version that the node claims in identify; `None` until identified. At most 128
    /// characters.
    pub agent: Option<String>,
    /// The protocols that the node claims in identify; at most 256.
    pub protocols: Vec<String>,
    /// The addresses that the node claims in identify; at most 32.
    pub addresses: Vec<Multiaddr>,
    /// The latest measured round-trip time; `None` until measured.
    pub rtt: Option<Duration>,
    /// Whether the node holds a reservation at this node's relay.
    pub reserved: bool,
}

impl PeerInfo {
    /// The best path among the node's connections.
    #[must_use]
    pub fn path(&self) -> Path {
        let paths = self.connections.iter().map(|c| c.path);
        paths.min().unwrap_or(Path::Relayed)
    }

    /// The origin that the node counts for: that of its best connection, or the relay of a circuit;
    /// `None` for a node on this machine.
    #[must_use]
    pub fn origin(&self) -> Option<Origin> {
        let best = self.connections.iter().min_by_key(|c| c.path)?;
        counted(&best.address)
    }
}

/// Whether others can reach this node.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Reachability {
    /// The reachability is not known yet.
    #[default]
    Unknown,
    /// Other nodes can reach this node at these addresses, which others confirmed or the operator
    /// configured.
    Public(Vec<Multiaddr>),
    /// A relay advertises these listen addresses, which no other node has confirmed yet.
    Assumed(Vec<Multiaddr>),
    /// Other nodes tested this node's addresses and did not reach them.
    Private,
}

/// An event of the network: something about a node or this node's addresses changed.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// The first connection to a node was established.
    Connected(NodeId),
    /// A node answered identify: [`PeerInfo::agent`], protocols and addresses are known.
    Identified(NodeId),
    /// The last connection to a node closed.
    Disconnected(NodeId),
    /// A node made or renewed a reservation at this relay.
    Reserved(NodeId),
    /// A node's reservation at this relay ended.
    ReservationEnded(NodeId),
    /// mDNS found a node on the local network, or a further address of it: [`Network::found`] has the
    /// addresses.
    ///
    /// [`Network::found`]: crate::Network::found
    Found(NodeId),
    /// This node's addresses or reachability changed.
    AddressesChanged,
}
