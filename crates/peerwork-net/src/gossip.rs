//! Topics whose messages are validated before they are forwarded. A topic may have settings of its own
//! ([`TopicLimits`]).
//!
//! ```text
//!  swarm ─message─▶ inbox: size, rate, room ─▶ topic task: validator ─verdict─▶ driver ─▶ forward or punish
//!                                                   └─ accepted ─▶ Topic::next gives the room back
//! ```
//! A hub also forwards topics that none of its services joined (`hub.rs`).
//! Messages must be signed; those that are not, and those that a hub does not forward, are counted and
//! logged (`drops.rs`).
//! A full queue means that the message is ignored (not forwarded, not punished) and counted.

mod behaviour;
mod command;
mod driver;
mod drops;
mod handle;
mod hub;
mod inbox;
mod limits;
mod message;
mod queue;
mod topic;

use std::sync::Arc;

use tokio::sync::{mpsc, watch};

pub(crate) use behaviour::{Behaviour, build};
pub(crate) use command::Command;
#[cfg(test)]
pub(crate) use command::Delivered;
pub(crate) use driver::{Decided, Driver};
pub(crate) use drops::DropReason;
pub(crate) use inbox::Dropped;
pub use limits::{TopicConfig, TopicLimits};
pub(crate) use message::Validator;
pub use message::{Message, Mode, Verdict};
pub use topic::{Publisher, Topic};

/// The state behind the network's calls for topics.
pub(crate) struct Control {
    pub(crate) commands: mpsc::Sender<Command>,
    pub(crate) forwarded: watch::Receiver<Forwarded>,
}

/// The figures of the topics that this node forwards for others.
#[derive(Debug, Clone, Default)]
pub(crate) struct Forwarded {
    /// The topics of this moment, those with most subscribers first.
    pub(crate) topics: Arc<[TopicInfo]>,
    /// Counts of all topics since the start.
    pub(crate) all: TopicCounts,
}

/// Counts of the messages of one topic, or of all topics.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TopicCounts {
    /// Messages forwarded.
    pub messages: u64,
    /// Bytes of the forwarded messages.
    pub bytes: u64,
    /// Messages that were not forwarded, because they were too large, too many, or not signed.
    pub dropped: u64,
}

/// A topic that this node forwards for others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicInfo {
    /// The topic's name.
    pub name: String,
    /// Whether the operator configured the topic; other topics are joined for their subscribers.
    pub configured: bool,
    /// Connected nodes that subscribe to the topic; other hubs are not counted.
    pub subscribers: usize,
    /// The topic's messages since it was joined.
    pub counts: TopicCounts,
}
