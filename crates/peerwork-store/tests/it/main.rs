//! Behaviour of the store at its public face.
#![allow(clippy::unwrap_used)]

mod memory;
mod unixfs;
