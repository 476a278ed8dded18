//! `Forwarded` and `X-Forwarded-For` headers of trusted proxies.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| peerwork_listener::fuzzing::forwarded(bytes));
