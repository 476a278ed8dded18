//! Behaviour of the store at its public face.
#![allow(clippy::unwrap_used)]

mod car;
mod disk;
mod hand;
mod memory;
mod tree;
mod unixfs;
