//! Counts gossip messages that are dropped before a service or a hub takes them, and logs them and the
//! topics that a hub does not follow.
//!
//! The counts are exact; the log has one line for each node and minute, because a client whose settings
//! are wrong sends such messages without end.

use std::time::Duration;

use libp2p::gossipsub::ValidationError;
use peerwork_identity::NodeId;
use peerwork_limits::{Rate, Rates};

use crate::reasons::{Counted, reasons};

/// The rate of log lines about one node.
const LOGGED: Rate = Rate {
    burst: 1,
    interval: Duration::from_secs(60),
};
/// Nodes whose rate is remembered, so also the most lines a minute: node ids cost nothing.
const NODES_MAX: usize = 128;
/// Characters of a topic's name in the log; a message may name any topic.
const TOPIC_CHARS_MAX: usize = 64;

reasons! {
    /// The reason for which a gossip message is dropped.
    pub(crate) DropReason {
        /// The message has no signature.
        Unsigned = "unsigned",
        /// The signature is not the author's, or does not cover the message.
        Signature = "signature",
        /// The sequence number is missing, empty, or longer than eight bytes.
        SequenceNumber = "sequence-number",
        /// The author is no node id.
        Author = "author",
        /// The node's score is so low, for forged or rejected messages, that none of its messages is
        /// taken.
        Muted = "muted",
        /// The message is larger than the hub forwards, or its frame is larger than a node reads.
        Size = "size",
        /// The frame has more messages, subscriptions or control messages than a node reads.
        Frame = "frame",
        /// The node sends more on this topic than the hub forwards for one node.
        SenderRate = "sender-rate",
        /// All nodes together send more on this topic than the hub forwards.
        TopicRate = "topic-rate",
    }
}

impl DropReason {
    /// The flag of `peerwork relay` that sets the bound, for a reason that is a bound.
    fn flag(self) -> Option<&'static str> {
        match self {
            Self::Size => Some("--max-message-bytes"),
            Self::SenderRate => Some("--messages-per-second"),
            Self::TopicRate => Some("--topic-messages-per-second"),
            Self::Unsigned
            | Self::Signature
            | Self::SequenceNumber
            | Self::Author
            | Self::Muted
            | Self::Frame => None,
        }
    }
}

impl From<ValidationError> for DropReason {
    fn from(error: ValidationError) -> Self {
        match error {
            ValidationError::MissingSignature => Self::Unsigned,
            ValidationError::EmptySequenceNumber | ValidationError::InvalidSequenceNumber => {
                Self::SequenceNumber
            }
            ValidationError::InvalidPeerId => Self::Author,
            ValidationError::Graylisted => Self::Muted,
            ValidationError::MessageSizeTooLargeForTopic | ValidationError::FrameTooLarge => {
                Self::Size
            }
            ValidationError::TooManyInFrame => Self::Frame,
            // The others belong to modes and transformations that this node does not use.
            ValidationError::InvalidSignature
            | ValidationError::SignaturePresent
            | ValidationError::SequenceNumberPresent
            | ValidationError::MessageSourcePresent
            | ValidationError::TransformFailed => Self::Signature,
        }
    }
}

/// The bound for which a hub does not follow a topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unfollowed {
    /// The name is empty or too long.
    Name,
    /// The hub follows as many topics as it may.
    Full,
    /// The hub follows as many topics as it may for this node.
    Node,
}

/// The dropped messages since the start.
#[derive(Debug)]
pub(crate) struct Drops {
    counts: Counted<DropReason>,
    logged: Rates<NodeId>,
    /// The rate of the lines about topics that are not followed.
    topics_logged: Rates<NodeId>,
}

impl Drops {
    pub(crate) fn new() -> Self {
        Self {
            counts: Counted::new(DropReason::ALL),
            logged: Rates::new(NODES_MAX),
            topics_logged: Rates::new(NODES_MAX),
        }
    }

    /// Counts a message that `sender` sent, and logs it at a bounded rate. The topic is empty for a frame
    /// that was not read.
    pub(crate) fn add(&mut self, now: Duration, sender: NodeId, topic: &str, reason: DropReason) {
        if !self.count(now, sender, reason) {
            return;
        }
        let topic = shown(topic);
        let topic = (!topic.is_empty()).then(|| tracing::field::debug(topic));
        let (flag, reason) = (reason.flag(), reason.name());
        tracing::warn!(node = %sender, topic, reason, flag, "gossip dropped");
    }

    /// Logs a topic of `node` that the hub does not follow, at a bounded rate.
    pub(crate) fn topic(&mut self, now: Duration, node: NodeId, topic: &str, why: Unfollowed) {
        if self.topics_logged.take(now, node, LOGGED) {
            let (reason, flag) = match why {
                Unfollowed::Name => ("name", None),
                Unfollowed::Full => ("full", Some("--max-topics")),
                Unfollowed::Node => ("node", Some("--max-topics-per-peer")),
            };
            tracing::warn!(%node, topic = ?shown(topic), reason, flag, "gossip topic not forwarded");
        }
    }

    /// Counts a message; gives whether the rate has room for a log line.
    fn count(&mut self, now: Duration, sender: NodeId, reason: DropReason) -> bool {
        self.counts.add(reason);
        self.logged.take(now, sender, LOGGED)
    }

    /// Every reason with the number of messages that were dropped for it.
    pub(crate) fn counts(&self) -> Vec<(DropReason, u64)> {
        self.counts.all()
    }
}

/// The begin of a topic's name.
fn shown(topic: &str) -> String {
    topic.chars().take(TOPIC_CHARS_MAX).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use peerwork_identity::{KeyType, Keypair};

    use super::*;

    const NOW: Duration = Duration::from_secs(100);

    fn node() -> NodeId {
        Keypair::generate(KeyType::Ed25519).node_id()
    }

    #[test]
    fn every_reason_has_a_count_and_a_name_of_its_own() {
        let mut drops = Drops::new();
        for reason in DropReason::ALL {
            drops.add(NOW, node(), "topic", reason);
        }
        drops.add(NOW, node(), "topic", DropReason::Size);
        for (reason, count) in drops.counts() {
            assert_eq!(
                count,
                1 + u64::from(reason == DropReason::Size),
                "{reason:?}"
            );
        }
        let names: HashSet<_> = DropReason::ALL.map(DropReason::name).into();
        assert_eq!(names.len(), DropReason::ALL.len());
    }

    #[test]
    fn a_node_is_logged_once_a_minute_and_only_so_many_nodes_are() {
        let (mut drops, a) = (Drops::new(), node());
        let mut logs = |now, node| drops.count(now, node, DropReason::Unsigned);
        assert!(logs(NOW, a));
        assert!(!logs(NOW, a));
        let minute = Duration::from_secs(60);
        assert!(!logs(NOW + minute - Duration::from_millis(1), a));
        assert!(logs(NOW + minute, a));
        let others = (1..NODES_MAX).filter(|_| logs(NOW + minute, node()));
        assert_eq!(others.count(), NODES_MAX - 1);
        assert!(!logs(NOW + minute, node()), "one node too many");
    }
}
