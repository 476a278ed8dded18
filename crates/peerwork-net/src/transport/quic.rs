//! QUIC, with a bound on the memory that all its connections together can hold unread.
//!
//! ```text
//!  unread_bytes_max ÷ window of a connection = connections at once, a quarter of them from one origin
//! ```
//! quinn does not report how many unread bytes a connection holds, so that they cannot count in the
//! budget of all connections. A remote node can fill the window of each connection. The number of
//! connections is bounded therefore; a node beyond the bound connects by TCP.
//!
//! The transport uses quinn without libp2p's adapter, which cannot reset streams
//! (`docs/decisions/quic-on-quinn.md`).

mod address;
mod config;
mod connection;
mod listener;
mod punch;

use std::{
    collections::{HashMap, VecDeque},
    io,
    net::{IpAddr, SocketAddr},
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use futures::{FutureExt as _, future::BoxFuture};
use libp2p::{
    PeerId, Transport,
    core::{
        Endpoint as Role,
        transport::{DialOpts, ListenerId, PortUse, TransportError, TransportEvent},
    },
};
use multiaddr::Multiaddr;
use peerwork_identity::Keypair;
use peerwork_limits::{Bounds, Full, Place, Places};
use quinn::{Connecting, Endpoint, Incoming};
use tokio::{sync::oneshot, time::timeout};

use crate::peers::counted;
use config::{CONNECTION_BYTES, Configs};
use connection::Connection;
use listener::Listener;

/// The part of all connections that one origin may hold.
const ORIGIN_PART: usize = 4;
/// How long a handshake may take.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(5);

type Upgrade = BoxFuture<'static, io::Result<(PeerId, Connection)>>;
type Event = TransportEvent<Upgrade, io::Error>;

/// Dials and accepts QUIC, within the bound on connections.
pub(super) struct Quic {
    configs: Configs,
    listeners: Vec<Listener>,
    /// The endpoints that dial where no listener reaches the address: for IPv4 and for IPv6.
    diallers: HashMap<bool, Endpoint>,
    /// The addresses of nodes that this node waits for while it opens the way for them.
    punched: HashMap<SocketAddr, oneshot::Sender<Connecting>>,
    events: VecDeque<Event>,
    /// Places of established connections, and of dials.
    places: Places<()>,
}

impl Quic {
    /// The windows of all connections together are at most `unread_bytes_max`, but one connection is
    /// always possible.
    pub(super) fn new(keypair: &Keypair, unread_bytes_max: usize) -> io::Result<Self> {
        Ok(Self {
            configs: Configs::new(keypair)?,
            listeners: Vec::new(),
            diallers: HashMap::new(),
            punched: HashMap::new(),
            events: VecDeque::new(),
            places: Places::new(bounds(unread_bytes_max)),
        })
    }

    fn listener_for(&self, to: IpAddr) -> Option<&Listener> {
        self.listeners.iter().find(|listener| listener.reaches(to))
    }

    /// The endpoint for a dial: one whose port others know, where the dial may share it.
    fn endpoint(&mut self, to: IpAddr, port: PortUse) -> io::Result<Endpoint> {
        if port != PortUse::Reuse {
            return listener::dialler(&self.configs, to);
        }
        if let Some(listener) = self.listener_for(to) {
            return Ok(listener.endpoint.clone());
        }
        if let Some(dialler) = self.diallers.get(&to.is_ipv4()) {
            return Ok(dialler.clone());
        }
        let dialler = listener::dialler(&self.configs, to)?;
        self.diallers.insert(to.is_ipv4(), dialler.clone());
        Ok(dialler)
    }

    /// Waits for the node at `to` to dial this node, and opens the way for it.
    fn wait_for(&mut self, to: SocketAddr, place: Place<()>) -> io::Result<Upgrade> {
        let listener = self.listener_for(to.ip());
        let listener = listener.ok_or_else(|| io::Error::other("no QUIC listener to wait at"))?;
        let punching = punch::send(listener.socket()?, to);
        self.punched.retain(|_, waiting| !waiting.is_closed());
        if self.punched.contains_key(&to) {
            return Err(io::Error::other("another dial waits for this address"));
        }
        let (sender, arrived) = oneshot::channel();
        self.punched.insert(to, sender);
        let waited = async move {
            let connecting = tokio::select! {
                arrived = arrived => arrived.map_err(io::Error::other)?,
                punched = punching => match punched? {},
            };
            established(connecting, || Ok(place)).await
        };
        Ok(timeout(HANDSHAKE_TIMEOUT, waited)
            .map(|waited| waited.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())))
            .boxed())
    }

    /// Accepts a handshake, unless all places are taken.
    fn accept(&mut self, id: ListenerId, local: SocketAddr, incoming: Incoming) -> Option<Event> {
        let remote = incoming.remote_address();
        let send_back_addr = address::of(remote);
        let origin = counted(&send_back_addr);
        let waiting = self.punched.remove(&remote);
        if waiting.is_none() && self.places.take((), origin).is_err() {
            tracing::debug!(remote = %send_back_addr, "a QUIC handshake is refused: all places are taken");
            // The other node learns at once that it has to try its other addresses.
            incoming.refuse();
            return None;
        }
        let mut connecting = match incoming.accept() {
            Ok(connecting) => connecting,
            Err(error) => {
                tracing::debug!(remote = %send_back_addr, %error, "a QUIC handshake failed");
                return None;
            }
        };
        if let Some(waiting) = waiting {
            match waiting.send(connecting) {
                Ok(()) => return None,
                // The dial that waited is over.
                Err(back) => connecting = back,
            }
        }
        let places = self.places.clone();
        // The connection takes its place after the handshake, because the senders of handshakes may
        // forge their addresses.
        let place = move || places.take((), origin).map_err(refused);
        Some(TransportEvent::Incoming {
            listener_id: id,
            local_addr: address::of(local),
            send_back_addr,
            upgrade: established(connecting, place).boxed(),
        })
    }

    /// Takes a listener away and reports its end.
    fn close(&mut self, id: ListenerId) -> bool {
        let Some(at) = self.listeners.iter().position(|l| l.id == id) else {
            return false;
        };
        let listener = self.listeners.remove(at);
        listener.endpoint.close(quinn::VarInt::from_u32(0), &[]);
        self.events.push_back(TransportEvent::ListenerClosed {
            listener_id: id,
            reason: Ok(()),
        });
        true
    }

    fn poll_listener(&mut self, at: usize, cx: &mut Context<'_>) -> Poll<Event> {
        loop {
            let listener = &mut self.listeners[at];
            let (id, local) = (listener.id, listener.bound);
            if let Poll::Ready(change) = listener.interfaces.poll(cx) {
                return Poll::Ready(change.of(id));
            }
            let Some(incoming) = ready!(listener.poll_incoming(cx)) else {
                self.close(id);
                return self.events.pop_front().map_or(Poll::Pending, Poll::Ready);
            };
            if let Some(event) = self.accept(id, local, incoming) {
                return Poll::Ready(event);
            }
        }
    }
}

