//! Builds a relay's report from the network's figures.

use std::time::SystemTime;

use multiaddr::{Multiaddr, Protocol};
use peerwork_api::{
    Circuits, History, LIST_MAX, OpenCircuit, RelayAddresses, RelayPeer, RelayReport, RelayTopic,
    Reservations, Traffic,
};
use peerwork_net::{
    Network, Path, PeerInfo,
    gossip::TopicInfo,
    peers::{self, ConnectionInfo},
    relay::Circuit,
    webrtc,
};

use super::shape::Shape;
use crate::time::{millis, millis_since_1970};

pub(super) fn make(
    shape: &Shape,
    network: &Network,
    started: SystemTime,
    history: History,
) -> RelayReport {
    let peers = network.peers();
    let relay = network.relay_status();
    let counts = relay.counts;
    let (received_bytes, sent_bytes) = network.traffic_total();
    let refused = counts.refused.iter();
    let first = |infos: &[TopicInfo]| infos.iter().take(LIST_MAX).map(topic).collect();
    RelayReport {
        name: "peerwork relay".to_owned(),
        version: shape.version.clone(),
        peer_id: network.node_id().to_string(),
        started_at: millis(started),
        now: millis_since_1970(),
        addresses: addresses(network),
        limits: shape.limits.clone(),
        connections: peers.iter().map(|peer| peer.connections.len()).sum(),
        traffic: Traffic {
            received_bytes,
            sent_bytes,
        },
        reservations: Reservations {
            held: relay.reservations,
            accepted: counts.accepted,
            renewed: counts.renewed,
            refused: refused
                .map(|(refusal, count)| (refusal.name().to_owned(), *count))
                .collect(),
        },
        circuits: Circuits {
            open: relay.circuits.len(),
            opened: counts.circuits_opened,
            refused: counts.circuits_refused.iter().map(|(_, count)| count).sum(),
        },
        peers: peers
            .iter()
            .take(LIST_MAX)
            .map(|p| peer(network, p))
            .collect(),
        open_circuits: relay.circuits.iter().take(LIST_MAX).map(circuit).collect(),
        topics: first(&network.forwarded_topics()),
        history,
    }
}

/// The addresses that other nodes should dial: the announced addresses, or else the listen addresses.
fn addresses(network: &Network) -> RelayAddresses {
    let mut all = network.advertised_addresses();
    // WebRTC behind WebSocket: every client has the latter.
    all.sort_by_key(|address| {
        let v4 = address.to_string().contains("/ip4/");
        (reach(address), webrtc::is_direct(address), !v4)
    });
    let me = *network.node_id().as_peer_id();
    let full = |address: Multiaddr| Some(address.with_p2p(me).ok()?.to_string());
    let (browsers, programs): (Vec<_>, Vec<_>) = all.into_iter().partition(for_browsers);
    RelayAddresses {
        browsers: browsers.into_iter().filter_map(full).collect(),
        programs: programs.into_iter().filter_map(full).collect(),
    }
}

/// Ranks an address by its reach; public addresses have the lowest rank and come first.
fn reach(address: &Multiaddr) -> u8 {
    let Some(ip) = peers::ip(address) else {
        return 0;
    };
    if ip.is_loopback() {
        return 3;
    }
    match peerwork_net::dial_policy::is_private_address(address) {
        true => 2,
        false => 1,
    }
}

fn for_browsers(address: &Multiaddr) -> bool {
    address.iter().any(|part| {
        matches!(
            part,
            Protocol::Ws(_) | Protocol::Wss(_) | Protocol::WebRTCDirect | Protocol::WebTransport
        )
    })
}

fn peer(network: &Network, peer: &PeerInfo) -> RelayPeer {
    let connection = peer.connections.first();
    let traffic = network.traffic(peer.node).unwrap_or_default();
    RelayPeer {
        id: peer.node.to_string(),
        agent: peer.agent.clone(),
        transport: connection.map_or("", transport).to_owned(),
        address: connection.map(|connection| connection.address.to_string()),
        connected_at: connection.map_or(0, |connection| millis(connection.since)),
        rtt_ms: peer.rtt.map(|rtt| rtt.as_secs_f64() * 1000.0),
        reserved: peer.reserved,
        received_bytes: traffic.direct_received_bytes + traffic.relayed_received_bytes,
        sent_bytes: traffic.direct_sent_bytes + traffic.relayed_sent_bytes,
    }
}

fn transport(connection: &ConnectionInfo) -> &'static str {
    if connection.path == Path::Relayed {
        return "circuit";
    }
    let named = connection.address.iter().find_map(|part| match part {
        Protocol::Ws(_) | Protocol::Wss(_) => Some("websocket"),
        Protocol::QuicV1 | Protocol::Quic => Some("quic"),
        Protocol::WebRTCDirect => Some("webrtc"),
        _ => None,
    });
    named.unwrap_or("tcp")
}

fn circuit(circuit: &Circuit) -> OpenCircuit {
    OpenCircuit {
        from: circuit.from.to_string(),
        to: circuit.to.to_string(),
        opened_at: millis(circuit.since),
    }
}

fn topic(info: &TopicInfo) -> RelayTopic {
    RelayTopic {
        name: info.name.clone(),
        subscribers: info.subscribers,
        messages: info.counts.messages,
        bytes: info.counts.bytes,
        dropped: info.counts.dropped,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn addresses_are_grouped_by_client_kind_and_ordered_by_reach() {
        let address = |text: &str| text.parse::<Multiaddr>().unwrap();
        for text in ["/ip4/1.2.3.4/tcp/1/ws", "/dns/a.example/tcp/443/tls/ws"] {
            assert!(for_browsers(&address(text)), "{text}");
        }
        assert!(!for_browsers(&address("/ip4/1.2.3.4/tcp/1")));
        let order = [
            "/dns/a.example/tcp/1",
            "/ip4/1.2.3.4/tcp/1",
            "/ip4/10.0.0.1/tcp/1",
            "/ip4/127.0.0.1/tcp/1",
        ];
        assert!(order.map(|text| reach(&address(text))).is_sorted());
    }
}
