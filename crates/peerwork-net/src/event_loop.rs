//! The event loop, which owns the swarm and hands each command and event to its driver.
//!
//! The loop awaits nothing but its next input. Each driver holds its own state, and streams never pass
//! through the loop.

mod start;

use std::{collections::HashSet, time::Duration};

use futures::StreamExt;
use libp2p::{
    PeerId, Swarm, mdns,
    metrics::Recorder,
    swarm::{ConnectionId, SwarmEvent},
    upnp,
};
use multiaddr::Multiaddr;
use peerwork_identity::NodeId;
use peerwork_limits::{Bucket, Rate};
use tokio::{
    sync::{mpsc, watch},
    time::{Instant, MissedTickBehavior},
};
use tokio_util::sync::CancellationToken;

use crate::{
    behaviour::{Behaviour, Event as BehaviourEvent, PartsEvent},
    dht, gossip,
    membership::{self, Held, Membership, Refusal, Refusals},
    metering::Meters,
    metrics::Metrics,
    peers::{self, Event, FoundTable, Links, Path, PeerTable, Reachability},
    relay, streams,
    transport::Budget,
};

/// The calls of the network's handles, one queue for each driver.
struct Commands {
    peers: mpsc::Receiver<peers::Command>,
    relay: mpsc::Receiver<relay::Command>,
    gossip: mpsc::Receiver<gossip::Command>,
    dht: mpsc::Receiver<dht::Command>,
}

/// The rate of log lines about listeners that cannot accept.
const FAILURE_LOG: Rate = Rate {
    burst: 1,
    interval: Duration::from_secs(10),
};

struct EventLoop {
    swarm: Swarm<Behaviour>,
    commands: Commands,
    decided: mpsc::Receiver<gossip::Decided>,
    stop: CancellationToken,
    peers: peers::Driver,
    relay: relay::Driver,
    places: relay::Places,
    ledger: relay::Ledger,
    gossip: gossip::Driver,
    dht: dht::Driver,
    /// Whether this node advertises its listen addresses as external ones, as a relay without
    /// configured addresses does.
    announce_listen: bool,
    /// External addresses that others confirmed, the router mapped, or the operator configured.
    confirmed: HashSet<Multiaddr>,
    listen: watch::Sender<Vec<Multiaddr>>,
    reachability: watch::Sender<Reachability>,
    table: PeerTable,
    found: FoundTable,
    links: Links,
    membership: Membership,
    meters: Meters,
    budget: Budget,
    streams: streams::Registry,
    metrics: Metrics,
    started: Instant,
    /// Bounds the log lines about listeners that cannot accept.
    failure_log: Bucket,
    /// Connections that do not take part in the network yet.
    held: Held,
    refusals: Refusals,
}

