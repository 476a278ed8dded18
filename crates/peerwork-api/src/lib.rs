//! Peerwork's outside contracts: JSON-RPC with node events, operator gRPC, metrics and health.
//!
//! ```text
//!                       ┌──────────────── peerwork-api ────────────────┐
//!  JSON-RPC, WebSocket ─┤ jsonrpc ┐                                    │
//!  operator, CLI ─gRPC─▶│ operator├─▶ NodeServices ◀───────── the node  │
//!  Prometheus, probes ──┤ admin   ┘        │                           │
//!  browsers ────────────┤ front ─▶ FrontService (trait) ◀─ the network │
//!                       │                  └─ ServiceError ─▶ codes    │
//!                       └──────────────────────────────────────────────┘
//! ```
//!
//! This is the only crate that turns failures into HTTP, JSON-RPC or gRPC codes, in one table
//! ([`codes`]). Each domain ([`node`], [`peers`], [`relays`], [`directory`], [`events`]) has a room with
//! its service trait, its values and its messages; [`NodeServices`] holds one service for each domain
//! that the node has. [`Server::start`] opens the listeners, [`Handle::stop`] closes them.

mod admin;
pub mod codes;
pub mod config;
mod deadline;
pub mod directory;
pub mod error;
pub mod events;
mod front;
#[doc(hidden)]
pub mod fuzzing;
mod jsonrpc;
mod listener;
mod metrics;
pub mod node;
pub mod operator;
pub mod peers;
mod places;
pub mod relays;
mod server;
mod services;

pub use error::{ErrorKind, ServiceError};
pub use front::{
    Bound, CertificateError, Circuits, FrontConfig, FrontService, History, LIST_MAX, OpenCircuit,
    Proxies, RelayAddresses, RelayLimits, RelayPeer, RelayReport, RelayTopic, Reservations, Sample,
    TlsFiles, Traffic, WebSocketBytes,
};
pub use listener::Purpose;
pub use metrics::SharedRegistry;
pub use server::{Handle, Server, StartError, Stopped};
pub use services::NodeServices;
