//! Builds the node's configuration from the settings of `peerwork relay`, and reports all
//! contradictions at once.

use std::{collections::HashSet, time::Duration};

use multiaddr::{Multiaddr, Protocol};
use peerwork::config::{Config, Front, Hub, OperatorConfig, PubsubType, Relay, RelayServer};
use peerwork_identity::NodeId;
use peerwork_limits::Rate;
use peerwork_listener::{Bounds, Config as ListenerConfig, Preamble};

use super::flags::{GossipFlags, LimitFlags, PubsubFlag, RelayNodeFlags};
use crate::cli::{
    listen::{Claim, Listener, announced, clashes, quic, tcp, web_socket},
    network_file::Chosen,
    running::{Found, nodes, tokens},
    settings::Mistakes,
    values::{Listen, count},
    version::RELEASE,
};

/// The gossip topics of peer discovery: the default of js-libp2p's pubsub discovery, and the topics of
/// PeerCompute.
const DISCOVERY_TOPICS: [&str; 6] = [
    "_peer-discovery._p2p._pubsub",
    "peercompute._peer-discovery._p2p._pubsub",
    "peercompute-presence",
    "peercompute-direct",
    "peercompute-state",
    "peercompute-state-sync",
];
/// The interval of pings. With thousands of connections, shorter intervals would cost more than the
/// place of a dead client.
const PING_INTERVAL: Duration = Duration::from_secs(20);

/// Builds the configuration that `flags` describe.
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
    let announced_addresses = announced(
        &flags.announce,
        flags.nat,
        flags.dns.as_ref(),
        &with_tls(flags, &listeners),
    );
    let announce = announced_addresses.unwrap_or_else(|mistake| {
        mistakes.push(mistake);
        Vec::new()
    });
    mistakes.extend(too_large_a_share(&flags.limits));
    mistakes.extend(too_many_ice_servers(flags.ice_server.len()));
    let allowed = nodes("--allow", &flags.limits.allow, &mut mistakes);
    let tokens = tokens("--token", &flags.limits.token, &mut mistakes);
    let closed = !flags.limits.allow.is_empty() || !flags.limits.token.is_empty();
    let preamble = flags.front.preamble(&mut mistakes);
    let Chosen { mut network, file } = found.network;
    network.bootnodes.extend(flags.peer.iter().cloned());
    if !mistakes.is_empty() {
        return Err(Mistakes(mistakes).into());
    }
    let hubs = network.bootnodes.iter().chain(&network.relaynodes);
    let hubs = hubs.map(|relay| relay.node).collect();
    let mut config = Config::new(found.keypair, network, RELEASE);
    config.network_file = file;
    config.data_dir = Some(found.data_dir);
    let net = &mut config.net;
    net.listen = of_the_network(listeners);
    net.announce = announce;
    net.limits.connections_max = flags.limits.max_connections;
    net.limits.connections_per_address_max = flags.limits.max_connections_per_address;
    net.ping_interval = PING_INTERVAL;
    net.gossip.hub = hub(&flags.gossip, hubs);
    config.relay = Some(Relay {
        server: relay_server(&flags.limits, closed.then_some(allowed)),
        tokens,
        join_relays: true,
        ingress: None,
        front: flags.websocket.address().map(|listen| Front {
            listen,
            settings: front_config(preamble, &flags.limits),
            config_folders: flags.write_config.clone(),
            ice_servers: flags.ice_server.clone(),
            pubsub_type: pubsub_type(flags.pubsub_type),
        }),
    });
    let grpc = grpc.address();
    config.api.operator = grpc.map(|at| OperatorConfig::new(at, None));
    Ok(config)
}

const WEBSOCKET: &str = "--websocket";
/// The most servers for WebRTC.
const ICE_SERVERS_MAX: usize = 8;

/// All listen addresses, including the port for browsers.
fn listeners(flags: &RelayNodeFlags) -> Vec<Listener> {
    let mut listeners = Vec::new();
    let mut push = |flag, address| listeners.push(Listener { flag, address });
    if let Some(at) = flags.websocket.address() {
        push(WEBSOCKET, web_socket(at));
    }
    if let Some(at) = flags.tcp.address() {
        push("--tcp", tcp(at));
    }
    if let Some(at) = flags.quic.address() {
        push("--quic", quic(at));
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

/// Announces the port for browsers as TLS WebSocket when a certificate is set.
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

/// The listen addresses of the network alone; the API serves the port for browsers.
fn of_the_network(listeners: Vec<Listener>) -> Vec<Multiaddr> {
    let network = listeners.into_iter().filter(|l| l.flag != WEBSOCKET);
    network.map(|listener| listener.address).collect()
}

/// Reports a bound per network address that is larger than the bound of all reservations, because it
/// would have no effect.
fn too_large_a_share(flags: &LimitFlags) -> Option<String> {
    let (all, share) = (flags.max_reservations, flags.max_reservations_per_address?);
    (share > all).then(|| {
        format!(
            "--max-reservations-per-address = {share}: more than --max-reservations = {all}; \
             lower the one or raise the other"
        )
    })
}

/// Reports more STUN and TURN servers than pages should get: browsers ask all of them for each
/// connection.
fn too_many_ice_servers(count: usize) -> Option<String> {
    (count > ICE_SERVERS_MAX)
        .then(|| format!("--ice-server: {count} servers; a page takes at most {ICE_SERVERS_MAX}"))
}

fn pubsub_type(flag: PubsubFlag) -> PubsubType {
    match flag {
        PubsubFlag::Gossipsub => PubsubType::Gossipsub,
        PubsubFlag::Floodsub => PubsubType::Floodsub,
    }
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

fn front_config(preamble: Preamble, limits: &LimitFlags) -> ListenerConfig {
    ListenerConfig {
        preamble,
        bounds: Bounds {
            // Connections for pages and reports are in addition to those of the network.
            connections_max: count(limits.max_connections.saturating_add(2048)),
            connections_per_address_max: count(limits.max_connections_per_address),
            local_places: 16,
        },
        ..ListenerConfig::default()
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
    fn eight_ice_servers_are_taken_and_nine_are_not() {
        assert_eq!(too_many_ice_servers(8), None);
        assert!(too_many_ice_servers(9).is_some());
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
