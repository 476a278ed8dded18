//! Connections: dials and their waiters, blocks, the table, identify and ping.

use std::{
    collections::{HashMap, hash_map},
    time::{Duration, SystemTime},
};

use libp2p::{
    PeerId, Swarm,
    core::ConnectedPoint,
    identify, ping,
    swarm::{
        ConnectionId, DialError as SwarmDialError,
        dial_opts::{DialOpts, PeerCondition},
    },
};
use multiaddr::Multiaddr;
use peerwork_identity::NodeId;
use tokio::{
    sync::{broadcast, oneshot},
    time::Instant,
};

use super::{ConnectionInfo, Event, Path, PeerTable, without_last_peer};
use crate::{behaviour::Behaviour, error::DialError, transport::Gate};

/// Nodes being dialled at once; with the waiters below at most about 1 MiB.
const DIALS_MAX: usize = 1024;
/// Callers waiting for one node's dial.
const WAITERS_MAX: usize = 1024;
/// Addresses tried for one node.
const ADDRESSES_MAX: usize = 32;
/// What is kept of a node's identify message.
const AGENT_CHARS_MAX: usize = 128;
const PROTOCOLS_MAX: usize = 256;
/// Nodes blocked at once (about 100 bytes each); the block that ends first makes room.
const BLOCKS_MAX: usize = 16_384;

type Waiter = oneshot::Sender<Result<(), DialError>>;

pub(crate) enum Command {
    Dial {
        node: NodeId,
        addresses: Vec<Multiaddr>,
        reply: Waiter,
    },
    /// A further connection beside those there are, at these addresses only.
    DialAgain {
        node: NodeId,
        addresses: Vec<Multiaddr>,
        reply: Waiter,
    },
    Disconnect {
        node: NodeId,
    },
    Block {
        node: NodeId,
        duration: Duration,
    },
    Unblock {
        node: NodeId,
    },
    Protect {
        node: NodeId,
    },
}

pub(crate) struct Driver {
    this: NodeId,
    table: PeerTable,
    gate: Gate,
    events: broadcast::Sender<Event>,
    dials: HashMap<PeerId, Dialling>,
    further_dials: HashMap<ConnectionId, Waiter>,
    blocks: HashMap<PeerId, Instant>,
    connections: HashMap<ConnectionId, ConnectionInfo>,
}

