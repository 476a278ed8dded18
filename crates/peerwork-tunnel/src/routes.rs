//! What the tunnel asks of a directory of nodes.

use multiaddr::Multiaddr;
use peerwork_identity::NodeId;

/// Knows how nodes are reached. Asked for each connection that is made, so it must answer at once.
pub trait Routes: Send + Sync {
    /// A node, when it is known.
    fn find(&self, node: NodeId) -> Option<Found>;
}

/// A node that is known.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Found {
    /// Where to dial it, best first; may be empty when it is only connected.
    pub addresses: Vec<Multiaddr>,
    /// Whether its edge side demands a bearer key of its own.
    pub requires_key: bool,
}