fn bounds(unread_bytes_max: usize) -> Bounds {
    let all = (unread_bytes_max / CONNECTION_BYTES as usize).max(1);
    Bounds {
        all,
        per_key: all,
        per_origin: all.div_ceil(ORIGIN_PART),
    }
}

fn refused(full: Full) -> io::Error {
    tracing::debug!(%full, "a QUIC connection is refused");
    let reason = format!("the bound on QUIC connections: {full}");
    io::Error::new(io::ErrorKind::QuotaExceeded, reason)
}

/// Waits for the end of a handshake, authenticates the other node and takes the connection's place.
async fn established(
    connecting: Connecting,
    place: impl FnOnce() -> io::Result<Place<()>>,
) -> io::Result<(PeerId, Connection)> {
    let inner = timeout(HANDSHAKE_TIMEOUT, connecting).await?;
    let inner = inner.map_err(io::Error::other)?;
    let peer = connection::peer(&inner)?;
    Ok((peer, Connection::new(inner, place()?)))
}

impl Transport for Quic {
    type Output = (PeerId, Connection);
    type Error = io::Error;
    type ListenerUpgrade = Upgrade;
    type Dial = Upgrade;

    fn listen_on(
        &mut self,
        id: ListenerId,
        address: Multiaddr,
    ) -> Result<(), TransportError<io::Error>> {
        let Some((socket, _)) = address::parse(&address) else {
            return Err(TransportError::MultiaddrNotSupported(address));
        };
        let listener = Listener::bind(id, socket, &self.configs);
        self.listeners
            .push(listener.map_err(TransportError::Other)?);
        // Later dials use the listener, and the socket of the dialler closes with its connections.
        self.diallers.remove(&socket.is_ipv4());
        Ok(())
    }

    fn remove_listener(&mut self, id: ListenerId) -> bool {
        self.close(id)
    }

    fn dial(
        &mut self,
        address: Multiaddr,
        options: DialOpts,
    ) -> Result<Upgrade, TransportError<io::Error>> {
        let Some((to, _)) = address::dialled(&address) else {
            return Err(TransportError::MultiaddrNotSupported(address));
        };
        let place = self.places.take((), counted(&address));
        let place = place.map_err(|full| TransportError::Other(refused(full)))?;
        if options.role == Role::Listener && options.port_use == PortUse::New {
            return self.wait_for(to, place).map_err(TransportError::Other);
        }
        let endpoint = self.endpoint(to.ip(), options.port_use);
        let endpoint = endpoint.map_err(TransportError::Other)?;
        let client = self.configs.client.clone();
        let dial = async move {
            // TLS demands a name; libp2p's certificates have none.
            let connecting = endpoint.connect_with(client, to, "l");
            established(connecting.map_err(io::Error::other)?, || Ok(place)).await
        };
        Ok(dial.boxed())
    }

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Event> {
        if let Some(event) = self.events.pop_front() {
            return Poll::Ready(event);
        }
        for at in 0..self.listeners.len() {
            if let Poll::Ready(event) = self.poll_listener(at, cx) {
                return Poll::Ready(event);
            }
        }
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_windows_of_all_connections_fit_into_the_bound_of_unread_bytes() {
        let of = |bytes| {
            let bounds = bounds(bytes);
            (bounds.all, bounds.per_origin)
        };
        let window = CONNECTION_BYTES as usize;
        assert_eq!(of(512 << 20), (256, 64));
        assert_eq!(of(4 * window), (4, 1));
        assert_eq!(of(4 * window - 1), (3, 1));
        assert_eq!(of(0), (1, 1));
    }
}
