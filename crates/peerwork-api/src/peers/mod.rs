//! The peers domain describes the nodes that this node is connected to or knows.

pub(crate) mod grpc;

use async_trait::async_trait;

use crate::{error::ServiceError, relays::Reservation};

/// The peers of a node. The caller puts a deadline around every method and drops the future when it
/// passes.
#[async_trait]
pub trait PeersService: Send + Sync + 'static {
    /// The connected peers, without this node.
    async fn list(&self) -> Result<Vec<Peer>, ServiceError>;

    /// One known peer, by its node id in text form.
    ///
    /// # Errors
    /// `InvalidArgument` when `id` is no node id, `NotFound` when this node knows no such peer.
    async fn get(&self, id: &str) -> Result<Peer, ServiceError>;

    /// Starts to dial `address`, a multiaddress that ends in `/p2p/<node id>`, and returns at once.
    ///
    /// # Errors
    /// `InvalidArgument` when `address` is not of that form.
    async fn add(&self, address: &str) -> Result<(), ServiceError>;
}

/// Another node that this node knows.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Peer {
    /// Node id in text form.
    pub id: String,
    /// Names of the protocols that the peer speaks, as in `/ipfs/ping/1.0.0`; empty before
    /// identify.
    pub protocols: Vec<String>,
    /// Multiaddresses of the peer.
    pub addresses: Vec<String>,
    /// The reservation that this node holds at the peer.
    pub reservation: Option<Reservation>,
}
