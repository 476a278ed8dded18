//! Peerwork's outside contracts: JSON-RPC with node events, operator gRPC, metrics and health.
//!
//! ```text
//!                       ┌──────────────── peerwork-api ────────────────┐
//!  JSON-RPC, WebSocket ─┤ jsonrpc ┐                                    │
//!  operator, CLI ─gRPC─▶│ operator├─▶ NodeService (trait) ◀─ the node  │
//!  Prometheus, probes ──┤ admin   ┘        │                           │
//!  browsers ────────────┤ front ─▶ FrontService (trait) ◀─ the network │
//!                       │                  └─ ServiceError ─▶ codes    │
//!                       └──────────────────────────────────────────────┘
//! ```
//!
//! This is the only crate that turns failures into HTTP, JSON-RPC or gRPC codes, in one table
//! ([`codes`]). It knows the node by one trait ([`service::NodeService`]) and by plain values
//! ([`dto`]). [`Server::start`] opens the listeners,
//! [`Handle::stop`] closes them.

mod admin;
pub mod codes;
pub mod config;
mod deadline;
pub mod dto;
mod error;
mod front;
#[doc(hidden)]
pub mod fuzzing;
mod jsonrpc;
mod metrics;
pub mod operator;
mod purpose;
mod routes;
mod server;
pub mod service;

pub use error::StartError;
pub use front::{FrontService, WebSocketBytes};
pub use metrics::SharedRegistry;
pub use purpose::Purpose;
pub use server::{Handle, Server, bind_front};
