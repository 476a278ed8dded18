//! These tests run listeners on loopback sockets, with independent clients (hyper, curl).
#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on should stop where it stands"
)]

mod admission;
mod deadlines;
mod messages;
mod port;
mod preamble;
mod stopping;
