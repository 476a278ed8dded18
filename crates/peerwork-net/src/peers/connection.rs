//! Describes connections for readers, and the events of their begin and end.

use std::{fmt, time::SystemTime};

use libp2p::core::ConnectedPoint;
use multiaddr::Multiaddr;
use peerwork_identity::NodeId;

use super::{Path, without_last_peer};
use crate::membership::Refusal;

/// The side that dialled a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Direction {
    /// This node dialled the other one.
    Dialled,
    /// The other node dialled, and this one accepted.
    Accepted,
}

/// One connection to a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnectionInfo {
    /// Whether the connection is direct or relayed.
    pub path: Path,
    /// The remote address (of a circuit: the relay's).
    pub address: Multiaddr,
    /// The side that dialled.
    pub direction: Direction,
    /// When the connection was established.
    pub since: SystemTime,
}

impl ConnectionInfo {
    pub(crate) fn of(endpoint: &ConnectedPoint) -> Self {
        let (address, direction) = match endpoint {
            ConnectedPoint::Dialer { address, .. } => (address, Direction::Dialled),
            // An inbound circuit is visible in the local address, which names the relay.
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
    /// The connection's number.
    pub id: ConnectionId,
    /// The node at the other end; proven by the handshake.
    pub node: NodeId,
    /// The connection's path, address, direction and begin.
    pub info: ConnectionInfo,
}

/// The reason of a connection's end.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum CloseReason {
    /// The connection was idle for [`Config::idle_timeout`](crate::Config::idle_timeout).
    Idle,
    /// [`Network::disconnect`](crate::Network::disconnect) was called.
    Disconnected,
    /// [`Network::block`](crate::Network::block) was called.
    Blocked,
    /// The other node did not answer a ping in time.
    Unanswered,
    /// A protocol of this node closed the connection.
    Closed,
    /// One of the nodes refused the other as no member of its network.
    Refused(Refusal),
    /// The transport of this node ended the connection, because the other node broke a rule.
    Cut(String),
    /// The other node closed the connection, or it broke; with the transport's error.
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
            Self::Refused(refusal) => refusal.fmt(f),
            Self::Cut(why) => write!(f, "this node ended it: {why}"),
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
