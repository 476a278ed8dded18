//! This crate serves a node's APIs: JSON-RPC with node events, operator gRPC, metrics and health,
//! the port for browsers, and the gateway to content.
//!
//! ```text
//!                       ┌──────────────── peerwork-api ────────────────┐
//!  JSON-RPC, WebSocket ─┤ jsonrpc ┐                                    │
//!  operator, CLI ─gRPC─▶│ operator├─▶ NodeServices ◀───────── the node  │
//!  Prometheus, probes ──┤ admin   ┘        │                           │
//!  browsers ────────────┤ front ─▶ FrontService (trait) ◀─ the network │
//!  readers of content ──┤ gateway ─▶ GatewayService ◀──────── the store│
//!                       │                  └─ ServiceError ─▶ codes    │
//!                       └──────────────────────────────────────────────┘
//! ```
//!
//! Only this crate maps failures to HTTP, JSON-RPC and gRPC codes, in one table ([`codes`]). Each
//! domain ([`node`], [`peers`], [`relays`], [`directory`], [`invitations`], [`store`],
//! [`events`]) has a module with its
//! service trait, its values and its messages. [`NodeServices`] holds one service for each domain
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
pub mod gateway;
pub mod invitations;
mod jsonrpc;
mod metrics;
pub mod node;
pub mod operator;
pub mod peers;
mod purpose;
pub mod relays;
mod routes;
mod server;
mod services;
mod start_error;
pub mod store;

pub use error::{ErrorKind, ServiceError};
pub use front::{
    Circuits, FrontService, GossipLimits, History, ICE_CREDENTIAL_BYTES_MAX, ICE_URL_BYTES_MAX,
    IceServer, IceServerError, LIST_MAX, OpenCircuit, PageSettings, PubsubType, RelayAddresses,
    RelayConfig, RelayLimits, RelayPeer, RelayReport, RelayTopic, Reservations, Sample, Traffic,
    WebSocketBytes,
};
pub use metrics::SharedRegistry;
pub use purpose::Purpose;
pub use server::{Handle, Server, bind_front};
pub use services::NodeServices;
pub use start_error::StartError;
