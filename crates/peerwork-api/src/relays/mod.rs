//! Relays: where this node holds reservations, and how full its own relay is.

pub(crate) mod grpc;
mod reservation;

use async_trait::async_trait;

pub use reservation::Reservation;

use crate::{error::ServiceError, peers::Peer};

/// The relays of a node. Callers give every method a deadline and drop the future when it passes.
#[async_trait]
pub trait RelaysService: Send + Sync + 'static {
    /// The relays that this node may reserve a place at.
    async fn known(&self) -> Result<Vec<Peer>, ServiceError>;

    /// The relay that this node mainly uses, with its reservation; `None` when it holds none.
    async fn held(&self) -> Result<Option<Peer>, ServiceError>;

    /// How full this node's own relay is; zeros when it is no relay.
    async fn connections(&self) -> Result<RelayConnections, ServiceError>;
}

/// How full the node's own relay is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RelayConnections {
    /// Peers connected to it.
    pub connected: u64,
    /// Reservations that it gives at most.
    pub reservations_max: u64,
}
