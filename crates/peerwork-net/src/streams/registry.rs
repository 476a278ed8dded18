//! The protocols that are served here, and the connections that streams can be opened on.
//!
//! The handle, the behaviour and all connection handlers share the registry, so that neither opening
//! nor accepting a stream passes through the event loop.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use libp2p::{PeerId, StreamProtocol, swarm::ConnectionId};
use parking_lot::RwLock;
use peerwork_identity::NodeId;
use peerwork_limits::{Origin, Place, Places};
use tokio::{
    sync::{mpsc, oneshot},
    time::Instant,
};

use super::{InboundStream, Limits, Protocol, Stream, protocol::BUSY};
use crate::{
    error::{OpenError, ServeError},
    peers::Path,
};

/// Opens that wait on one connection until they are negotiated. One costs about 100 bytes, so this
/// bounds a connection's queue to about 100 KiB.
pub(crate) const OPENS_WAITING_MAX: usize = 1024;

/// How long a connection that did not answer an open is used last. Its pings fail within this time if
/// its other end is gone.
const SILENT_FOR: Duration = Duration::from_secs(30);

/// A request to open a stream, on its way to a connection handler.
#[derive(Debug)]
pub(crate) struct OpenRequest {
    pub(crate) protocol: Protocol,
    pub(crate) reply: oneshot::Sender<Result<Stream, OpenError>>,
}

/// The connections to one node.
#[derive(Default)]
struct Connections {
    /// Whether the connections are kept while they are idle.
    kept: Arc<AtomicBool>,
    /// Direct connections before relayed ones, younger before older: streams are opened on the first. A
    /// node that was cut off and connects again leaves a connection behind that is silent until its pings
    /// fail.
    all: Vec<Connection>,
}

/// A connection, with the queue that its handler takes requests from.
struct Connection {
    id: ConnectionId,
    path: Path,
    /// Whether the connection does not take part in the network yet: no stream is opened on it.
    held_back: bool,
    /// When an open on the connection last stayed without an answer.
    silent: Option<Instant>,
    // The requests are boxed, because a channel allocates room for 32 of them with its first.
    requests: mpsc::Sender<Box<OpenRequest>>,
}

impl Connection {
    fn is_silent(&self) -> bool {
        self.silent.is_some_and(|at| at.elapsed() < SILENT_FOR)
    }
}

/// A protocol that is served, with the queue of its streams and their bounds.
pub(crate) struct Service {
    pub(crate) protocol: Protocol,
    /// The answer to an opener when the protocol has no place.
    pub(crate) full: Full,
    queue: mpsc::Sender<InboundStream>,
    places: Places<NodeId>,
    refused: Arc<AtomicU64>,
}

/// The receiving end of a protocol's queue, with the bounds of its streams.
pub(crate) struct Queue {
    pub(super) receiver: mpsc::Receiver<InboundStream>,
    pub(super) places: Places<NodeId>,
}

/// The answer of a full protocol, as its streams carry it; empty is a reset.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Full(pub(crate) &'static [u8]);

impl Full {
    /// The answering byte of a protocol that has one, or else a reset.
    pub(crate) fn of(protocol: &Protocol) -> Self {
        match protocol.answered {
            true => Self(&[BUSY]),
            false => Self(&[]),
        }
    }
}

/// A place for a stream, in the protocol and in its queue.
pub(crate) struct Admission {
    pub(crate) place: Place<NodeId>,
    pub(crate) queue: mpsc::OwnedPermit<InboundStream>,
}

impl Service {
    /// Takes a place for a stream; `None` when a bound of the protocol is reached, or when it is no
    /// longer served.
    pub(crate) fn admit(&self, node: NodeId, origin: Option<Origin>) -> Option<Admission> {
        let place = self.places.take(node, origin);
        let place = place.inspect_err(|full| {
            tracing::debug!(%node, protocol = ?self.protocol, %full, "a stream was refused");
        });
        let queue = self.queue.clone().try_reserve_owned();
        match (place, queue) {
            (Ok(place), Ok(queue)) => Some(Admission { place, queue }),
            _ => {
                self.refused.fetch_add(1, Ordering::Relaxed);
                None
            }
        }
    }
}

