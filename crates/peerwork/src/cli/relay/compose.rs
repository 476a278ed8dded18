//! From the settings of a relay to the node's configuration; all contradictions are told at once.

use std::{collections::HashSet, net::SocketAddr, time::Duration};

use multiaddr::{Multiaddr, Protocol};
use peerwork::config::{App, Config, Front, Hub, Mode, P2p, RelayServer, RelayToken};
use peerwork_api::{FrontConfig, Proxies, TlsFiles};
use peerwork_identity::NodeId;
use peerwork_limits::Rate;

use super::flags::{FrontFlags, GossipFlags, LimitFlags, RelayNodeFlags};
use crate::cli::{
    node::{Found, count},
    server::{Claim, Listener, announced, clashes},
    settings::Mistakes,
    values::Listen,
    version::RELEASE,
};

/// The topics by which clients find each other: the default of js-libp2p's discovery by pubsub, and
/// those of PeerCompute.
const DISCOVERY_TOPICS: [&str; 6] = [
    "_peer-discovery._p2p._pubsub",
    "peercompute._peer-discovery._p2p._pubsub",
    "peercompute-presence",
    "peercompute-direct",
    "peercompute-state",
    "peercompute-state-sync",
];
/// With thousands of connections more pings cost more than a dead client's place.
const PING_INTERVAL: Duration = Duration::from_secs(20);

/// The configuration that `flags` describe.
///
/// # Errors
/// All contradictions between the settings.
pub(super) fn config(flags: &RelayNodeFlags, found: Found<'_>) -> anyhow::Result<Config> {
    let mut mistakes = Vec::new();
    let listeners = listeners(flags);
    let grpc = found.grpc_address.unwrap_or("127.0.0.1:0");
    let grpc: Listen = grpc.parse().unwrap_or_else(|reason| {
        mistakes.push(format!("--grpc-address = `{grpc}`: {reason}"));
        Listen::Off
    });
    let claims = listeners.iter().filter_map(Claim::p2p);
    let claims = claims.chain(grpc.address().map(|at| Claim::http("--grpc-address", at)));
    mistakes.extend(clashes(&claims.collect::<Vec<_>>()));
    let told = announced(
        &flags.announce,
        flags.nat,
        flags.dns.as_ref(),
        &with_tls(flags, &listeners),
    );
    let announce = told.unwrap_or_else(|mistake| {
        mistakes.push(mistake);
        Vec::new()
    });
    mistakes.extend(too_large_a_share(&flags.limits));
    let allowed = allowed(&flags.limits, &mut mistakes);
    let tokens = tokens(&flags.limits, &mut mistakes);
    let mut network = found.network;
    network.bootnodes.extend(flags.peer.iter().cloned());
    if !mistakes.is_empty() {
        return Err(Mistakes(mistakes).into());
    }
    let hubs = network.bootnodes.iter().chain(&network.relaynodes);
    let hubs = hubs.map(|relay| relay.node).collect();
    let front = flags.websocket.address();
    Ok(Config {
        data_dir: Some(found.data_dir),
        keypair: found.keypair,
        mode: Mode::Relay,
        p2p: P2p {
            listen: of_the_network(listeners),
            announce,
            relay_discovery: true,
            connections_max: flags.limits.max_connections,
            connections_per_address_max: flags.limits.max_connections_per_address,
            ping_interval: PING_INTERVAL,
            relay: relay_server(&flags.limits, allowed),
            relay_tokens: tokens,
            hub: hub(&flags.gossip, hubs),
            ..P2p::default()
        },
        network,
        ingress: None,
        jsonrpc: None,
        grpc: grpc.address(),
        metrics: None,
        front: front.map(|listen| Front {
            listen,
            settings: front_config(&flags.front, &flags.limits),
            config_folders: flags.write_config.clone(),
        }),
        app: App::default(),
        cors_origins: Vec::new(),
        jsonrpc_batch_max: 1,
        version: RELEASE.to_owned(),
    })
}

const WEBSOCKET: &str = "--websocket";

fn tcp(at: SocketAddr) -> Multiaddr {
    Multiaddr::from(at.ip()).with(Protocol::Tcp(at.port()))
}

/// Everything that is listened on, the port for browsers among it.
fn listeners(flags: &RelayNodeFlags) -> Vec<Listener> {
    let mut listeners = Vec::new();
    let mut push = |flag, address| listeners.push(Listener { flag, address });
    if let Some(at) = flags.websocket.address() {
        push(WEBSOCKET, tcp(at).with(Protocol::Ws("/".into())));
    }
    if let Some(at) = flags.tcp.address() {
        push("--tcp", tcp(at));
    }
    if let Some(at) = flags.quic.address() {
        let udp = Multiaddr::from(at.ip()).with(Protocol::Udp(at.port()));
        push("--quic", udp.with(Protocol::QuicV1));
    }
    if let Some(at) = flags.webrtc.address() {
        let udp = Multiaddr::from(at.ip()).with(Protocol::Udp(at.port()));
        push("--webrtc", udp.with(Protocol::WebRTCDirect));
    }
    for address in &flags.listen {
        push("--listen", address.clone());
    }
    listeners
}

