//! A JSON-RPC request or batch, as anybody may send it.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &[u8]| peerwork_api::fuzzing::json_rpc(text));
