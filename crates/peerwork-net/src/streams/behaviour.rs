//! Gives every connection a handler and tells the registry about it. No protocol logic.

use std::{
    convert::Infallible,
    task::{Context, Poll},
};

use libp2p::{
    Multiaddr, PeerId,
    core::{Endpoint, transport::PortUse},
    swarm::{
        ConnectionDenied, ConnectionId, FromSwarm, NetworkBehaviour, THandler, THandlerInEvent,
        THandlerOutEvent, ToSwarm,
    },
};
use multiaddr::Protocol as Part;
use peerwork_limits::Origin;

use super::{
    handler::{Handler, Remote},
    registry::Registry,
};
use crate::peers::{Path, origin};

/// What the streams of a connection count for: a circuit has no network address of its own, so it
/// counts for the relay in its address.
fn counted(address: &Multiaddr) -> Option<Origin> {
    match Path::of(address) {
        Path::Direct => origin(address),
        Path::Relayed => {
            let relay = address.iter().find_map(|part| match part {
                Part::P2p(relay) => Some(relay.to_bytes()),
                _ => None,
            });
            Some(Origin::through_relay(&relay.unwrap_or_default()))
        }
    }
}

/// The streams part of the swarm's behaviour.
pub(crate) struct Behaviour {
    registry: Registry,
    opens_max: usize,
}

impl Behaviour {
    pub(crate) fn new(registry: Registry, opens_max: usize) -> Self {
        Self {
            registry,
            opens_max,
        }
    }

    fn handler(&self, peer: PeerId, connection: ConnectionId, address: &Multiaddr) -> Handler {
        let path = Path::of(address);
        let (requests, kept) = self.registry.connect(peer, connection, path);
        let remote = Remote {
            peer,
            connection,
            path,
            origin: counted(address),
            kept,
        };
        Handler::new(remote, self.registry.clone(), requests, self.opens_max)
    }
}

impl NetworkBehaviour for Behaviour {
    type ConnectionHandler = Handler;
    type ToSwarm = Infallible;

    fn handle_established_inbound_connection(
        &mut self,
        connection: ConnectionId,
        peer: PeerId,
        local_address: &Multiaddr,
        remote_address: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        // An inbound circuit shows in the local address (`…/p2p-circuit`), not in the remote one.
        let address = match Path::of(local_address) {
            Path::Direct => remote_address,
            Path::Relayed => local_address,
        };
        Ok(self.handler(peer, connection, address))
    }

    fn handle_established_outbound_connection(
        &mut self,
        connection: ConnectionId,
        peer: PeerId,
        address: &Multiaddr,
        _: Endpoint,
        _: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        Ok(self.handler(peer, connection, address))
    }

    fn on_swarm_event(&mut self, event: FromSwarm<'_>) {
        if let FromSwarm::ConnectionClosed(closed) = event {
            self.registry
                .disconnect(closed.peer_id, closed.connection_id);
        }
    }

    fn on_connection_handler_event(
        &mut self,
        _: PeerId,
        _: ConnectionId,
        event: THandlerOutEvent<Self>,
    ) {
        match event {}
    }

    fn poll(&mut self, _: &mut Context<'_>) -> Poll<ToSwarm<Self::ToSwarm, THandlerInEvent<Self>>> {
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_circuit_counts_for_its_relay_wherever_the_relay_is() {
        let relays = [PeerId::random(), PeerId::random()];
        let circuit = |at: &str, relay: PeerId, end: PeerId| {
            let address = format!("{at}/p2p/{relay}/p2p-circuit/p2p/{end}");
            counted(&address.parse().unwrap())
        };
        let ends = [PeerId::random(), PeerId::random()];
        let first = circuit("/ip4/127.0.0.1/tcp/1", relays[0], ends[0]);
        assert_eq!(
            first,
            circuit("/ip4/192.0.2.1/udp/2/quic-v1", relays[0], ends[1])
        );
        assert_ne!(first, circuit("/ip4/127.0.0.1/tcp/1", relays[1], ends[0]));
        assert!(first.is_some());
        let without_relay = counted(&"/p2p-circuit".parse().unwrap());
        assert_eq!(without_relay, Some(Origin::through_relay(&[])));
        assert_eq!(counted(&"/ip4/127.0.0.1/tcp/1".parse().unwrap()), None);
    }
}
