//! Messages of Bitswap, as other nodes send them.
#![cfg_attr(fuzzing, no_main)]

use peerwork_store::exchange::wire::check_any_bytes;

peerwork_fuzz::target!(|bytes: &[u8]| check_any_bytes(bytes));
