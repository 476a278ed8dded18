//! PROXY protocol headers, versions 1 and 2.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| peerwork_listener::fuzzing::proxy_header(bytes));
