//! The HTTP gateway serves the DAGs of the node to browsers and programs: `/ipfs/CID[/path]`.
//!
//! ```text
//!  peerwork-listener ─▶ port.rs ─▶ answer.rs: host, path, query, format ─▶ call.rs: resolve the names
//!  (a port of its own)               │                                        │
//!  a relay's ingress ─▶ Trustless ───┘      content.rs │ block.rs │ archive.rs ◀─┘
//!  (raw and car alone)                        listing.rs, file.rs (ranges), body.rs: a stream with a deadline
//!                                             ▲
//!                                             └── GatewayService (trait)
//! ```
//! The gateway follows IPFS's specifications of the path gateway and the trustless gateway, without IPNS,
//! TAR and `_redirects`; the table of their requests is in `docs/store.md`. It only reads, sets and
//! reads no cookies, and everything that a stranger wrote is sandboxed (`headers.rs`).

mod answer;
mod archive;
mod block;
mod body;
mod call;
mod car;
mod content;
mod etag;
mod file;
mod finish;
mod format;
mod headers;
mod host;
mod listing;
mod media_type;
mod path;
mod port;
mod problem;
mod query;
mod range;
mod service;
mod trustless;

pub use answer::GatewayLimits;
pub use car::{CarRequest, Duplicates, EntityBytes, Scope};
pub use path::{NAMES_MAX, PATH_BYTES_MAX};
pub use port::GatewayConfig;
pub(crate) use port::GatewayPort;
pub use service::{
    ByteStream, Dag, DirEntry, Entity, EntityKind, EntryStream, GatewayError, GatewayService, Reach,
};
pub use trustless::Trustless;
