//! The relays service: reservations that the node holds, and the use of its own relay.

use async_trait::async_trait;
use peerwork_api::{
    ServiceError,
    peers::Peer,
    relays::{RelayConnections, RelaysService, Reservation},
};
use peerwork_directory::Directory;
use peerwork_net::Network;

use super::peers::protocols;

/// Implements the relays service.
pub(super) struct Relays {
    pub(super) network: Network,
    pub(super) directory: Directory,
    /// The most reservations that the node's own relay grants; `None` when the node is not a relay.
    pub(super) reservations_max: Option<usize>,
}

impl Relays {
    fn main(&self) -> Option<Peer> {
        let held = self.directory.reservations().borrow().first().cloned()?;
        Some(Peer {
            id: held.relay.to_string(),
            protocols: protocols(self.network.peer(held.relay).as_deref()),
            addresses: vec![held.address.to_string()],
            reservation: Some(Reservation {
                bytes_max: held.limits.bytes_max,
                duration_max: held.limits.duration_max,
                // The reservation is renewed in time; libp2p's client does not report its expiry.
                expires_at: None,
                addresses: Vec::new(),
            }),
        })
    }
}

#[async_trait]
impl RelaysService for Relays {
    async fn known(&self) -> Result<Vec<Peer>, ServiceError> {
        let known = self.directory.relays_known();
        Ok(known
            .into_iter()
            .map(|relay| Peer {
                id: relay.node.to_string(),
                protocols: protocols(self.network.peer(relay.node).as_deref()),
                addresses: vec![relay.transport.to_string()],
                reservation: None,
            })
            .collect())
    }

    async fn held(&self) -> Result<Option<Peer>, ServiceError> {
        Ok(self.main())
    }

    async fn connections(&self) -> Result<RelayConnections, ServiceError> {
        let Some(reservations_max) = self.reservations_max else {
            return Ok(RelayConnections::default());
        };
        Ok(RelayConnections {
            connected: self.network.peer_count() as u64,
            reservations_max: reservations_max as u64,
        })
    }
}
