//! Which protocols are served here, and which connections streams can be opened on.
//!
//! Shared between the handle, the behaviour and all connection handlers, so that neither opening nor
//! accepting a stream passes through the event loop.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use libp2p::{PeerId, StreamProtocol, swarm::ConnectionId};
use parking_lot::RwLock;
use peerwork_identity::NodeId;
use tokio::sync::{mpsc, oneshot};

use super::{InboundStream, Incoming, Protocol, Stream};
use crate::{
    error::{OpenError, ServeError},
    peers::Path,
};

/// Streams that wait for their turn to be negotiated on one connection. One costs about 100 bytes,
/// so this bounds a connection's queue to about 100 KiB.
pub(crate) const OPENS_WAITING_MAX: usize = 1024;

/// One stream to be opened, on its way to a connection handler.
#[derive(Debug)]
pub(crate) struct OpenRequest {
    pub(crate) protocol: Protocol,
    pub(crate) reply: oneshot::Sender<Result<Stream, OpenError>>,
}

/// A node's connections.
#[derive(Default)]
struct Lines {
    /// Whether they are kept while nothing happens on them.
    kept: Arc<AtomicBool>,
    /// Direct ones first, older before younger: the older one is the one in use.
    all: Vec<Line>,
}

/// Where a connection handler takes its requests from.
struct Line {
    connection: ConnectionId,
    path: Path,
    // Boxed: a channel has room for 32 from its first one on.
    requests: mpsc::Sender<Box<OpenRequest>>,
}

#[derive(Clone)]
struct Served {
    protocol: Protocol,
    queue: mpsc::Sender<InboundStream>,
}

#[derive(Default)]
struct Shared {
    served: RwLock<HashMap<StreamProtocol, Served>>,
    /// The protocols of `served`; a connection asks for them each time it is polled.
    protocols: RwLock<Arc<[Protocol]>>,
    lines: RwLock<HashMap<PeerId, Lines>>,
    refused: AtomicU64,
}

/// Cloneable front of the shared state.
#[derive(Clone, Default)]
pub(crate) struct Registry(Arc<Shared>);

impl std::fmt::Debug for Registry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Registry")
    }
}

impl Registry {
    /// Starts serving a protocol with a queue of `queue` streams.
    pub(crate) fn serve(&self, protocol: Protocol, queue: usize) -> Result<Incoming, ServeError> {
        if !(1..=65_536).contains(&queue) {
            return Err(ServeError::Queue(queue));
        }
        let (sender, receiver) = mpsc::channel(queue);
        let mut served = self.0.served.write();
        if served.contains_key(&protocol.name) {
            return Err(ServeError::Taken(protocol.name.to_string()));
        }
        served.insert(
            protocol.name.clone(),
            Served {
                protocol: protocol.clone(),
                queue: sender,
            },
        );
        self.publish(&served);
        Ok(Incoming {
            receiver,
            registry: self.clone(),
            protocol,
        })
    }

    pub(crate) fn withdraw(&self, protocol: &Protocol) {
        let mut served = self.0.served.write();
        served.remove(&protocol.name);
        self.publish(&served);
    }

    fn publish(&self, served: &HashMap<StreamProtocol, Served>) {
        *self.0.protocols.write() = served.values().map(|s| s.protocol.clone()).collect();
    }

    /// Forgets all queues, so that every [`Incoming`] ends.
    pub(crate) fn close(&self) {
        self.0.served.write().clear();
        self.0.lines.write().clear();
    }

    pub(crate) fn protocols(&self) -> Arc<[Protocol]> {
        Arc::clone(&self.0.protocols.read())
    }

    /// Takes a place in the protocol's queue; `None` when it is full or no longer served.
    pub(crate) fn admit(&self, protocol: &Protocol) -> Option<mpsc::OwnedPermit<InboundStream>> {
        let queue = self.0.served.read().get(&protocol.name)?.queue.clone();
        let permit = queue.try_reserve_owned().ok();
        if permit.is_none() {
            self.0.refused.fetch_add(1, Ordering::Relaxed);
        }
        permit
    }

    /// Inbound streams refused because a queue was full.
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
        let line = Line {
            connection,
            path,
            requests,
        };
        let mut lines = self.0.lines.write();
        let Lines { kept, all } = lines.entry(peer).or_default();
        let at = all.partition_point(|l| l.path <= path);
        all.insert(at, line);
        (receiver, Arc::clone(kept))
    }

    pub(crate) fn disconnect(&self, peer: PeerId, connection: ConnectionId) {
        let mut lines = self.0.lines.write();
        if let Some(of_peer) = lines.get_mut(&peer) {
            of_peer.all.retain(|l| l.connection != connection);
            if of_peer.all.is_empty() {
                lines.remove(&peer);
            }
        }
    }

    /// Keeps the connections of a node while nothing happens on them, or no longer.
    pub(crate) fn keep(&self, node: NodeId, kept: bool) {
        if let Some(of_peer) = self.0.lines.read().get(node.as_peer_id()) {
            of_peer.kept.store(kept, Ordering::Relaxed);
        }
    }

    /// Hands a request to the best connection of the node.
    pub(crate) fn request(&self, node: NodeId, request: OpenRequest) -> Result<(), OpenError> {
        let lines = self.0.lines.read();
        let of_peer = lines
            .get(node.as_peer_id())
            .ok_or(OpenError::NotConnected)?;
        let mut request = Box::new(request);
        let mut refusal = OpenError::NotConnected;
        for line in &of_peer.all {
            match line.requests.try_send(request) {
                Ok(()) => return Ok(()),
                Err(mpsc::error::TrySendError::Full(back)) => {
                    refusal = OpenError::Congested;
                    request = back;
                }
                Err(mpsc::error::TrySendError::Closed(back)) => request = back,
            }
        }
        Err(refusal)
    }

    /// Hands a request to this connection of the node, or else to its youngest direct one.
    pub(crate) fn request_on(
        &self,
        node: NodeId,
        connection: ConnectionId,
        request: OpenRequest,
    ) -> Result<(), OpenError> {
        let lines = self.0.lines.read();
        let of_peer = lines
            .get(node.as_peer_id())
            .ok_or(OpenError::NotConnected)?;
        let direct = || of_peer.all.iter().filter(|line| line.path == Path::Direct);
        let line = direct().find(|line| line.connection == connection);
        let line = line
            .or(direct().next_back())
            .ok_or(OpenError::NotConnected)?;
        let sent = line.requests.try_send(Box::new(request));
        sent.map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => OpenError::Congested,
            mpsc::error::TrySendError::Closed(_) => OpenError::NotConnected,
        })
    }

    /// How the node would be reached by a stream opened at this moment.
    pub(crate) fn path(&self, node: NodeId) -> Option<Path> {
        let lines = self.0.lines.read();
        Some(lines.get(node.as_peer_id())?.all.first()?.path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_connections_of_a_node_are_kept_the_ones_to_come_too() {
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
            "nobody was there to be kept"
        );
        registry.keep(node, true);
        let (_, second) = connect(1);
        let kept = || [&first, &second].map(|kept| kept.load(Ordering::Relaxed));
        assert_eq!(kept(), [true, true]);
        registry.keep(node, false);
        assert_eq!(kept(), [false, false]);
    }
}
