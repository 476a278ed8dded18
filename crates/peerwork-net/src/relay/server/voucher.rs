//! Reservation vouchers: a relay's signed statement that a node holds a reservation (circuit relay v2,
//! section "Reservation Vouchers"). go-libp2p checks the voucher of each reservation that has one.

use peerwork_identity::{Keypair, NodeId, SignedEnvelope};
use prost::Message;

/// The domain of the envelope's signature.
const DOMAIN: &str = "libp2p-relay-rsvp";
/// The payload type, which the specification writes as the two bytes of 0x0302.
const PAYLOAD_TYPE: [u8; 2] = [0x03, 0x02];

#[derive(Clone, PartialEq, Message)]
pub(super) struct Voucher {
    /// The node id of the relay.
    #[prost(bytes = "vec", required, tag = "1")]
    pub(super) relay: Vec<u8>,
    /// The node id of the holder.
    #[prost(bytes = "vec", required, tag = "2")]
    pub(super) peer: Vec<u8>,
    /// Seconds since 1970.
    #[prost(uint64, required, tag = "3")]
    pub(super) expiration: u64,
}

/// Makes the voucher of a reservation that `holder` has until `expire`, as an encoded envelope.
pub(super) fn seal(relay: &Keypair, holder: NodeId, expire: u64) -> Vec<u8> {
    let voucher = Voucher {
        relay: relay.node_id().as_peer_id().to_bytes(),
        peer: holder.as_peer_id().to_bytes(),
        expiration: expire,
    };
    let payload = voucher.encode_to_vec();
    SignedEnvelope::seal(relay, DOMAIN, &PAYLOAD_TYPE, payload).encode()
}
