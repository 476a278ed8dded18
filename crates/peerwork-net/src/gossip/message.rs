//! Messages of a topic, and what a service decides about them.

use std::sync::Arc;

use peerwork_identity::NodeId;

/// A message of a topic.
#[derive(Debug, Clone)]
pub struct Message {
    /// The node that published it; proven by gossipsub's signature.
    pub author: NodeId,
    /// The connected node that handed it to this node.
    pub sender: NodeId,
    /// The bytes, at most the network's limit.
    pub data: Arc<[u8]>,
}

/// What a validator decides about a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Deliver and forward it.
    Accept,
    /// Neither deliver nor forward it; nobody is to blame (stale, unknown).
    Ignore,
    /// Neither deliver nor forward it, and its sender pays for it.
    Reject,
}

/// Whether this node wants the topic's messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Publish, receive and forward.
    Subscribe,
    /// Publish only, to those that subscribe.
    PublishOnly,
}

pub(crate) type Validator = Arc<dyn Fn(&Message) -> Verdict + Send + Sync>;
