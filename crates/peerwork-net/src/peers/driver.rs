//! Connections: the table of nodes, connection events, blocks, identify and ping. Dials are in
//! `dials.rs`.

use std::{
    collections::{HashMap, hash_map},
    io,
    time::Duration,
};

use libp2p::{
    PeerId, Swarm,
    core::ConnectedPoint,
    identify, ping,
    swarm::{ConnectionError, ConnectionId as SwarmConnectionId, DialError as SwarmDialError},
};
use multiaddr::Multiaddr;
use peerwork_identity::NodeId;
use tokio::{
    sync::{broadcast, oneshot},
    time::Instant,
};

use super::{
    CloseReason, Connection, ConnectionEvent, ConnectionEvents, ConnectionId, ConnectionInfo,
    Event, PeerTable,
    dials::{AddressWaiter, Dials, Waiter, root_cause},
    subscriptions::Subscriptions,
};
use crate::{
    behaviour::Behaviour,
    error::DialError,
    membership::Refusal,
    transport::{End, Gate},
};

/// The longest text of an identify message's agent that is kept.
const AGENT_CHARS_MAX: usize = 128;
/// Protocols of an identify message that are kept.
const PROTOCOLS_MAX: usize = 256;
/// Addresses of an identify message that are kept.
const ADDRESSES_MAX: usize = 32;
/// Nodes blocked at once (about 100 bytes each); the block that ends first makes room.
const BLOCKS_MAX: usize = 16_384;

pub(crate) enum Command {
    Dial {
        node: NodeId,
        addresses: Vec<Multiaddr>,
        reply: Waiter,
    },
    /// Makes a further connection to a node, at these addresses only, unless it has one beside the known
    /// ones.
    DialBeyond {
        node: NodeId,
        addresses: Vec<Multiaddr>,
        known: Vec<ConnectionInfo>,
        reply: Waiter,
    },
    /// Connects to the node at an address; the handshake tells the node's id.
    DialAddress {
        address: Multiaddr,
        reply: AddressWaiter,
    },
    /// Changes this node's relation to another node. The answer confirms that the change holds.
    Change {
        node: NodeId,
        change: Change,
        reply: oneshot::Sender<()>,
    },
    /// The secrets of the network were changed: connections opened by former ones end.
    SecretsChanged { reply: oneshot::Sender<()> },
    /// Subscribes to connection events with a queue of this length.
    Subscribe {
        queue: usize,
        reply: oneshot::Sender<ConnectionEvents>,
    },
}

/// A change of this node's relation to another node.
pub(crate) enum Change {
    Disconnect,
    Block(Duration),
    Unblock,
    Protect,
    Unprotect,
}

pub(crate) struct Driver {
    this: NodeId,
    table: PeerTable,
    events: broadcast::Sender<Event>,
    subscriptions: Subscriptions,
    dials: Dials,
    blocks: HashMap<PeerId, Instant>,
    connections: HashMap<SwarmConnectionId, Live>,
    opened: u64,
}

struct Live {
    connection: Connection,
    /// The reason for which this node itself closes the connection.
    closing: Option<CloseReason>,
}

impl Driver {
    pub(crate) fn new(
        this: NodeId,
        table: PeerTable,
        events: broadcast::Sender<Event>,
        gate: Gate,
    ) -> Self {
        Self {
            this,
            table,
            events,
            subscriptions: Subscriptions::default(),
            dials: Dials::new(gate),
            blocks: HashMap::new(),
            connections: HashMap::new(),
            opened: 0,
        }
    }

