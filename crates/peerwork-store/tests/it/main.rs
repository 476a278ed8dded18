//! Behaviour of the store at its public face.
#![allow(clippy::unwrap_used, clippy::result_large_err)]

mod car;
mod disk;
mod exchange;
mod hand;
mod memory;
mod rpc;
mod tree;
mod unixfs;
