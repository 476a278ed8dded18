//! Connections, the nodes at their other ends, and the addresses of this node.

mod addresses;
mod advertised;
mod connection;
mod control;
mod dials;
mod driver;
mod handle;
mod path;
mod subscriptions;
mod table;

use std::time::Duration;

use multiaddr::Multiaddr;
use peerwork_identity::NodeId;

pub(crate) use addresses::{AddressLimits, origin};
pub(crate) use advertised::Advertised;
pub use connection::{
    CloseReason, Connection, ConnectionEvent, ConnectionId, ConnectionInfo, Direction,
};
pub(crate) use control::Control;
pub(crate) use driver::{Command, Driver};
pub(crate) use path::without_last_peer;
pub use path::{Path, ip};
pub use subscriptions::{ConnectionEvents, Lagged};
pub(crate) use table::PeerTable;

/// A connected node: its connections, its claims in identify, and measurements.
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
    /// This node's addresses or reachability changed.
    AddressesChanged,
}