/// With a certificate, the port for browsers is told as an encrypted one.
fn with_tls(flags: &RelayNodeFlags, listeners: &[Listener]) -> Vec<Listener> {
    let tls = flags.front.tls_cert.is_some();
    let mut listeners = listeners.to_vec();
    for listener in listeners.iter_mut().filter(|l| tls && l.flag == WEBSOCKET) {
        listener.address.pop();
        listener.address.push(Protocol::Tls);
        listener.address.push(Protocol::Ws("/".into()));
    }
    listeners
}

/// The port for browsers is the API's.
fn of_the_network(listeners: Vec<Listener>) -> Vec<Multiaddr> {
    let network = listeners.into_iter().filter(|l| l.flag != WEBSOCKET);
    network.map(|listener| listener.address).collect()
}

/// A share of one network address that is more than all reservations would bound nothing.
fn too_large_a_share(flags: &LimitFlags) -> Option<String> {
    let (all, share) = (flags.max_reservations, flags.max_reservations_per_address?);
    (share > all).then(|| {
        format!(
            "--max-reservations-per-address = {share}: more than --max-reservations = {all}; \
             lower the one or raise the other"
        )
    })
}

fn allowed(flags: &LimitFlags, mistakes: &mut Vec<String>) -> Option<HashSet<NodeId>> {
    let mut allowed = HashSet::new();
    for node in &flags.allow {
        match node.parse() {
            Ok(node) => _ = allowed.insert(node),
            Err(error) => mistakes.push(format!("--allow = `{node}`: {error}")),
        }
    }
    let closed = !flags.allow.is_empty() || !flags.token.is_empty();
    closed.then_some(allowed)
}

fn tokens(flags: &LimitFlags, mistakes: &mut Vec<String>) -> Vec<RelayToken> {
    let mut tokens = Vec::new();
    for token in &flags.token {
        match RelayToken::new(token) {
            Ok(token) => tokens.push(token),
            Err(error) => mistakes.push(format!("--token: {error}")),
        }
    }
    tokens
}

fn relay_server(flags: &LimitFlags, allowed: Option<HashSet<NodeId>>) -> RelayServer {
    RelayServer {
        reservations_max: count(flags.max_reservations),
        reservations_per_address_max: flags.max_reservations_per_address.map(count),
        allowed,
        reservation_duration: flags.reservation_duration,
        circuits_max: count(flags.max_circuits),
        circuits_per_peer_max: count(flags.max_circuits_per_peer),
        circuits_per_address_max: count(flags.max_circuits_per_address),
        circuit_duration: Some(flags.circuit_duration).filter(|d| !d.is_zero()),
        circuit_bytes_max: Some(flags.circuit_bytes).filter(|bytes| *bytes > 0),
    }
}

fn hub(flags: &GossipFlags, hubs: HashSet<NodeId>) -> Option<Hub> {
    if flags.no_gossip {
        return None;
    }
    let rate = |per_second: u32, seconds: u32| Rate {
        burst: per_second.saturating_mul(seconds),
        interval: Duration::from_secs(1) / per_second,
    };
    let discovery = || DISCOVERY_TOPICS.map(str::to_owned).to_vec();
    let all = || vec![String::new()];
    Some(Hub {
        topics: Some(flags.topic.clone())
            .filter(|topics| !topics.is_empty())
            .unwrap_or_else(discovery),
        follow: match (flags.no_follow, flags.follow.is_empty()) {
            (true, _) => Vec::new(),
            (false, true) => all(),
            (false, false) => flags.follow.clone(),
        },
        topics_max: count(flags.max_topics),
        topics_per_node_max: count(flags.max_topics_per_peer),
        message_bytes_max: count(flags.max_message_bytes),
        sender_rate: rate(flags.messages_per_second, 4),
        topic_rate: rate(flags.topic_messages_per_second, 2),
        hubs,
    })
}

fn front_config(flags: &FrontFlags, limits: &LimitFlags) -> FrontConfig {
    let files = flags.tls_cert.clone().zip(flags.tls_key.clone());
    FrontConfig {
        tls: files.map(|(certificate, key)| TlsFiles { certificate, key }),
        proxies: Proxies::new(flags.trusted_proxy.clone()),
        proxy_protocol: flags.proxy_protocol,
        // Pages are looked at beside the connections of the network.
        connections_max: count(limits.max_connections.saturating_add(2048)),
        connections_per_address_max: count(limits.max_connections_per_address),
        ..FrontConfig::default()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use clap::Parser as _;

    use super::*;

    #[derive(clap::Parser)]
    struct Line {
        #[command(flatten)]
        limits: LimitFlags,
    }

    fn limits(line: &str) -> LimitFlags {
        let words = std::iter::once("relay").chain(line.split_whitespace());
        Line::try_parse_from(words).unwrap().limits
    }

    #[test]
    fn one_address_has_half_of_the_reservations_by_default() {
        for (line, share) in [
            ("", 50),
            ("--max-reservations 7", 4),
            ("--max-reservations 7 --max-reservations-per-address 7", 7),
        ] {
            let flags = limits(line);
            assert_eq!(too_large_a_share(&flags), None, "{line}");
            let server = relay_server(&flags, None);
            assert_eq!(server.reservations_per_address(), share, "{line}");
        }
        let flags = limits("--max-reservations 7 --max-reservations-per-address 8");
        assert!(too_large_a_share(&flags).is_some());
    }
}
