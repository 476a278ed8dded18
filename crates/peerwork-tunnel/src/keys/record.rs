//! Holds one key as a store keeps it, and decides which calls the key allows.

use std::time::SystemTime;

use peerwork_identity::NodeId;

/// Keys in one store at most; revoked ones do not count.
pub const KEYS_MAX: usize = 10_000;
/// The longest label in bytes.
pub const LABEL_BYTES_MAX: usize = 128;

/// A key without its secret. Times are whole seconds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredKey {
    /// Its id.
    pub id: String,
    /// Its label.
    pub label: String,
    /// The only node that may be called with it.
    pub node: Option<NodeId>,
    /// The only port that may be called with it.
    pub port: Option<u16>,
    /// When it was made.
    pub created_at: SystemTime,
    /// From when on it is worthless.
    pub expires_at: Option<SystemTime>,
}

/// A key does not open this door.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// No such key, or it is expired or revoked.
    #[error("the key is unknown, expired or revoked")]
    Unknown,
    /// The key is good, for another node or port.
    #[error("the key is not for this node and port")]
    Elsewhere,
}

pub(super) struct Record {
    pub(super) hash: [u8; 32],
    pub(super) key: StoredKey,
}

impl StoredKey {
    pub(super) fn allows(&self, node: NodeId, port: u16) -> Result<(), Denied> {
        if self.expires_at.is_some_and(|end| end <= SystemTime::now()) {
            return Err(Denied::Unknown);
        }
        let here = self.node.is_none_or(|only| only == node);
        let through = self.port.is_none_or(|only| only == port);
        if here && through {
            Ok(())
        } else {
            Err(Denied::Elsewhere)
        }
    }
}
