//! The directory of a network's nodes: signed advertisements, heartbeats, inventory, liveness, and the
//! reservations that a node keeps at relays.
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
//! A relay knows every node; a leaf knows itself and the relays, and looks up other nodes there.
//! A node describes its services in offers ([`offer`]), which the directory indexes and does not read.
//! A forged, malformed, oversized or too frequent announcement earns its sender a strike, and too
//! many strikes a block ([`limiter`]). One sender, and one network address, brings only a share of the
//! nodes in the table ([`state::Source`]).
//!
//! The crate connects to the nodes of the network file, and to nodes of the network that mDNS finds on the
//! local network (`found.rs`). To other nodes that it learned of it does not connect: [`Directory::route`]
//! returns the addresses, and the caller decides whether to dial them.

pub mod advertisement;
pub mod announcement;
mod announcer;
mod ask;
pub mod backoff;
mod catch_up;
mod census;
pub mod config;
mod core;
pub mod error;
mod found;
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
pub use census::{COUNTED_MAX, count_nodes};
pub use config::{Config, Description, Participation};
pub use handle::Directory;
pub use offer::{Offer, Offers};
pub use reservations::ReservationStatus;
pub use route::Route;
pub use state::{Entry, Event, Reason};
