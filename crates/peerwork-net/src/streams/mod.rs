//! Byte streams between nodes, without queues that drop in silence.
//!
//! ```text
//!  open ─▶ registry: best connection of the node ─▶ its handler ─▶ up to N negotiations at once
//!  remote stream ─▶ handler ─▶ bounded queue of the protocol ─▶ Incoming::next
//!                        └─ full: one byte says Busy
//! ```
//! A protocol of this network is *answered*: the accepting side first writes one byte, 0 for accepted
//! and 1 for busy, so that overload is an error at the opener and not a stream that dies.
//! `libp2p-stream` is not used because its inbound queue holds one stream and it negotiates one
//! outbound stream at a time.

mod behaviour;
mod handle;
mod handler;
mod registry;
mod stream;

use std::fmt;

use libp2p::{StreamProtocol, swarm::ConnectionId};
use peerwork_identity::NodeId;
use peerwork_limits::Origin;
use tokio::sync::mpsc;

pub(crate) use behaviour::Behaviour;
pub(crate) use registry::{OpenRequest, Registry};
pub use stream::Stream;

use crate::peers::Path;

/// A protocol's name and whether its streams are answered.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Protocol {
    pub(crate) name: StreamProtocol,
    pub(crate) answered: bool,
}

impl Protocol {
    /// A protocol of this network, for instance `/peerwork/tunnel/1`: the accepting side answers
    /// with one byte, so that [`OpenError::Busy`](crate::error::OpenError::Busy) can be told.
    #[must_use]
    pub const fn answered(name: &'static str) -> Self {
        Self {
            name: StreamProtocol::new(name),
            answered: true,
        }
    }

    /// A protocol defined elsewhere, for instance `/ipfs/bitswap/1.2.0`: no byte is added; a full
    /// queue resets the stream.
    #[must_use]
    pub const fn bare(name: &'static str) -> Self {
        Self {
            name: StreamProtocol::new(name),
            answered: false,
        }
    }
}

impl fmt::Debug for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name.as_ref())
    }
}

/// A stream that another node opened.
#[derive(Debug)]
pub struct InboundStream {
    /// Who opened it; proven by the connection's handshake.
    pub node: NodeId,
    /// Whether it came over a direct connection or a circuit.
    pub path: Path,
    /// The connection it came on.
    pub(crate) connection: ConnectionId,
    /// Where the connection comes from, when that counts for anything.
    pub(crate) origin: Option<Origin>,
    /// The bytes.
    pub stream: Stream,
}

/// The bounded queue of inbound streams of one protocol.
///
/// Dropping it stops serving the protocol.
#[derive(Debug)]
pub struct Incoming {
    pub(crate) receiver: mpsc::Receiver<InboundStream>,
    pub(crate) registry: Registry,
    pub(crate) protocol: Protocol,
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
