//! dag-pb and UnixFS: nodes read back as themselves, and readers end at their limits.
#![cfg_attr(fuzzing, no_main)]

peerwork_fuzz::target!(|data: &[u8]| peerwork_store::fuzzing::dag(data));
