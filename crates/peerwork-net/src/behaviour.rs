//! The swarm's behaviour combines the protocols that this node speaks; it holds no logic.

mod boxed;

use libp2p::{
    allow_block_list::{self, BlockedPeers},
    autonat, connection_limits,
    connection_limits::ConnectionLimits,
    dcutr, identify, mdns, memory_connection_limits, ping, relay,
    swarm::{NetworkBehaviour, behaviour::toggle::Toggle},
    upnp,
};

use crate::{
    config::{self, Config},
    dht,
    error::StartError,
    gossip,
    membership::{self, Membership},
    peers::AddressLimits,
    streams,
};

pub(crate) use boxed::Boxed;

/// The membership gate stands before all parts. The handlers are boxed, because libp2p copies a
/// connection's handler several times while the connection is set up, and keeps the memory.
pub(crate) type Behaviour = Boxed<membership::Behaviour<Parts>, false>;
/// The events of all parts and of the gate.
pub(crate) type Event = membership::Event<PartsEvent>;

#[derive(NetworkBehaviour)]
pub(crate) struct Parts {
    pub(crate) blocks: allow_block_list::Behaviour<BlockedPeers>,
    pub(crate) limits: connection_limits::Behaviour,
    pub(crate) addresses: AddressLimits,
    pub(crate) memory: memory_connection_limits::Behaviour,
    pub(crate) streams: streams::Behaviour,
    pub(crate) identify: identify::Behaviour,
    pub(crate) ping: ping::Behaviour,
    /// The handler is polled again after an event: libp2p's own leaves the second of two circuits that
    /// arrive at once until the connection is polled for another reason.
    pub(crate) relay_client: Boxed<relay::client::Behaviour, true>,
    pub(crate) dcutr: Toggle<dcutr::Behaviour>,
    pub(crate) autonat_client: Toggle<autonat::v2::client::Behaviour>,
    pub(crate) autonat_server: Toggle<autonat::v2::server::Behaviour>,
    pub(crate) upnp: Toggle<upnp::tokio::Behaviour>,
    pub(crate) mdns: Toggle<mdns::tokio::Behaviour>,
    pub(crate) gossip: gossip::Behaviour,
    pub(crate) kad: dht::Behaviour,
}

/// Builds all parts from the settings.
pub(crate) fn build(
    config: &Config,
    relay_client: relay::client::Behaviour,
    registry: streams::Registry,
    membership: Membership,
) -> Result<Behaviour, StartError> {
    let keypair = config.keypair.libp2p();
    let this = keypair.public().to_peer_id();
    // identify runs without a signed peer record: rust-libp2p signs the record in a form that js-libp2p
    // takes for forged, and js-libp2p then drops the whole identify message.
    let identify = identify::Config::new(format!("peerwork/{}", config.network), keypair.public())
    .with_agent_version(config.agent.clone())
    .with_push_listen_addr_updates(true)
    // The behaviour caches no addresses from identify, because services name the addresses of their
    // dials.
    .with_cache_size(0);
    let ping = ping::Config::new()
        .with_interval(config.ping_interval)
        .with_timeout(config.ping_interval);
    let autonat = |on: bool| on && config.autonat;
    let parts = Parts {
        blocks: allow_block_list::Behaviour::default(),
        limits: connection_limits::Behaviour::new(connection_limits(config)),
        addresses: address_limits(config),
        memory: memory_connection_limits::Behaviour::with_max_percentage(
            config.limits.memory_share_max,
        ),
        streams: streams::Behaviour::new(registry.clone(), config.limits.opens_per_connection_max),
        identify: identify::Behaviour::new(identify),
        ping: ping::Behaviour::new(ping),
        relay_client: Boxed::new(relay_client),
        dcutr: config
            .hole_punching
            .then(|| dcutr::Behaviour::new(this))
            .into(),
        autonat_client: autonat(true)
            .then(autonat::v2::client::Behaviour::default)
            .into(),
        autonat_server: autonat(config.relay_server.is_some())
            .then(autonat::v2::server::Behaviour::default)
            .into(),
        upnp: config.upnp.then(upnp::tokio::Behaviour::default).into(),
        mdns: build_mdns(config)?.into(),
        gossip: gossip::build(&config.keypair, &config.gossip)?,
        kad: dht::build(this, &config.network, config.dht, config.dht_keys)?,
    };
    let patience = config.limits.handshake_timeout;
    let unproven = unproven_max(&config.limits);
    let gated = membership::Behaviour::new(parts, membership, registry, patience, unproven);
    Ok(Boxed::new(gated))
}

/// Connections that have not proven the network's secret: a quarter of all, so that strangers leave room
/// for members and for this node's own dials.
fn unproven_max(limits: &config::Limits) -> usize {
    usize::try_from(limits.connections_max / 4).map_or(usize::MAX, |quarter| quarter.max(1))
}

fn build_mdns(config: &Config) -> Result<Option<mdns::tokio::Behaviour>, StartError> {
    if !config.mdns {
        return Ok(None);
    }
    let this = config.keypair.libp2p().public().to_peer_id();
    mdns::tokio::Behaviour::new(mdns::Config::default(), this)
        .map(Some)
        .map_err(|error| StartError::Behaviour {
            protocol: "mdns",
            reason: error.to_string(),
        })
}

fn address_limits(config: &Config) -> AddressLimits {
    let limits = &config.limits;
    let max = |of: u32| usize::try_from(of).unwrap_or(usize::MAX);
    AddressLimits::new(
        max(limits.connections_per_address_max),
        max(limits.handshakes_per_address_max),
    )
}

fn connection_limits(config: &Config) -> ConnectionLimits {
    let limits = &config.limits;
    ConnectionLimits::default()
        .with_max_pending_incoming(Some(limits.handshakes_inbound_max))
        .with_max_pending_outgoing(Some(limits.handshakes_outbound_max))
        .with_max_established(Some(limits.connections_max))
        .with_max_established_per_peer(Some(limits.connections_per_peer_max))
}
