//! Decides which messages of a joined topic reach its validator, by their size, their sender's rate and
//! the queue's room.

use std::time::Duration;

use libp2p::gossipsub::MessageId;
use peerwork_identity::NodeId;
use peerwork_limits::{Rate, Rates};
use tokio::sync::mpsc;

use super::{
    Message, TopicLimits, Verdict,
    queue::{Queued, Room},
};

/// Nodes whose rate on one topic is remembered, about 100 bytes each.
const SENDERS_MAX: usize = 16_384;

/// Messages of joined topics that were not handed to their validator.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Dropped {
    /// Messages that were larger than the topic allows.
    pub(crate) size: u64,
    /// Messages above the rate of their sender.
    pub(crate) rate: u64,
    /// Messages for which the queue had no room.
    pub(crate) queue: u64,
}

/// The bounds and the queue of one topic.
pub(crate) struct Inbox {
    bytes_max: usize,
    rate: Option<Rate>,
    senders: Rates<NodeId>,
    room: Room,
    queue: mpsc::Sender<(MessageId, Queued)>,
}

impl Inbox {
    pub(crate) fn new(
        bytes_max: usize,
        limits: &TopicLimits,
        queue: mpsc::Sender<(MessageId, Queued)>,
    ) -> Self {
        Self {
            bytes_max,
            rate: limits.sender_rate,
            senders: Rates::new(SENDERS_MAX),
            room: Room::new(limits.queue_messages_max, limits.queue_bytes_max),
            queue,
        }
    }

    /// Queues a message for the validator; returns the verdict when the message is not queued.
    pub(crate) fn take(
        &mut self,
        now: Duration,
        id: MessageId,
        message: Message,
        dropped: &mut Dropped,
    ) -> Option<Verdict> {
        if message.data.len() > self.bytes_max {
            dropped.size += 1;
            // A node that only forwards the message may be a hub, which does not know the topic's
            // limit.
            return Some(match message.author == message.sender {
                true => Verdict::Reject,
                false => Verdict::Ignore,
            });
        }
        let senders = &mut self.senders;
        let sender = message.sender;
        if self
            .rate
            .is_some_and(|rate| !senders.take(now, sender, rate))
        {
            dropped.rate += 1;
            return Some(Verdict::Ignore);
        }
        let queued = self.room.take(message);
        let queued = queued.is_some_and(|queued| self.queue.try_send((id, queued)).is_ok());
        if !queued {
            dropped.queue += 1;
        }
        (!queued).then_some(Verdict::Ignore)
    }
}

#[cfg(test)]
mod tests {
    use peerwork_identity::{KeyType, Keypair};

    use super::*;

    const NOW: Duration = Duration::from_secs(100);

    fn node() -> NodeId {
        Keypair::generate(KeyType::Ed25519).node_id()
    }

    fn id() -> MessageId {
        MessageId::from("id")
    }

    fn message(author: NodeId, sender: NodeId, bytes: usize) -> Message {
        Message {
            author,
            sender,
            data: vec![0; bytes].into(),
        }
    }

    #[test]
    fn a_message_above_the_topic_s_size_costs_its_author_alone() {
        let (queue, _messages) = mpsc::channel(8);
        let mut inbox = Inbox::new(100, &TopicLimits::default(), queue);
        let mut dropped = Dropped::default();
        let (a, b) = (node(), node());
        let mut take =
            |author, bytes| inbox.take(NOW, id(), message(author, a, bytes), &mut dropped);
        assert_eq!(take(a, 100), None);
        assert_eq!(take(a, 101), Some(Verdict::Reject));
        assert_eq!(take(b, 101), Some(Verdict::Ignore));
        assert_eq!(dropped.size, 2);
    }

    #[test]
    fn each_sender_has_its_rate() {
        let (queue, _messages) = mpsc::channel(64);
        let limits = TopicLimits {
            sender_rate: Some(Rate {
                burst: 3,
                interval: Duration::from_secs(1),
            }),
            ..TopicLimits::default()
        };
        let mut inbox = Inbox::new(100, &limits, queue);
        let mut dropped = Dropped::default();
        let (a, b) = (node(), node());
        let mut take = |now, sender| inbox.take(now, id(), message(b, sender, 1), &mut dropped);
        for sender in [a, b] {
            for _ in 0..3 {
                assert_eq!(take(NOW, sender), None);
            }
            assert_eq!(take(NOW, sender), Some(Verdict::Ignore));
        }
        assert_eq!(take(NOW + Duration::from_secs(1), a), None);
        assert_eq!(dropped.rate, 2);
    }

    #[test]
    fn a_message_without_room_is_counted_and_room_comes_back_with_reading() {
        let (queue, mut messages) = mpsc::channel(64);
        let limits = TopicLimits {
            queue_bytes_max: 250,
            ..TopicLimits::default()
        };
        let mut inbox = Inbox::new(100, &limits, queue);
        let mut dropped = Dropped::default();
        let a = node();
        let mut take = |bytes| inbox.take(NOW, id(), message(a, a, bytes), &mut dropped);
        assert_eq!((take(100), take(100), take(50)), (None, None, None));
        assert_eq!(take(1), Some(Verdict::Ignore));
        drop(messages.try_recv());
        assert_eq!((take(100), take(1)), (None, Some(Verdict::Ignore)));
        assert_eq!(dropped.queue, 2);
    }
}
