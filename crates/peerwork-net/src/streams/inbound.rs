//! Describes a stream that another node opened.

use libp2p::swarm::ConnectionId;
use peerwork_identity::NodeId;
use peerwork_limits::{Origin, Place};

use super::Stream;
use crate::peers::Path;

/// A stream that another node opened.
#[derive(Debug)]
pub struct InboundStream {
    /// The node that opened it; proven by the connection's handshake.
    pub node: NodeId,
    /// Whether it came over a direct connection or a circuit.
    pub path: Path,
    /// The network address that the connection counts for, or the relay of a circuit; `None` is
    /// this machine.
    pub origin: Option<Origin>,
    /// The connection it came on.
    pub(crate) connection: ConnectionId,
    /// The bytes.
    pub stream: Stream,
    /// Its place among the streams of the protocol, until dropped: keep it as long as the stream
    /// costs anything.
    pub place: Place<NodeId>,
}
