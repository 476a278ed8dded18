//! An advertisement after its signature was checked: its signer may still be hostile.
#![cfg_attr(fuzzing, no_main)]

use peerwork_directory::{Advertisement, protocol};
use peerwork_net::DialPolicy;
use prost::Message;

peerwork_fuzz::target!(|bytes: &[u8]| {
    let Ok(wire) = protocol::Advertisement::decode(bytes) else {
        return;
    };
    let Ok(advertisement) = Advertisement::try_from(wire) else {
        return;
    };
    let _ = DialPolicy::default().permitted(&advertisement.addresses);
    // An advertisement that is read, written and read again is the same; one whose addresses become
    // longer in their normal form is refused.
    let again = protocol::Advertisement::from(&advertisement);
    if let Ok(again) = Advertisement::try_from(again) {
        assert_eq!(again, advertisement);
    }
});
