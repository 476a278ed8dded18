//! Key files: an accepted file is written in its canonical form and reads back as the same key.
#![cfg_attr(fuzzing, no_main)]

use peerwork_identity::key_file::{
    format_network_key, format_validator_key, parse_network_key, parse_validator_key,
};

peerwork_fuzz::target!(|data: &[u8]| {
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
