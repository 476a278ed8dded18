//! The API at its public face: real sockets on loopback, a node that is made up.
#![allow(clippy::unwrap_used)]

mod directory;
mod fake;
mod http;
mod lifecycle;
mod operator;
mod page;
mod socket;
