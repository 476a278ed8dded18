//! Requests to a relay and answers of a holder, as any node may send them.
#![cfg_attr(fuzzing, no_main)]

peerwork_fuzz::target!(|bytes: &[u8]| peerwork_net::fuzzing::relay_message(bytes));