    pub(crate) fn on_command(&mut self, swarm: &mut Swarm<Behaviour>, command: Command) {
        match command {
            Command::Dial {
                node,
                addresses,
                reply,
            } => self.dial(swarm, node, addresses, reply),
            Command::DialBeyond {
                node,
                addresses,
                known,
                reply,
            } => {
                if self.has_beyond(node, &known) {
                    let _ = reply.send(Ok(()));
                    return;
                }
                let peer = *node.as_peer_id();
                self.dials.dial_again(swarm, peer, addresses, reply);
            }
            Command::DialAddress { address, reply } => {
                self.dials.dial_address(swarm, address, reply);
            }
            Command::Change {
                node,
                change,
                reply,
            } => {
                self.change(swarm, node, &change);
                let _ = reply.send(());
            }
            Command::SecretsChanged { reply } => {
                swarm.behaviour_mut().on_changed_secrets();
                let _ = reply.send(());
            }
            Command::Subscribe { queue, reply } => {
                let live = self.connections.values();
                let mut existing: Vec<_> = live.map(|live| live.connection.clone()).collect();
                existing.sort_by_key(|connection| connection.id);
                let _ = reply.send(self.subscriptions.add(queue, existing));
            }
        }
    }

    fn change(&mut self, swarm: &mut Swarm<Behaviour>, node: NodeId, change: &Change) {
        let peer = node.as_peer_id();
        match change {
            Change::Disconnect => {
                self.closing(node, &CloseReason::Disconnected);
                let _ = swarm.disconnect_peer_id(*peer);
            }
            Change::Block(duration) => self.block(swarm, node, *duration),
            Change::Unblock => self.unblock(swarm, *peer),
            Change::Protect => swarm.behaviour_mut().limits.bypass_peer_id(peer),
            Change::Unprotect => swarm.behaviour_mut().limits.remove_peer_id(peer),
        }
    }

    fn dial(
        &mut self,
        swarm: &mut Swarm<Behaviour>,
        node: NodeId,
        addresses: Vec<Multiaddr>,
        reply: Waiter,
    ) {
        let peer = *node.as_peer_id();
        if node == self.this {
            let _ = reply.send(Err(DialError::Oneself));
        } else if self.blocks.contains_key(&peer) {
            let _ = reply.send(Err(DialError::Blocked));
        } else {
            self.dials.dial(swarm, peer, addresses, reply);
        }
    }

    /// Dials a node that mDNS found.
    pub(crate) fn dial_found(
        &self,
        swarm: &mut Swarm<Behaviour>,
        node: NodeId,
        addresses: Vec<Multiaddr>,
    ) {
        self.dials.dial_found(swarm, *node.as_peer_id(), addresses);
    }

    pub(crate) fn on_dial_failed(
        &mut self,
        swarm: &mut Swarm<Behaviour>,
        peer: Option<PeerId>,
        connection: SwarmConnectionId,
        error: &SwarmDialError,
    ) {
        self.dials.on_failed(swarm, peer, connection, error);
    }

    // === connections ===

    /// Whether a node has a connection that is not among `known`.
    fn has_beyond(&self, node: NodeId, known: &[ConnectionInfo]) -> bool {
        let connections = self.connections.values().map(|live| &live.connection);
        let mut of_node = connections.filter(|connection| connection.node == node);
        of_node.any(|connection| !known.contains(&connection.info))
    }

    pub(crate) fn on_established(
        &mut self,
        peer: PeerId,
        connection: SwarmConnectionId,
        endpoint: &ConnectedPoint,
    ) {
        let node = NodeId::from_peer_id(peer);
        let info = ConnectionInfo::of(endpoint);
        tracing::debug!(%node, address = %info.address, path = ?info.path, "connected");
        let mut first = false;
        self.table.upsert(node, |entry| {
            first = entry.connections.is_empty();
            entry.connections.push(info.clone());
        });
        self.opened += 1;
        let id = ConnectionId(self.opened);
        let opened = Connection { id, node, info };
        self.subscriptions
            .tell(&ConnectionEvent::Opened(opened.clone()));
        let live = Live {
            connection: opened,
            closing: None,
        };
        self.connections.insert(connection, live);
        self.dials.on_established(peer, connection);
        if first {
            self.tell(Event::Connected(node));
        }
    }

    /// Answers the callers whose dial led to a connection that never took part in the network.
    pub(crate) fn on_held_back_closed(
        &mut self,
        peer: PeerId,
        connection: SwarmConnectionId,
        refusal: Refusal,
    ) {
        self.dials.on_refused(peer, connection, refusal);
    }

