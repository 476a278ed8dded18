//! Reservation vouchers, read with libp2p's own envelopes as go-libp2p reads them.

use libp2p::{PeerId, core::SignedEnvelope};
use prost::Message;

use crate::{
    node::{config, connect, relay_config, start},
    relay::hop,
};

#[derive(Clone, PartialEq, Message)]
struct Answer {
    #[prost(message, optional, tag = "3")]
    reservation: Option<Reservation>,
}

#[derive(Clone, PartialEq, Message)]
struct Reservation {
    #[prost(uint64, tag = "1")]
    expire: u64,
    #[prost(bytes = "vec", tag = "3")]
    voucher: Vec<u8>,
}

#[derive(Clone, PartialEq, Message)]
struct Voucher {
    #[prost(bytes = "vec", tag = "1")]
    relay: Vec<u8>,
    #[prost(bytes = "vec", tag = "2")]
    peer: Vec<u8>,
    #[prost(uint64, tag = "3")]
    expiration: u64,
}

#[tokio::test]
async fn a_reservation_has_a_voucher_that_names_its_holder_and_is_signed_by_the_relay() {
    let (relay, node) = (start(relay_config()).await, start(config()).await);
    connect(&node, &relay).await;
    let (answer, _stream) = hop::ask_for_bytes(&node, &relay, hop::RESERVE)
        .await
        .unwrap();
    let reservation = Answer::decode(&*answer).unwrap().reservation.unwrap();
    let envelope = SignedEnvelope::from_protobuf_encoding(&reservation.voucher).unwrap();
    let domain = || "libp2p-relay-rsvp".to_owned();
    let (payload, signer) = envelope.payload_and_signing_key(domain(), &[3, 2]).unwrap();
    assert_eq!(signer.to_peer_id(), *relay.node_id().as_peer_id());
    let voucher = Voucher::decode(payload).unwrap();
    let id = |bytes: &[u8]| PeerId::from_bytes(bytes).unwrap();
    assert_eq!(id(&voucher.relay), *relay.node_id().as_peer_id());
    assert_eq!(id(&voucher.peer), *node.node_id().as_peer_id());
    assert_eq!(voucher.expiration, reservation.expire);
    assert!(!envelope.verify("another domain".to_owned()));
}
