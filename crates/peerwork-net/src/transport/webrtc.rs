//! WebRTC-direct: browsers connect by UDP, without a certificate of an authority and without a
//! signalling server. This side only accepts; programs that dial have TCP and QUIC.
//!
//! ```text
//!  UDP ─ port.rs ─▶ driver.rs (task) ─ connection.rs (DTLS, SCTP) ─ channels.rs, reading.rs
//!          │             │ proven: begun.rs                                  │
//!       greeting.rs      └─▶ accept.rs (Noise) ─▶ swarm ◀─ stream.rs ─ streams.rs (shared)
//!        (STUN)
//! ```
//! The port needs only the answering part of ICE (RFC 8445, "lite"), because its address is public.

mod accept;
mod begun;
mod channels;
mod connection;
mod driver;
mod end;
mod frame;
mod greeting;
mod messages;
mod outgoing;
mod port;
mod reading;
mod shared;
mod state;
mod stream;
mod streams;
#[cfg(test)]
mod tests;
mod unread;
mod username;

use std::{
    io,
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use futures::{FutureExt as _, future::BoxFuture};
use libp2p::{
    PeerId, Transport,
    core::transport::{DialOpts, ListenerId, TransportError, TransportEvent},
};
use multiaddr::{Multiaddr, Protocol as Part};
use peerwork_identity::Keypair;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::{net::UdpSocket, sync::mpsc};
use tokio_util::task::TaskTracker;

use self::{accept::Acceptor, begun::Begun, port::Port, stream::Muxer};
use super::{budget::Budget, interfaces::Interfaces};
use crate::webrtc::Certificate;

/// Bytes that the system holds for a port, as far as it allows: a burst of datagrams of many
/// connections.
const RECEIVE_BUFFER_BYTES: usize = 2 << 20;

type Upgrade = BoxFuture<'static, io::Result<(PeerId, Muxer)>>;
type Event = TransportEvent<Upgrade, io::Error>;

/// Accepts WebRTC-direct.
pub(super) struct WebRtc {
    acceptor: Arc<Acceptor>,
    certificate: Certificate,
    listeners: Vec<Listener>,
    closed: Vec<ListenerId>,
}

struct Listener {
    id: ListenerId,
    /// The listen address with the certificate's hash.
    address: Multiaddr,
    interfaces: Interfaces,
    #[cfg(test)]
    socket: Arc<UdpSocket>,
    begun: mpsc::Receiver<Begun>,
}

impl WebRtc {
    /// Makes the transport; connections and ports run as tasks of `tasks`, and the bytes of streams count
    /// in `budget`.
    pub(super) fn new(
        keypair: &Keypair,
        certificate: Certificate,
        budget: Budget,
        tasks: TaskTracker,
    ) -> Result<Self, dimpl::Error> {
        let acceptor = Acceptor {
            keypair: keypair.libp2p().clone(),
            certificate: certificate.dtls(),
            hash: certificate.hash(),
            dtls: Arc::new(connection::dtls_config()?),
            budget,
            tasks,
        };
        Ok(Self {
            acceptor: Arc::new(acceptor),
            certificate,
            listeners: Vec::new(),
            closed: Vec::new(),
        })
    }

    fn listen(&mut self, id: ListenerId, at: SocketAddr) -> io::Result<()> {
        let socket = Arc::new(bind(at)?);
        let address = address(socket.local_addr()?);
        let address = self.certificate.in_address(&address);
        let interfaces = Interfaces::of(address.clone())?;
        let (port, begun) = Port::new(Arc::clone(&socket), Arc::clone(&self.acceptor));
        // The task ends when its listener is dropped.
        self.acceptor.tasks.spawn(port.run());
        self.listeners.push(Listener {
            id,
            address,
            interfaces,
            #[cfg(test)]
            socket,
            begun,
        });
        Ok(())
    }
}

/// IPv6 ports take no IPv4, as those of the other transports.
fn bind(at: SocketAddr) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::for_address(at), Type::DGRAM, Some(Protocol::UDP))?;
    if at.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    // The system may allow less.
    let _ = socket.set_recv_buffer_size(RECEIVE_BUFFER_BYTES);
    socket.set_nonblocking(true)?;
    socket.bind(&at.into())?;
    UdpSocket::from_std(socket.into())
}

fn address(at: SocketAddr) -> Multiaddr {
    Multiaddr::from(at.ip())
        .with(Part::Udp(at.port()))
        .with(Part::WebRTCDirect)
}

/// The socket address of `/ip4/…/udp/…/webrtc-direct`; `None` for addresses of any other form.
fn socket_address(address: &Multiaddr) -> Option<SocketAddr> {
    let mut parts = address.iter();
    let ip = match parts.next()? {
        Part::Ip4(ip) => ip.into(),
        Part::Ip6(ip) => ip.into(),
        _ => return None,
    };
    match (parts.next()?, parts.next()?, parts.next()) {
        (Part::Udp(port), Part::WebRTCDirect, None) => Some(SocketAddr::new(ip, port)),
        _ => None,
    }
}

impl Transport for WebRtc {
    type Output = (PeerId, Muxer);
    type Error = io::Error;
    type ListenerUpgrade = Upgrade;
    type Dial = Upgrade;

    fn listen_on(
        &mut self,
        id: ListenerId,
        address: Multiaddr,
    ) -> Result<(), TransportError<io::Error>> {
        let Some(at) = socket_address(&address) else {
            return Err(TransportError::MultiaddrNotSupported(address));
        };
        self.listen(id, at).map_err(TransportError::Other)
    }

    fn remove_listener(&mut self, id: ListenerId) -> bool {
        let before = self.listeners.len();
        self.listeners.retain(|listener| listener.id != id);
        let removed = self.listeners.len() < before;
        if removed {
            self.closed.push(id);
        }
        removed
    }

    fn dial(
        &mut self,
        address: Multiaddr,
        _: DialOpts,
    ) -> Result<Upgrade, TransportError<io::Error>> {
        Err(TransportError::MultiaddrNotSupported(address))
    }

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Event> {
        if let Some(listener_id) = self.closed.pop() {
            let reason = Ok(());
            return Poll::Ready(TransportEvent::ListenerClosed {
                listener_id,
                reason,
            });
        }
        let acceptor = Arc::clone(&self.acceptor);
        for listener in &mut self.listeners {
            if let Poll::Ready(change) = listener.interfaces.poll(cx) {
                return Poll::Ready(change.of(listener.id));
            }
            if let Poll::Ready(Some(begun)) = listener.begun.poll_recv(cx) {
                return Poll::Ready(TransportEvent::Incoming {
                    listener_id: listener.id,
                    local_addr: listener.address.clone(),
                    send_back_addr: self::address(begun.remote),
                    upgrade: acceptor.identify(begun).boxed(),
                });
            }
        }
        Poll::Pending
    }
}