    /// Remembers that a connection ends because it takes part in the network no longer.
    pub(crate) fn on_refused(&mut self, connection: SwarmConnectionId, refusal: Refusal) {
        if let Some(live) = self.connections.get_mut(&connection) {
            live.closing.get_or_insert(CloseReason::Refused(refusal));
        }
    }

    /// Remembers why this node closes all connections to a node.
    fn closing(&mut self, node: NodeId, reason: &CloseReason) {
        let live = self.connections.values_mut();
        for live in live.filter(|live| live.connection.node == node) {
            live.closing.get_or_insert_with(|| reason.clone());
        }
    }

    pub(crate) fn on_closed(
        &mut self,
        connection: SwarmConnectionId,
        cause: Option<&ConnectionError>,
    ) {
        let Some(Live {
            connection,
            closing,
        }) = self.connections.remove(&connection)
        else {
            return;
        };
        let node = connection.node;
        let reason = close_reason(closing, cause);
        log_end(&connection, &reason);
        // The swarm's count would include connections that are held back.
        let mut last = false;
        self.table.update(node, |entry| {
            let infos = &mut entry.connections;
            if let Some(at) = infos.iter().position(|info| *info == connection.info) {
                infos.remove(at);
            }
            last = infos.is_empty();
        });
        if last {
            self.table.remove(node);
        }
        self.subscriptions
            .tell(&ConnectionEvent::Closed(connection, reason));
        if last {
            self.tell(Event::Disconnected(node));
        }
    }

    pub(crate) fn on_identify(&mut self, event: identify::Event) {
        let identify::Event::Received { peer_id, info, .. } = event else {
            return;
        };
        let node = NodeId::from_peer_id(peer_id);
        self.table.update(node, |entry| {
            entry.agent = Some(info.agent_version.chars().take(AGENT_CHARS_MAX).collect());
            let protocols = info.protocols.iter().take(PROTOCOLS_MAX);
            entry.protocols = protocols.map(ToString::to_string).collect();
            let addresses = info.listen_addrs.iter().take(ADDRESSES_MAX);
            entry.addresses = addresses.cloned().collect();
        });
        self.tell(Event::Identified(node));
    }

    pub(crate) fn on_ping(&mut self, swarm: &mut Swarm<Behaviour>, event: ping::Event) {
        let node = NodeId::from_peer_id(event.peer);
        match event.result {
            Ok(rtt) => self.table.update(node, |entry| entry.rtt = Some(rtt)),
            Err(error) if !is_silence(&error) => {
                tracing::debug!(%node, %error, "a ping was refused");
            }
            Err(error) => {
                tracing::debug!(%node, %error, "ping failed, closing the connection");
                if let Some(live) = self.connections.get_mut(&event.connection) {
                    live.closing.get_or_insert(CloseReason::Unanswered);
                }
                swarm.close_connection(event.connection);
            }
        }
    }

    pub(crate) fn set_reserved(&self, node: NodeId, reserved: bool) {
        self.table.update(node, |entry| entry.reserved = reserved);
    }

    pub(crate) fn tell(&self, event: Event) {
        // The channel refuses an event only when it has no reader.
        let _ = self.events.send(event);
    }

    // === blocks ===

    fn block(&mut self, swarm: &mut Swarm<Behaviour>, node: NodeId, duration: Duration) {
        let peer = *node.as_peer_id();
        if self.blocks.len() >= BLOCKS_MAX {
            let first = self.blocks.iter().min_by_key(|(_, until)| **until);
            if let Some(peer) = first.map(|(peer, _)| *peer) {
                self.unblock(swarm, peer);
            }
        }
        self.blocks.insert(peer, Instant::now() + duration);
        self.closing(node, &CloseReason::Blocked);
        swarm.behaviour_mut().blocks.block_peer(peer);
        tracing::info!(%node, ?duration, "blocked");
    }

    fn unblock(&mut self, swarm: &mut Swarm<Behaviour>, peer: PeerId) {
        if let hash_map::Entry::Occupied(entry) = self.blocks.entry(peer) {
            entry.remove();
            swarm.behaviour_mut().blocks.unblock_peer(peer);
        }
    }

