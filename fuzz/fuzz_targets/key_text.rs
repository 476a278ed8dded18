//! Bearer keys: a key has exactly one text.
#![cfg_attr(fuzzing, no_main)]

use peerwork_tunnel::keys::KeyText;

peerwork_fuzz::target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    if let Ok(key) = text.parse::<KeyText>() {
        assert_eq!(key.to_string(), text);
    }
});
