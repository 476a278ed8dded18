//! A request to the relay or the answer of a holder, as any node may send it.
#![cfg_attr(fuzzing, no_main)]

peerwork_fuzz::target!(|bytes: &[u8]| peerwork_net::fuzzing::relay_message(bytes));