    /// Ends the blocks that are over.
    pub(crate) fn on_tick(&mut self, swarm: &mut Swarm<Behaviour>, now: Instant) {
        let over = self.blocks.iter().filter(|(_, until)| **until <= now);
        let over: Vec<_> = over.map(|(peer, _)| *peer).collect();
        for peer in over {
            self.unblock(swarm, peer);
        }
    }
}

/// Whether a ping failed because nothing came back in time. A node without the ping protocol refuses the
/// stream of each ping, and the refusal shows that the node is alive.
fn is_silence(failure: &ping::Failure) -> bool {
    match failure {
        ping::Failure::Timeout => true,
        ping::Failure::Unsupported => false,
        // The negotiation of the stream has a timeout of its own.
        ping::Failure::Other { error } => error
            .downcast_ref::<io::Error>()
            .is_some_and(|error| error.kind() == io::ErrorKind::TimedOut),
    }
}

/// Logs the reason of a connection's end, as INFO where this node ended it for a fault of the other node:
/// the users of that node ask the operator for the reason.
fn log_end(connection: &Connection, reason: &CloseReason) {
    let (node, address) = (connection.node, &connection.info.address);
    match reason {
        CloseReason::Cut(_) | CloseReason::Unanswered => {
            tracing::info!(%node, %address, %reason, "connection ended by this node");
        }
        _ => tracing::debug!(%node, connection = %connection.id, %reason, "connection closed"),
    }
}

/// Gives this node's own reason, or else the one that libp2p names. libp2p names none when a protocol
/// of this node closed the connection.
fn close_reason(closing: Option<CloseReason>, cause: Option<&ConnectionError>) -> CloseReason {
    match (closing, cause) {
        (Some(reason), _) => reason,
        (None, Some(ConnectionError::KeepAliveTimeout)) => CloseReason::Idle,
        (None, Some(ConnectionError::IO(error))) => match End::of(error) {
            Some(end) if end.is_own() => CloseReason::Cut(end.to_string()),
            _ => CloseReason::Lost(root_cause(error)),
        },
        (None, None) => CloseReason::Closed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ping_that_is_refused_is_no_silence_and_one_without_an_answer_is() {
        let other = |kind: io::ErrorKind| ping::Failure::Other {
            error: Box::new(io::Error::from(kind)),
        };
        for silent in [ping::Failure::Timeout, other(io::ErrorKind::TimedOut)] {
            assert!(is_silence(&silent), "{silent:?}");
        }
        let refused = [io::ErrorKind::Other, io::ErrorKind::ConnectionReset];
        for refused in refused.map(other) {
            assert!(!is_silence(&refused), "{refused:?}");
        }
        assert!(!is_silence(&ping::Failure::Unsupported));
    }

    #[test]
    fn a_connection_s_end_has_the_reason_of_this_node_or_else_the_transport_s() {
        let broken = || io::Error::other(io::Error::other("reset by peer"));
        let idle = ConnectionError::KeepAliveTimeout;
        let cases = [
            (None, Some(&idle), CloseReason::Idle),
            (None, None, CloseReason::Closed),
            (
                None,
                Some(&ConnectionError::IO(broken())),
                CloseReason::Lost("reset by peer".to_owned()),
            ),
            (
                None,
                Some(&ConnectionError::IO(io::Error::other(End::Unread))),
                CloseReason::Cut("too many of its bytes were unread".to_owned()),
            ),
            (
                None,
                Some(&ConnectionError::IO(io::Error::other(End::ByOther(1)))),
                CloseReason::Lost(
                    "the other node ended it with the yamux error protocol error".to_owned(),
                ),
            ),
            (
                Some(CloseReason::Unanswered),
                Some(&ConnectionError::IO(broken())),
                CloseReason::Unanswered,
            ),
            (
                Some(CloseReason::Disconnected),
                None,
                CloseReason::Disconnected,
            ),
        ];
        for (closing, cause, reason) in cases {
            assert_eq!(close_reason(closing, cause), reason);
        }
    }
}
