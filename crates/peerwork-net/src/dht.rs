//! This network's own Kademlia DHT: the providers of a key, and the addresses of a node.

mod behaviour;
mod driver;
mod handle;
mod store;

use multiaddr::Multiaddr;
use peerwork_identity::NodeId;
use tokio::sync::{mpsc, oneshot};

pub(crate) use behaviour::{Behaviour, build};
pub(crate) use driver::Driver;

use crate::error::DhtError;

/// A key that nodes can provide: at most 64 bytes, usually a multihash.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Key(pub(crate) Vec<u8>);

/// The key is empty or longer than 64 bytes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a key has 1 to {max} bytes, this one has {len}")]
pub struct KeyLength {
    len: usize,
    max: usize,
}

impl Key {
    /// The longest key in bytes.
    pub const BYTES_MAX: usize = 64;

    /// A key from its bytes.
    ///
    /// # Errors
    /// [`KeyLength`] unless there are 1 to 64 bytes.
    pub fn new(bytes: impl Into<Vec<u8>>) -> Result<Self, KeyLength> {
        let bytes = bytes.into();
        let (len, max) = (bytes.len(), Self::BYTES_MAX);
        if (1..=max).contains(&len) {
            Ok(Self(bytes))
        } else {
            Err(KeyLength { len, max })
        }
    }
}

/// The state behind the network's calls for the DHT.
pub(crate) struct Control {
    pub(crate) commands: mpsc::Sender<Command>,
}

pub(crate) enum Command {
    Provide {
        key: Key,
        reply: oneshot::Sender<Result<(), DhtError>>,
    },
    Unprovide {
        key: Key,
        reply: oneshot::Sender<Result<(), DhtError>>,
    },
    Providers {
        key: Key,
        reply: oneshot::Sender<Result<Vec<NodeId>, DhtError>>,
    },
    Addresses {
        node: NodeId,
        reply: oneshot::Sender<Result<Vec<Multiaddr>, DhtError>>,
    },
}
