//! These tests use the public interface of the crate, with real sockets on loopback and a fake
//! node.
#![allow(clippy::unwrap_used)]

mod directory;
mod fake;
mod gateway;
mod http;
mod invitations;
mod lifecycle;
mod operator;
mod page;
mod socket;
mod store;
