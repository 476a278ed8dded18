//! Takes over byte streams that the program accepted: its WebSocket port also serves pages.
//!
//! ```text
//!  the program's HTTP front ── WebSocket's bytes ──▶ Network::hand_over ─▶ Handed ─▶ Noise, yamux, swarm
//! ```
//! The transport binds no socket for its listen addresses: they exist so that the node advertises them
//! like all others.

use std::{
    collections::VecDeque,
    fmt,
    future::{Ready, ready},
    io,
    net::SocketAddr,
    pin::Pin,
    task::{Context, Poll},
};

use libp2p::{
    Transport,
    core::transport::{DialOpts, ListenerId, TransportError, TransportEvent},
};
use multiaddr::{Multiaddr, Protocol as Part};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::mpsc,
};
use tokio_util::compat::{Compat, TokioAsyncReadCompatExt as _};

use super::interfaces::Interfaces;

/// Streams that wait for the swarm.
pub(crate) const WAITING_MAX: usize = 64;

/// Any byte stream.
pub(crate) trait Socket: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Socket for T {}

/// A byte stream with the addresses of its two ends.
pub(crate) struct Accepted {
    pub(crate) io: Box<dyn Socket>,
    pub(crate) listener: Multiaddr,
    pub(crate) remote: SocketAddr,
}

impl fmt::Debug for Accepted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Accepted")
            .field("remote", &self.remote)
            .finish_non_exhaustive()
    }
}

type Output = Compat<Box<dyn Socket>>;
type Event = TransportEvent<Ready<io::Result<Output>>, io::Error>;

pub(super) struct Handed {
    /// The addresses that the program accepts on.
    addresses: Vec<Multiaddr>,
    listeners: Vec<Listener>,
    accepted: mpsc::Receiver<Accepted>,
    events: VecDeque<Event>,
}

struct Listener {
    id: ListenerId,
    address: Multiaddr,
    interfaces: Interfaces,
}

impl Handed {
    pub(super) fn new(addresses: Vec<Multiaddr>, accepted: mpsc::Receiver<Accepted>) -> Self {
        Self {
            addresses,
            listeners: Vec::new(),
            accepted,
            events: VecDeque::new(),
        }
    }
}

/// The address of the other end, in the form of the listener: `/ip4/…/tcp/…/ws`.
fn remote_address(listener: &Multiaddr, remote: SocketAddr) -> Multiaddr {
    let rest = listener.iter().skip(2).map(Part::acquire);
    let host = [Part::from(remote.ip()), Part::Tcp(remote.port())];
    host.into_iter().chain(rest).collect()
}

impl Transport for Handed {
    type Output = Output;
    type Error = io::Error;
    type ListenerUpgrade = Ready<io::Result<Output>>;
    type Dial = Ready<io::Result<Output>>;

    fn listen_on(
        &mut self,
        id: ListenerId,
        address: Multiaddr,
    ) -> Result<(), TransportError<io::Error>> {
        if !self.addresses.contains(&address) {
            return Err(TransportError::MultiaddrNotSupported(address));
        }
        let interfaces = Interfaces::of(address.clone()).map_err(TransportError::Other)?;
        self.listeners.push(Listener {
            id,
            address,
            interfaces,
        });
        Ok(())
    }

    fn remove_listener(&mut self, id: ListenerId) -> bool {
        let before = self.listeners.len();
        self.listeners.retain(|listener| listener.id != id);
        let removed = self.listeners.len() < before;
        if removed {
            self.events.push_back(TransportEvent::ListenerClosed {
                listener_id: id,
                reason: Ok(()),
            });
        }
        removed
    }

    fn dial(
        &mut self,
        address: Multiaddr,
        _: DialOpts,
    ) -> Result<Self::Dial, TransportError<io::Error>> {
        Err(TransportError::MultiaddrNotSupported(address))
    }

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Event> {
        if let Some(event) = self.events.pop_front() {
            return Poll::Ready(event);
        }
        for listener in &mut self.listeners {
            if let Poll::Ready(change) = listener.interfaces.poll(cx) {
                return Poll::Ready(change.of(listener.id));
            }
        }
        while let Poll::Ready(Some(accepted)) = self.accepted.poll_recv(cx) {
            let mut listeners = self.listeners.iter();
            // The stream was accepted on an address that is no longer listened on.
            let Some(listener) = listeners.find(|l| l.address == accepted.listener) else {
                continue;
            };
            return Poll::Ready(TransportEvent::Incoming {
                listener_id: listener.id,
                send_back_addr: remote_address(&listener.address, accepted.remote),
                local_addr: accepted.listener,
                upgrade: ready(Ok(accepted.io.compat())),
            });
        }
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::future::poll_fn;

    use super::*;

    fn address(text: &str) -> Multiaddr {
        text.parse().unwrap()
    }

    async fn event(handed: &mut Handed) -> Event {
        poll_fn(|cx| Pin::new(&mut *handed).poll(cx)).await
    }

    #[tokio::test]
    async fn a_stream_comes_in_at_the_address_it_was_accepted_on() {
        let listen = address("/ip4/192.0.2.1/tcp/9090/ws");
        let (sender, accepted) = mpsc::channel(4);
        let mut handed = Handed::new(vec![listen.clone()], accepted);
        let id = ListenerId::next();
        handed.listen_on(id, listen.clone()).unwrap();
        assert!(matches!(
            event(&mut handed).await,
            TransportEvent::NewAddress { listen_addr, .. } if listen_addr == listen
        ));
        for listener in [address("/ip4/192.0.2.9/tcp/1/ws"), listen.clone()] {
            let (io, _) = tokio::io::duplex(8);
            let io = Box::new(io);
            let remote = "198.51.100.7:5".parse().unwrap();
            let accepted = Accepted {
                io,
                listener,
                remote,
            };
            sender.try_send(accepted).unwrap();
        }
        let TransportEvent::Incoming {
            listener_id,
            local_addr,
            send_back_addr,
            ..
        } = event(&mut handed).await
        else {
            panic!("nothing came in");
        };
        assert_eq!((listener_id, local_addr), (id, listen));
        assert_eq!(send_back_addr, address("/ip4/198.51.100.7/tcp/5/ws"));
        assert!(handed.remove_listener(id) && !handed.remove_listener(id));
    }

    #[tokio::test]
    async fn all_interfaces_are_reported_one_by_one() {
        let listen = address("/ip4/0.0.0.0/tcp/9090/ws");
        let (_sender, accepted) = mpsc::channel(4);
        let mut handed = Handed::new(vec![listen.clone()], accepted);
        handed.listen_on(ListenerId::next(), listen).unwrap();
        loop {
            let TransportEvent::NewAddress { listen_addr, .. } = event(&mut handed).await else {
                panic!("not an address");
            };
            if listen_addr == address("/ip4/127.0.0.1/tcp/9090/ws") {
                break;
            }
        }
    }

    #[test]
    fn other_addresses_are_left_to_other_transports() {
        let (_, accepted) = mpsc::channel(4);
        let mut handed = Handed::new(Vec::new(), accepted);
        let other = address("/ip4/127.0.0.1/tcp/1/ws");
        let listened = handed.listen_on(ListenerId::next(), other.clone());
        assert!(matches!(
            listened,
            Err(TransportError::MultiaddrNotSupported(_))
        ));
        assert!(handed.dial(other, options()).is_err());
    }

    fn options() -> DialOpts {
        DialOpts {
            role: libp2p::core::Endpoint::Dialer,
            port_use: libp2p::core::transport::PortUse::New,
        }
    }
}
