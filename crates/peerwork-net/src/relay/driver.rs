//! Keeps the reservations of this node, from listening on a circuit to losing it.

use std::{collections::HashMap, time::Duration};

use libp2p::{Swarm, core::transport::ListenerId, relay};
use multiaddr::{Multiaddr, Protocol as Part};
use peerwork_identity::{NodeAddress, NodeId};
use tokio::sync::{oneshot, watch};

use super::{CircuitLimits, Reservation, circuit_address};
use crate::{behaviour::Behaviour, error::ReserveError, transport::Gate};

type Reply = oneshot::Sender<Result<Reservation, ReserveError>>;

/// Reservations held or being made at once.
const RESERVATIONS_MAX: usize = 16;

struct Held {
    relay: NodeAddress,
    listener: ListenerId,
    /// The caller's reply; present until the relay has granted the first reservation.
    waiting: Option<Reply>,
    /// Reports the loss of the reservation; without a receiver once the reservation was dropped.
    lost: watch::Sender<Option<String>>,
}

/// A first reservation at a relay, and the caller that waits for it.
pub(crate) struct Granted {
    reply: Reply,
    reservation: Reservation,
}

impl Granted {
    pub(crate) fn send(self) {
        // A caller that left drops the reservation with the answer.
        let _ = self.reply.send(Ok(self.reservation));
    }
}

pub(crate) struct Driver {
    gate: Gate,
    held: HashMap<NodeId, Held>,
}

impl Driver {
    pub(crate) fn new(gate: Gate) -> Self {
        let held = HashMap::new();
        Self { gate, held }
    }

    pub(crate) fn reserve(
        &mut self,
        swarm: &mut Swarm<Behaviour>,
        relay: NodeAddress,
        reply: Reply,
    ) {
        self.release_dropped(swarm);
        if self.held.contains_key(&relay.node) {
            let _ = reply.send(Err(ReserveError::Exists));
            return;
        }
        if self.held.len() >= RESERVATIONS_MAX {
            let reason = format!("{RESERVATIONS_MAX} reservations are held already");
            let _ = reply.send(Err(ReserveError::Refused(reason)));
            return;
        }
        self.gate.vouch(&relay.transport);
        match swarm.listen_on(circuit_address(&relay)) {
            Err(error) => {
                let _ = reply.send(Err(ReserveError::Address(error.to_string())));
            }
            Ok(listener) => {
                let (lost, _) = watch::channel(None);
                let held = Held {
                    relay: relay.clone(),
                    listener,
                    waiting: Some(reply),
                    lost,
                };
                self.held.insert(relay.node, held);
            }
        }
    }

    /// Ends reservations that were dropped, or whose caller no longer waits for the answer; true when
    /// there were any.
    pub(crate) fn release_dropped(&mut self, swarm: &mut Swarm<Behaviour>) -> bool {
        let before = self.held.len();
        self.held.retain(|_, held| {
            let dropped = match &held.waiting {
                Some(reply) => reply.is_closed(),
                None => held.lost.receiver_count() == 0,
            };
            if dropped {
                swarm.remove_listener(held.listener);
            }
            !dropped
        });
        self.held.len() < before
    }

    /// Notes a granted reservation. The answer to its caller is sent by the event loop, once the
    /// address over the circuit is among the published ones.
    pub(crate) fn on_event(&mut self, event: relay::client::Event) -> Option<Granted> {
        let relay::client::Event::ReservationReqAccepted {
            relay_peer_id,
            renewal,
            limit,
        } = event
        else {
            return None;
        };
        let relay = NodeId::from_peer_id(relay_peer_id);
        tracing::debug!(%relay, renewal, "reservation granted");
        let held = self.held.get_mut(&relay)?;
        // Zero, and the largest number of the field, mean that there is no limit.
        let limited = |d: &Duration| !d.is_zero() && d.as_secs() < u64::from(u32::MAX);
        let limits = CircuitLimits {
            bytes_max: limit.and_then(|l| l.data_in_bytes()).filter(|n| *n > 0),
            duration_max: limit.and_then(|l| l.duration()).filter(limited),
        };
        let reply = held.waiting.take()?;
        let reservation = Reservation {
            relay: held.relay.clone(),
            limits,
            lost: held.lost.subscribe(),
        };
        Some(Granted { reply, reservation })
    }

    /// Handles the end of a circuit listener: the reservation was refused, or lost.
    pub(crate) fn on_listener_closed(&mut self, listener: ListenerId, reason: &str) {
        let of = self.held.iter().find(|(_, h)| h.listener == listener);
        let Some(relay) = of.map(|(relay, _)| *relay) else {
            return;
        };
        if let Some(held) = self.held.remove(&relay) {
            tracing::debug!(%relay, reason, "reservation ended");
            if let Some(reply) = held.waiting {
                let _ = reply.send(Err(ReserveError::Refused(reason.to_owned())));
            }
            let _ = held.lost.send(Some(reason.to_owned()));
        }
    }

    /// The circuit addresses held at this moment.
    pub(crate) fn addresses(&self) -> impl Iterator<Item = Multiaddr> {
        let granted = self.held.values().filter(|held| held.waiting.is_none());
        granted.map(|held| circuit_address(&held.relay))
    }
}

/// Whether a listen address is one of a circuit.
pub(crate) fn is_circuit(address: &Multiaddr) -> bool {
    address.iter().any(|part| part == Part::P2pCircuit)
}
