//! Builds the swarm, binds its addresses and starts the loop.

use std::{net::TcpListener, sync::Arc, time::Duration};

use futures::StreamExt;
use libp2p::{
    Swarm,
    core::{transport::ListenerId, upgrade::Version},
    swarm::{self, SwarmEvent},
};
use multiaddr::{Multiaddr, Protocol as Part};
use prometheus_client::registry::Registry as MetricsRegistry;
use tokio::sync::{broadcast, mpsc, watch};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{Command, EventLoop};
use crate::{
    Config,
    behaviour::{self, Behaviour, PartsEvent},
    config::CIRCUITS_PER_PEER_MAX,
    dht,
    error::StartError,
    gossip,
    handle::{COMMANDS_MAX, EVENTS_MAX, Shared},
    metering::Meters,
    metrics::Metrics,
    peers::{self, PeerTable, Reachability},
    relay, streams, transport, webrtc,
};

/// How long binding an address may take before it is given up.
const BIND_TIMEOUT: Duration = Duration::from_secs(5);
/// Inbound streams one connection may have in negotiation.
const NEGOTIATING_INBOUND_MAX: usize = 1024;

/// What the swarm's parts and the loop share.
struct Parts {
    meters: Meters,
    streams: streams::Registry,
    places: relay::Places,
    gate: transport::Gate,
    tasks: TaskTracker,
}

/// Phases: check settings, build, bind, run.
pub(crate) async fn start(
    config: Config,
    registry: &mut MetricsRegistry,
    (loop_commands, commands): (mpsc::WeakSender<Command>, mpsc::Receiver<Command>),
) -> Result<Arc<Shared>, StartError> {
    check(&config)?;
    let parts = Parts {
        meters: Meters::default(),
        streams: streams::Registry::default(),
        places: relay::Places::new(config.relay_server.as_ref()),
        gate: transport::Gate::new(config.allow_private),
        tasks: TaskTracker::new(),
    };
    let (handed, accepted) = mpsc::channel(transport::WAITING_MAX);
    let mut swarm = build(&config, &parts, accepted)?;
    let meanwhile = bind_all(&mut swarm, &config).await?;

    let (topics_sender, topics) = watch::channel(gossip::Forwarded::default());
    let (listen_sender, listen) = watch::channel(Vec::new());
    let (reachability_sender, reachability) = watch::channel(Reachability::Unknown);
    let shared = Arc::new(Shared {
        node: config.keypair.node_id(),
        streams: parts.streams,
        places: parts.places,
        ledger: relay::Ledger::default(),
        handed,
        peers: PeerTable::default(),
        meters: parts.meters,
        listen,
        reachability,
        topics,
        events: broadcast::channel(EVENTS_MAX).0,
        message_bytes_max: config.gossip.message_bytes_max,
        stop: CancellationToken::new(),
        tasks: parts.tasks,
    });
    let told = Told {
        listen: listen_sender,
        reachability: reachability_sender,
        topics: topics_sender,
        metrics: Metrics::register(registry),
    };
    let mut event_loop = event_loop(&config, swarm, commands, &shared, parts.gate, told);
    event_loop.gossip.follow(&mut event_loop.swarm);
    for event in meanwhile {
        event_loop.on_event(event);
    }
    event_loop.publish_addresses();
    let server = config.relay_server.as_ref();
    let server = server.map(|server| relay::Server::start(server, &shared, loop_commands));
    if let Some(server) = server.transpose()? {
        let stop = shared.stop.clone();
        shared.tasks.spawn(async move {
            stop.cancelled().await;
            drop(server);
        });
    }
    shared.tasks.spawn(event_loop.run());
    Ok(shared)
}

/// What the loop tells others.
struct Told {
    listen: watch::Sender<Vec<Multiaddr>>,
    reachability: watch::Sender<Reachability>,
    topics: watch::Sender<gossip::Forwarded>,
    metrics: Metrics,
}

fn event_loop(
    config: &Config,
    swarm: Swarm<Behaviour>,
    commands: mpsc::Receiver<Command>,
    shared: &Shared,
    gate: transport::Gate,
    told: Told,
) -> EventLoop {
    let hub = config.gossip.hub.clone().map(gossip::Hub::new);
    let (decisions, decided) = mpsc::channel(COMMANDS_MAX);
    let (table, events) = (shared.peers.clone(), shared.events.clone());
    EventLoop {
        swarm,
        commands,
        decided,
        stop: shared.stop.clone(),
        peers: peers::Driver::new(shared.node, table.clone(), events, gate.clone()),
        relay: relay::Driver::new(gate),
        places: shared.places.clone(),
        ledger: shared.ledger.clone(),
        gossip: gossip::Driver::new(hub, told.topics, decisions, shared.tasks.clone()),
        dht: dht::Driver::default(),
        announce_listen: config.relay_server.is_some() && config.announce.is_empty(),
        confirmed: config.announce.iter().cloned().collect(),
        listen: told.listen,
        reachability: told.reachability,
        table,
        meters: shared.meters.clone(),
        streams: shared.streams.clone(),
        metrics: told.metrics,
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
    )
}

fn build(
    config: &Config,
    parts: &Parts,
    accepted: mpsc::Receiver<transport::Accepted>,
) -> Result<Swarm<Behaviour>, StartError> {
    let (transport, relay_client) =
        transport::build(config, &parts.meters, &parts.gate, accepted, &parts.tasks)?;
    let streams = parts.streams.clone();
    let behaviour = behaviour::build(config, relay_client, streams)?;
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

/// Why it is: the transports around say nothing of their own.
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

/// libp2p shares a listening TCP port with whoever else would share it (`SO_REUSEPORT`), and then
/// each gets some of the connections. Binding it once without sharing finds out that it is taken.
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
) -> Result<Vec<SwarmEvent<PartsEvent>>, StartError> {
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

/// Waits until every listener has an address, so that a taken port is an error of the start.
/// What happens meanwhile, somebody connecting for instance, is for the loop to look at.
async fn bind(
    swarm: &mut Swarm<Behaviour>,
    mut waiting: Vec<(ListenerId, Multiaddr)>,
) -> Result<Vec<SwarmEvent<PartsEvent>>, StartError> {
    let mut meanwhile = Vec::new();
    while let Some((_, first)) = waiting.first() {
        let event = tokio::time::timeout(BIND_TIMEOUT, swarm.select_next_some()).await;
        let event = event.map_err(|_| StartError::Listen {
            address: first.clone(),
            reason: format!("no address after {BIND_TIMEOUT:?}"),
        })?;
        match event {
            SwarmEvent::NewListenAddr { listener_id, .. } => {
                waiting.retain(|(id, _)| *id != listener_id);
                meanwhile.push(event);
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
            other => meanwhile.push(other),
        }
    }
    Ok(meanwhile)
}
