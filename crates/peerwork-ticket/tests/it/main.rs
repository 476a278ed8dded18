//! Tickets and their redemption over real networks on loopback.
#![allow(clippy::unwrap_used, unreachable_pub)]

mod schema;
