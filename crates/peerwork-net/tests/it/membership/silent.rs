//! A libp2p client that takes challenges of `/peerwork/network/1` and never answers them.

use std::{
    convert::Infallible,
    task::{Context, Poll},
};

use futures::StreamExt as _;
use libp2p::{
    Multiaddr, PeerId, Stream, StreamProtocol, Swarm, SwarmBuilder,
    core::{
        Endpoint,
        transport::PortUse,
        upgrade::{DeniedUpgrade, ReadyUpgrade},
    },
    noise,
    swarm::{
        ConnectionDenied, ConnectionHandler, ConnectionHandlerEvent, ConnectionId, FromSwarm,
        NetworkBehaviour, SubstreamProtocol, SwarmEvent, THandler, THandlerInEvent,
        THandlerOutEvent, ToSwarm,
        handler::{ConnectionEvent, FullyNegotiatedInbound},
    },
    tcp,
};
use libp2p_yamux as yamux;
use peerwork_identity::Keypair;
use peerwork_testkit::node::key;
use tokio::time::timeout_at;

use crate::node::soon;

const PROTOCOL: StreamProtocol = StreamProtocol::new("/peerwork/network/1");

#[derive(Default)]
pub(super) struct Silent {
    pub(super) challenged: bool,
}

/// Holds the streams of challenges open.
#[derive(Default)]
pub(super) struct Handler {
    held: Vec<Stream>,
    told: usize,
}

pub(super) fn client() -> Swarm<Silent> {
    client_of(&key())
}

pub(super) fn client_of(key: &Keypair) -> Swarm<Silent> {
    SwarmBuilder::with_existing_identity(key.libp2p().clone())
        .with_tokio()
        .with_tcp(
            tcp::Config::default(),
            noise::Config::new,
            yamux::Config::default,
        )
        .unwrap()
        .with_behaviour(|_| Silent::default())
        .unwrap()
        .build()
}

/// Runs the swarm until the other node has challenged it.
pub(super) async fn until_challenged(swarm: &mut Swarm<Silent>) {
    let challenged = async {
        while !swarm.behaviour().challenged {
            tokio::select! {
                biased;
                _ = swarm.select_next_some() => {}
                () = tokio::task::yield_now() => {}
            }
        }
    };
    timeout_at(soon(), challenged).await.unwrap();
}

pub(super) async fn until_closed(swarm: &mut Swarm<Silent>) {
    let closed = async {
        while !matches!(
            swarm.select_next_some().await,
            SwarmEvent::ConnectionClosed { .. }
        ) {}
    };
    timeout_at(soon(), closed).await.unwrap();
}

impl NetworkBehaviour for Silent {
    type ConnectionHandler = Handler;
    type ToSwarm = Infallible;

    fn handle_established_inbound_connection(
        &mut self,
        _: ConnectionId,
        _: PeerId,
        _: &Multiaddr,
        _: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        Ok(Handler::default())
    }

    fn handle_established_outbound_connection(
        &mut self,
        _: ConnectionId,
        _: PeerId,
        _: &Multiaddr,
        _: Endpoint,
        _: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        Ok(Handler::default())
    }

    fn on_swarm_event(&mut self, _: FromSwarm<'_>) {}

    fn on_connection_handler_event(
        &mut self,
        _: PeerId,
        _: ConnectionId,
        (): THandlerOutEvent<Self>,
    ) {
        self.challenged = true;
    }

    fn poll(&mut self, _: &mut Context<'_>) -> Poll<ToSwarm<Infallible, THandlerInEvent<Self>>> {
        Poll::Pending
    }
}

impl ConnectionHandler for Handler {
    type FromBehaviour = Infallible;
    type ToBehaviour = ();
    type InboundProtocol = ReadyUpgrade<StreamProtocol>;
    type OutboundProtocol = DeniedUpgrade;
    type InboundOpenInfo = ();
    type OutboundOpenInfo = Infallible;

    fn listen_protocol(&self) -> SubstreamProtocol<Self::InboundProtocol> {
        SubstreamProtocol::new(ReadyUpgrade::new(PROTOCOL), ())
    }

    fn connection_keep_alive(&self) -> bool {
        true
    }

    fn poll(
        &mut self,
        _: &mut Context<'_>,
    ) -> Poll<ConnectionHandlerEvent<DeniedUpgrade, Infallible, ()>> {
        if self.told < self.held.len() {
            self.told += 1;
            return Poll::Ready(ConnectionHandlerEvent::NotifyBehaviour(()));
        }
        Poll::Pending
    }

    fn on_behaviour_event(&mut self, event: Infallible) {
        match event {}
    }

    fn on_connection_event(
        &mut self,
        event: ConnectionEvent<'_, Self::InboundProtocol, DeniedUpgrade, (), Infallible>,
    ) {
        if let ConnectionEvent::FullyNegotiatedInbound(FullyNegotiatedInbound {
            protocol: stream,
            ..
        }) = event
        {
            self.held.push(stream);
        }
    }
}
