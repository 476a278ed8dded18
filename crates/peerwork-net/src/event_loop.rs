//! The loop that owns the swarm: one `select!`, dispatch only.
//!
//! Nothing is awaited here but the next thing to dispatch. Each driver holds its own state; streams
//! never pass through.

mod start;

use std::{collections::HashSet, time::Duration};

use futures::StreamExt;
use libp2p::{Swarm, mdns, metrics::Recorder, relay as p2p_relay, swarm::SwarmEvent, upnp};
use multiaddr::Multiaddr;
use peerwork_identity::NodeId;
use tokio::{
    sync::{mpsc, watch},
    time::{Instant, MissedTickBehavior},
};
use tokio_util::sync::CancellationToken;

pub(crate) use start::start;

use crate::{
    behaviour::{Behaviour, BehaviourEvent},
    dht, gossip,
    metering::Meters,
    metrics::Metrics,
    peers::{self, Event, PeerTable, Reachability},
    relay, streams,
};

/// What the handle asks of the loop.
pub(crate) enum Command {
    Peers(peers::Command),
    Relay(relay::Command),
    Gossip(gossip::Command),
    Dht(dht::Command),
}

impl From<peers::Command> for Command {
    fn from(command: peers::Command) -> Self {
        Self::Peers(command)
    }
}

impl From<relay::Command> for Command {
    fn from(command: relay::Command) -> Self {
        Self::Relay(command)
    }
}

impl From<gossip::Command> for Command {
    fn from(command: gossip::Command) -> Self {
        Self::Gossip(command)
    }
}

impl From<dht::Command> for Command {
    fn from(command: dht::Command) -> Self {
        Self::Dht(command)
    }
}

/// Nodes found by mDNS that are dialled at once after being found.
const MDNS_PEERS_MAX: usize = 32;

pub(crate) struct EventLoop {
    swarm: Swarm<Behaviour>,
    commands: mpsc::Receiver<Command>,
    decided: mpsc::Receiver<gossip::Decided>,
    stop: CancellationToken,
    peers: peers::Driver,
    relay: relay::Driver,
    places: relay::Places,
    ledger: relay::Ledger,
    gossip: gossip::Driver,
    dht: dht::Driver,
    /// Whether the listen addresses are told as external ones: a relay without configured addresses.
    announce_listen: bool,
    /// External addresses that others confirmed, the router mapped, or the operator configured.
    confirmed: HashSet<Multiaddr>,
    listen: watch::Sender<Vec<Multiaddr>>,
    reachability: watch::Sender<Reachability>,
    table: PeerTable,
    meters: Meters,
    streams: streams::Registry,
    metrics: Metrics,
}

