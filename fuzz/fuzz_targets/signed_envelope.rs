//! Signed envelopes: bytes without a secret key behind them never open by accident or panic.
#![cfg_attr(fuzzing, no_main)]

use peerwork_identity::{PublicKey, SignedEnvelope};

const BYTES_MAX: usize = 64 * 1024;

peerwork_fuzz::target!(|data: &[u8]| {
    let _ = SignedEnvelope::open(data, "peerwork-fuzz", b"", BYTES_MAX);
    if let Ok(key) = PublicKey::from_protobuf(data) {
        assert_eq!(PublicKey::from_protobuf(&key.to_protobuf()).ok(), Some(key));
    }
});
