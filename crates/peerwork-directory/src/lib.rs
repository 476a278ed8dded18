//! Who is in the network: signed advertisements, heartbeats, inventory, liveness, relays to hold.
//!
//! ```text
//!  inventory ─┐
//!  addresses ─┼▶ own ─▶ announcer ─┬─ leaf ──▶ pusher ─▶ /peerwork/directory/1 ─▶ serve (relay) ─┐
//!  keeper ────┘    signed by the   └─ relay ─▶ gossip topic ◀────────────────────────────────────┘
//!  (reservations)  node's own key                  │ validated before it is forwarded
//!                                                  ▼
//!  catch_up ── snapshots and lookups ─▶ announcement::open ─▶ state (pure) ─▶ events, route, get
//! ```
//!
//! A relay knows every node; a leaf knows itself and the relays, and asks them about others.
//! A forged, malformed, oversized or too frequent announcement earns its sender a strike, and too
//! many strikes a block ([`limiter`]).
//!
//! The crate does not connect to nodes it learned of: [`Directory::route`] says where they can be
//! dialled, and the caller decides.

pub mod advertisement;
pub mod announcement;
mod announcer;
mod ask;
pub mod backoff;
mod catch_up;
pub mod config;
mod core;
pub mod error;
mod gossip;
mod handle;
pub mod inventory;
pub mod limiter;
mod links;
mod metrics;
pub mod offer;
mod own;
pub mod protocol;
mod pusher;
pub mod reservations;
pub mod route;
#[cfg(test)]
mod samples;
mod serve;
mod service;
pub mod state;

pub use advertisement::Advertisement;
pub use config::{Config, Description, Participation};
pub use handle::Directory;
pub use offer::{Offer, Offers};
pub use reservations::ReservationStatus;
pub use route::Route;
pub use state::{Entry, Event, Reason};
