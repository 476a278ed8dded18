//! A request to the relay or the answer of a holder, as any node may send it.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| peerwork_net::fuzzing::relay_message(bytes));
