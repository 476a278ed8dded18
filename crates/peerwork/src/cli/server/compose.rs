//! Builds the node's configuration from the settings of `peerwork server`, and reports all
//! contradictions at once.

use std::net::SocketAddr;

use peerwork::config::{Config, Edge, Ingress, JsonRpcConfig, OperatorConfig, Relay, RelayServer};
use peerwork_listener::Preamble;
use peerwork_net::config::Limits;

use super::{
    flags::{P2pFlags, RunningMode, ServerFlags},
    listeners::listeners,
};
use crate::cli::{
    app_listen,
    apps::AppFlags,
    listen::{Claim, Listener, announced, clashes, loopback_only},
    network_file::Chosen,
    nodes::DEFAULT_ADDRESS,
    offer::EXAMPLE_PORT,
    running::{Found, ORIGIN_BYTES_MAX, nodes},
    settings::Mistakes,
    values::{Listen, app_paths, count, header_case},
    version::RELEASE,
};

/// The number of inbound peers where only the outbound number is given, as in EdgeMatrix.
const INBOUND_DEFAULT: u32 = 32;
/// The number of outbound peers where only the inbound number is given, as in EdgeMatrix.
const OUTBOUND_DEFAULT: u32 = 8;

/// Builds the configuration that `flags` describe.
///
/// # Errors
/// All contradictions between the settings.
pub(super) fn config(flags: &ServerFlags, found: Found<'_>) -> anyhow::Result<Config> {
    let mut mistakes = Vec::new();
    let listeners = listeners(&flags.p2p, flags.running_mode);
    let http = HttpListeners::new(flags, found.grpc_address, &mut mistakes);
    check_apps(flags, &http, &mut mistakes);
    let claims: Vec<Claim> = listeners
        .iter()
        .filter_map(Claim::p2p)
        .chain(http.claims())
        .chain(APP_LISTEN.claims(&flags.relay.app_listen))
        .collect();
    mistakes.extend(clashes(&claims));
    let p2p = &flags.p2p;
    let announce = announced(&p2p.announce, p2p.nat, p2p.dns.as_ref(), &listeners);
    let announce = announce.unwrap_or_else(|mistake| {
        mistakes.push(mistake);
        Vec::new()
    });
    let edge = edge(flags, &mut mistakes);
    let preamble = flags.preamble.preamble(&mut mistakes);
    if flags.p2p.mdns && flags.p2p.no_mdns {
        mistakes.push("--mdns and --no-mdns contradict each other".to_owned());
    }
    if !mistakes.is_empty() {
        return Err(Mistakes(mistakes).into());
    }
    warn_lonely(flags, &found.network, &listeners);
    let Chosen { network, file } = found.network;
    let mut config = Config::new(found.keypair, network, RELEASE);
    config.network_file = file;
    config.data_dir = Some(found.data_dir);
    let net = &mut config.net;
    net.mdns = mdns(p2p, &listeners);
    net.listen = listeners.into_iter().map(|l| l.address).collect();
    net.announce = announce;
    net.upnp = p2p.upnp;
    net.hole_punching = !p2p.no_hole_punching;
    net.limits.connections_max = connections_max(p2p);
    // A relay needs no reservation: other nodes reach it at its own addresses.
    config.directory.keep_reservations =
        flags.edge.relay_on && flags.running_mode != RunningMode::Full;
    let me = &mut config.directory.me;
    me.name.clone_from(&flags.edge.app_name);
    me.app_origin.clone_from(&flags.edge.app_origin);
    match flags.running_mode {
        RunningMode::Full => config.relay = Some(relay(flags, http.ingress, preamble.clone())),
        RunningMode::Edge => config.edge = Some(edge),
        RunningMode::Peer => {}
    }
    config.api.json_rpc = http.jsonrpc.map(|at| json_rpc(flags, at, &preamble));
    config.store = flags.store.config();
    config.gateway = flags.gateway.config();
    config.api.operator = http.grpc.map(|at| OperatorConfig::new(at, None));
    config.api.metrics_address = http.metrics;
    Ok(config)
}

/// The names of the flags around `--app-listen`.
const APP_LISTEN: app_listen::Flags = app_listen::Flags {
    app_listen: "--app-listen",
    ingress: "--trans-proxy",
    tls: "--tls",
    relay: "--running-mode full",
};

fn check_apps(flags: &ServerFlags, http: &HttpListeners, mistakes: &mut Vec<String>) {
    let given = app_listen::Given {
        is_relay: flags.running_mode == RunningMode::Full,
        has_ingress: http.ingress.is_some(),
        has_certificate: flags.preamble.tls_cert.is_some(),
    };
    APP_LISTEN.check(&flags.relay.app_listen, &given, mistakes);
}

fn relay(flags: &ServerFlags, ingress: Option<SocketAddr>, preamble: Preamble) -> Relay {
    let relay = &flags.relay;
    Relay {
        server: RelayServer {
            reservations_max: count(relay.max_reservations),
            circuits_max: count(relay.max_circuits),
            circuit_bytes_max: Some(relay.circuit_bytes).filter(|bytes| *bytes > 0),
            circuit_duration: Some(relay.circuit_duration).filter(|d| !d.is_zero()),
            ..RelayServer::default()
        },
        join_relays: relay.relay_discovery,
        ingress: ingress.map(|listen| {
            let mut ingress = Ingress::new(listen);
            ingress.settings.http.preamble = preamble;
            ingress.auth = !flags.edge.app_no_auth;
            let settings = &mut ingress.settings;
            settings
                .cors_origins
                .clone_from(&relay.access_control_allow_origins);
            settings.apps.clone_from(&relay.app_listen);
            settings.http.header_case = header_case(relay.keep_header_case);
            settings.app_paths = app_paths(relay.keep_paths);
            settings.deadlines.response = relay.response_timeout;
            settings.limits.requests_max = count(relay.max_requests);
            settings.limits.requests_per_node_max = count(relay.max_requests_per_node);
            ingress
        }),
        ..Relay::default()
    }
}

