//! The places other than the store from which blocks came.

use peerwork_identity::NodeId;
use peerwork_store::rpc::ApiAddress;

/// A place from which blocks came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// Another node.
    Node(NodeId),
    /// A kubo daemon, by the address of its RPC API.
    Daemon(ApiAddress),
}

impl Place {
    /// The node's id and the daemon's address as texts; the other one of both is empty.
    #[must_use]
    pub fn texts(&self) -> (String, String) {
        match self {
            Self::Node(node) => (node.to_string(), String::new()),
            Self::Daemon(address) => (String::new(), address.to_string()),
        }
    }
}

/// The blocks that came from one place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// The place.
    pub place: Place,
    /// Verified blocks.
    pub blocks: u64,
    /// Their bytes.
    pub bytes: u64,
}
