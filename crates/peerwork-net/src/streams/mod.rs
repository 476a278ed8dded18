//! Byte streams between nodes, without queues that drop in silence.
//!
//! ```text
//!  open ─▶ registry: best connection of the node ─▶ its handler ─▶ up to N negotiations at once
//!  remote stream ─▶ handler: a place? ─ yes ─▶ accepted ─▶ queue ─▶ Incoming::next, or a task of Served
//!                                    └─ no ──▶ one byte says Busy
//! ```
//! A protocol of this network is *answered*: the accepting side first writes one byte, 0 for accepted
//! and 1 for busy, so that overload is an error at the opener and not a stream that dies. The place is
//! taken before that byte is written, so accepted streams are never turned away for want of room.
//! `libp2p-stream` is not used because its inbound queue holds one stream and it negotiates one
//! outbound stream at a time.

mod behaviour;
mod handle;
mod handler;
mod inbound;
mod incoming;
mod limits;
mod protocol;
mod registry;
mod served;
mod stream;

pub(crate) use behaviour::Behaviour;
pub use handle::SILENT_AFTER;
pub(crate) use handler::is_unsupported;
pub use inbound::InboundStream;
pub use incoming::Incoming;
pub use limits::{Limits, QUEUE_MAX};
pub use protocol::{NAME_BYTES_MAX, NameError, Protocol};
pub(crate) use registry::{Full, OpenRequest, Registry};
pub(crate) use served::Owner;
pub use served::{Served, StopError};
pub use stream::Stream;
