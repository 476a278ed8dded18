//! Names the reasons why a tunnel did not open.

use peerwork_net::error::{DialError, OpenError};

use crate::wire::Refusal;

/// There is no tunnel.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// Neither known nor connected.
    #[error("the node is not known")]
    UnknownNode,
    /// The node cannot be reached.
    #[error("the node cannot be reached: {0}")]
    Unreachable(String),
    /// The node is this node, which has no edge.
    #[error("the node is this node, which offers no apps")]
    Oneself,
    /// The node offers no tunnels.
    #[error("the node offers no apps")]
    NoEdge,
    /// The node answered something that is no answer.
    #[error("the node answered nonsense: {0}")]
    BadAnswer(String),
    /// The node takes no more tunnels at this moment.
    #[error("the node is busy")]
    EdgeBusy,
    /// This node takes no more at this moment.
    #[error("too much is under way to the node")]
    Busy,
    /// The edge said no.
    #[error("the edge refused ({:?}): {}", .0.reason, .0.detail)]
    Refused(Refusal),
    /// The deadline passed.
    #[error("the deadline passed while connecting")]
    Deadline,
    /// The network has stopped.
    #[error("the network has stopped")]
    Stopped,
}

impl From<OpenError> for ConnectError {
    fn from(error: OpenError) -> Self {
        match error {
            OpenError::Unsupported => Self::NoEdge,
            OpenError::Busy => Self::EdgeBusy,
            OpenError::Congested => Self::Busy,
            OpenError::Deadline => Self::Deadline,
            OpenError::Stopped => Self::Stopped,
            other => Self::Unreachable(other.to_string()),
        }
    }
}

impl From<DialError> for ConnectError {
    fn from(error: DialError) -> Self {
        match error {
            DialError::Oneself => Self::Oneself,
            DialError::Busy => Self::Busy,
            DialError::Deadline => Self::Deadline,
            DialError::Stopped => Self::Stopped,
            other => Self::Unreachable(other.to_string()),
        }
    }
}
