//! Tickets and their redemption over real networks on loopback.
#![allow(clippy::unwrap_used, unreachable_pub)]

mod redeem;
mod refusals;
mod relay;
mod schema;
