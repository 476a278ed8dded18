//! Behaviour of the store at its public face.
#![allow(clippy::unwrap_used, clippy::result_large_err)]

mod car;
mod disk;
mod hand;
mod memory;
mod tree;
mod unixfs;
