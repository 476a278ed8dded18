//! The exchange of blocks with other nodes by Bitswap 1.2.0, as kubo and Helia speak it.
//!
//! ```text
//!   Session (Source), fetch ─▶ session/: who is asked for what ─▶ post ──wants──▶ other nodes
//!        ▲                        ▲ blocks, presences                                │
//!        └───── store ◀───────── inbound ◀──────────── their streams ◀───────────────┤
//!                 │                └ wantlists                                       │
//!                 └──▶ server/: ledgers, messages of blocks ──on streams of its own──┘
//!   announcer ─▶ Providers (directory, DHT) ◀─ searches and dials of sessions
//! ```
//! Each side sends on streams that it opens itself, so no stream has an answer.

mod announcer;
mod config;
mod error;
mod fetch;
mod figures;
mod inbound;
mod metrics;
mod outbox;
mod post;
mod prefix;
mod providers;
mod received;
mod room;
mod server;
mod service;
mod session;
mod tree;
pub mod wire;

pub use config::ExchangeConfig;
pub use error::{Answer, Asked, Bound, Dropped, FetchError, ProviderReport};
pub use fetch::{FetchEvent, FetchOptions, FetchProgress, Fetched};
pub use figures::NodeFigures;
pub use providers::{AnnounceError, ConnectedOnly, Providers};
pub use received::Received;
pub use service::Exchange;
pub use session::Session;
