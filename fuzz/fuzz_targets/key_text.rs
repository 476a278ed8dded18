//! Bearer keys: a key has exactly one text.
#![no_main]

use libfuzzer_sys::fuzz_target;
use peerwork_tunnel::keys::KeyText;

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    if let Ok(key) = text.parse::<KeyText>() {
        assert_eq!(key.to_string(), text);
    }
});
