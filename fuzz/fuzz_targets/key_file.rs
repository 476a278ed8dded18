//! Key files: whatever is accepted is written in its one form and reads back as the same key.
#![no_main]

use libfuzzer_sys::fuzz_target;
use peerwork_identity::key_file::{
    format_network_key, format_validator_key, parse_network_key, parse_validator_key,
};

fuzz_target!(|data: &[u8]| {
    if let Ok(key) = parse_network_key(data) {
        let again = parse_network_key(format_network_key(&key).as_bytes()).expect("its own form");
        assert_eq!(again.node_id(), key.node_id());
    }
    if let Ok(key) = parse_validator_key(data) {
        let again =
            parse_validator_key(format_validator_key(&key).as_bytes()).expect("its own form");
        assert_eq!(again.address(), key.address());
    }
});
