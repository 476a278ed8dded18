//! Builds the swarm, binds its addresses and starts the loop.

use std::{
    net::{IpAddr, TcpListener},
    sync::Arc,
    time::Duration,
};

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
    behaviour::{self, Behaviour, BehaviourEvent},
    config::CIRCUITS_PER_PEER_MAX,
    dht,
    error::StartError,
    gossip,
    handle::{COMMANDS_MAX, EVENTS_MAX, Shared},
    metering::Meters,
    metrics::Metrics,
    peers::{self, PeerTable, Reachability},
    relay, streams, transport,
};

/// How long binding an address may take before it is given up.
const BIND_TIMEOUT: Duration = Duration::from_secs(5);
/// Inbound streams one connection may have in negotiation.
const NEGOTIATING_INBOUND_MAX: usize = 1024;

/// Phases: check settings, build, bind, run.
pub(crate) async fn start(
    config: Config,
    registry: &mut MetricsRegistry,
    commands: mpsc::Receiver<Command>,
) -> Result<Arc<Shared>, StartError> {
    check(&config)?;
    let node = config.keypair.node_id();
    let meters = Meters::default();
    let streams = streams::Registry::default();
    let server = config.relay_server.as_ref();
    let places = relay::Places::new(server.map_or(0, |server| server.reservations_max));
    let (tasks, gate) = (
        TaskTracker::new(),
        transport::Gate::new(config.allow_private),
    );
    let (transport, relay_client) = transport::build(&config, &meters, &gate, &tasks)?;
    let behaviour = behaviour::build(&config, relay_client, streams.clone(), &places)?;
    let mut swarm = build(&config, transport, behaviour);
    let mut waiting = Vec::new();
    for address in &config.announce {
        swarm.add_external_address(address.clone());
    }
    for address in &config.listen {
        waiting.push((listen(&mut swarm, address)?, address.clone()));
    }
    let meanwhile = bind(&mut swarm, waiting).await?;

    let (events, _) = broadcast::channel(EVENTS_MAX);
    let (listen_sender, listen) = watch::channel(Vec::new());
    let (reachability_sender, reachability) = watch::channel(Reachability::Unknown);
    let (stop, table) = (CancellationToken::new(), PeerTable::default());
    let (decisions, decided) = mpsc::channel(COMMANDS_MAX);
    let peers = peers::Driver::new(node, table.clone(), events.clone(), gate.clone());
    let mut event_loop = EventLoop {
        swarm,
        commands,
        decided,
        stop: stop.clone(),
        peers,
        relay: relay::Driver::new(gate),
        places,
        gossip: gossip::Driver::new(decisions, tasks.clone()),
        dht: dht::Driver::default(),
        announce_listen: config.relay_server.is_some() && config.announce.is_empty(),
        confirmed: config.announce.iter().cloned().collect(),
        listen: listen_sender,
        reachability: reachability_sender,
        table: table.clone(),
        meters: meters.clone(),
        streams: streams.clone(),
        metrics: Metrics::register(registry),
    };
    for event in meanwhile {
        event_loop.on_event(event);
    }
    event_loop.publish_addresses();
    tasks.spawn(event_loop.run());
    Ok(Arc::new(Shared {
        node,
        streams,
        peers: table,
        meters,
        listen,
        reachability,
        events,
        message_bytes_max: config.gossip.message_bytes_max,
        stop,
        tasks,
    }))
}

fn check(config: &Config) -> Result<(), StartError> {
    let name = &config.network;
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    if name.is_empty() || name.len() > 64 || !name.chars().all(plain) {
        return Err(StartError::NetworkName(name.clone()));
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
    let circuits = config
        .relay_server
        .as_ref()
        .map(|s| s.circuits_per_peer_max);
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
    transport: transport::Authenticated,
    behaviour: Behaviour,
) -> Swarm<Behaviour> {
    let settings = swarm::Config::with_tokio_executor()
        .with_substream_upgrade_protocol_override(Version::V1Lazy)
        .with_max_negotiating_inbound_streams(NEGOTIATING_INBOUND_MAX)
        .with_idle_connection_timeout(config.idle_timeout);
    let node = config.keypair.node_id();
    Swarm::new(transport, behaviour, *node.as_peer_id(), settings)
}

fn listen(swarm: &mut Swarm<Behaviour>, address: &Multiaddr) -> Result<ListenerId, StartError> {
    let failed = |reason: String| StartError::Listen {
        address: address.clone(),
        reason,
    };
    probe(address).map_err(|error| failed(error.to_string()))?;
    swarm
        .listen_on(address.clone())
        .map_err(|error| failed(error.to_string()))
}

/// libp2p shares a listening TCP port with whoever else would share it (`SO_REUSEPORT`), and then
/// each gets some of the connections. Binding it once without sharing finds out that it is taken.
fn probe(address: &Multiaddr) -> std::io::Result<()> {
    let mut parts = address.iter();
    let ip: IpAddr = match parts.next() {
        Some(Part::Ip4(ip)) => ip.into(),
        Some(Part::Ip6(ip)) => ip.into(),
        _ => return Ok(()),
    };
    match parts.next() {
        Some(Part::Tcp(port)) if port != 0 => TcpListener::bind((ip, port)).map(drop),
        _ => Ok(()),
    }
}

/// Waits until every listener has an address, so that a taken port is an error of the start.
/// What happens meanwhile, somebody connecting for instance, is for the loop to look at.
async fn bind(
    swarm: &mut Swarm<Behaviour>,
    mut waiting: Vec<(ListenerId, Multiaddr)>,
) -> Result<Vec<SwarmEvent<BehaviourEvent>>, StartError> {
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
