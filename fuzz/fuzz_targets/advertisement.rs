//! An advertisement after its signature was checked: its signer may still be hostile.
#![no_main]

use libfuzzer_sys::fuzz_target;
use peerwork_directory::{Advertisement, protocol};
use peerwork_net::DialPolicy;
use prost::Message;

fuzz_target!(|bytes: &[u8]| {
    let Ok(wire) = protocol::Advertisement::decode(bytes) else {
        return;
    };
    let Ok(advertisement) = Advertisement::try_from(wire) else {
        return;
    };
    let _ = DialPolicy::default().permitted(&advertisement.addresses);
    // What was read and is written again means the same. An address may be longer in its normal form,
    // and then it is refused.
    let again = protocol::Advertisement::from(&advertisement);
    if let Ok(again) = Advertisement::try_from(again) {
        assert_eq!(again, advertisement);
    }
});
