//! A kubo daemon as a source of blocks, by its RPC API (`--ipfs-api`).
//!
//! ```text
//!  KuboApi: Source ─▶ POST /api/v0/block/get, /ls, /pin/add ─▶ daemon
//!             ◀── Block::verify ◀── the body within its bound
//! ```
//! Nothing that the daemon says is trusted: blocks are checked against their CIDs, and every answer has a
//! bound and a deadline.

mod address;
mod client;

pub use address::{AddressError, ApiAddress};
pub use client::{KuboApi, RpcError, RpcLink};
