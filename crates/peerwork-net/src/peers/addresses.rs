//! Bounds on the connections from one network address.
//!
//! Many nodes behind one address are normal (a class room, an office), so the bounds are wide. This
//! machine's own addresses are not bounded: behind a local proxy all clients have them.

use std::{
    collections::HashMap,
    convert::Infallible,
    task::{Context, Poll},
};

use libp2p::{
    PeerId,
    core::{Endpoint, transport::PortUse},
    swarm::{
        ConnectionDenied, ConnectionId, FromSwarm, NetworkBehaviour, THandler, THandlerInEvent,
        THandlerOutEvent, ToSwarm, dummy,
    },
};
use multiaddr::{Multiaddr, Protocol as Part};
use peerwork_limits::{Origin, Share, Shares};

use super::{Path, ip};

/// The origin of a direct connection; `None` for circuits and this machine itself.
fn origin(remote: &Multiaddr) -> Option<Origin> {
    match Path::of(remote) {
        Path::Direct => Origin::of(ip(remote)?),
        Path::Relayed => None,
    }
}

/// The origin that the streams of a connection count for: a circuit has no network address of its own,
/// so it counts for the relay in its address.
pub(crate) fn counted(address: &Multiaddr) -> Option<Origin> {
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

/// A connection is refused, because its network address has as many connections as one address may.
#[derive(Debug, thiserror::Error)]
#[error("too many connections from {0}")]
struct Crowded(Origin);

/// The bound as a part of the swarm's behaviour.
pub(crate) struct AddressLimits {
    established: Shares<Origin>,
    handshakes: Shares<Origin>,
    in_handshake: HashMap<ConnectionId, Share<Origin>>,
    connections: HashMap<ConnectionId, Share<Origin>>,
}

impl AddressLimits {
    pub(crate) fn new(connections_max: usize, handshakes_max: usize) -> Self {
        Self {
            established: Shares::new(connections_max),
            handshakes: Shares::new(handshakes_max),
            in_handshake: HashMap::new(),
            connections: HashMap::new(),
        }
    }
}

fn crowded(origin: Origin) -> ConnectionDenied {
    ConnectionDenied::new(Crowded(origin))
}

impl NetworkBehaviour for AddressLimits {
    type ConnectionHandler = dummy::ConnectionHandler;
    type ToSwarm = Infallible;

    fn handle_pending_inbound_connection(
        &mut self,
        connection: ConnectionId,
        _: &Multiaddr,
        remote: &Multiaddr,
    ) -> Result<(), ConnectionDenied> {
        if let Some(origin) = origin(remote) {
            let share = self.handshakes.take(origin);
            let share = share.ok_or_else(|| crowded(origin))?;
            self.in_handshake.insert(connection, share);
        }
        Ok(())
    }

    fn handle_established_inbound_connection(
        &mut self,
        connection: ConnectionId,
        _: PeerId,
        _: &Multiaddr,
        remote: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        self.in_handshake.remove(&connection);
        if let Some(origin) = origin(remote) {
            let share = self.established.take(origin);
            let share = share.ok_or_else(|| crowded(origin))?;
            self.connections.insert(connection, share);
        }
        Ok(dummy::ConnectionHandler)
    }

    fn handle_established_outbound_connection(
        &mut self,
        _: ConnectionId,
        _: PeerId,
        _: &Multiaddr,
        _: Endpoint,
        _: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        Ok(dummy::ConnectionHandler)
    }

    fn on_swarm_event(&mut self, event: FromSwarm<'_>) {
        match event {
            FromSwarm::ConnectionClosed(closed) => {
                self.connections.remove(&closed.connection_id);
            }
            // Another behaviour may have refused the connection after this one had admitted it.
            FromSwarm::ListenFailure(failed) => {
                self.in_handshake.remove(&failed.connection_id);
                self.connections.remove(&failed.connection_id);
            }
            _ => {}
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

    fn poll(&mut self, _: &mut Context<'_>) -> Poll<ToSwarm<Infallible, THandlerInEvent<Self>>> {
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn of(text: &str) -> Option<String> {
        let address: Multiaddr = text.parse().unwrap();
        origin(&address).map(|origin| origin.to_string())
    }

    #[test]
    fn a_direct_connection_has_the_origin_of_its_address_and_a_circuit_none() {
        assert_eq!(of("/ip4/192.0.2.1/tcp/5"), Some("192.0.2.1".into()));
        let v6 = "/ip6/2001:db8:1:2:3:4:5:6/udp/5/quic-v1";
        assert_eq!(of(v6), Some("2001:db8:1:2::".into()));
        for none in ["/ip4/127.0.0.1/tcp/5", "/ip6/::1/tcp/5", "/memory/5"] {
            assert_eq!(of(none), None, "{none}");
        }
        assert_eq!(of("/ip4/192.0.2.1/tcp/5/p2p-circuit"), None);
    }

    #[test]
    fn one_address_has_its_share_and_gets_it_back() {
        let mut limits = AddressLimits::new(2, 1);
        let local: Multiaddr = "/ip4/192.0.2.9/tcp/1".parse().unwrap();
        let remote: Multiaddr = "/ip4/192.0.2.1/tcp/5".parse().unwrap();
        let other: Multiaddr = "/ip4/192.0.2.2/tcp/5".parse().unwrap();
        let mut ids = 0..;
        let mut begin = |limits: &mut AddressLimits, remote: &Multiaddr| {
            let id = ConnectionId::new_unchecked(ids.next().unwrap());
            let begun = limits.handle_pending_inbound_connection(id, &local, remote);
            begun.map(|()| id)
        };
        let establish = |limits: &mut AddressLimits, id, remote: &Multiaddr| {
            let peer = PeerId::random();
            let made = limits.handle_established_inbound_connection(id, peer, remote, remote);
            made.is_ok()
        };
        let first = begin(&mut limits, &remote).unwrap();
        assert!(begin(&mut limits, &remote).is_err(), "one handshake");
        assert!(establish(&mut limits, first, &remote));
        let second = begin(&mut limits, &remote).unwrap();
        assert!(establish(&mut limits, second, &remote));
        let third = begin(&mut limits, &remote).unwrap();
        assert!(!establish(&mut limits, third, &remote), "two connections");
        let elsewhere = begin(&mut limits, &other).unwrap();
        assert!(establish(&mut limits, elsewhere, &other));
        limits.connections.remove(&first);
        let again = begin(&mut limits, &remote).unwrap();
        assert!(establish(&mut limits, again, &remote));
        for id in [first, second, third, elsewhere, again] {
            limits.connections.remove(&id);
        }
        assert!(limits.established.is_empty() && limits.handshakes.is_empty());
    }

    #[test]
    fn a_circuit_counts_for_its_relay_wherever_the_relay_is() {
        let relays = [PeerId::random(), PeerId::random()];
        let circuit = |at: &str, relay: PeerId, end: PeerId| {
            let address = format!("{at}/p2p/{relay}/p2p-circuit/p2p/{end}");
            counted(&address.parse().unwrap())
        };
        let ends = [PeerId::random(), PeerId::random()];
        let first = circuit("/ip4/127.0.0.1/tcp/1", relays[0], ends[0]);
        let second = circuit("/ip4/192.0.2.1/udp/2/quic-v1", relays[0], ends[1]);
        assert_eq!(first, second);
        assert_ne!(first, circuit("/ip4/127.0.0.1/tcp/1", relays[1], ends[0]));
        assert!(first.is_some());
        let without_relay = counted(&"/p2p-circuit".parse().unwrap());
        assert_eq!(without_relay, Some(Origin::through_relay(&[])));
        assert_eq!(counted(&"/ip4/127.0.0.1/tcp/1".parse().unwrap()), None);
    }
}
