//! The directory over real networks on loopback.
#![allow(clippy::unwrap_used, unreachable_pub)]

mod flood;
mod local_network;
mod node;
mod offers;
mod partition;
mod presence;
mod refusals;
mod reservations;
mod schema;
mod secrets;
mod stranger;