#[derive(Default)]
struct Shared {
    served: RwLock<HashMap<StreamProtocol, Arc<Service>>>,
    /// The values of `served`, which a connection reads each time it is polled.
    services: RwLock<Arc<[Arc<Service>]>>,
    /// The names of the protocols for guests among `served`.
    guests: RwLock<Arc<[StreamProtocol]>>,
    connections: RwLock<HashMap<PeerId, Connections>>,
    refused: Arc<AtomicU64>,
}

/// The cloneable handle of the shared state.
#[derive(Clone, Default)]
pub(crate) struct Registry(Arc<Shared>);

impl std::fmt::Debug for Registry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Registry")
    }
}

impl Registry {
    /// Serves a protocol within its limits; a stream without a place gets the answer `full`.
    pub(crate) fn serve(
        &self,
        protocol: &Protocol,
        limits: &Limits,
        full: Full,
    ) -> Result<Queue, ServeError> {
        limits.check()?;
        let (queue, receiver) = mpsc::channel(limits.queue);
        let places = Places::new(limits.streams);
        let mut served = self.0.served.write();
        if served.contains_key(&protocol.name) {
            return Err(ServeError::Taken(protocol.name.to_string()));
        }
        let service = Service {
            protocol: protocol.clone(),
            full,
            queue,
            places: places.clone(),
            refused: Arc::clone(&self.0.refused),
        };
        served.insert(protocol.name.clone(), Arc::new(service));
        self.publish(&served);
        Ok(Queue { receiver, places })
    }

    pub(crate) fn withdraw(&self, protocol: &Protocol) {
        let mut served = self.0.served.write();
        served.remove(&protocol.name);
        self.publish(&served);
    }

    fn publish(&self, served: &HashMap<StreamProtocol, Arc<Service>>) {
        *self.0.services.write() = served.values().cloned().collect();
        let guests = served.values().filter(|service| service.protocol.guests);
        *self.0.guests.write() = guests
            .map(|service| service.protocol.name.clone())
            .collect();
    }

    /// Forgets all queues, so that every [`Incoming`](super::Incoming) ends.
    pub(crate) fn close(&self) {
        let mut served = self.0.served.write();
        served.clear();
        self.publish(&served);
        self.0.connections.write().clear();
    }

    pub(crate) fn services(&self) -> Arc<[Arc<Service>]> {
        Arc::clone(&self.0.services.read())
    }

    /// The names of the protocols that are served to guests.
    pub(crate) fn guests(&self) -> Arc<[StreamProtocol]> {
        Arc::clone(&self.0.guests.read())
    }

    /// Inbound streams refused because a protocol had no place for them.
    pub(crate) fn refused(&self) -> u64 {
        self.0.refused.load(Ordering::Relaxed)
    }

    pub(crate) fn connect(
        &self,
        peer: PeerId,
        connection: ConnectionId,
        path: Path,
    ) -> (mpsc::Receiver<Box<OpenRequest>>, Arc<AtomicBool>) {
        let (requests, receiver) = mpsc::channel(OPENS_WAITING_MAX);
        let id = connection;
        let mut connections = self.0.connections.write();
        let Connections { kept, all } = connections.entry(peer).or_default();
        let at = all.partition_point(|better| better.path < path);
        let connection = Connection {
            id,
            path,
            held_back: false,
            silent: None,
            requests,
        };
        all.insert(at, connection);
        (receiver, Arc::clone(kept))
    }

    /// Opens no streams on a connection until [`Registry::let_in`].
    pub(crate) fn hold_back(&self, peer: PeerId, connection: ConnectionId) {
        self.set_held_back(peer, connection, true);
    }

    /// Lets streams be opened on a connection that was held back.
    pub(crate) fn let_in(&self, peer: PeerId, connection: ConnectionId) {
        self.set_held_back(peer, connection, false);
    }

    fn set_held_back(&self, peer: PeerId, connection: ConnectionId, held_back: bool) {
        let mut connections = self.0.connections.write();
        let of_peer = connections.get_mut(&peer).into_iter();
        let mut all = of_peer.flat_map(|of_peer| &mut of_peer.all);
        if let Some(connection) = all.find(|other| other.id == connection) {
            connection.held_back = held_back;
        }
    }

