//! Content-addressed blocks: IPFS's CIDs and UnixFS, a durable store, and its exchange with other nodes.
//!
//! ```text
//!  files ─▶ unixfs (add) ─▶ Sink ─▶ Store: segments + index, pins, quota ─▶ Source ─▶ unixfs (read, export)
//!  CAR  ──▶ car                        ▲                    │                              ▲
//!                                      │ verified blocks    ▼ serves                       │
//!                                   Exchange ◀── Bitswap ──▶ other nodes ── fetch ─────────┘
//! ```

// Errors name blocks, and a CID takes 96 bytes where it stands: boxes would hide it from a `match`.
#![allow(clippy::result_large_err)]

mod block;
pub mod car;
pub mod config;
pub mod dag;
mod error;
#[doc(hidden)]
pub mod fuzzing;
mod source;
mod store;
pub mod unixfs;

pub use block::{BLOCK_BYTES_MAX, Block, BlockError, DAG_PB, IDENTITY_BYTES_MAX, RAW};
pub use config::Config;
pub use error::StoreError;
pub use source::{GetError, Sink, Source};
pub use store::{Hold, OpenError, Pin, PinError, Progress, Store, Usage, Writer};
