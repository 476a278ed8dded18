//! The relays domain describes the relays at which this node holds reservations, and the load of
//! its own relay.

pub(crate) mod grpc;
mod reservation;

use async_trait::async_trait;

pub use reservation::Reservation;

use crate::{error::ServiceError, peers::Peer};

/// The relays of a node. The caller puts a deadline around every method and drops the future when
/// it passes.
#[async_trait]
pub trait RelaysService: Send + Sync + 'static {
    /// The relays at which this node may make a reservation.
    async fn known(&self) -> Result<Vec<Peer>, ServiceError>;

    /// The relay that this node mainly uses, with the reservation there; `None` when it holds none.
    async fn held(&self) -> Result<Option<Peer>, ServiceError>;

    /// The load of this node's own relay; zeros when it is no relay.
    async fn connections(&self) -> Result<RelayConnections, ServiceError>;
}

/// The load of the node's own relay.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RelayConnections {
    /// The number of peers connected to the relay.
    pub connected: u64,
    /// The largest number of reservations that the relay grants.
    pub reservations_max: u64,
}
