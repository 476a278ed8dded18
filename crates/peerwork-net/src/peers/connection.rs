//! Connections as readers see them, and the events of their lives.

use std::{fmt, time::SystemTime};

use libp2p::core::ConnectedPoint;
use multiaddr::Multiaddr;
use peerwork_identity::NodeId;

use super::{Path, without_last_peer};

/// The end of a connection that dialled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Direction {
    /// This node dialled.
    Dialled,
    /// The other node dialled, and this one accepted.
    Accepted,
}

/// One connection to a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnectionInfo {
    /// Direct or relayed.
    pub path: Path,
    /// The remote address (of a circuit: the relay's).
    pub address: Multiaddr,
    /// The end that asked for the connection.
    pub direction: Direction,
    /// When it was established.
    pub since: SystemTime,
}

impl ConnectionInfo {
    pub(crate) fn of(endpoint: &ConnectedPoint) -> Self {
        let (address, direction) = match endpoint {
            ConnectedPoint::Dialer { address, .. } => (address, Direction::Dialled),
            // An inbound circuit shows in the local address, which names the relay.
            ConnectedPoint::Listener { local_addr, .. } if endpoint.is_relayed() => {
                (local_addr, Direction::Accepted)
            }
            ConnectedPoint::Listener { send_back_addr, .. } => {
                (send_back_addr, Direction::Accepted)
            }
        };
        let path = match endpoint.is_relayed() {
            true => Path::Relayed,
            false => Path::Direct,
        };
        Self {
            path,
            address: without_last_peer(address.clone()),
            direction,
            since: SystemTime::now(),
        }
    }
}

/// The number of a connection: no two connections of one running network share it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionId(pub(crate) u64);

impl fmt::Display for ConnectionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A connection to a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Connection {
    /// Its number.
    pub id: ConnectionId,
    /// The node at the other end; proven by the handshake.
    pub node: NodeId,
    /// Its path, address, direction and begin.
    pub info: ConnectionInfo,
}

/// The reason of a connection's end.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum CloseReason {
    /// Nothing happened on it for [`Config::idle_timeout`](crate::Config::idle_timeout).
    Idle,
    /// [`Network::disconnect`](crate::Network::disconnect) was called.
    Disconnected,
    /// [`Network::block`](crate::Network::block) was called.
    Blocked,
    /// The other node did not answer a ping in time.
    Unanswered,
    /// A protocol of this node closed it.
    Closed,
    /// The other node closed it, or it broke; with the transport's words.
    Lost(String),
}

impl fmt::Display for CloseReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Idle => f.write_str("nothing happened on it"),
            Self::Disconnected => f.write_str("this node disconnected"),
            Self::Blocked => f.write_str("this node blocked the other one"),
            Self::Unanswered => f.write_str("the other node did not answer a ping"),
            Self::Closed => f.write_str("this node closed it"),
            Self::Lost(why) => write!(f, "the other node closed it, or it broke: {why}"),
        }
    }
}

/// An event of one connection. Each connection is opened once and, unless the network stops first,
/// closed once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ConnectionEvent {
    /// The connection was established.
    Opened(Connection),
    /// The connection ended.
    Closed(Connection, CloseReason),
}
