//! This crate accepts, admits, secures, serves and stops the connections of an HTTP port.
//!
//! ```text
//!   Bound ─▶ accept ─▶ Admission ─▶ opening ───────────────▶ connection ─────────▶ Serve (the caller's)
//!   (bind)     │       places by    PROXY header, first      HTTP/1.1, HTTP/2,     one service for all
//!              │       address      byte, TLS with ALPN      deadlines             requests of the port
//!              └─ full: 503 (refusal)
//!   Lifetime   owns every task: `stop` drains requests until a deadline, `cut` aborts the rest
//!   Proxies    finds the client of a request behind trusted proxies
//! ```
//! The crate depends neither on libp2p nor on any service of a node. The ingress, JSON-RPC, the
//! operator API, metrics and the port for browsers all use it, so each bound and each deadline is
//! implemented once.

mod accept_failures;
mod admission;
mod bound;
mod caller;
mod config;
mod connection;
mod counters;
mod forwarded;
#[doc(hidden)]
pub mod fuzzing;
mod header_bytes;
mod lifetime;
mod listener;
mod messages;
mod opening;
mod proxies;
mod proxy_header;
mod refusal;
mod serve;
mod splice;
mod tls;
mod watched;

pub use accept_failures::AcceptFailures;
pub use admission::Place;
pub use bound::{Bound, prepare};
pub use caller::Caller;
pub use config::{Bounds, Config, Deadlines, HeaderCase, Preamble, TlsFiles, Wire};
pub use connection::HEADERS_MAX;
pub use counters::Counters;
pub use header_bytes::{HEADER_BYTES_MAX, header_bytes};
pub use lifetime::{Lifetime, Stopped};
pub use listener::{Listener, Started};
pub use messages::Interim;
pub use proxies::{Client, Proxies};
pub use serve::Serve;
pub use tls::CertificateError;
pub use watched::Watched;
