//! A listener of QUIC: an endpoint that accepts connections and from which nodes are dialled.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket},
    sync::Arc,
    task::{Context, Poll, ready},
};

use futures::{FutureExt as _, future::BoxFuture};
use libp2p::core::transport::ListenerId;
use quinn::{Endpoint, Incoming, TokioRuntime};
use socket2::{Domain, Protocol, Socket, Type};

use super::{address, config::Configs};
use crate::transport::interfaces::Interfaces;

/// A listener.
pub(super) struct Listener {
    pub(super) id: ListenerId,
    pub(super) endpoint: Endpoint,
    /// The address that the socket is bound to.
    pub(super) bound: SocketAddr,
    pub(super) interfaces: Interfaces,
    /// The endpoint's socket, for packets that are not QUIC.
    socket: UdpSocket,
    accepting: BoxFuture<'static, Option<Incoming>>,
}

fn bind(to: SocketAddr) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::for_address(to), Type::DGRAM, Some(Protocol::UDP))?;
    if to.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.bind(&to.into())?;
    Ok(socket.into())
}

fn accepting(endpoint: &Endpoint) -> BoxFuture<'static, Option<Incoming>> {
    let endpoint = endpoint.clone();
    async move { endpoint.accept().await }.boxed()
}

/// An endpoint that only dials, from a port that the system chooses.
pub(super) fn dialler(configs: &Configs, to: IpAddr) -> io::Result<Endpoint> {
    let any: IpAddr = match to {
        IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let socket = UdpSocket::bind(SocketAddr::new(any, 0))?;
    Endpoint::new(
        configs.endpoint.clone(),
        None,
        socket,
        Arc::new(TokioRuntime),
    )
}

impl Listener {
    pub(super) fn bind(id: ListenerId, to: SocketAddr, configs: &Configs) -> io::Result<Self> {
        let socket = bind(to)?;
        let bound = socket.local_addr()?;
        let interfaces = Interfaces::of(address::of(bound))?;
        let runtime = Arc::new(TokioRuntime);
        let server = Some(configs.server.clone());
        let copy = socket.try_clone()?;
        let endpoint = Endpoint::new(configs.endpoint.clone(), server, socket, runtime)?;
        let accepting = accepting(&endpoint);
        Ok(Self {
            id,
            endpoint,
            bound,
            interfaces,
            socket: copy,
            accepting,
        })
    }

    /// Whether packets from the listener's socket can reach an address: the system sends nothing from
    /// a loopback address to other hosts.
    pub(super) fn reaches(&self, to: IpAddr) -> bool {
        let own = self.bound.ip();
        own.is_ipv4() == to.is_ipv4()
            && (own.is_unspecified() || own.is_loopback() == to.is_loopback())
    }

    pub(super) fn socket(&self) -> io::Result<UdpSocket> {
        self.socket.try_clone()
    }

    /// Waits for a handshake; `None` when the endpoint is closed.
    pub(super) fn poll_incoming(&mut self, cx: &mut Context<'_>) -> Poll<Option<Incoming>> {
        let incoming = ready!(self.accepting.poll_unpin(cx));
        if incoming.is_some() {
            self.accepting = accepting(&self.endpoint);
        }
        Poll::Ready(incoming)
    }
}
