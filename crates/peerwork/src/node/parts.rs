//! Each part's own settings, from the node's.

use std::{
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

use multiaddr::Multiaddr;
use peerwork_api::{
    Bound, NodeServices, Server, SharedRegistry,
    config::{JsonRpcConfig, OperatorConfig},
};
use peerwork_directory::{
    self as directory, Description, Directory, Participation,
    advertisement::{Role, SERVICES_MAX, Service as Offered},
};
use peerwork_net::{Network, Path, Served, config::Dht, dial_policy::is_private_address};
use peerwork_tunnel::{Edge, Ingress, KeyStore, edge, ingress};
use prometheus_client::registry::Registry;

use super::{StartError, certificate::Shown, is_relay};
use crate::{
    Config, access,
    config::Mode,
    data_dir::DataDir,
    front::{FrontSide, Listeners},
    operate::TunnelCount,
    routes::DirectoryRoutes,
};

/// The file with the bearer keys in the data directory.
const KEYS_FILE: &str = "keys.json";

pub(super) async fn network(
    config: &Config,
    handed: Vec<Multiaddr>,
    shown: Shown,
    registry: &mut Registry,
) -> Result<Network, StartError> {
    let mut net = peerwork_net::Config::new(
        config.keypair.clone(),
        config.network.network_id.to_string(),
    );
    let p2p = &config.p2p;
    net.agent = format!("peerwork/{}", config.version.trim_start_matches('v'));
    net.listen = p2p.listen.clone();
    net.announce = p2p.announce.clone();
    net.allow_private = is_private(config);
    net.mdns = p2p.mdns;
    net.upnp = p2p.upnp;
    net.autonat = p2p.autonat;
    net.hole_punching = p2p.hole_punching;
    net.handed = handed;
    shown.give(&mut net);
    net.ping_interval = p2p.ping_interval;
    net.gossip.hub = p2p.hub.clone();
    net.limits.connections_max = p2p.connections_max;
    net.limits.connections_per_address_max = p2p.connections_per_address_max;
    net.relay_server = is_relay(config.mode).then(|| p2p.relay.clone());
    net.dht = if is_relay(config.mode) {
        Dht::Server
    } else {
        Dht::Client
    };
    let network = Network::start(net, registry).await;
    network.map_err(|error| StartError::Network(Box::new(error)))
}

/// The check of tokens at a relay that is closed to strangers.
pub(super) fn access(config: &Config, network: &Network) -> Result<Option<Served>, StartError> {
    let tokens = config.p2p.relay_tokens.clone();
    let asked = (!tokens.is_empty()).then(|| access::serve(network, tokens));
    asked.transpose().map_err(StartError::Access)
}

/// Addresses for nodes that are no circuits.
pub(super) fn direct_addresses(network: &Network) -> Vec<Multiaddr> {
    let listen = network.listen_addresses();
    let listen = listen.borrow();
    let direct = listen.iter().filter(|a| Path::of(a) == Path::Direct);
    direct.cloned().collect()
}

/// Whether the network is one of this machine or a local network: then private addresses that
/// others name may be dialled.
fn is_private(config: &Config) -> bool {
    let network = &config.network;
    let entries = network.bootnodes.iter().chain(&network.relaynodes);
    let mut named = entries.map(|entry| &entry.transport);
    named.any(is_private_address)
}

/// What the network hears of a port for browsers.
pub(super) fn front_listeners(config: &Config, bound: &Bound) -> Listeners {
    let encrypts = config
        .front
        .as_ref()
        .is_some_and(|f| f.settings.tls.is_some());
    Listeners::new(bound.address(), encrypts)
}

/// Serves the port for browsers, and says to pages where it is.
pub(super) async fn front(
    config: &Config,
    network: &Network,
    api: &peerwork_api::Handle,
    bound: Bound,
    listeners: Listeners,
) -> Result<Arc<FrontSide>, StartError> {
    let settings = config.front.as_ref().map(|front| front.settings.clone());
    let side = FrontSide::start(config.clone(), network.clone(), listeners);
    api.serve_front(bound, &settings.unwrap_or_default(), side.clone())
        .await
        .map_err(StartError::Api)?;
    side.write_config()?;
    Ok(side)
}

pub(crate) fn millis_since_1970() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    u64::try_from(since.unwrap_or_default().as_millis()).unwrap_or(u64::MAX)
}