struct Dialling {
    connection: ConnectionId,
    waiters: Vec<Waiter>,
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
            gate,
            events,
            dials: HashMap::new(),
            further_dials: HashMap::new(),
            blocks: HashMap::new(),
            connections: HashMap::new(),
        }
    }

    pub(crate) fn on_command(&mut self, swarm: &mut Swarm<Behaviour>, command: Command) {
        match command {
            Command::Dial {
                node,
                addresses,
                reply,
            } => self.dial(swarm, node, addresses, reply),
            Command::DialAgain {
                node,
                addresses,
                reply,
            } => self.dial_again(swarm, node, addresses, reply),
            Command::Disconnect { node } => {
                let _ = swarm.disconnect_peer_id(*node.as_peer_id());
            }
            Command::Block { node, duration } => self.block(swarm, node, duration),
            Command::Unblock { node } => self.unblock(swarm, *node.as_peer_id()),
            Command::Protect { node } => {
                let limits = &mut swarm.behaviour_mut().limits;
                limits.bypass_peer_id(node.as_peer_id());
            }
        }
    }

    // === dials ===

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
        } else if let Some(dialling) = self.dials.get_mut(&peer) {
            if dialling.waiters.len() < WAITERS_MAX {
                dialling.waiters.push(reply);
            } else {
                let _ = reply.send(Err(DialError::Busy));
            }
        } else if self.dials.len() >= DIALS_MAX {
            let _ = reply.send(Err(DialError::Busy));
        } else {
            self.start_dial(swarm, peer, addresses, reply);
        }
    }

    fn start_dial(
        &mut self,
        swarm: &mut Swarm<Behaviour>,
        peer: PeerId,
        mut addresses: Vec<Multiaddr>,
        reply: Waiter,
    ) {
        addresses.truncate(ADDRESSES_MAX);
        let options = self.dial_options(peer, addresses);
        let connection = options.connection_id();
        match swarm.dial(options) {
            Ok(()) => {
                let waiters = vec![reply];
                let dialling = Dialling {
                    connection,
                    waiters,
                };
                self.dials.insert(peer, dialling);
            }
            Err(error) => {
                let _ = reply.send(Err(dial_error(&error)));
            }
        }
    }

    fn dial_again(
        &mut self,
        swarm: &mut Swarm<Behaviour>,
        node: NodeId,
        mut addresses: Vec<Multiaddr>,
        reply: Waiter,
    ) {
        if self.further_dials.len() >= DIALS_MAX {
            let _ = reply.send(Err(DialError::Busy));
            return;
        }
        addresses.truncate(ADDRESSES_MAX);
        let options = self.dial_options(*node.as_peer_id(), addresses);
        let connection = options.connection_id();
        match swarm.dial(options) {
            Ok(()) => {
                self.further_dials.insert(connection, reply);
            }
            Err(error) => {
                let _ = reply.send(Err(dial_error(&error)));
            }
        }
    }

    /// Exactly these addresses, which the caller vouches for.
    fn dial_options(&self, peer: PeerId, addresses: Vec<Multiaddr>) -> DialOpts {
        for address in &addresses {
            self.gate.vouch(address);
        }
        DialOpts::peer_id(peer)
            .addresses(addresses)
            .condition(PeerCondition::Always)
            .build()
    }

    /// Dials a node that this machine's own network showed.
    pub(crate) fn dial_found(
        &self,
        swarm: &mut Swarm<Behaviour>,
        peer: PeerId,
        address: Multiaddr,
    ) {
        if !swarm.is_connected(&peer) {
            self.gate.vouch(&address);
            let options = DialOpts::peer_id(peer).addresses(vec![address]).build();
            // A node that is being dialled already, or is blocked, is left alone.
            let _ = swarm.dial(options);
        }
    }

    fn end_dial(&mut self, peer: PeerId, result: &Result<(), DialError>) {
        if let Some(dialling) = self.dials.remove(&peer) {
            for waiter in dialling.waiters {
                let _ = waiter.send(result.clone());
            }
        }
    }

    pub(crate) fn on_dial_failed(
        &mut self,
        peer: Option<PeerId>,
        connection: ConnectionId,
        error: &SwarmDialError,
    ) {
        if let Some(waiter) = self.further_dials.remove(&connection) {
            let _ = waiter.send(Err(dial_error(error)));
        }
        let Some(peer) = peer else { return };
        let ours = self.dials.get(&peer).map(|d| d.connection);
        if ours == Some(connection) {
            tracing::debug!(node = %peer, error = %error, "dial failed");
            self.end_dial(peer, &Err(dial_error(error)));
        }
    }

    // === connections ===

    pub(crate) fn on_established(
        &mut self,
        peer: PeerId,
        connection: ConnectionId,
        endpoint: &ConnectedPoint,
    ) {
        let node = NodeId::from_peer_id(peer);
        let info = connection_info(endpoint);
        tracing::debug!(%node, address = %info.address, path = ?info.path, "connected");
        self.connections.insert(connection, info);
        let mut first = false;
        self.table.upsert(node, |entry| {
            first = entry.connections.is_empty();
        });
        self.refresh_connections(node, connection);
        self.end_dial(peer, &Ok(()));
        if let Some(waiter) = self.further_dials.remove(&connection) {
            let _ = waiter.send(Ok(()));
        }
        if first {
            self.tell(Event::Connected(node));
        }
    }

    /// Copies the connection into the table's entry.
    fn refresh_connections(&self, node: NodeId, connection: ConnectionId) {
        if let Some(info) = self.connections.get(&connection) {
            self.table
                .update(node, |entry| entry.connections.push(info.clone()));
        }
    }

    pub(crate) fn on_closed(&mut self, peer: PeerId, connection: ConnectionId, remaining: u32) {
        let node = NodeId::from_peer_id(peer);
        let gone = self.connections.remove(&connection);
        if remaining == 0 {
            self.table.remove(node);
            self.tell(Event::Disconnected(node));
            return;
        }
        self.table.update(node, |entry| {
            let at = gone.and_then(|gone| entry.connections.iter().position(|c| *c == gone));
            if let Some(at) = at {
                entry.connections.remove(at);
            }
        });
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
            // Not every implementation answers pings; one that does not is no dead connection.
            Err(ping::Failure::Unsupported) => {}
            Err(error) => {
                tracing::debug!(%node, %error, "ping failed, closing the connection");
                swarm.close_connection(event.connection);
            }
        }
    }

    pub(crate) fn set_reserved(&self, node: NodeId, reserved: bool) {
        self.table.update(node, |entry| entry.reserved = reserved);
    }

    pub(crate) fn tell(&self, event: Event) {
        // Nobody listening is fine.
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

fn connection_info(endpoint: &ConnectedPoint) -> ConnectionInfo {
    let (address, outbound) = match endpoint {
        ConnectedPoint::Dialer { address, .. } => (address.clone(), true),
        // An inbound circuit shows in the local address, which names the relay.
        ConnectedPoint::Listener { local_addr, .. } if endpoint.is_relayed() => {
            (local_addr.clone(), false)
        }
        ConnectedPoint::Listener { send_back_addr, .. } => (send_back_addr.clone(), false),
    };
    ConnectionInfo {
        path: if endpoint.is_relayed() {
            Path::Relayed
        } else {
            Path::Direct
        },
        address: without_last_peer(address),
        outbound,
        since: SystemTime::now(),
    }
}

fn dial_error(error: &SwarmDialError) -> DialError {
    match error {
        SwarmDialError::NoAddresses => DialError::NoAddresses,
        SwarmDialError::LocalPeerId { .. } => DialError::Oneself,
        SwarmDialError::Transport(tried) => {
            let reasons = tried
                .iter()
                .map(|(address, error)| format!("{address}: {}", root_cause(error)));
            DialError::Failed(reasons.collect::<Vec<_>>().join("; "))
        }
        SwarmDialError::Denied { cause } => {
            if cause
                .downcast_ref::<libp2p::allow_block_list::Blocked>()
                .is_some()
            {
                DialError::Blocked
            } else {
                DialError::Failed(root_cause(cause))
            }
        }
        other => DialError::Failed(root_cause(other)),
    }
}

/// libp2p nests its errors deeply; the innermost one is what a person can act on.
fn root_cause(error: &(dyn std::error::Error + 'static)) -> String {
    let mut error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string()
}
