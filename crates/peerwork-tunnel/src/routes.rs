//! The directory look-ups that the tunnel needs.

use multiaddr::Multiaddr;
use peerwork_identity::NodeId;

/// Finds the addresses of nodes. It is called for each new connection, so it must answer at once.
pub trait Routes: Send + Sync {
    /// The node's directory entry, or `None` when the node is unknown.
    fn find(&self, node: NodeId) -> Option<Found>;
}

/// The directory's entry of a node.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Found {
    /// Addresses to dial, best first; empty when the node is only connected.
    pub addresses: Vec<Multiaddr>,
    /// Whether the node's edge demands a bearer key of its own.
    pub requires_key: bool,
}
