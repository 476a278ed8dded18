//! JSON-RPC requests and batches, as any client may send them.
#![cfg_attr(fuzzing, no_main)]

peerwork_fuzz::target!(|text: &[u8]| peerwork_api::fuzzing::json_rpc(text));
