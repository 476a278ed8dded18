//! From settings to the node's configuration; all contradictions are told at once.

use std::net::SocketAddr;

use peerwork::config::{App, Config, Ingress, Mode, P2p, RelayServer};
use peerwork_identity::{NetworkFile, NodeId};

use super::{
    addresses::{Listener, announced, listeners, loopback_only},
    flags::{P2pFlags, ServerFlags},
    ports::{Claim, clashes},
};
use crate::cli::{
    node::{Found, count},
    operator::DEFAULT_ADDRESS,
    settings::Mistakes,
    values::Listen,
    version::RELEASE,
};

/// What EdgeMatrix takes for the one of inbound and outbound peers that is not given.
const INBOUND_DEFAULT: u32 = 32;
const OUTBOUND_DEFAULT: u32 = 8;

/// The configuration that `flags` describe.
///
/// # Errors
/// All contradictions between the settings.
pub(super) fn config(flags: &ServerFlags, found: Found<'_>) -> anyhow::Result<Config> {
    let mut mistakes = Vec::new();
    let mode = flags.running_mode;
    let listeners = listeners(&flags.p2p, mode);
    let http = HttpListeners::new(flags, found.grpc_address, &mut mistakes);
    let claims: Vec<Claim> = listeners
        .iter()
        .filter_map(Claim::p2p)
        .chain(http.claims())
        .collect();
    mistakes.extend(clashes(&claims));
    let p2p = &flags.p2p;
    let announce = announced(&p2p.announce, p2p.nat, p2p.dns.as_ref(), &listeners);
    let announce = announce.unwrap_or_else(|mistake| {
        mistakes.push(mistake);
        Vec::new()
    });
    let app = app(flags, &mut mistakes);
    let preamble = flags.preamble.preamble(&mut mistakes);
    if flags.p2p.mdns && flags.p2p.no_mdns {
        mistakes.push("--mdns and --no-mdns contradict each other".to_owned());
    }
    if !mistakes.is_empty() {
        return Err(Mistakes(mistakes).into());
    }
    warn_lonely(flags, &found.network, &listeners);
    Ok(Config {
        data_dir: Some(found.data_dir),
        keypair: found.keypair,
        network: found.network,
        mode,
        p2p: P2p {
            mdns: mdns(&flags.p2p, &listeners),
            listen: listeners
                .into_iter()
                .map(|listener| listener.address)
                .collect(),
            announce,
            upnp: flags.p2p.upnp,
            hole_punching: !flags.p2p.no_hole_punching,
            reserve: flags.edge.relay_on,
            relay_discovery: flags.relay.relay_discovery,
            connections_max: connections_max(&flags.p2p),
            relay: RelayServer {
                reservations_max: count(flags.relay.max_reservations),
                circuits_max: count(flags.relay.max_circuits),
                circuit_bytes_max: Some(flags.relay.circuit_bytes).filter(|bytes| *bytes > 0),
                circuit_duration: Some(flags.relay.circuit_duration).filter(|d| !d.is_zero()),
                ..RelayServer::default()
            },
            ..P2p::default()
        },
        ingress: http.ingress.map(|listen| Ingress {
            listen,
            auth: !flags.edge.app_no_auth,
            response_timeout: flags.relay.response_timeout,
            requests_max: count(flags.relay.max_requests),
            requests_per_node_max: count(flags.relay.max_requests_per_node),
            preamble,
        }),
        front: None,
        jsonrpc: http.jsonrpc,
        grpc: http.grpc,
        metrics: http.metrics,
        app,
        cors_origins: flags.relay.access_control_allow_origins.clone(),
        jsonrpc_batch_max: flags.relay.json_rpc_batch_request_limit,
        version: RELEASE.to_owned(),
    })
}

/// The port of an app whose owner named none: the example web app's.
const APP_PORT: u16 = 9527;

