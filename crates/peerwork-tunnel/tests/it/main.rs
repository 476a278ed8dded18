//! The tunnel over loopback: real nodes, real HTTP.
#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on should stop where it stands"
)]

mod cutting;
mod failures;
mod keys;
mod passing;
mod paths;
mod slow_link;
mod streaming;
mod tcp;
mod world;
