//! A JSON-RPC request or batch, as anybody may send it.
#![cfg_attr(fuzzing, no_main)]

peerwork_fuzz::target!(|text: &[u8]| peerwork_api::fuzzing::json_rpc(text));
