//! HTTP and TCP through the network: in at any relay, out at a web app behind any edge.
//!
//! ```text
//!  HTTP client ─▶ Ingress: accept → parse → authorize → admit → route → connect or pool → forward → finish
//!  TCP client ──▶ Forwarder ───────────────────────────────────────────┐        │
//!                                                                      ▼        ▼
//!                                              one libp2p stream /peerwork/tunnel/1 (wire.rs)
//!                                                       Head ──▶        ◀── Answer
//!                                                                      │
//!  web app ◀── TCP ── Edge: who may call, which ports are allowed → dial → copy both ways
//! ```
//! The edge is a byte pipe with a policy, so all that HTTP can do passes. It dials exactly the ports
//! its owner named, on the host its owner named, and nobody follows a redirect.
//!
//! * [`Ingress`]: HTTP at a relay. Its failures are one table in [`problem`].
//! * [`Edge`]: the other end.
//! * [`Forwarder`]: plain TCP from a local port to a port of an edge.
//! * [`KeyStore`]: bearer keys, for ingress and for edges.
//! * [`routes::Routes`]: what this crate asks of a directory.

pub mod connect;
mod copy;
pub mod edge;
mod error;
pub mod forward;
pub mod ingress;
pub mod keys;
mod metrics;
mod pool;
pub mod problem;
pub mod routes;
mod socket;
pub mod wire;

pub use edge::Edge;
pub use error::StartError;
pub use forward::Forwarder;
pub use ingress::Ingress;
pub use keys::{Created, KeyStore, NewKey, StoredKey};