impl EventLoop {
    async fn run(mut self) {
        let mut tick = tokio::time::interval(Duration::from_secs(1));
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                biased;
                () = self.stop.cancelled() => break,
                Some(command) = self.commands.peers.recv() => {
                    self.peers.on_command(&mut self.swarm, command);
                }
                Some(command) = self.commands.relay.recv() => self.on_relay_command(command),
                Some(command) = self.commands.gossip.recv() => {
                    self.gossip.on_command(&mut self.swarm, command);
                }
                Some(command) = self.commands.dht.recv() => {
                    self.dht.on_command(&mut self.swarm, command);
                }
                Some(decided) = self.decided.recv() => {
                    gossip::Driver::on_decided(&mut self.swarm, &decided);
                }
                _ = tick.tick() => self.on_tick(),
                event = self.swarm.select_next_some() => self.on_event(event),
            }
        }
        self.streams.close();
    }

    fn on_relay_command(&mut self, command: relay::Command) {
        match command {
            relay::Command::Reserve { relay, reply } => {
                self.relay.reserve(&mut self.swarm, relay, reply);
                self.publish_addresses();
            }
            relay::Command::Reserved(node) => self.on_reserved(node),
            relay::Command::Left(node) => self.end_if_gone(node),
        }
    }

    fn on_tick(&mut self) {
        self.peers.on_tick(&mut self.swarm, Instant::now());
        self.links.refresh();
        self.dial_found();
        self.dht.end_abandoned(&mut self.swarm);
        self.gossip.leave_dropped(&mut self.swarm);
        self.gossip.publish_infos();
        if self.relay.release_dropped(&mut self.swarm) {
            self.publish_addresses();
        }
        for peer in self.places.release_expired(std::time::Instant::now()) {
            self.on_reservation_ended(NodeId::from_peer_id(peer));
        }
        let peers = self.table.len();
        self.metrics.refresh(peers, &self.meters, &self.streams);
        self.metrics.refresh_buffered(self.budget.buffered());
        self.metrics.refresh_dht(self.dht.queries());
        self.metrics.refresh_relay(&self.places, &self.ledger);
        self.metrics.refresh_gossip(&self.gossip.forwarded());
        self.metrics.refresh_joined(self.gossip.dropped());
        self.metrics.refresh_drops(self.gossip.drops());
    }

    fn on_event(&mut self, event: SwarmEvent<BehaviourEvent>) {
        self.metrics.libp2p.record(&event);
        match event {
            SwarmEvent::Behaviour(event) => self.on_gate(event),
            SwarmEvent::ConnectionEstablished {
                peer_id,
                connection_id,
                endpoint,
                ..
            } => match self.swarm.behaviour().is_open(connection_id) {
                true => self.peers.on_established(peer_id, connection_id, &endpoint),
                false => self.held.hold(connection_id, peer_id, endpoint),
            },
            SwarmEvent::ConnectionClosed {
                peer_id,
                connection_id,
                num_established,
                cause,
                ..
            } => {
                if num_established == 0 {
                    self.gossip.on_disconnected(&mut self.swarm, peer_id);
                }
                self.on_closed(peer_id, connection_id);
                self.peers.on_closed(connection_id, cause.as_ref());
            }
            SwarmEvent::OutgoingConnectionError {
                peer_id,
                connection_id,
                error,
            } => {
                let swarm = &mut self.swarm;
                self.peers
                    .on_dial_failed(swarm, peer_id, connection_id, &error);
            }
            SwarmEvent::NewListenAddr { address, .. } => {
                if self.announce_listen && !relay::is_circuit(&address) {
                    self.swarm.add_external_address(address);
                }
                self.publish_addresses();
            }
            SwarmEvent::ExpiredListenAddr { address, .. } => {
                if self.announce_listen {
                    self.swarm.remove_external_address(&address);
                }
                self.publish_addresses();
            }
            SwarmEvent::ListenerClosed {
                listener_id,
                reason,
                ..
            } => {
                let reason = match reason {
                    Ok(()) => "the relay ended it, or the connection to it closed".to_owned(),
                    Err(error) => error.to_string(),
                };
                self.relay.on_listener_closed(listener_id, &reason);
                self.publish_addresses();
            }
            SwarmEvent::ExternalAddrConfirmed { .. } => self.publish_addresses(),
            SwarmEvent::ExternalAddrExpired { address } => {
                self.confirmed.remove(&address);
                self.publish_addresses();
            }
            SwarmEvent::ListenerError { error, .. } => self.log_failed_listener(&error),
            _ => {}
        }
    }

    /// Logs at a bounded rate, because a process without a free file descriptor fails ten times a second.
    fn log_failed_listener(&mut self, error: &std::io::Error) {
        if self.failure_log.take(self.started.elapsed(), FAILURE_LOG) {
            tracing::warn!(%error, "a listener failed to accept");
        }
    }

    fn on_behaviour(&mut self, event: PartsEvent) {
        match event {
            // Identify events bypass libp2p's metrics, which would keep every node's identify message
            // once more.
            PartsEvent::Identify(event) => {
                if let libp2p::identify::Event::Received { peer_id, info, .. } = &event {
                    let (protocols, addresses) = (&info.protocols, &info.listen_addrs);
                    dht::Driver::on_identified(&mut self.swarm, *peer_id, protocols, addresses);
                }
                self.peers.on_identify(event);
            }
            PartsEvent::Ping(event) => {
                self.metrics.libp2p.record(&event);
                self.peers.on_ping(&mut self.swarm, event);
            }
            PartsEvent::Gossip(event) => {
                self.metrics.libp2p.record(&event);
                self.gossip.on_event(&mut self.swarm, event);
            }
            PartsEvent::Kad(event) => {
                self.metrics.libp2p.record(&event);
                self.dht.on_event(event);
            }
            PartsEvent::RelayClient(event) => {
                let granted = self.relay.on_event(event);
                self.publish_addresses();
                if let Some(granted) = granted {
                    granted.send();
                }
            }
            PartsEvent::Mdns(mdns::Event::Discovered(found)) => self.on_found(found),
            PartsEvent::AutonatClient(event) => self.on_autonat(&event),
            PartsEvent::Dcutr(event) => {
                self.metrics.libp2p.record(&event);
                tracing::debug!(node = %event.remote_peer_id, result = ?event.result, "hole punching");
            }
            PartsEvent::Upnp(event) => {
                tracing::debug!(?event, "port mapping");
                if let upnp::Event::NewExternalAddr { external_addr, .. } = event {
                    self.confirm(external_addr);
                }
            }
            PartsEvent::Mdns(mdns::Event::Expired(gone)) => self.found.remove(of_nodes(gone)),
            PartsEvent::AutonatServer(_) => {}
            PartsEvent::Streams(never) => match never {},
            PartsEvent::Blocks(never) => match never {},
            PartsEvent::Limits(never) => match never {},
            PartsEvent::Addresses(never) => match never {},
            PartsEvent::Memory(never) => match never {},
        }
    }

    fn on_gate(&mut self, event: BehaviourEvent) {
        match event {
            membership::Event::Inner(event) => self.on_behaviour(event),
            membership::Event::Opened(connection) => {
                if let Some((peer, endpoint)) = self.held.take(connection) {
                    self.refusals.remove(peer);
                    self.peers.on_established(peer, connection, &endpoint);
                }
            }
            membership::Event::Refused(peer, connection, refusal) => {
                self.on_refused(peer, connection, refusal);
            }
        }
    }

    /// Ends what depends on a connection that closed.
    fn on_closed(&mut self, peer: PeerId, connection: ConnectionId) {
        self.end_if_gone(NodeId::from_peer_id(peer));
        if self.held.take(connection).is_some() {
            self.peers
                .on_held_back_closed(peer, connection, Refusal::Lost);
        }
    }

    /// Closes a connection that does not take part in the network.
    fn on_refused(&mut self, peer: PeerId, connection: ConnectionId, refusal: Refusal) {
        self.refusals.add(peer, refusal, self.started.elapsed());
        self.metrics.count_refused_connection(refusal);
        if self.held.take(connection).is_some() {
            self.peers.on_held_back_closed(peer, connection, refusal);
        } else {
            self.peers.on_refused(connection, refusal);
        }
        self.swarm.close_connection(connection);
    }

    fn on_reserved(&self, node: NodeId) {
        // The reservation may be gone again.
        if self.places.holds(node.as_peer_id()) {
            self.peers.set_reserved(node, true);
            self.peers.tell(Event::Reserved(node));
        }
    }

    /// Ends a reservation whose holder has no direct connection any more.
    fn end_if_gone(&self, node: NodeId) {
        let gone = self.streams.path(node) != Some(Path::Direct);
        if gone && self.places.release(node.as_peer_id()) {
            self.on_reservation_ended(node);
        }
    }

    fn on_reservation_ended(&self, node: NodeId) {
        self.streams.keep(node, false);
        // The node may have made another reservation at this very moment.
        if self.places.holds(node.as_peer_id()) {
            self.streams.keep(node, true);
        }
        self.peers.set_reserved(node, false);
        self.peers.tell(Event::ReservationEnded(node));
    }

    /// Notes the nodes that mDNS found on the networks of this machine's interfaces, and tells the
    /// services. A packet from another network, which only a forger or a router sends, finds nothing.
    fn on_found(&mut self, found: Vec<(PeerId, Multiaddr)>) {
        self.links.refresh();
        let links = &self.links;
        let found = of_nodes(found).filter(|(_, address)| links.reach(address));
        for node in self.found.add(found) {
            tracing::debug!(%node, "found on the local network");
            self.peers.tell(Event::Found(node));
        }
        self.dial_found();
    }

    fn dial_found(&mut self) {
        if !self.membership.dials_found() {
            return;
        }
        let swarm = &self.swarm;
        let is_connected = |node: NodeId| swarm.is_connected(node.as_peer_id());
        for (node, addresses) in self.found.take_due(self.started.elapsed(), is_connected) {
            self.peers.dial_found(&mut self.swarm, node, addresses);
        }
    }

    /// Notes a confirmed external address. The set is bounded by the external addresses that the swarm
    /// holds.
    fn confirm(&mut self, address: Multiaddr) {
        if self
            .swarm
            .external_addresses()
            .any(|known| *known == address)
        {
            self.confirmed.insert(address);
            self.publish_addresses();
        }
    }

    fn on_autonat(&mut self, event: &libp2p::autonat::v2::client::Event) {
        tracing::debug!(address = %event.tested_addr, server = %event.server, result = ?event.result, "reachability test");
        if event.result.is_ok() {
            self.confirm(event.tested_addr.clone());
        } else {
            self.reachability.send_if_modified(|known| {
                let unknown = *known == Reachability::Unknown;
                if unknown {
                    *known = Reachability::Private;
                }
                unknown
            });
        }
    }

    /// Brings the snapshots of listen and external addresses up to date.
    fn publish_addresses(&mut self) {
        let direct = self.swarm.listeners().filter(|a| !relay::is_circuit(a));
        let mut listen: Vec<_> = direct.cloned().collect();
        listen.sort();
        let mut circuits: Vec<_> = self.relay.addresses().collect();
        circuits.sort();
        listen.extend(circuits);
        let mut changed = self.listen.send_if_modified(|known| replace(known, listen));
        let external = self.swarm.external_addresses();
        let mut public: Vec<_> = external
            .filter(|a| !relay::is_circuit(a))
            .cloned()
            .collect();
        public.sort();
        changed |= self.reachability.send_if_modified(|known| {
            let confirmed = public
                .iter()
                .any(|address| self.confirmed.contains(address));
            let next = match (&known, public.is_empty()) {
                (_, false) if confirmed => Reachability::Public(public),
                (Reachability::Private, _) => Reachability::Private,
                (_, false) => Reachability::Assumed(public),
                (_, true) => Reachability::Unknown,
            };
            replace(known, next)
        });
        if changed {
            self.peers.tell(Event::AddressesChanged);
        }
    }
}

/// The finds of mDNS with the ids of the nodes.
fn of_nodes(found: Vec<(PeerId, Multiaddr)>) -> impl Iterator<Item = (NodeId, Multiaddr)> {
    let found = found.into_iter();
    found.map(|(peer, address)| (NodeId::from_peer_id(peer), address))
}

fn replace<T: PartialEq>(known: &mut T, next: T) -> bool {
    let differs = *known != next;
    *known = next;
    differs
}
