//! Circuit relay v2: reservations at relays, as their client (`driver.rs`), and a relay for others
//! (`server.rs`).

mod control;
mod driver;
mod handle;
mod holder_queue;
mod ledger;
mod places;
mod refusal;
pub(crate) mod server;

use std::{fmt, time::Duration};

use multiaddr::Multiaddr;
use peerwork_identity::{NodeAddress, NodeId};
use tokio::sync::{oneshot, watch};

pub(crate) use control::Control;
pub(crate) use driver::{Driver, is_circuit};
pub(crate) use ledger::Ledger;
pub use ledger::{Circuit, RelayCounts, RelayStatus};
pub(crate) use places::Places;
pub use refusal::{CircuitRefusal, Refusal};
pub(crate) use server::{Host, Server};

use crate::error::ReserveError;

pub(crate) enum Command {
    Reserve {
        relay: NodeAddress,
        reply: oneshot::Sender<Result<Reservation, ReserveError>>,
    },
    /// A node made a reservation at this relay, or renewed it.
    Reserved(NodeId),
    /// A node disconnected while it made a reservation.
    Left(NodeId),
}

/// Limits of each circuit that a relay carries to a holder.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CircuitLimits {
    /// Bytes, as the relay counts them; `None` is without a limit.
    pub bytes_max: Option<u64>,
    /// How long a circuit may last; `None` is without a limit.
    pub duration_max: Option<Duration>,
}

/// A place at a relay; held and renewed until lost, or until about a second after it was dropped.
pub struct Reservation {
    pub(crate) relay: NodeAddress,
    pub(crate) limits: CircuitLimits,
    pub(crate) lost: watch::Receiver<Option<String>>,
}

impl fmt::Debug for Reservation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reservation")
            .field("relay", &self.relay)
            .finish_non_exhaustive()
    }
}

impl Reservation {
    /// The relay and the address it was reached at.
    #[must_use]
    pub fn relay(&self) -> &NodeAddress {
        &self.relay
    }

    /// The circuit address under which others reach this node through the relay, without this
    /// node's own `/p2p/<id>`.
    #[must_use]
    pub fn address(&self) -> Multiaddr {
        circuit_address(&self.relay)
    }

    /// The limits of circuits that the relay named when it granted the reservation.
    #[must_use]
    pub fn limits(&self) -> CircuitLimits {
        self.limits
    }

    /// Waits until the reservation is lost, and returns the reason.
    pub async fn lost(&mut self) -> String {
        match self.lost.wait_for(Option::is_some).await {
            Ok(reason) => reason.clone().unwrap_or_default(),
            Err(_) => "the network has stopped".to_owned(),
        }
    }
}

/// `<relay address>/p2p/<relay>/p2p-circuit`.
#[must_use]
pub fn circuit_address(relay: &NodeAddress) -> Multiaddr {
    use multiaddr::Protocol as Part;
    relay
        .transport
        .clone()
        .with(Part::P2p(*relay.node.as_peer_id()))
        .with(Part::P2pCircuit)
}
