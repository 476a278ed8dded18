//! HTTP listeners: one way to accept, admit, secure, serve and stop the connections of an HTTP port.
//!
//! ```text
//!  Bound ─▶ accept ─▶ Admission ─▶ opening ───────────────▶ connection ─────────▶ Serve (the caller's)
//!  (bind)     │       places,      PROXY header, first      HTTP/1.1, HTTP/2,     one service for all
//!             │       shares       byte, TLS with ALPN      deadlines             requests of the port
//!             └─ full: 503 (refusal)
//!  Lifetime   owns every task: stop asks, the drain deadline waits, cut ends
//!  Proxies    the client of a request behind trusted proxies
//! ```
//! The crate knows neither libp2p nor any service of a node. The ingress, JSON-RPC, the operator API,
//! metrics and the port for browsers all stand on it, so a bound or a deadline is written once.

mod admission;
mod bound;
mod caller;
mod config;
mod connection;
mod counters;
mod forwarded;
#[doc(hidden)]
pub mod fuzzing;
mod lifetime;
mod listener;
mod opening;
mod proxies;
mod proxy_header;
mod refusal;
mod serve;
mod tls;
mod watched;

pub use admission::Place;
pub use bound::{Bound, prepare};
pub use caller::Caller;
pub use config::{Bounds, Config, Deadlines, Preamble, TlsFiles, Wire};
pub use counters::Counters;
pub use lifetime::{Lifetime, Stopped};
pub use listener::Listener;
pub use proxies::{Client, Proxies};
pub use serve::Serve;
pub use tls::CertificateError;
pub use watched::Watched;