    pub(crate) fn disconnect(&self, peer: PeerId, connection: ConnectionId) {
        let mut connections = self.0.connections.write();
        if let Some(of_peer) = connections.get_mut(&peer) {
            of_peer.all.retain(|other| other.id != connection);
            if of_peer.all.is_empty() {
                connections.remove(&peer);
            }
        }
    }

    /// Keeps the connections of a node while they are idle, or stops keeping them.
    pub(crate) fn keep(&self, node: NodeId, kept: bool) {
        if let Some(of_peer) = self.0.connections.read().get(node.as_peer_id()) {
            of_peer.kept.store(kept, Ordering::Relaxed);
        }
    }

    /// Hands a request to the best connection of the node that takes it, and names that connection.
    /// Silent connections come last.
    pub(crate) fn request(
        &self,
        node: NodeId,
        request: OpenRequest,
    ) -> Result<ConnectionId, OpenError> {
        let connections = self.0.connections.read();
        let of_peer = connections
            .get(node.as_peer_id())
            .ok_or(OpenError::NotConnected)?;
        let open = of_peer.all.iter().filter(|c| !c.held_back);
        let answering = open.clone().filter(|c| !c.is_silent());
        let silent = open.filter(|c| c.is_silent());
        let mut request = Box::new(request);
        let mut refusal = OpenError::NotConnected;
        for connection in answering.chain(silent) {
            match connection.requests.try_send(request) {
                Ok(()) => return Ok(connection.id),
                Err(mpsc::error::TrySendError::Full(back)) => {
                    refusal = OpenError::Congested;
                    request = back;
                }
                Err(mpsc::error::TrySendError::Closed(back)) => request = back,
            }
        }
        Err(refusal)
    }

    /// Notes that an open on a connection stays without an answer, or that the answer came. Tells
    /// whether another connection of the node answered lately.
    pub(crate) fn set_silent(&self, node: NodeId, connection: ConnectionId, silent: bool) -> bool {
        let mut connections = self.0.connections.write();
        let Some(of_peer) = connections.get_mut(node.as_peer_id()) else {
            return false;
        };
        if let Some(connection) = of_peer.all.iter_mut().find(|c| c.id == connection) {
            connection.silent = silent.then(Instant::now);
        }
        of_peer
            .all
            .iter()
            .any(|other| other.id != connection && !other.held_back && !other.is_silent())
    }

    /// Hands a request to this connection of the node, or else to its youngest direct one.
    pub(crate) fn request_on(
        &self,
        node: NodeId,
        connection: ConnectionId,
        request: OpenRequest,
    ) -> Result<(), OpenError> {
        let connections = self.0.connections.read();
        let of_peer = connections
            .get(node.as_peer_id())
            .ok_or(OpenError::NotConnected)?;
        let mut direct = of_peer
            .all
            .iter()
            .filter(|c| c.path == Path::Direct && !c.held_back);
        let youngest = direct.clone().next();
        let chosen = direct.find(|c| c.id == connection).or(youngest);
        let chosen = chosen.ok_or(OpenError::NotConnected)?;
        let sent = chosen.requests.try_send(Box::new(request));
        sent.map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => OpenError::Congested,
            mpsc::error::TrySendError::Closed(_) => OpenError::NotConnected,
        })
    }

    /// The path of a stream that would be opened to the node at this moment.
    pub(crate) fn path(&self, node: NodeId) -> Option<Path> {
        let connections = self.0.connections.read();
        let mut all = connections.get(node.as_peer_id())?.all.iter();
        // The handler of a connection that closes takes no requests, before the swarm tells its end.
        Some(all.find(|c| !c.held_back && !c.requests.is_closed())?.path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn present_and_later_connections_of_a_node_are_kept() {
        let registry = Registry::default();
        let peer = PeerId::random();
        let connect = |nth| {
            let connection = ConnectionId::new_unchecked(nth);
            registry.connect(peer, connection, Path::Direct)
        };
        let node = NodeId::from_peer_id(peer);
        registry.keep(node, true);
        let (_, first) = connect(0);
        assert!(
            !first.load(Ordering::Relaxed),
            "the node was not connected when it was to be kept"
        );
        registry.keep(node, true);
        let (_, second) = connect(1);
        let kept = || [&first, &second].map(|kept| kept.load(Ordering::Relaxed));
        assert_eq!(kept(), [true, true]);
        registry.keep(node, false);
        assert_eq!(kept(), [false, false]);
    }
}
