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
mod limits;
mod protocol;
mod registry;
mod served;
mod stream;

use libp2p::swarm::ConnectionId;
use peerwork_identity::NodeId;
use peerwork_limits::{Origin, Place, Places};
use tokio::sync::mpsc;

pub(crate) use behaviour::Behaviour;
pub use limits::{Limits, QUEUE_MAX};
pub use protocol::{NAME_BYTES_MAX, NameError, Protocol};
pub(crate) use registry::{Full, OpenRequest, Registry};
pub(crate) use served::Owner;
pub use served::{Served, StopError};
pub use stream::Stream;

use crate::peers::Path;

/// A stream that another node opened.
#[derive(Debug)]
pub struct InboundStream {
    /// The node that opened the stream; proven by the connection's handshake.
    pub node: NodeId,
    /// Whether the stream came over a direct connection or a circuit.
    pub path: Path,
    /// The origin that the connection counts for: its network address, or the relay of a circuit;
    /// `None` is this machine.
    pub origin: Option<Origin>,
    /// The connection that carries the stream.
    pub(crate) connection: ConnectionId,
    /// The byte stream.
    pub stream: Stream,
    /// The stream's place within the bounds of the protocol, until dropped: keep the place as long as
    /// the stream uses resources.
    pub place: Place<NodeId>,
}

/// The bounded queue of inbound streams of one protocol.
///
/// Dropping the queue stops serving the protocol.
#[derive(Debug)]
pub struct Incoming {
    pub(crate) receiver: mpsc::Receiver<InboundStream>,
    pub(crate) registry: Registry,
    pub(crate) protocol: Protocol,
    pub(crate) places: Places<NodeId>,
}

impl Incoming {
    /// The next stream; `None` once the network has stopped.
    pub async fn next(&mut self) -> Option<InboundStream> {
        self.receiver.recv().await
    }
}

impl Drop for Incoming {
    fn drop(&mut self) {
        self.registry.withdraw(&self.protocol);
    }
}
