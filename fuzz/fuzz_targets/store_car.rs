//! CAR files: each block that is imported matches its CID.
#![cfg_attr(fuzzing, no_main)]

peerwork_fuzz::target!(|data: &[u8]| peerwork_store::fuzzing::car(data));
