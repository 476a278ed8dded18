//! The directory over real networks on loopback.
#![allow(clippy::unwrap_used, unreachable_pub)]

mod node;
mod partition;
mod presence;
mod refusals;
mod reservations;
mod stranger;
