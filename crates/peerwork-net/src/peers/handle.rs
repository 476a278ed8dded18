//! The network's calls for connections, and for the nodes at their other ends.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use multiaddr::{Multiaddr, Protocol as Part};
use peerwork_identity::NodeId;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::{broadcast, mpsc, oneshot, watch},
    time::Instant,
};

use super::{Change, Command, ConnectionEvents, ConnectionInfo, Event, PeerInfo, Reachability};
use crate::{
    call::ask,
    error::{CallError, DialError, HandOverError},
    handle::Network,
    metering::{Buffered, Traffic},
    transport::Accepted,
};

// Dials.
impl Network {
    /// Connects to a node at the given addresses (with or without `/p2p/<id>`; circuits are
    /// `<relay address>/p2p/<relay>/p2p-circuit`). The caller vouches for them: addresses from other
    /// nodes must pass a [`DialPolicy`](crate::DialPolicy) first. The addresses that a DNS name resolves to are
    /// checked by that policy here, unless the name was given to [`Network::trust`]. The call returns
    /// at once when the node is connected already.
    ///
    /// # Errors
    /// [`DialError`] says why there is no connection.
    pub async fn dial(
        &self,
        node: NodeId,
        addresses: Vec<Multiaddr>,
        deadline: Instant,
    ) -> Result<(), DialError> {
        if self.path(node).is_some() {
            return Ok(());
        }
        self.ask_dial(deadline, |reply| Command::Dial {
            node,
            addresses,
            reply,
        })
        .await
    }

    /// Makes a further connection to a node that may be connected already, for instance a direct one beside
    /// a circuit. Only the given addresses are tried. The call does nothing when the node has a connection
    /// that is not among `known`: of callers that gave the same connections up one after the other, one
    /// dials.
    ///
    /// # Errors
    /// As [`Network::dial`].
    pub async fn dial_beyond(
        &self,
        node: NodeId,
        addresses: Vec<Multiaddr>,
        known: Vec<ConnectionInfo>,
        deadline: Instant,
    ) -> Result<(), DialError> {
        self.ask_dial(deadline, |reply| Command::DialBeyond {
            node,
            addresses,
            known,
            reply,
        })
        .await
    }

    /// Connects to the node at an address, whose id the handshake tells; a `/p2p/<id>` at the address's
    /// end makes the call a [`Network::dial`]. The call makes a further connection to a node that is
    /// connected already, because only the handshake tells which node it is.
    ///
    /// # Errors
    /// As [`Network::dial`]. [`DialError::Failed`] for a circuit without the id of the far end.
    pub async fn dial_address(
        &self,
        address: Multiaddr,
        deadline: Instant,
    ) -> Result<NodeId, DialError> {
        if let Some(Part::P2p(peer)) = address.iter().last() {
            let node = NodeId::from_peer_id(peer);
            return self
                .dial(node, vec![address], deadline)
                .await
                .map(|()| node);
        }
        self.ask_dial(deadline, |reply| Command::DialAddress { address, reply })
            .await
    }

    async fn ask_dial<T>(
        &self,
        deadline: Instant,
        command: impl FnOnce(oneshot::Sender<Result<T, DialError>>) -> Command,
    ) -> Result<T, DialError> {
        ask(&self.parts.peers.commands, deadline, command).await?
    }

    /// Lets the DNS name in an address that the operator gave resolve to a private address too. Any
    /// other name is checked again when it is resolved; see [`DialPolicy`](crate::DialPolicy).
    pub fn trust(&self, address: &Multiaddr) {
        self.parts.peers.gate.trust(address);
    }

    /// Takes over a byte stream that the program accepted on `listener`, an address of
    /// [`Config::handed`](crate::Config::handed); `remote` is the address of its other end.
    ///
    /// # Errors
    /// The stream is dropped when too many wait already, or the network has stopped.
    pub fn hand_over(
        &self,
        io: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
        listener: Multiaddr,
        remote: SocketAddr,
    ) -> Result<(), HandOverError> {
        let io = Box::new(io);
        let accepted = Accepted {
            io,
            listener,
            remote,
        };
        let handed = self.parts.peers.handed.try_send(accepted);
        handed.map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => HandOverError::Busy,
            mpsc::error::TrySendError::Closed(_) => HandOverError::Stopped,
        })
    }
}

/// The calls that change the connections to a node. Each returns when the change holds.
impl Network {
    /// Closes all connections to a node.
    ///
    /// # Errors
    /// [`CallError`] when the network did not confirm the call.
    pub async fn disconnect(&self, node: NodeId, deadline: Instant) -> Result<(), CallError> {
        self.change(node, Change::Disconnect, deadline).await
    }

    /// Closes all connections to a node and refuses further ones for `duration`.
    ///
    /// # Errors
    /// As [`Network::disconnect`].
    pub async fn block(
        &self,
        node: NodeId,
        duration: Duration,
        deadline: Instant,
    ) -> Result<(), CallError> {
        self.change(node, Change::Block(duration), deadline).await
    }

    /// Ends a block early.
    ///
    /// # Errors
    /// As [`Network::disconnect`].
    pub async fn unblock(&self, node: NodeId, deadline: Instant) -> Result<(), CallError> {
        self.change(node, Change::Unblock, deadline).await
    }

