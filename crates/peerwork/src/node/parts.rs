//! Completes the settings of each part from the node's roles, network file and data directory.

use std::sync::Arc;

use multiaddr::Multiaddr;
use peerwork_directory::{
    self as directory, Description, Directory, Participation,
    advertisement::{Role, SERVICES_MAX, Service as Offered},
};
use peerwork_identity::{NetworkFile, NodeAddress};
use peerwork_net::{Network, Path, config::Dht, dial_policy::is_private_address};
use peerwork_tunnel::{KeyStore, connect::Connector, edge, ingress};

use super::error::StartError;
use crate::{
    Config,
    addresses::{AppAddress, TlsPorts},
    config,
    data_dir::DataDir,
    store,
};

/// The name of the file with the bearer keys in the data directory.
const KEYS_FILE: &str = "keys.json";

/// The network's settings. `handed` are the addresses on which the port for browsers accepts
/// connections.
pub(super) fn network(config: &Config, handed: Vec<Multiaddr>) -> peerwork_net::Config {
    let mut net = config.net.clone();
    net.agent = format!("peerwork/{}", config.version.trim_start_matches('v'));
    net.allow_private = is_private(config);
    net.handed = handed;
    let network = &config.network;
    net.membership.secrets.clone_from(&network.secrets);
    net.membership.entries = entries(network).next().is_some();
    net.relay_server = config.relay.as_ref().map(|relay| relay.server.clone());
    net.dht = match config.relay {
        Some(_) => Dht::Server,
        None => Dht::Client,
    };
    net
}

/// The direct addresses on which the network listens.
pub(super) fn direct_addresses(network: &Network) -> Vec<Multiaddr> {
    let listen = network.listen_addresses();
    let listen = listen.borrow();
    let direct = listen.iter().filter(|a| Path::of(a) == Path::Direct);
    direct.cloned().collect()
}

/// Whether an entry point of the network has a private address, as in a network on this machine or in a
/// local network. Then private addresses that other nodes name may be dialled.
fn is_private(config: &Config) -> bool {
    let mut named = entries(&config.network).map(|entry| &entry.transport);
    named.any(is_private_address)
}

/// The entry points that a network file names.
fn entries(network: &NetworkFile) -> impl Iterator<Item = &NodeAddress> {
    network.bootnodes.iter().chain(&network.relaynodes)
}

/// The directory's settings. `ingress_port` is the bound port of the node's own ingress.
pub(super) fn directory(config: &Config, ingress_port: Option<u16>) -> directory::Config {
    let mut directory = config.directory.clone();
    directory.participation = match config.relay {
        Some(_) => Participation::Relay,
        None => Participation::Leaf,
    };
    directory.bootnodes.clone_from(&config.network.bootnodes);
    let relays = config.network.relaynodes.iter();
    directory.trusted = relays.map(|relay| relay.node).collect();
    // A relay connects to the network file's relays only with `join_relays`.
    let joins = config.relay.as_ref().is_none_or(|relay| relay.join_relays);
    if joins || directory.keep_reservations {
        directory.relays.clone_from(&config.network.relaynodes);
    }
    directory.allow_private = is_private(config);
    directory.me = description(config, ingress_port);
    directory
}

fn description(config: &Config, relay_proxy_port: Option<u16>) -> Description {
    let edge = config.edge.as_ref();
    let ports = edge.iter().flat_map(|edge| &edge.settings.ports);
    Description {
        version: config.version.clone(),
        roles: roles(config),
        services: ports
            .take(SERVICES_MAX)
            .map(|port| Offered { port: *port })
            .collect(),
        requires_key: edge.is_some_and(|edge| edge.auth),
        relay_proxy_port,
        ..config.directory.me.clone()
    }
}

fn roles(config: &Config) -> Vec<Role> {
    let relay = config.relay.is_some().then_some(Role::Relay);
    let edge = config.edge.is_some().then_some(Role::Edge);
    let roles: Vec<Role> = relay.into_iter().chain(edge).collect();
    match roles.is_empty() {
        true => vec![Role::Peer],
        false => roles,
    }
}

/// The API's settings. Without an operator token, they get the token of the data directory.
pub(super) fn api(
    config: &Config,
    data_dir: Option<&DataDir>,
) -> Result<peerwork_api::config::Config, StartError> {
    let mut api = config.api.clone();
    if let Some(operator) = &mut api.operator
        && operator.token.is_none()
    {
        operator.token = data_dir.map(DataDir::operator_token).transpose()?;
    }
    Ok(api)
}

/// The content store, which is not open yet.
pub(super) fn store(
    config: &Config,
    data_dir: &Arc<DataDir>,
    network: &Network,
    directory: &Directory,
    connector: &Connector,
) -> store::Part {
    store::Part::new(store::Parts {
        settings: config.store.clone(),
        data_dir: Arc::clone(data_dir),
        network: network.clone(),
        directory: directory.clone(),
        connector: connector.clone(),
        allow_private: is_private(config),
    })
}

/// The HTTP ports that have a certificate.
pub(super) fn tls_ports(config: &Config) -> TlsPorts {
    let relay = config.relay.as_ref();
    let front = relay.and_then(|relay| relay.front.as_ref());
    let has = |http: &peerwork_listener::Config| http.preamble.tls.is_some();
    TlsPorts {
        ingress: config
            .ingress()
            .is_some_and(|ingress| has(&ingress.settings.http)),
        jsonrpc: config.api.json_rpc.as_ref().is_some_and(|at| has(&at.http)),
        front: front.is_some_and(|front| has(&front.settings)),
    }
}

/// The apps with ports of their own, at the addresses that were bound.
pub(super) fn app_addresses(config: &Config, ports: Option<&ingress::Ports>) -> Vec<AppAddress> {
    let apps = config
        .ingress()
        .into_iter()
        .flat_map(|ingress| &ingress.settings.apps);
    let bound = ports.into_iter().flat_map(ingress::Ports::apps);
    let of = |(app, address): (&ingress::AppPort, _)| AppAddress {
        address,
        node: app.node,
        port: app.port,
        https: app.https,
    };
    apps.zip(bound).map(of).collect()
}

/// The settings of the relay's ingress.
pub(super) fn ingress(
    config: &Config,
    wanted: &config::Ingress,
) -> Result<ingress::Config, StartError> {
    let mut settings = wanted.settings.clone();
    settings.about = ingress::About {
        name: config.network.name.clone(),
        network_id: config.network.network_id,
        version: config.version.clone(),
    };
    settings.auth = wanted.auth.then(|| keys(config)).transpose()?;
    Ok(settings)
}

/// The settings of the edge.
pub(super) fn edge(config: &Config, wanted: &config::Edge) -> Result<edge::Config, StartError> {
    let mut settings = wanted.settings.clone();
    settings.auth = wanted.auth.then(|| keys(config)).transpose()?;
    Ok(settings)
}

fn keys(config: &Config) -> Result<KeyStore, StartError> {
    let Some(data_dir) = &config.data_dir else {
        let reason = "bearer keys are kept in a data directory; name one, or switch keys off";
        return Err(StartError::Settings(reason.to_owned()));
    };
    KeyStore::open(&data_dir.join(KEYS_FILE)).map_err(StartError::Keys)
}
