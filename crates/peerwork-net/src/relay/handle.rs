//! The network's calls for relays: reservations at other relays, and the state of this node's own
//! relay.

use peerwork_identity::{NodeAddress, NodeId};
use tokio::{
    sync::oneshot,
    time::{Instant, timeout_at},
};

use super::{Command, Control, RelayStatus, Reservation};
use crate::{error::ReserveError, handle::Network};

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
        let (reply, answer) = oneshot::channel();
        let command = Command::Reserve {
            relay: relay.clone(),
            reply,
        };
        let granted = async {
            let sent = self.parts.relay.commands.send(command).await;
            sent.map_err(|_| ReserveError::Stopped)?;
            answer.await.map_err(|_| ReserveError::Stopped)?
        };
        timeout_at(deadline, granted)
            .await
            .unwrap_or(Err(ReserveError::Deadline))
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