    /// Exempts a node from the connection limits.
    ///
    /// # Errors
    /// As [`Network::disconnect`].
    pub async fn protect(&self, node: NodeId, deadline: Instant) -> Result<(), CallError> {
        self.change(node, Change::Protect, deadline).await
    }

    /// Ends the exemption of [`Network::protect`]. Connections above the limits stay.
    ///
    /// # Errors
    /// As [`Network::disconnect`].
    pub async fn unprotect(&self, node: NodeId, deadline: Instant) -> Result<(), CallError> {
        self.change(node, Change::Unprotect, deadline).await
    }

    async fn change(
        &self,
        node: NodeId,
        change: Change,
        deadline: Instant,
    ) -> Result<(), CallError> {
        let commands = &self.parts.peers.commands;
        ask(commands, deadline, |reply| Command::Change {
            node,
            change,
            reply,
        })
        .await
    }
}

// Observations.
impl Network {
    /// All connected nodes at this moment.
    #[must_use]
    pub fn peers(&self) -> Vec<Arc<PeerInfo>> {
        self.parts.peers.table.all()
    }

    /// One connected node.
    #[must_use]
    pub fn peer(&self, node: NodeId) -> Option<Arc<PeerInfo>> {
        self.parts.peers.table.get(node)
    }

    /// The addresses at which mDNS found a node on the local network, at most 16; empty for a node that
    /// was not found or has expired. The node may answer at none of them, and belong to another network.
    #[must_use]
    pub fn found(&self, node: NodeId) -> Vec<Multiaddr> {
        self.parts.peers.found.get(node)
    }

    /// Whether the network itself dials the nodes that mDNS finds, because a secret, or the lack of
    /// entry points at both ends, decides about the connections. Otherwise the services do.
    #[must_use]
    pub fn dials_found(&self) -> bool {
        self.parts.membership.dials_found()
    }

    /// Notes a find as that of mDNS, and tells of it. The network dials the node within a second where
    /// it dials found nodes.
    #[cfg(feature = "testkit")]
    pub fn note_found(&self, node: NodeId, addresses: Vec<Multiaddr>) {
        let finds = addresses.into_iter().map(|address| (node, address));
        for node in self.parts.peers.found.add(finds) {
            // The channel refuses an event only when it has no reader.
            let _ = self.parts.peers.events.send(Event::Found(node));
        }
    }

    /// The nodes that mDNS finds on the local network at this moment, at most 512, in no order.
    #[must_use]
    pub fn found_nodes(&self) -> Vec<NodeId> {
        self.parts.peers.found.nodes()
    }

    /// Number of connected nodes.
    #[must_use]
    pub fn peer_count(&self) -> usize {
        self.parts.peers.table.len()
    }

    /// Addresses this node listens on, direct ones before circuits, without `/p2p/<id>` of this node.
    #[must_use]
    pub fn listen_addresses(&self) -> watch::Receiver<Vec<Multiaddr>> {
        self.parts.peers.advertised.listen.clone()
    }

    /// Whether others can reach this node, and at which confirmed addresses.
    #[must_use]
    pub fn reachability(&self) -> watch::Receiver<Reachability> {
        self.parts.peers.advertised.reachability.clone()
    }

    /// The addresses that this node advertises for direct connections: the announced or observed ones,
    /// or else those that it listens on.
    #[must_use]
    pub fn advertised_addresses(&self) -> Vec<Multiaddr> {
        self.parts.peers.advertised.addresses()
    }

    /// Subscribes to the network's events from this moment on. A reader that is more than 1024 events
    /// behind misses some, and the channel reports that.
    #[must_use]
    pub fn events(&self) -> broadcast::Receiver<Event> {
        self.parts.peers.events.subscribe()
    }

    /// Subscribes to the events of all connections: each event exactly once, in order for each
    /// connection, with direction and reason. The first events are those of the connections that exist
    /// already.
    ///
    /// `queue` events (1 to 1,048,576) may wait; a subscriber that is further behind gets
    /// [`Lagged`](super::Lagged) and its subscription ends. [`Network::events`] is for readers that
    /// only need to know that something changed.
    ///
    /// # Errors
    /// As [`Network::disconnect`].
    pub async fn connection_events(
        &self,
        queue: usize,
        deadline: Instant,
    ) -> Result<ConnectionEvents, CallError> {
        let commands = &self.parts.peers.commands;
        ask(commands, deadline, |reply| Command::Subscribe {
            queue,
            reply,
        })
        .await
    }

    /// Measured traffic with a connected node.
    #[must_use]
    pub fn traffic(&self, node: NodeId) -> Option<Traffic> {
        let info = self.peer(node)?;
        Some(self.parts.peers.meters.traffic(node, info.rtt))
    }

    /// Bytes received and sent by all connections since the start.
    #[must_use]
    pub fn traffic_total(&self) -> (u64, u64) {
        self.parts.peers.meters.total()
    }

    /// Memory that the streams of all connections hold at this moment, except those of QUIC, whose
    /// windows bound it.
    #[must_use]
    pub fn buffered(&self) -> Buffered {
        self.parts.peers.budget.buffered()
    }
}
