//! Content-addressed blocks: IPFS's CIDs and UnixFS, a durable store, and its exchange with other nodes.
//!
//! ```text
//!  files ─▶ unixfs (add) ─▶ Sink ─▶ Store: segments + index, pins, quota ─▶ Source ─▶ unixfs (read, export)
//!  CAR  ──▶ car                        ▲                    │                              ▲
//!                                      │ verified blocks    ▼ serves                       │
//!                                   Exchange ◀── Bitswap ──▶ other nodes ── fetch ─────────┘
//! ```
#![allow(
    clippy::result_large_err,
    reason = "a CID is a value of 96 bytes, and errors name one or two; a box for each would help nobody"
)]

mod amounts;
mod block;
pub mod car;
pub mod config;
pub mod dag;
mod disk;
mod error;
pub mod exchange;
mod pin;
pub mod rpc;
mod source;
mod store;
mod strange;
pub mod unixfs;

pub use amounts::{Progress, Usage};
pub use block::{BLOCK_BYTES_MAX, Block, BlockError, DAG_PB, IDENTITY_BYTES_MAX, RAW, not_a_cid};
pub use config::Config;
pub use disk::verify::{BlockName, Repair, Verified};
pub use error::{OpenError, StoreError};
pub use exchange::{Exchange, ExchangeConfig};
pub use pin::{PIN_NAME_BYTES_MAX, PINS_MAX, Pin};
pub use source::{GetError, Sink, Source};
pub use store::{Hold, PinError, RemoveError, Store, Writer};

/// Decoders of the store's files and of strangers' blocks, for the fuzz targets.
#[doc(hidden)]
pub mod fuzzing {
    pub use crate::{
        disk::fuzzing::{pins_log, segment},
        strange::{car, dag},
    };
}
