//! Builds the swarm, binds its addresses and starts the loop.

use std::{net::TcpListener, sync::Arc, time::Duration};

use futures::StreamExt;
use libp2p::{
    Swarm,
    core::{transport::ListenerId, upgrade::Version},
    swarm::{self, SwarmEvent},
};
use multiaddr::{Multiaddr, Protocol as Part};
use peerwork_identity::{NodeId, network_file::SECRETS_MAX};
use peerwork_limits::Bucket;
use prometheus_client::registry::Registry as MetricsRegistry;
use tokio::{
    sync::{broadcast, mpsc, watch},
    time::Instant,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{Commands, EventLoop};
use crate::{
    Config,
    behaviour::{self, Behaviour, Event as BehaviourEvent},
    config::{self, CIRCUITS_PER_PEER_MAX},
    dht,
    error::StartError,
    gossip,
    handle::{self, Network},
    membership::{Held, Membership, Refusals},
    metering::Meters,
    metrics::Metrics,
    peers::{self, Advertised, Event, FoundTable, Links, PeerTable, Reachability},
    relay, streams,
    transport::{self, Accepted},
    webrtc,
};

/// How long binding an address may take before it is given up.
const BIND_TIMEOUT: Duration = Duration::from_secs(5);
/// The smallest bound of a connection's unread bytes: some windows of streams and the largest frame.
const UNREAD_BYTES_MIN: usize = 4 << 20;
/// Inbound streams one connection may have in negotiation.
const NEGOTIATING_INBOUND_MAX: usize = 1024;

/// Calls of one area that wait for the event loop. A publication is at most a gossip message of 1 MiB,
/// so 256 MiB at worst and a few KiB in practice.
const COMMANDS_MAX: usize = 256;
/// Events that a slow reader may be behind before some are lost to it.
const EVENTS_MAX: usize = 1024;

/// The state that the swarm's parts, the event loop and the network's handle share.
struct Parts {
    node: NodeId,
    membership: Membership,
    meters: Meters,
    streams: streams::Registry,
    places: relay::Places,
    ledger: relay::Ledger,
    gate: transport::Gate,
    budget: transport::Budget,
    table: PeerTable,
    found: FoundTable,
    events: broadcast::Sender<Event>,
    stop: CancellationToken,
    tasks: TaskTracker,
    refusals: Refusals,
}

impl Parts {
    fn new(config: &Config) -> Self {
        Self {
            node: config.keypair.node_id(),
            membership: Membership::new(
                &config.network,
                *config.keypair.node_id().as_peer_id(),
                &config.membership,
            ),
            meters: Meters::default(),
            streams: streams::Registry::default(),
            places: relay::Places::new(config.relay_server.as_ref()),
            ledger: relay::Ledger::default(),
            gate: transport::Gate::new(config.allow_private),
            budget: budget(&config.limits),
            table: PeerTable::default(),
            found: FoundTable::default(),
            events: broadcast::channel(EVENTS_MAX).0,
            stop: CancellationToken::new(),
            tasks: TaskTracker::new(),
            refusals: Refusals::default(),
        }
    }
}

fn budget(limits: &config::Limits) -> transport::Budget {
    transport::Budget::new(transport::Bounds {
        unread: limits.unread_bytes_max,
        unread_per_connection: limits.unread_bytes_per_connection_max,
        unsent: limits.unsent_bytes_max,
        unsent_per_connection: limits.unsent_bytes_per_connection_max,
    })
}

/// The sending ends of the event loop's queues.
struct Senders {
    peers: mpsc::Sender<peers::Command>,
    relay: mpsc::Sender<relay::Command>,
    gossip: mpsc::Sender<gossip::Command>,
    dht: mpsc::Sender<dht::Command>,
}

/// The sending ends of the snapshots that the event loop publishes.
struct Published {
    listen: watch::Sender<Vec<Multiaddr>>,
    reachability: watch::Sender<Reachability>,
    forwarded: watch::Sender<gossip::Forwarded>,
}

impl Network {
    /// Binds the listen addresses and starts the swarm.
    ///
    /// # Errors
    /// [`StartError`] names the setting or address that cannot be used.
    pub async fn start(config: Config, registry: &mut MetricsRegistry) -> Result<Self, StartError> {
        // The swarm is large, and would be part of every caller's future.
        Box::pin(start(config, registry)).await
    }
}

/// Phases: check settings, build, bind, run.
async fn start(config: Config, registry: &mut MetricsRegistry) -> Result<Network, StartError> {
    check(&config)?;
    let parts = Parts::new(&config);
    let (handed, accepted) = mpsc::channel(transport::WAITING_MAX);
    let mut swarm = build(&config, &parts, accepted)?;
    let early_events = bind_all(&mut swarm, &config).await?;

    let (senders, commands) = queues();
    let published = Published {
        listen: watch::channel(Vec::new()).0,
        reachability: watch::channel(Reachability::Unknown).0,
        forwarded: watch::channel(gossip::Forwarded::default()).0,
    };
    let advertised = Advertised {
        listen: published.listen.subscribe(),
        reachability: published.reachability.subscribe(),
    };
    let forwarded = published.forwarded.subscribe();
    let metrics = Metrics::register(registry);
    let links = Links::new(config.mdns).await;
    let published = (published, metrics);
    let mut event_loop = event_loop(&config, (swarm, links), commands, &parts, published);
    event_loop.gossip.follow(&mut event_loop.swarm);
    for event in early_events {
        event_loop.on_event(event);
    }
    event_loop.publish_addresses();
    let server = config.relay_server.as_ref();
    let server = server
        .map(|server| relay::Server::start(server, host(&config, &parts, &advertised, &senders)));
    if let Some(server) = server.transpose()? {
        let stop = parts.stop.clone();
        parts.tasks.spawn(async move {
            stop.cancelled().await;
            drop(server);
        });
    }
    parts.tasks.spawn(event_loop.run());
    let gossip = gossip::Control {
        commands: senders.gossip.clone(),
        forwarded,
    };
    Ok(network(parts, senders, (handed, advertised, gossip)))
}

fn queues() -> (Senders, Commands) {
    let (peers, from_peers) = mpsc::channel(COMMANDS_MAX);
    let (relay, from_relay) = mpsc::channel(COMMANDS_MAX);
    let (gossip, from_gossip) = mpsc::channel(COMMANDS_MAX);
    let (dht, from_dht) = mpsc::channel(COMMANDS_MAX);
    let senders = Senders {
        peers,
        relay,
        gossip,
        dht,
    };
    let commands = Commands {
        peers: from_peers,
        relay: from_relay,
        gossip: from_gossip,
        dht: from_dht,
    };
    (senders, commands)
}

fn host(config: &Config, parts: &Parts, advertised: &Advertised, senders: &Senders) -> relay::Host {
    relay::Host {
        keypair: config.keypair.clone(),
        streams: parts.streams.clone(),
        places: parts.places.clone(),
        ledger: parts.ledger.clone(),
        advertised: advertised.clone(),
        commands: senders.relay.clone(),
        stop: parts.stop.clone(),
        tasks: parts.tasks.clone(),
    }
}

fn network(
    parts: Parts,
    senders: Senders,
    (handed, advertised, gossip): (mpsc::Sender<Accepted>, Advertised, gossip::Control),
) -> Network {
    let parts = handle::Parts {
        node: parts.node,
        membership: parts.membership,
        refusals: parts.refusals,
        streams: parts.streams,
        peers: peers::Control {
            commands: senders.peers,
            handed,
            gate: parts.gate,
            table: parts.table,
            found: parts.found,
            meters: parts.meters,
            budget: parts.budget,
            advertised,
            events: parts.events,
        },
        relay: relay::Control {
            commands: senders.relay,
            places: parts.places,
            ledger: parts.ledger,
        },
        gossip,
        dht: dht::Control {
            commands: senders.dht,
        },
        _last: parts.stop.clone().drop_guard(),
        stop: parts.stop,
        tasks: parts.tasks,
    };
    let parts = Arc::new(parts);
    Network { parts }
}

fn event_loop(
    config: &Config,
    (swarm, links): (Swarm<Behaviour>, Links),
    commands: Commands,
    parts: &Parts,
    (published, metrics): (Published, Metrics),
) -> EventLoop {
    let (decisions, decided) = mpsc::channel(COMMANDS_MAX);
    let (table, events) = (parts.table.clone(), parts.events.clone());
    let gate = parts.gate.clone();
    let tasks = parts.tasks.clone();
    EventLoop {
        swarm,
        commands,
        decided,
        stop: parts.stop.clone(),
        peers: peers::Driver::new(parts.node, table.clone(), events, gate.clone()),
        relay: relay::Driver::new(gate),
        places: parts.places.clone(),
        ledger: parts.ledger.clone(),
        gossip: gossip::Driver::new(&config.gossip, published.forwarded, decisions, tasks),
        dht: dht::Driver::default(),
        announce_listen: config.relay_server.is_some() && config.announce.is_empty(),
        confirmed: config.announce.iter().cloned().collect(),
        listen: published.listen,
        reachability: published.reachability,
        table,
        found: parts.found.clone(),
        membership: parts.membership.clone(),
        links,
        meters: parts.meters.clone(),
        budget: parts.budget.clone(),
        streams: parts.streams.clone(),
        metrics,
        started: Instant::now(),
        failure_log: Bucket::default(),
        held: Held::default(),
        refusals: parts.refusals.clone(),
    }
}

fn check(config: &Config) -> Result<(), StartError> {
    let name = &config.network;
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    if name.is_empty() || name.len() > 64 || !name.chars().all(plain) {
        return Err(StartError::NetworkName(name.clone()));
    }
    let direct = config.listen.iter().find(|a| webrtc::is_direct(a));
    if let (false, Some(address)) = (cfg!(feature = "webrtc"), direct) {
        return Err(StartError::WithoutWebRtc(address.clone()));
    }
    let bounded = |setting, holds: bool, reason: &str| {
        let reason = reason.to_owned();
        holds
            .then_some(())
            .ok_or(StartError::Setting { setting, reason })
    };
    bounded(
        "membership.secrets",
        config.membership.secrets.len() <= SECRETS_MAX,
        "must be at most two",
    )?;
    let share = config.limits.memory_share_max;
    bounded(
        "limits.memory_share_max",
        share > 0.0 && share <= 1.0,
        "must be above 0 and at most 1",
    )?;
    let server = config.relay_server.as_ref();
    bounded(
        "relay_server.reservations_per_address_max",
        server.is_none_or(|s| s.reservations_per_address() <= s.reservations_max),
        "must be at most reservations_max",
    )?;
    bounded(
        "limits.unread_bytes_per_connection_max",
        config.limits.unread_bytes_per_connection_max >= UNREAD_BYTES_MIN,
        "must be at least 4 MiB",
    )?;
    let circuits = server.map(|s| s.circuits_per_peer_max);
    bounded(
        "relay_server.circuits_per_peer_max",
        circuits.is_none_or(|max| max <= CIRCUITS_PER_PEER_MAX),
        "must be at most 1536",
    )?;
    let bytes = config.gossip.message_bytes_max;
    bounded(
        "gossip.message_bytes_max",
        (1024..=1 << 26).contains(&bytes),
        "must be within 1 KiB and 64 MiB",
    )?;
    let hub = config.gossip.hub.as_ref();
    bounded(
        "gossip.hub.message_bytes_max",
        hub.is_none_or(|hub| hub.message_bytes_max <= bytes),
        "must be at most gossip.message_bytes_max",
    )
}

fn build(
    config: &Config,
    parts: &Parts,
    accepted: mpsc::Receiver<transport::Accepted>,
) -> Result<Swarm<Behaviour>, StartError> {
    let shared = transport::Shared {
        meters: &parts.meters,
        gate: &parts.gate,
        budget: &parts.budget,
        tasks: &parts.tasks,
    };
    let (transport, relay_client) = transport::build(config, &shared, accepted)?;
    let streams = parts.streams.clone();
    let behaviour = behaviour::build(config, relay_client, streams, parts.membership.clone())?;
    let settings = swarm::Config::with_tokio_executor()
        .with_substream_upgrade_protocol_override(Version::V1Lazy)
        .with_max_negotiating_inbound_streams(NEGOTIATING_INBOUND_MAX)
        .with_idle_connection_timeout(config.idle_timeout);
    let node = config.keypair.node_id();
    let peer = *node.as_peer_id();
    Ok(Swarm::new(transport, behaviour, peer, settings))
}

fn listen(swarm: &mut Swarm<Behaviour>, address: &Multiaddr) -> Result<ListenerId, StartError> {
    swarm
        .listen_on(address.clone())
        .map_err(|error| cannot_listen(address, innermost(&error)))
}

/// Gives the innermost error, because the transports around it add nothing.
fn innermost(mut error: &dyn std::error::Error) -> String {
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string()
}

fn cannot_listen(address: &Multiaddr, reason: impl ToString) -> StartError {
    StartError::Listen {
        address: address.clone(),
        reason: reason.to_string(),
    }
}

/// Finds out whether a TCP port is taken, by binding it once without `SO_REUSEPORT`. libp2p shares a
/// port with any process that shares it too, and then each gets some of the connections.
fn probe(address: &Multiaddr) -> std::io::Result<()> {
    let Some(ip) = peers::ip(address) else {
        return Ok(());
    };
    match address.iter().nth(1) {
        Some(Part::Tcp(port)) if port != 0 => TcpListener::bind((ip, port)).map(drop),
        _ => Ok(()),
    }
}

async fn bind_all(
    swarm: &mut Swarm<Behaviour>,
    config: &Config,
) -> Result<Vec<SwarmEvent<BehaviourEvent>>, StartError> {
    let mut waiting = Vec::new();
    for address in &config.announce {
        swarm.add_external_address(address.clone());
    }
    for address in &config.listen {
        probe(address).map_err(|error| cannot_listen(address, error))?;
        waiting.push((listen(swarm, address)?, address.clone()));
    }
    for address in &config.handed {
        waiting.push((listen(swarm, address)?, address.clone()));
    }
    bind(swarm, waiting).await
}

/// The reason why a bound listener has no address.
fn without_address(address: &Multiaddr) -> String {
    match peers::ip(address) {
        Some(ip) if ip.is_unspecified() => {
            let family = if ip.is_ipv6() { "IPv6" } else { "IPv4" };
            format!(
                "no interface of this machine has an {family} address; is {family} switched off?"
            )
        }
        _ => format!("no address after {BIND_TIMEOUT:?}"),
    }
}

/// Waits until every listener has an address, so that a taken port is an error of the start.
/// Other events of that time, such as connections, are kept for the event loop.
async fn bind(
    swarm: &mut Swarm<Behaviour>,
    mut waiting: Vec<(ListenerId, Multiaddr)>,
) -> Result<Vec<SwarmEvent<BehaviourEvent>>, StartError> {
    let mut early_events = Vec::new();
    while let Some((_, first)) = waiting.first() {
        let event = tokio::time::timeout(BIND_TIMEOUT, swarm.select_next_some()).await;
        let event = event.map_err(|_| StartError::Listen {
            address: first.clone(),
            reason: without_address(first),
        })?;
        match event {
            SwarmEvent::NewListenAddr { listener_id, .. } => {
                waiting.retain(|(id, _)| *id != listener_id);
                early_events.push(event);
            }
            SwarmEvent::ListenerClosed {
                listener_id,
                reason: Err(error),
                ..
            } => {
                let of = waiting.iter().find(|(id, _)| *id == listener_id);
                let address = of.map_or_else(|| first.clone(), |(_, address)| address.clone());
                return Err(StartError::Listen {
                    address,
                    reason: error.to_string(),
                });
            }
            other => early_events.push(other),
        }
    }
    Ok(early_events)
}

#[cfg(test)]
mod tests;
