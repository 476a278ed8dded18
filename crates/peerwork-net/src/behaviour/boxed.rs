//! Boxes the connection handlers of a behaviour, and polls a handler again when it may have missed a
//! wake-up.

use std::{
    ops::{Deref, DerefMut},
    task::{Context, Poll},
    time::{Duration, Instant},
};

use libp2p::{
    Multiaddr, PeerId,
    core::{Endpoint, transport::PortUse},
    swarm::{
        ConnectionDenied, ConnectionHandler, ConnectionHandlerEvent, ConnectionId, FromSwarm,
        NetworkBehaviour, SubstreamProtocol, THandler, THandlerInEvent, THandlerOutEvent, ToSwarm,
        handler::ConnectionEvent,
    },
};

/// How long after an event, and how often, a handler is polled again.
const AGAIN_FOR: Duration = Duration::from_secs(2);
const AGAIN_TIMES: usize = 16;

/// A behaviour whose connection handlers are boxed. With `AGAIN`, a handler that forgets to ask for a
/// wake-up while it has work left is polled some times more after each event.
pub(crate) struct Boxed<B, const AGAIN: bool>(B);

impl<B, const AGAIN: bool> Boxed<B, AGAIN> {
    pub(crate) fn new(inner: B) -> Self {
        Self(inner)
    }
}

impl<B, const AGAIN: bool> Deref for Boxed<B, AGAIN> {
    type Target = B;

    fn deref(&self) -> &B {
        &self.0
    }
}

impl<B, const AGAIN: bool> DerefMut for Boxed<B, AGAIN> {
    fn deref_mut(&mut self) -> &mut B {
        &mut self.0
    }
}

/// The handler of one connection.
pub(crate) struct Handler<H, const AGAIN: bool> {
    inner: Box<H>,
    last_event: Option<Instant>,
}

impl<H, const AGAIN: bool> Handler<H, AGAIN> {
    fn new(inner: H) -> Self {
        Self {
            inner: Box::new(inner),
            last_event: None,
        }
    }
}

impl<B: NetworkBehaviour, const AGAIN: bool> NetworkBehaviour for Boxed<B, AGAIN> {
    type ConnectionHandler = Handler<THandler<B>, AGAIN>;
    type ToSwarm = B::ToSwarm;

    fn handle_pending_inbound_connection(
        &mut self,
        connection: ConnectionId,
        local: &Multiaddr,
        remote: &Multiaddr,
    ) -> Result<(), ConnectionDenied> {
        self.0
            .handle_pending_inbound_connection(connection, local, remote)
    }

    fn handle_established_inbound_connection(
        &mut self,
        connection: ConnectionId,
        peer: PeerId,
        local: &Multiaddr,
        remote: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        self.0
            .handle_established_inbound_connection(connection, peer, local, remote)
            .map(Handler::new)
    }

    fn handle_pending_outbound_connection(
        &mut self,
        connection: ConnectionId,
        peer: Option<PeerId>,
        addresses: &[Multiaddr],
        role: Endpoint,
    ) -> Result<Vec<Multiaddr>, ConnectionDenied> {
        self.0
            .handle_pending_outbound_connection(connection, peer, addresses, role)
    }

    fn handle_established_outbound_connection(
        &mut self,
        connection: ConnectionId,
        peer: PeerId,
        address: &Multiaddr,
        role: Endpoint,
        port: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        self.0
            .handle_established_outbound_connection(connection, peer, address, role, port)
            .map(Handler::new)
    }

    fn on_swarm_event(&mut self, event: FromSwarm<'_>) {
        self.0.on_swarm_event(event);
    }

    fn on_connection_handler_event(
        &mut self,
        peer: PeerId,
        connection: ConnectionId,
        event: THandlerOutEvent<Self>,
    ) {
        self.0.on_connection_handler_event(peer, connection, event);
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<ToSwarm<B::ToSwarm, THandlerInEvent<Self>>> {
        self.0.poll(cx)
    }
}

impl<H: ConnectionHandler, const AGAIN: bool> ConnectionHandler for Handler<H, AGAIN> {
    type FromBehaviour = H::FromBehaviour;
    type ToBehaviour = H::ToBehaviour;
    type InboundProtocol = H::InboundProtocol;
    type OutboundProtocol = H::OutboundProtocol;
    type InboundOpenInfo = H::InboundOpenInfo;
    type OutboundOpenInfo = H::OutboundOpenInfo;

    fn listen_protocol(&self) -> SubstreamProtocol<Self::InboundProtocol, Self::InboundOpenInfo> {
        self.inner.listen_protocol()
    }

    fn connection_keep_alive(&self) -> bool {
        self.inner.connection_keep_alive()
    }

    fn poll(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<
        ConnectionHandlerEvent<Self::OutboundProtocol, Self::OutboundOpenInfo, Self::ToBehaviour>,
    > {
        let mut polled = self.inner.poll(cx);
        let recently = |at: Instant| at.elapsed() < AGAIN_FOR;
        if AGAIN && polled.is_pending() && self.last_event.is_some_and(recently) {
            let again = (0..AGAIN_TIMES).map(|_| self.inner.poll(cx));
            polled = again
                .into_iter()
                .find(Poll::is_ready)
                .unwrap_or(Poll::Pending);
        }
        if AGAIN
            && matches!(
                polled,
                Poll::Ready(ConnectionHandlerEvent::NotifyBehaviour(_))
            )
        {
            self.last_event = Some(Instant::now());
        }
        polled
    }

    fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<Option<Self::ToBehaviour>> {
        self.inner.poll_close(cx)
    }

    fn on_behaviour_event(&mut self, event: Self::FromBehaviour) {
        self.inner.on_behaviour_event(event);
    }

    fn on_connection_event(
        &mut self,
        event: ConnectionEvent<
            '_,
            Self::InboundProtocol,
            Self::OutboundProtocol,
            Self::InboundOpenInfo,
            Self::OutboundOpenInfo,
        >,
    ) {
        self.inner.on_connection_event(event);
    }
}