/// Where HTTP and gRPC listen.
struct HttpListeners {
    ingress: Option<SocketAddr>,
    jsonrpc: Option<SocketAddr>,
    grpc: Option<SocketAddr>,
    metrics: Option<SocketAddr>,
}

impl HttpListeners {
    fn new(flags: &ServerFlags, grpc: Option<&str>, mistakes: &mut Vec<String>) -> Self {
        let relay_only = |listen: Listen| match flags.running_mode {
            Mode::Relay => listen.address(),
            Mode::Edge | Mode::Peer => None,
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
        }
    }

    fn claims(&self) -> impl Iterator<Item = Claim> {
        [
            ("--trans-proxy", self.ingress),
            ("--jsonrpc", self.jsonrpc),
            ("--grpc-address", self.grpc),
            ("--metrics", self.metrics),
        ]
        .into_iter()
        .filter_map(|(flag, at)| Some(Claim::http(flag, at?)))
    }
}

fn app(flags: &ServerFlags, mistakes: &mut Vec<String>) -> App {
    /// Node events carry it to everyone.
    const ORIGIN_BYTES_MAX: usize = 1024;
    let edge = &flags.edge;
    if edge.app_origin.len() > ORIGIN_BYTES_MAX {
        mistakes.push(format!(
            "--app-origin is longer than {ORIGIN_BYTES_MAX} bytes"
        ));
    }
    let mut callers: Vec<NodeId> = Vec::new();
    for caller in &edge.allow_caller {
        match caller.parse() {
            Ok(node) => callers.push(node),
            Err(error) => mistakes.push(format!("--allow-caller = `{caller}`: {error}")),
        }
    }
    // Nothing is open that its owner did not name, except where nothing at all was named.
    let mut ports: Vec<u16> = Vec::new();
    for port in edge.app_default_port.iter().chain(&edge.app_port) {
        if !ports.contains(port) {
            ports.push(*port);
        }
    }
    if ports.is_empty() {
        ports.push(APP_PORT);
    }
    App {
        name: edge.app_name.clone(),
        host: edge.app_url.clone(),
        ports,
        auth: !edge.app_no_auth,
        callers: (!edge.allow_caller.is_empty()).then_some(callers),
        origin: edge.app_origin.clone(),
        ..App::default()
    }
}

/// On unless switched off; but a node that only this machine can reach has no one to find.
fn mdns(flags: &P2pFlags, listeners: &[Listener]) -> bool {
    flags.mdns || !(flags.no_mdns || flags.no_discover || loopback_only(listeners))
}

fn connections_max(flags: &P2pFlags) -> u32 {
    match (
        flags.max_peers,
        flags.max_inbound_peers,
        flags.max_outbound_peers,
    ) {
        (Some(all), ..) => all,
        (None, None, None) => P2p::default().connections_max,
        (None, inbound, outbound) => {
            let inbound = inbound.unwrap_or(INBOUND_DEFAULT);
            inbound
                .saturating_add(outbound.unwrap_or(OUTBOUND_DEFAULT))
                .max(1)
        }
    }
}

/// Says what will not work with settings that are allowed.
fn warn_lonely(flags: &ServerFlags, network: &NetworkFile, listeners: &[Listener]) {
    let no_entry = network.bootnodes.is_empty() && network.relaynodes.is_empty();
    if no_entry && !mdns(&flags.p2p, listeners) && flags.running_mode != Mode::Relay {
        tracing::warn!(
            file = %flags.network.display(),
            "the network file names no node to start from, and this node does not look on the local \
             network: it waits for `peerwork peers add`"
        );
    }
    if flags.running_mode == Mode::Edge && !flags.edge.relay_on {
        tracing::warn!("without --relay-on this edge is only reached by nodes that can dial it");
    }
    let told = flags.p2p.nat.is_some() || flags.p2p.dns.is_some();
    if told && loopback_only(listeners) {
        tracing::warn!("--nat and --dns invite others, but the node listens on loopback alone");
    }
}

#[cfg(test)]
mod tests;
