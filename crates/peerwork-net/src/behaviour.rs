//! The swarm's behaviour: which protocols are spoken. No logic.

use libp2p::{
    allow_block_list::{self, BlockedPeers},
    autonat, connection_limits,
    connection_limits::ConnectionLimits,
    dcutr, identify, kad,
    kad::store::MemoryStore,
    mdns, memory_connection_limits, ping, relay,
    swarm::{NetworkBehaviour, behaviour::toggle::Toggle},
    upnp,
};

use crate::{
    config::{Config, RelayServer},
    dht,
    error::StartError,
    gossip,
    peers::AddressLimits,
    relay::Places,
    streams,
};

#[derive(NetworkBehaviour)]
pub(crate) struct Behaviour {
    pub(crate) blocks: allow_block_list::Behaviour<BlockedPeers>,
    pub(crate) limits: connection_limits::Behaviour,
    pub(crate) addresses: AddressLimits,
    pub(crate) memory: memory_connection_limits::Behaviour,
    pub(crate) streams: streams::Behaviour,
    pub(crate) identify: identify::Behaviour,
    pub(crate) ping: ping::Behaviour,
    pub(crate) relay_client: relay::client::Behaviour,
    pub(crate) relay_server: Toggle<relay::Behaviour>,
    pub(crate) dcutr: Toggle<dcutr::Behaviour>,
    pub(crate) autonat_client: Toggle<autonat::v2::client::Behaviour>,
    pub(crate) autonat_server: Toggle<autonat::v2::server::Behaviour>,
    pub(crate) upnp: Toggle<upnp::tokio::Behaviour>,
    pub(crate) mdns: Toggle<mdns::tokio::Behaviour>,
    pub(crate) gossip: gossip::Behaviour,
    pub(crate) kad: Toggle<kad::Behaviour<MemoryStore>>,
}

/// Builds all parts from the settings.
pub(crate) fn build(
    config: &Config,
    relay_client: relay::client::Behaviour,
    registry: streams::Registry,
    places: &Places,
) -> Result<Behaviour, StartError> {
    let keypair = config.keypair.libp2p();
    let this = keypair.public().to_peer_id();
    // Without a signed record of addresses: libp2p's identify signs it in a form of its own, which
    // js-libp2p takes for forged, and then it believes nothing of the whole message.
    let identify = identify::Config::new(format!("peerwork/{}", config.network), keypair.public())
    .with_agent_version(config.agent.clone())
    .with_push_listen_addr_updates(true)
    // Dials go where a service says; what a node claims of itself is not remembered for them.
    .with_cache_size(0);
    let ping = ping::Config::new()
        .with_interval(config.ping_interval)
        .with_timeout(config.ping_interval);
    let autonat = |on: bool| on && config.autonat;
    Ok(Behaviour {
        blocks: allow_block_list::Behaviour::default(),
        limits: connection_limits::Behaviour::new(connection_limits(config)),
        addresses: address_limits(config),
        memory: memory_connection_limits::Behaviour::with_max_percentage(
            config.limits.memory_share_max,
        ),
        streams: streams::Behaviour::new(registry, config.limits.opens_per_connection_max),
        identify: identify::Behaviour::new(identify),
        ping: ping::Behaviour::new(ping),
        relay_client,
        relay_server: config
            .relay_server
            .as_ref()
            .map(|server| relay_server(this, server, places))
            .into(),
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
        kad: dht::build(this, &config.network, config.dht)?,
    })
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

/// libp2p's own limiters count by address without knowing of proxies and class rooms; `Places` decides
/// in their stead.
fn relay_server(this: libp2p::PeerId, server: &RelayServer, places: &Places) -> relay::Behaviour {
    let forever = std::time::Duration::from_secs(u64::from(u32::MAX));
    let mut behaviour = relay::Behaviour::new(
        this,
        relay::Config {
            max_reservations: usize::MAX,
            max_reservations_per_peer: server.reservations_per_peer_max,
            reservation_duration: server.reservation_duration,
            reservation_rate_limiters: vec![Box::new(places.limiter())],
            max_circuits: server.circuits_max,
            max_circuits_per_peer: server.circuits_per_peer_max,
            max_circuit_duration: server.circuit_duration.unwrap_or(forever).min(forever),
            max_circuit_bytes: server.circuit_bytes_max.unwrap_or(0),
            circuit_src_rate_limiters: Vec::new(),
        },
    );
    // Without a confirmed external address the behaviour would offer nothing; a relay that was
    // configured as one offers, on private networks too.
    behaviour.set_status(Some(relay::Status::Enable));
    behaviour
}
