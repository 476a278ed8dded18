//! This module converts the node's status to messages of gRPC `v1.System`.

use super::{EdgeOffer, Endpoint, Network, NodeStatus, OfferedPort, Refused};
use crate::operator::v1;

pub(crate) fn status(status: NodeStatus) -> v1::ServerStatus {
    let NodeStatus {
        node_id,
        mode,
        network: Network {
            name,
            network_id,
            version,
        },
        uptime,
        listen_addresses,
        reachability,
        peers_connected,
        reservations_held,
        reservations_given,
        edges_known,
        tunnels_active,
        bytes_received,
        bytes_sent,
        endpoints,
        edge,
        ingress_keys_needed,
        refused,
    } = status;
    let first = listen_addresses.first();
    v1::ServerStatus {
        p2p_addr: first.map_or_else(String::new, |address| format!("{address}/p2p/{node_id}")),
        node_id,
        mode: mode.as_str().to_owned(),
        version,
        network_name: name,
        network_id,
        uptime_seconds: uptime.as_secs(),
        listen_addresses,
        reachability: reachability.as_str().to_owned(),
        peers_connected,
        reservations_held,
        reservations_given,
        edges_known,
        tunnels_active,
        bytes_received,
        bytes_sent,
        endpoints: endpoints.into_iter().map(endpoint).collect(),
        edge: edge.map(offer),
        ingress_keys_needed,
        refused: refused.into_iter().map(of_refused).collect(),
    }
}

fn of_refused(Refused { node_id, reason }: Refused) -> v1::Refused {
    v1::Refused { node_id, reason }
}

fn offer(offer: EdgeOffer) -> v1::EdgeOffer {
    let EdgeOffer {
        ports,
        keys_needed,
        callers_allowed,
    } = offer;
    v1::EdgeOffer {
        ports: ports.into_iter().map(offered_port).collect(),
        keys_needed,
        callers_allowed,
    }
}

fn offered_port(OfferedPort { port, app }: OfferedPort) -> v1::OfferedPort {
    v1::OfferedPort {
        port: port.into(),
        app,
    }
}

fn endpoint(Endpoint { name, address, tls }: Endpoint) -> v1::Endpoint {
    v1::Endpoint {
        name,
        address: address.to_string(),
        tls,
    }
}
