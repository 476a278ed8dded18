//! Gives every connection a handler, and adds it to the registry. No protocol logic.

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

use super::{
    handler::{Handler, Remote},
    registry::Registry,
};
use crate::peers::{Path, counted};

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
