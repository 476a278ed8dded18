//! These tests compare envelopes with libp2p's own implementation of RFC 0002.

use libp2p_core::SignedEnvelope as Libp2pEnvelope;
use peerwork_identity::{KeyType, Keypair, SignedEnvelope};

const DOMAIN: &str = "libp2p-peer-record";
const TYPE: &[u8] = &[0x03, 0x01];

/// A payload that is long enough for its length to need a varint of two bytes.
fn payload() -> Vec<u8> {
    vec![0xab; 300]
}

#[test]
fn libp2p_opens_what_this_crate_seals() {
    for key_type in [KeyType::Secp256k1, KeyType::Ed25519] {
        let keypair = Keypair::generate(key_type);
        let bytes = SignedEnvelope::seal(&keypair, DOMAIN, TYPE, payload()).encode();
        let envelope = Libp2pEnvelope::from_protobuf_encoding(&bytes).unwrap();
        let (opened, key) = envelope
            .payload_and_signing_key(DOMAIN.to_owned(), TYPE)
            .unwrap();
        assert_eq!(opened, payload());
        assert_eq!(key, keypair.public().libp2p());
    }
}

#[test]
fn this_crate_opens_what_libp2p_seals_and_encodes_the_same_bytes() {
    for key_type in [KeyType::Secp256k1, KeyType::Ed25519] {
        let keypair = Keypair::generate(key_type);
        let envelope = Libp2pEnvelope::new(
            keypair.libp2p(),
            DOMAIN.to_owned(),
            TYPE.to_vec(),
            payload(),
        );
        let bytes = envelope.unwrap().into_protobuf_encoding();
        let opened = SignedEnvelope::open(&bytes, DOMAIN, TYPE, 1024).unwrap();
        assert_eq!(opened, (keypair.node_id(), payload()));
        // Both kinds of signature are deterministic.
        assert_eq!(
            SignedEnvelope::seal(&keypair, DOMAIN, TYPE, payload()).encode(),
            bytes
        );
    }
}