impl EventLoop {
    pub(crate) async fn run(mut self) {
        let mut tick = tokio::time::interval(Duration::from_secs(1));
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                biased;
                () = self.stop.cancelled() => break,
                command = self.commands.recv() => match command {
                    Some(command) => self.on_command(command),
                    None => break,
                },
                Some(decided) = self.decided.recv() => {
                    gossip::Driver::on_decided(&mut self.swarm, &decided);
                }
                _ = tick.tick() => self.on_tick(),
                event = self.swarm.select_next_some() => self.on_event(event),
            }
        }
        self.streams.close();
    }

    fn on_command(&mut self, command: Command) {
        let swarm = &mut self.swarm;
        match command {
            Command::Peers(command) => self.peers.on_command(swarm, command),
            Command::Relay(command) => {
                self.relay.on_command(swarm, command);
                self.publish_addresses();
            }
            Command::Gossip(command) => self.gossip.on_command(swarm, command),
            Command::Dht(command) => self.dht.on_command(swarm, command),
        }
    }

    fn on_tick(&mut self) {
        self.peers.on_tick(&mut self.swarm, Instant::now());
        self.gossip.leave_dropped(&mut self.swarm);
        self.gossip.publish_infos();
        if self.relay.release_dropped(&mut self.swarm) {
            self.publish_addresses();
        }
        let peers = self.table.len();
        self.metrics.refresh(peers, &self.meters, &self.streams);
        self.metrics.refresh_relay(&self.ledger, &self.places);
    }

    fn on_event(&mut self, event: SwarmEvent<BehaviourEvent>) {
        self.metrics.libp2p.record(&event);
        match event {
            SwarmEvent::Behaviour(event) => self.on_behaviour(event),
            SwarmEvent::ConnectionEstablished {
                peer_id,
                connection_id,
                endpoint,
                ..
            } => self.peers.on_established(peer_id, connection_id, &endpoint),
            SwarmEvent::ConnectionClosed {
                peer_id,
                connection_id,
                num_established,
                ..
            } => {
                if num_established == 0 {
                    self.end_reservation(&peer_id);
                    self.gossip.on_disconnected(&mut self.swarm, peer_id);
                }
                self.peers
                    .on_closed(peer_id, connection_id, num_established);
            }
            SwarmEvent::OutgoingConnectionError {
                peer_id,
                connection_id,
                error,
            } => self.peers.on_dial_failed(peer_id, connection_id, &error),
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
            SwarmEvent::ListenerError { error, .. } => {
                tracing::warn!(%error, "a listener failed to accept");
            }
            _ => {}
        }
    }

    fn on_behaviour(&mut self, event: BehaviourEvent) {
        match event {
            BehaviourEvent::Identify(event) => {
                self.metrics.libp2p.record(&event);
                if let libp2p::identify::Event::Received { peer_id, info, .. } = &event {
                    let (protocols, addresses) = (&info.protocols, &info.listen_addrs);
                    dht::Driver::on_identified(&mut self.swarm, *peer_id, protocols, addresses);
                }
                self.peers.on_identify(event);
            }
            BehaviourEvent::Ping(event) => {
                self.metrics.libp2p.record(&event);
                self.peers.on_ping(&mut self.swarm, event);
            }
            BehaviourEvent::Gossip(event) => {
                self.metrics.libp2p.record(&event);
                self.gossip.on_event(&mut self.swarm, event);
            }
            BehaviourEvent::Kad(event) => {
                self.metrics.libp2p.record(&event);
                self.dht.on_event(event);
            }
            BehaviourEvent::RelayClient(event) => {
                self.relay.on_event(event);
                self.publish_addresses();
            }
            BehaviourEvent::RelayServer(event) => {
                self.metrics.libp2p.record(&event);
                self.on_relay_server(event);
            }
            BehaviourEvent::Mdns(mdns::Event::Discovered(found)) => self.on_found(found),
            BehaviourEvent::AutonatClient(event) => self.on_autonat(&event),
            BehaviourEvent::Dcutr(event) => {
                self.metrics.libp2p.record(&event);
                tracing::debug!(node = %event.remote_peer_id, result = ?event.result, "hole punching");
            }
            BehaviourEvent::Upnp(event) => {
                tracing::debug!(?event, "port mapping");
                if let upnp::Event::NewExternalAddr { external_addr, .. } = event {
                    self.confirm(external_addr);
                }
            }
            BehaviourEvent::Mdns(mdns::Event::Expired(_)) | BehaviourEvent::AutonatServer(_) => {}
            BehaviourEvent::Streams(never) => match never {},
            BehaviourEvent::Blocks(never) => match never {},
            BehaviourEvent::Limits(never) => match never {},
            BehaviourEvent::Addresses(never) => match never {},
            BehaviourEvent::Memory(never) => match never {},
        }
    }

    fn on_relay_server(&mut self, event: p2p_relay::Event) {
        use p2p_relay::Event as Relay;
        match event {
            Relay::ReservationReqAccepted {
                src_peer_id,
                renewed,
            } => {
                self.ledger.reserved(src_peer_id, renewed);
                let node = NodeId::from_peer_id(src_peer_id);
                self.peers.set_reserved(node, true);
                self.peers.tell(Event::Reserved(node));
            }
            Relay::ReservationTimedOut { src_peer_id } => self.end_reservation(&src_peer_id),
            Relay::ReservationReqDenied {
                src_peer_id,
                status,
            } => tracing::debug!(node = %src_peer_id, ?status, "reservation refused"),
            Relay::CircuitReqAccepted {
                src_peer_id,
                dst_peer_id,
            } => self.ledger.circuit_opened(src_peer_id, dst_peer_id),
            Relay::CircuitClosed {
                src_peer_id,
                dst_peer_id,
                error,
            } => {
                tracing::debug!(from = %src_peer_id, to = %dst_peer_id, ?error, "circuit closed");
                self.ledger.circuit_closed(src_peer_id, dst_peer_id);
            }
            Relay::CircuitReqDenied {
                src_peer_id,
                dst_peer_id,
                status,
            } => {
                self.ledger.circuit_refused();
                tracing::info!(from = %src_peer_id, to = %dst_peer_id, ?status, "circuit refused");
            }
            // `ReservationClosed` among them: libp2p tells it of each connection that closes.
            other => tracing::trace!(event = ?other, "relay"),
        }
    }

    fn end_reservation(&self, peer: &libp2p::PeerId) {
        if self.places.release(peer) {
            self.ledger.released(peer);
            let node = NodeId::from_peer_id(*peer);
            self.peers.set_reserved(node, false);
            self.peers.tell(Event::ReservationEnded(node));
        }
    }

    fn on_found(&mut self, found: Vec<(libp2p::PeerId, Multiaddr)>) {
        for (peer, address) in found.into_iter().take(MDNS_PEERS_MAX) {
            self.peers.dial_found(&mut self.swarm, peer, address);
        }
    }

    /// Bounded by the external addresses that the swarm holds.
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

fn replace<T: PartialEq>(known: &mut T, next: T) -> bool {
    let differs = *known != next;
    *known = next;
    differs
}
