//! Makes sample nodes and announcements for this crate's unit tests.

use std::time::Duration;

use peerwork_identity::{Keypair, NodeAddress, NodeId};

use crate::{
    advertisement::{Advertisement, Goodbye, Heartbeat, Role, Service},
    offer::{Offer, Offers},
};

/// The time of all samples: milliseconds since the epoch.
pub(crate) const NOW_MS: u64 = 1_800_000_000_000;

/// A key that is the same in every run.
pub(crate) fn key(number: u8) -> Keypair {
    let mut bytes = vec![8, 2, 18, 32];
    bytes.extend([number; 32]);
    Keypair::from_protobuf(&bytes).expect("invariant: a repeated non-zero byte is a valid scalar")
}

pub(crate) fn node(number: u8) -> NodeId {
    key(number).node_id()
}

/// A node id without a usable key, one for each number.
pub(crate) fn numbered(number: u16) -> NodeId {
    let mut bytes = vec![0x00, 0x25, 0x08, 0x02, 0x12, 0x21];
    bytes.extend([0; 31]);
    bytes.extend(number.to_be_bytes());
    NodeId::from_bytes(&bytes).expect("invariant: an identity multihash of a key's length")
}

pub(crate) fn address(text: &str) -> multiaddr::Multiaddr {
    text.parse().expect("invariant: samples are valid")
}

pub(crate) fn relay(number: u8) -> NodeAddress {
    NodeAddress {
        node: node(number),
        transport: address(&format!("/ip4/203.0.113.{number}/tcp/50001")),
    }
}

pub(crate) fn offer(kind: &str, body: &[u8]) -> Offer {
    Offer {
        kind: kind.parse().expect("invariant: samples are valid"),
        version: 1,
        body: body.into(),
    }
}

pub(crate) fn advertisement(number: u8, sequence: u64) -> Advertisement {
    Advertisement {
        node: node(number),
        network: "test".into(),
        sequence,
        issued_at_ms: NOW_MS,
        expires_in: Duration::from_secs(3600),
        name: format!("edge {number}"),
        version: "0.1.0".into(),
        roles: vec![Role::Edge],
        relays: vec![relay(200)],
        addresses: vec![address("/ip4/198.51.100.7/tcp/4001")],
        services: vec![Service { port: 9527 }],
        requires_key: false,
        started_at_ms: NOW_MS,
        uptime: Duration::from_secs(3),
        app_origin: String::new(),
        model_hash: String::new(),
        mac: "00:16:3e:00:00:01".into(),
        mem_info: String::new(),
        cpu_info: String::new(),
        gpu_info: String::new(),
        average_power: 0.0,
        relay_proxy_port: None,
        offers: Offers::new([offer("store", b"sample")]).expect("invariant: samples are valid"),
    }
}

pub(crate) fn heartbeat(number: u8, sequence: u64, beat: u64) -> Heartbeat {
    Heartbeat {
        node: node(number),
        network: "test".into(),
        sequence,
        beat,
        issued_at_ms: NOW_MS,
        uptime: Duration::from_secs(3 + beat),
        mem_info: None,
    }
}

pub(crate) fn goodbye(number: u8, sequence: u64) -> Goodbye {
    Goodbye {
        node: node(number),
        network: "test".into(),
        sequence,
        issued_at_ms: NOW_MS,
    }
}
