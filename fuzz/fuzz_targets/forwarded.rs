//! `Forwarded` and `X-Forwarded-For` headers of trusted proxies.
#![cfg_attr(fuzzing, no_main)]

peerwork_fuzz::target!(|bytes: &[u8]| peerwork_listener::fuzzing::forwarded(bytes));
