//! Content-addressed blocks: IPFS's CIDs and UnixFS, a durable store, and its exchange with other nodes.
//!
//! ```text
//!  files ─▶ unixfs (add) ─▶ Sink ─▶ Store: segments + index, pins, quota ─▶ Source ─▶ unixfs (read, export)
//!  CAR  ──▶ car                        ▲                    │                              ▲
//!                                      │ verified blocks    ▼ serves                       │
//!                                   Exchange ◀── Bitswap ──▶ other nodes ── fetch ─────────┘
//! ```

mod block;
pub mod car;
pub mod config;
pub mod dag;
mod error;
pub mod exchange;
mod source;
mod store;
pub mod unixfs;

pub use block::{BLOCK_BYTES_MAX, Block, BlockError, DAG_PB, IDENTITY_BYTES_MAX, RAW};
pub use config::Config;
pub use error::StoreError;
pub use exchange::{Exchange, ExchangeConfig};
pub use source::{GetError, Sink, Source};
pub use store::{Hold, OpenError, Pin, PinError, Progress, Store, Usage, Verified, Writer};
