//! This module converts peers to messages of gRPC `v1.System`.

use super::Peer;
use crate::{operator::v1, relays::grpc::reservation_text};

pub(crate) fn peer(peer: Peer) -> v1::Peer {
    let Peer {
        id,
        protocols,
        addresses,
        reservation,
    } = peer;
    v1::Peer {
        id,
        protocols,
        addrs: addresses,
        reservation: reservation
            .as_ref()
            .map_or_else(String::new, reservation_text),
    }
}

pub(crate) fn peers(peers: Vec<Peer>) -> v1::PeersListResponse {
    v1::PeersListResponse {
        peers: peers.into_iter().map(peer).collect(),
    }
}
