//! Behaviour of the store at its public face.
#![allow(clippy::unwrap_used)]

mod exchange;
mod disk;
mod car;
mod hand;
mod memory;
mod rpc;
mod tree;
mod unixfs;
