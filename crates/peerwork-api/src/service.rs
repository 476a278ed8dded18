//! The one typed service behind JSON-RPC, gRPC and the admin pages.
//!
//! The composition of the node implements [`NodeService`]; nothing here knows how.

use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::broadcast;

use crate::dto::{Network, NodeEvent, NodeStatus, Peer, Readiness, RelayConnections};

/// What a node answers to the outside.
///
/// The callers give every method a deadline (`Config::call_deadline`) and drop the future when it
/// passes, so an implementation must stay correct when it is dropped at any await.
#[async_trait]
pub trait NodeService: Send + Sync + 'static {
    /// Name and number of the network, version of the program.
    async fn network(&self) -> Result<Network, ServiceError>;

    /// What the node is doing.
    async fn status(&self) -> Result<NodeStatus, ServiceError>;

    /// The peers connected, without this node.
    async fn peers(&self) -> Result<Vec<Peer>, ServiceError>;

    /// One known peer by its node id in text form.
    ///
    /// # Errors
    /// `InvalidArgument` when `id` is no node id, `NotFound` when it is not known.
    async fn peer(&self, id: &str) -> Result<Peer, ServiceError>;

    /// Starts to dial `address`, a multiaddress that ends in `/p2p/<node id>`, and returns at once.
    ///
    /// # Errors
    /// `InvalidArgument` when `address` is not of that form.
    async fn add_peer(&self, address: &str) -> Result<(), ServiceError>;

    /// The relays that this node may reserve a place at.
    async fn relays(&self) -> Result<Vec<Peer>, ServiceError>;

    /// The relay that this node mainly uses, with its reservation; `None` when it holds none.
    async fn relay_status(&self) -> Result<Option<Peer>, ServiceError>;

    /// How full this node's own relay is; zeros when it is no relay.
    async fn relay_connections(&self) -> Result<RelayConnections, ServiceError>;

    /// Node events from this moment on.
    ///
    /// Every WebSocket drains its receiver at once, however slow its client is; a channel of at
    /// least 1024 events keeps a burst from overtaking it.
    fn node_events(&self) -> broadcast::Receiver<Arc<NodeEvent>>;

    /// Whether the node can do its work.
    async fn readiness(&self) -> Readiness;
}

/// Why a call failed, in words that a caller may see.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ServiceError {
    /// What kind of failure it is; the codes of all contracts follow from it.
    pub kind: ErrorKind,
    /// What failed and why: lower case, no full stop.
    pub message: String,
}

/// Kinds of failure, by whose fault it is and whether trying again can help.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// What was asked for does not exist. The caller's.
    NotFound,
    /// The call itself is wrong; trying again never helps. The caller's.
    InvalidArgument,
    /// The caller did not show that it may do this. The caller's.
    Unauthenticated,
    /// A limit is reached; try again when something has been given back.
    Busy,
    /// The node cannot do it at this moment; try again later.
    Unavailable,
    /// The node took too long; trying again may help.
    Deadline,
    /// This node does not do this at all.
    Unsupported,
    /// The node broke a promise. Ours.
    Internal,
}

impl ServiceError {
    /// A failure of `kind`.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
        }
    }

    /// What was asked for does not exist.
    pub fn not_found(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::NotFound, message)
    }

    /// The call itself is wrong.
    pub fn invalid_argument(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::InvalidArgument, message)
    }

    /// The node cannot do it at this moment.
    pub fn unavailable(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Unavailable, message)
    }

    /// This node does not do this at all.
    pub fn unsupported(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Unsupported, message)
    }

    /// The node broke a promise.
    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Internal, message)
    }
}
