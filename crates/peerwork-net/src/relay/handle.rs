//! The network's calls for relays: reservations at other relays, and the state of this node's own
//! relay.

use peerwork_identity::{NodeAddress, NodeId};
use tokio::time::Instant;

use super::{Command, Control, RelayStatus, Reservation};
use crate::{call::ask, error::ReserveError, handle::Network};

impl Network {
    /// Reserves a place at a relay. The reservation renews itself until it is dropped or lost.
    ///
    /// # Errors
    /// [`ReserveError`] with the relay's reason.
    pub async fn reserve(
        &self,
        relay: &NodeAddress,
        deadline: Instant,
    ) -> Result<Reservation, ReserveError> {
        let commands = &self.parts.relay.commands;
        let granted = ask(commands, deadline, |reply| Command::Reserve {
            relay: relay.clone(),
            reply,
        });
        granted.await?
    }

    /// The reservations and circuits of this node's relay; all zero on a node that is no relay.
    #[must_use]
    pub fn relay_status(&self) -> RelayStatus {
        let Control { places, ledger, .. } = &self.parts.relay;
        let mut status = RelayStatus {
            reservations: places.held(),
            circuits: ledger.circuits(),
            ..RelayStatus::default()
        };
        places.count(&mut status.counts);
        ledger.count(&mut status.counts);
        status
    }

    /// Places held at this relay, and circuits carried by it.
    #[must_use]
    pub fn relay_in_use(&self) -> (usize, usize) {
        let relay = &self.parts.relay;
        (relay.places.held(), relay.ledger.open())
    }

    /// Lets a node reserve a place at this closed relay for the next hour.
    pub fn grant_reservation(&self, node: NodeId) {
        let now = std::time::Instant::now();
        self.parts.relay.places.grant(*node.as_peer_id(), now);
    }
}
