//! PROXY protocol headers, versions 1 and 2.
#![cfg_attr(fuzzing, no_main)]

peerwork_fuzz::target!(|bytes: &[u8]| peerwork_listener::fuzzing::proxy_header(bytes));
