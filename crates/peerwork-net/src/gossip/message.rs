//! Messages of a topic, and the verdicts of services about them.

use std::sync::Arc;

use peerwork_identity::NodeId;

/// A message of a topic.
#[derive(Debug, Clone)]
pub struct Message {
    /// The node that published the message; proven by gossipsub's signature.
    pub author: NodeId,
    /// The connected node that sent the message to this node.
    pub sender: NodeId,
    /// The message's bytes, at most the topic's limit.
    pub data: Arc<[u8]>,
}

/// A validator's verdict about a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Deliver and forward the message.
    Accept,
    /// Neither deliver nor forward the message, without a penalty for its sender (stale, unknown).
    Ignore,
    /// Neither deliver nor forward the message, and lower the sender's gossipsub score. A hub does not
    /// score, so there the verdict is as good as [`Verdict::Ignore`].
    Reject,
}

/// Whether this node receives the messages of a topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Publish, receive and forward.
    Subscribe,
    /// Publish only, to the nodes that subscribe.
    PublishOnly,
}

pub(crate) type Validator = Arc<dyn Fn(&Message) -> Verdict + Send + Sync>;
