//! Carries HTTP and TCP through the network: clients call any relay, and the web app runs behind any
//! edge.
//!
//! ```text
//!  HTTP client ─▶ Ingress: accept → parse → authorize → admit → route → connect or pool → forward → finish
//!  TCP client ──▶ Forwarder ───────────────────────────────────────────┐        │
//!                                                                      ▼        ▼
//!                                              one libp2p stream /peerwork/tunnel/1 (wire.rs)
//!                                                       Head ──▶        ◀── Answer
//!                                                                      │
//!  web app ◀─ TCP, TLS, Unix ─ Edge: check caller and port → dial → copy both ways
//! ```
//! The edge copies bytes and checks its policy; it does not parse HTTP, so everything that HTTP can do
//! passes. It dials exactly the hosts and ports of its configuration, and follows no redirect. To apps
//! that speak HTTP/2, the ingress speaks it within the tunnel.
//!
//! * [`Ingress`]: the HTTP server of a relay. Its failures are one table in [`problem`].
//! * [`Edge`]: the end of a tunnel in front of the app. The ingress of the same node reaches it by a
//!   pipe ([`stream`]).
//! * [`Forwarder`]: forwards a local TCP port to a port behind an edge.
//! * [`KeyStore`]: bearer keys of ingresses and edges.
//! * [`routes::Routes`]: the directory look-ups that this crate needs.

pub mod connect;
mod copy;
pub mod edge;
mod error;
pub mod forward;
pub mod ingress;
pub mod keys;
mod metrics;
mod outcome;
mod pool;
pub mod problem;
pub mod routes;
pub mod stream;
mod upload;
pub mod wire;

pub use edge::Edge;
pub use error::StartError;
pub use forward::Forwarder;
pub use ingress::Ingress;
pub use keys::{Created, KeyStore, NewKey, StoredKey};
