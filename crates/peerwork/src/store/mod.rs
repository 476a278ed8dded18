//! The content store of a data directory: its lock, the part of a running node, and the store without a
//! node.
//!
//! ```text
//!  Node::start ─▶ Part ──(at the start with --store, else when a command needs it)──▶ Opened
//!                  │                                                     store + exchange
//!                  └─ offer `store`, providers from directory and DHT ─────────┘
//!  peerwork store … without a node ─▶ offline::OfflineStore (the same lock)
//! ```

mod lock;
mod offer;
pub mod offline;
mod part;
mod providers;

pub use self::part::OpenError;
pub(crate) use self::part::{Opened, Part, Parts};
