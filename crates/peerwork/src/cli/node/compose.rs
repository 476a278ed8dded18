//! Builds the node's configuration from the settings of `peerwork node`, and reports all contradictions
//! at once.

use std::{net::SocketAddr, path::Path};

use peerwork::config::{Config, Edge, Ingress, JsonRpcConfig, OperatorConfig, Relay, RelayServer};
use peerwork_listener::Proxies;

use super::flags::{NodeFlags, P2pFlags, RelayFlags};
use crate::cli::{
    app_listen,
    apps::AppFlags,
    listen::{Claim, Listener, announced, clashes, quic, tcp, web_socket},
    network_file::Chosen,
    network_sources::Sources,
    running::{Found, ORIGIN_BYTES_MAX, nodes, tokens},
    settings::Mistakes,
    values::{Listen, app_paths, count, header_case},
    version::RELEASE,
};

/// The default address of the operator API: a free port, which the node writes into its data directory.
pub(super) const GRPC_ADDRESS: &str = "127.0.0.1:0";

/// Builds the configuration that `flags` describe.
///
/// # Errors
/// All contradictions between the settings.
pub(super) fn config(flags: &NodeFlags, found: Found<'_>) -> anyhow::Result<Config> {
    let mut mistakes = Vec::new();
    let listeners = listeners(&flags.p2p);
    let grpc = grpc(found.grpc_address, &mut mistakes);
    let ingress = flags.relay.relay_ingress.address();
    let ingress = ingress.filter(|_| flags.relay.relay);
    check_apps(&flags.relay, ingress, &mut mistakes);
    mistakes.extend(clashes(&claims(flags, &listeners, grpc, ingress)));
    let relay = relay(flags, ingress, &mut mistakes);
    let edge = edge(flags, &mut mistakes);
    if flags.origin.len() > ORIGIN_BYTES_MAX {
        mistakes.push(format!("--origin is longer than {ORIGIN_BYTES_MAX} bytes"));
    }
    let p2p = &flags.p2p;
    let announce = announced(&p2p.announce, p2p.nat, p2p.dns.as_ref(), &listeners);
    let announce = announce.unwrap_or_else(|mistake| {
        mistakes.push(mistake);
        Vec::new()
    });
    if !mistakes.is_empty() {
        return Err(Mistakes(mistakes).into());
    }
    let mut config = Config::new(found.keypair, found.network.network, RELEASE);
    config.network_file = found.network.file;
    config.data_dir = Some(found.data_dir);
    let net = &mut config.net;
    net.listen = listeners.into_iter().map(|l| l.address).collect();
    net.announce = announce;
    net.mdns = p2p.mdns;
    net.upnp = p2p.upnp;
    net.hole_punching = !p2p.no_hole_punching;
    net.limits.connections_max = p2p.max_connections;
    let directory = &mut config.directory;
    directory.me.name.clone_from(&flags.name);
    directory.me.app_origin.clone_from(&flags.origin);
    // A relay needs no reservation: other nodes reach it at its own addresses.
    let is_reached = flags.edge.edge || flags.store.store;
    directory.keep_reservations = is_reached && !flags.edge.edge_no_reserve && !flags.relay.relay;
    config.relay = flags.relay.relay.then_some(relay);
    config.edge = flags.edge.edge.then_some(edge);
    config.api.json_rpc = flags.jsonrpc.address().map(|at| {
        let mut json_rpc = json_rpc(flags, at);
        let proxies = flags.relay.relay_trusted_proxy.clone();
        json_rpc.http.preamble.proxies = Proxies::new(proxies);
        json_rpc
    });
    config.store = flags.store.config();
    config.gateway = flags.gateway.config();
    config.api.operator = grpc.map(|at| OperatorConfig::new(at, None));
    config.api.metrics_address = flags.metrics.address();
    Ok(config)
}

/// Loads the network and adds the entry points of the flags.
///
/// # Errors
/// When a network file cannot be loaded.
pub(super) fn network(flags: &NodeFlags, data_dir: &Path) -> anyhow::Result<Chosen> {
    let chosen = sources(flags, data_dir).choose()?;
    let mut chosen = chosen.unwrap_or_else(Chosen::without_a_file);
    let network = &mut chosen.network;
    network.bootnodes.extend(flags.bootnode.iter().cloned());
    network.relaynodes.extend(flags.relaynode.iter().cloned());
    Ok(chosen)
}

/// The sources of the node's network.
pub(super) fn sources<'a>(flags: &'a NodeFlags, data_dir: &'a Path) -> Sources<'a> {
    Sources {
        named: flags.network.as_deref(),
        ticket: flags.join.as_deref(),
        data_dir,
    }
}

/// The names of the node's roles.
pub(super) fn roles(config: &Config) -> Vec<&'static str> {
    let relay = config.relay.is_some().then_some("relay");
    let edge = config.edge.is_some().then_some("edge");
    let roles: Vec<_> = relay.into_iter().chain(edge).collect();
    match roles.is_empty() {
        true => vec!["peer"],
        false => roles,
    }
}

