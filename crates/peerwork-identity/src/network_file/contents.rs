//! Holds the contents of a network file and their bounds.

use crate::{NetworkSecret, NodeAddress};

/// The largest network file that is read, in bytes.
pub const FILE_BYTES_MAX: usize = 1024 * 1024;

/// The most entries of one list.
pub const ENTRIES_MAX: usize = 1024;

/// The longest name of a network, in bytes.
pub const NAME_BYTES_MAX: usize = 256;

/// The most secrets of a network: the one in use and, while a secret is being changed, the one before.
pub const SECRETS_MAX: usize = 2;

/// The contents of a network file.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct NetworkFile {
    /// The name of the network, at most [`NAME_BYTES_MAX`] bytes.
    pub name: String,
    /// The number that identifies the network; `NetworkId` in the file.
    pub network_id: i64,
    /// Nodes of the network to dial first, at most [`ENTRIES_MAX`].
    pub bootnodes: Vec<NodeAddress>,
    /// Relays to ask for a reservation first, at most [`ENTRIES_MAX`].
    pub relaynodes: Vec<NodeAddress>,
    /// The secrets of the network, the newest first, at most [`SECRETS_MAX`]. A node that knows one of
    /// them may take part; without any, every node may.
    pub secrets: Vec<NetworkSecret>,
}