pub(super) async fn directory(
    config: &Config,
    network: &Network,
    proxy_port: Option<u16>,
    registry: &mut Registry,
) -> Result<Directory, StartError> {
    let relay = is_relay(config.mode);
    let participation = if relay {
        Participation::Relay
    } else {
        Participation::Leaf
    };
    let mut directory =
        directory::Config::new(config.network.network_id.to_string(), participation);
    directory.me = description(config, proxy_port);
    directory.bootnodes = config.network.bootnodes.clone();
    // A relay joins the network file's relays only when told to find relays there.
    if !relay || config.p2p.relay_discovery {
        directory.relays = config.network.relaynodes.clone();
    }
    directory.keep_reservations = !relay && config.p2p.reserve;
    directory.heartbeat = config.p2p.heartbeat;
    directory.expiry = config.p2p.expiry;
    directory.allow_private = is_private(config);
    let keypair = config.keypair.clone();
    Directory::start(directory, network.clone(), keypair, registry)
        .await
        .map_err(StartError::Directory)
}

fn description(config: &Config, relay_proxy_port: Option<u16>) -> Description {
    let app = &config.app;
    let edge = config.mode == Mode::Edge;
    let ports = app.ports.iter().filter(|_| edge).take(SERVICES_MAX);
    Description {
        name: app.name.clone(),
        version: config.version.clone(),
        roles: vec![match config.mode {
            Mode::Relay => Role::Relay,
            Mode::Edge => Role::Edge,
            Mode::Peer => Role::Peer,
        }],
        services: ports.map(|port| Offered { port: *port }).collect(),
        requires_key: edge && app.auth,
        app_origin: app.origin.clone(),
        model_hash: String::new(),
        relay_proxy_port,
    }
}

/// JSON-RPC, operator gRPC and metrics.
pub(super) async fn api(
    config: &Config,
    services: NodeServices,
    data_dir: Option<&DataDir>,
    registry: SharedRegistry,
) -> Result<peerwork_api::Handle, StartError> {
    let json_rpc = config.jsonrpc.map(|address| {
        let mut json_rpc = JsonRpcConfig::new(address);
        json_rpc.cors_origins = config.cors_origins.clone();
        json_rpc.limits.batch_max = usize::try_from(config.jsonrpc_batch_max).unwrap_or(usize::MAX);
        json_rpc
    });
    let operator = match config.grpc {
        Some(address) => {
            let token = data_dir.map(DataDir::operator_token).transpose()?;
            Some(OperatorConfig::new(address, token))
        }
        None => None,
    };
    let api = peerwork_api::config::Config {
        json_rpc,
        operator,
        metrics_address: config.metrics,
        ..peerwork_api::config::Config::default()
    };
    Server::start(api, services, registry)
        .await
        .map_err(StartError::Api)
}

/// HTTP ingress, on a relay that has an address for it.
pub(super) async fn ingress(
    config: &Config,
    network: &Network,
    routes: Arc<DirectoryRoutes>,
    registry: &mut Registry,
) -> Result<Option<Ingress>, StartError> {
    let Some(settings) = &config.ingress else {
        return Ok(None);
    };
    let about = ingress::About {
        name: config.network.name.clone(),
        network_id: config.network.network_id,
        version: config.version.clone(),
    };
    let mut ingress = ingress::Config::new(settings.listen, about);
    ingress.auth = settings.auth.then(|| keys(config)).transpose()?;
    ingress.cors_origins = config.cors_origins.clone();
    ingress.limits.requests_max = settings.requests_max;
    ingress.limits.requests_per_node_max = settings.requests_per_node_max;
    ingress.deadlines.response = settings.response_timeout;
    Ingress::start(ingress, network.clone(), routes, registry)
        .await
        .map(Some)
        .map_err(StartError::Tunnel)
}

/// The offering side, on an edge.
pub(super) fn edge(
    config: &Config,
    network: &Network,
    registry: &mut Registry,
) -> Result<Option<Edge>, StartError> {
    if config.mode != Mode::Edge {
        return Ok(None);
    }
    let app = &config.app;
    let mut edge = edge::Config::new(app.host.clone(), app.ports.iter().copied());
    edge.auth = app.auth.then(|| keys(config)).transpose()?;
    edge.callers = app.callers.as_ref().map(|c| c.iter().copied().collect());
    edge.limits.tunnels_max = app.tunnels_max;
    Edge::start(edge, network, registry)
        .map(Some)
        .map_err(StartError::Tunnel)
}

fn keys(config: &Config) -> Result<KeyStore, StartError> {
    let Some(data_dir) = &config.data_dir else {
        let reason = "bearer keys are kept in a data directory; name one, or switch keys off";
        return Err(StartError::Settings(reason.to_owned()));
    };
    KeyStore::open(&data_dir.join(KEYS_FILE)).map_err(StartError::Keys)
}

/// Counts what the ingress and the edge have under way.
pub(super) fn tunnel_counts(ingress: Option<&Ingress>, edge: Option<&Edge>) -> TunnelCount {
    let ingress = ingress.map(Ingress::counter);
    let edge = edge.map(Edge::counter);
    Arc::new(move || {
        let ingress = ingress.as_ref().map_or(0, |count| count());
        let edge = edge.as_ref().map_or(0, |count| count());
        (ingress + edge) as u64
    })
}