fn grpc(address: Option<&str>, mistakes: &mut Vec<String>) -> Option<SocketAddr> {
    let address = address.unwrap_or(GRPC_ADDRESS);
    let grpc: Listen = address.parse().unwrap_or_else(|reason| {
        mistakes.push(format!("--grpc-address = `{address}`: {reason}"));
        Listen::Off
    });
    grpc.address()
}

/// All listen addresses of the peer-to-peer side.
fn listeners(flags: &P2pFlags) -> Vec<Listener> {
    let mut listeners = Vec::new();
    let mut push = |flag, address| listeners.push(Listener { flag, address });
    if let Some(at) = flags.libp2p.address() {
        push("--libp2p", tcp(at));
        if !flags.no_quic {
            push("--libp2p", quic(at));
        }
    }
    if let Some(at) = flags.websocket.address() {
        push("--websocket", web_socket(at));
    }
    for address in &flags.listen {
        push("--listen", address.clone());
    }
    listeners
}

fn claims(
    flags: &NodeFlags,
    listeners: &[Listener],
    grpc: Option<SocketAddr>,
    ingress: Option<SocketAddr>,
) -> Vec<Claim> {
    let http = [
        ("--relay-ingress", ingress),
        ("--jsonrpc", flags.jsonrpc.address()),
        ("--grpc-address", grpc),
        ("--metrics", flags.metrics.address()),
        ("--gateway", flags.gateway.gateway.address()),
    ];
    let http = http.into_iter();
    let http = http.filter_map(|(flag, at)| Some(Claim::http(flag, at?)));
    listeners
        .iter()
        .filter_map(Claim::p2p)
        .chain(http)
        .chain(APP_LISTEN.claims(&flags.relay.relay_app_listen))
        .collect()
}

/// The names of the flags around `--relay-app-listen`.
const APP_LISTEN: app_listen::Flags = app_listen::Flags {
    app_listen: "--relay-app-listen",
    ingress: "--relay-ingress",
    tls: "--relay-tls",
    relay: "--relay",
};

fn check_apps(flags: &RelayFlags, ingress: Option<SocketAddr>, mistakes: &mut Vec<String>) {
    let given = app_listen::Given {
        is_relay: flags.relay,
        has_ingress: ingress.is_some(),
        has_certificate: flags.relay_tls_cert.is_some(),
    };
    APP_LISTEN.check(&flags.relay_app_listen, &given, mistakes);
}

fn relay(flags: &NodeFlags, ingress: Option<SocketAddr>, mistakes: &mut Vec<String>) -> Relay {
    let relay = &flags.relay;
    let allowed = nodes("--relay-allow", &relay.relay_allow, mistakes);
    let tokens = tokens("--relay-token", &relay.relay_token, mistakes);
    let closed = !allowed.is_empty() || !tokens.is_empty();
    let preamble = relay.preamble().preamble_of("relay-", mistakes);
    Relay {
        server: RelayServer {
            reservations_max: count(relay.relay_max_reservations),
            circuits_max: count(relay.relay_max_circuits),
            circuit_bytes_max: Some(relay.relay_circuit_bytes).filter(|bytes| *bytes > 0),
            circuit_duration: Some(relay.relay_circuit_duration).filter(|d| !d.is_zero()),
            allowed: closed.then_some(allowed),
            ..RelayServer::default()
        },
        tokens,
        join_relays: relay.relay_join,
        ingress: ingress.map(|listen| {
            let origins = &flags.access_control_allow_origins;
            let mut ingress = ingress_at(listen, relay, origins);
            ingress.settings.http.preamble = preamble;
            ingress
        }),
        front: None,
    }
}

fn ingress_at(listen: SocketAddr, flags: &RelayFlags, origins: &[String]) -> Ingress {
    let mut ingress = Ingress::new(listen);
    ingress.auth = !flags.relay_open;
    let settings = &mut ingress.settings;
    settings.cors_origins = origins.to_vec();
    settings.apps.clone_from(&flags.relay_app_listen);
    settings.http.header_case = header_case(flags.relay_keep_header_case);
    settings.app_paths = app_paths(flags.relay_keep_paths);
    settings.deadlines.response = flags.relay_response_timeout;
    settings.limits.requests_max = count(flags.relay_max_requests);
    settings.limits.requests_per_node_max = count(flags.relay_max_requests_per_node);
    ingress
}

fn edge(flags: &NodeFlags, mistakes: &mut Vec<String>) -> Edge {
    let flags = &flags.edge;
    let callers = nodes("--edge-caller", &flags.edge_caller, mistakes);
    let mut edge = Edge::new(flags.edge_url.clone(), []);
    let apps = AppFlags {
        prefix: "edge",
        ports: &flags.edge_port,
        ca: flags.edge_ca.as_deref(),
        insecure: flags.edge_insecure,
    };
    apps.apply(&mut edge.settings, mistakes);
    edge.auth = !flags.edge_open;
    edge.settings.callers = Some(callers).filter(|callers| !callers.is_empty());
    edge
}

fn json_rpc(flags: &NodeFlags, at: SocketAddr) -> JsonRpcConfig {
    let mut json_rpc = JsonRpcConfig::new(at);
    let origins = &flags.access_control_allow_origins;
    json_rpc.cors_origins.clone_from(origins);
    json_rpc
}