fn json_rpc(flags: &ServerFlags, at: SocketAddr, preamble: &Preamble) -> JsonRpcConfig {
    let mut json_rpc = JsonRpcConfig::new(at);
    let relay = &flags.relay;
    let origins = &relay.access_control_allow_origins;
    json_rpc.cors_origins.clone_from(origins);
    if origins.is_empty() {
        // JSON-RPC reads no cookies, and EdgeMatrix's pages of any origin call it.
        json_rpc.cors_origins.push("*".to_owned());
    }
    json_rpc.http.preamble.proxies = preamble.proxies.clone();
    json_rpc.limits.batch_max = count(relay.json_rpc_batch_request_limit);
    json_rpc
}

/// The listen addresses of HTTP and gRPC.
struct HttpListeners {
    ingress: Option<SocketAddr>,
    jsonrpc: Option<SocketAddr>,
    grpc: Option<SocketAddr>,
    metrics: Option<SocketAddr>,
    gateway: Option<SocketAddr>,
}

impl HttpListeners {
    fn new(flags: &ServerFlags, grpc: Option<&str>, mistakes: &mut Vec<String>) -> Self {
        let relay_only = |listen: Listen| match flags.running_mode {
            RunningMode::Full => listen.address(),
            RunningMode::Edge | RunningMode::Peer => None,
        };
        let grpc = grpc.unwrap_or(DEFAULT_ADDRESS);
        let grpc: Listen = grpc.parse().unwrap_or_else(|reason| {
            mistakes.push(format!("--grpc-address = `{grpc}`: {reason}"));
            Listen::Off
        });
        Self {
            ingress: relay_only(flags.relay.trans_proxy),
            jsonrpc: relay_only(flags.relay.jsonrpc),
            grpc: grpc.address(),
            metrics: flags.metrics.address(),
            gateway: flags.gateway.gateway.address(),
        }
    }

    fn claims(&self) -> impl Iterator<Item = Claim> {
        [
            ("--trans-proxy", self.ingress),
            ("--jsonrpc", self.jsonrpc),
            ("--grpc-address", self.grpc),
            ("--metrics", self.metrics),
            ("--gateway", self.gateway),
        ]
        .into_iter()
        .filter_map(|(flag, at)| Some(Claim::http(flag, at?)))
    }
}

fn edge(flags: &ServerFlags, mistakes: &mut Vec<String>) -> Edge {
    let edge = &flags.edge;
    if edge.app_origin.len() > ORIGIN_BYTES_MAX {
        mistakes.push(format!(
            "--app-origin is longer than {ORIGIN_BYTES_MAX} bytes"
        ));
    }
    let callers = nodes("--allow-caller", &edge.allow_caller, mistakes);
    // Only ports that flags name are offered; the example's port is the default when no flag names any.
    let mut default = edge.app_default_port;
    if edge.app_port.is_empty() {
        default.get_or_insert(EXAMPLE_PORT);
    }
    let mut config = Edge::new(edge.app_url.clone(), default);
    let apps = AppFlags {
        prefix: "app",
        ports: &edge.app_port,
        ca: edge.app_ca.as_deref(),
        insecure: edge.app_insecure,
    };
    apps.apply(&mut config.settings, mistakes);
    config.auth = !edge.app_no_auth;
    config.settings.callers = (!edge.allow_caller.is_empty()).then_some(callers);
    config
}

/// Whether mDNS runs: by default, unless it is switched off or all listeners are on loopback, where no
/// other machine can be found.
fn mdns(flags: &P2pFlags, listeners: &[Listener]) -> bool {
    flags.mdns || !(flags.no_mdns || flags.no_discover || loopback_only(listeners))
}

fn connections_max(flags: &P2pFlags) -> u32 {
    match (flags.max_inbound_peers, flags.max_outbound_peers) {
        (None, None) => flags.max_peers.unwrap_or(Limits::default().connections_max),
        (inbound, outbound) => {
            let inbound = inbound.unwrap_or(INBOUND_DEFAULT);
            inbound
                .saturating_add(outbound.unwrap_or(OUTBOUND_DEFAULT))
                .max(1)
        }
    }
}

/// Logs warnings about settings that are allowed but leave the node unreachable.
fn warn_lonely(flags: &ServerFlags, chosen: &Chosen, listeners: &[Listener]) {
    let network = &chosen.network;
    let no_entry = network.bootnodes.is_empty() && network.relaynodes.is_empty();
    if no_entry && !mdns(&flags.p2p, listeners) && flags.running_mode != RunningMode::Full {
        tracing::warn!(
            file = ?chosen.file,
            "the network file names no other node, and this node does not look for nodes on the local \
             network: it waits until `peerwork peers add` names one"
        );
    }
    if flags.running_mode == RunningMode::Edge && !flags.edge.relay_on {
        tracing::warn!(
            "without --relay-on this edge holds no reservation, so only nodes that can dial it reach it"
        );
    }
    let announces_outside = flags.p2p.nat.is_some() || flags.p2p.dns.is_some();
    if announces_outside && loopback_only(listeners) {
        tracing::warn!(
            "--nat and --dns announce addresses, but the node listens on loopback alone"
        );
    }
}

#[cfg(test)]
mod tests;
