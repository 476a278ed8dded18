//! A topic's own settings.

use std::time::Duration;

use peerwork_limits::Rate;

use super::Mode;
use crate::error::TopicError;

/// The most messages that [`TopicLimits::queue_messages_max`] may allow.
const QUEUE_MESSAGES_MAX: usize = 65_536;

/// How a topic is joined. A [`Mode`] alone stands for that mode with the default limits.
#[derive(Debug, Clone)]
pub struct TopicConfig {
    /// Whether this node receives the topic's messages.
    pub mode: Mode,
    /// Bounds on the topic's messages.
    pub limits: TopicLimits,
}

impl From<Mode> for TopicConfig {
    fn from(mode: Mode) -> Self {
        let limits = TopicLimits::default();
        Self { mode, limits }
    }
}

/// Bounds on the messages of a topic. `message_bytes_max` must be the same on all nodes that join it.
#[derive(Debug, Clone)]
pub struct TopicLimits {
    /// Largest message in bytes, at most the network's
    /// [`Gossip::message_bytes_max`](crate::config::Gossip::message_bytes_max), which `None` stands
    /// for. A larger message is not published, and an inbound one is not forwarded; its author gets a
    /// lower score when this node received the message from the author itself and is no hub.
    pub message_bytes_max: Option<usize>,
    /// Bytes of the messages that wait for validation or in [`Topic::next`](super::Topic::next); at
    /// least one largest message. A message that finds no room is not forwarded.
    pub queue_bytes_max: usize,
    /// Messages that wait in the queue; 1 to 65536.
    pub queue_messages_max: usize,
    /// Messages that each connected node may send to this node, its own and forwarded ones; further
    /// messages are not forwarded. `None` is without a bound.
    pub sender_rate: Option<Rate>,
}

impl Default for TopicLimits {
    /// The network's message size, 16 MiB and 1024 messages of queue, and no rate.
    fn default() -> Self {
        Self {
            message_bytes_max: None,
            queue_bytes_max: 16 << 20,
            queue_messages_max: 1024,
            sender_rate: None,
        }
    }
}

impl TopicLimits {
    /// The largest message, after a check of all settings.
    pub(crate) fn check(&self, network_bytes_max: usize) -> Result<usize, TopicError> {
        let bytes = self.message_bytes_max.unwrap_or(network_bytes_max);
        let rate_holds = |rate: &Rate| rate.burst > 0 && rate.interval > Duration::ZERO;
        let wrong = if !(1..=network_bytes_max).contains(&bytes) {
            format!("message_bytes_max must be within 1 and the network's {network_bytes_max}")
        } else if self.queue_bytes_max < bytes {
            format!("queue_bytes_max must be at least a message of {bytes} bytes")
        } else if !(1..=QUEUE_MESSAGES_MAX).contains(&self.queue_messages_max) {
            format!("queue_messages_max must be within 1 and {QUEUE_MESSAGES_MAX}")
        } else if !self.sender_rate.as_ref().is_none_or(rate_holds) {
            "sender_rate must have a burst and an interval above zero".to_owned()
        } else {
            return Ok(bytes);
        };
        Err(TopicError::Limits(wrong))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_setting_is_taken_at_its_bound_and_refused_past_it() {
        let check = |change: &dyn Fn(&mut TopicLimits)| {
            let mut limits = TopicLimits::default();
            change(&mut limits);
            limits.check(1 << 20).ok()
        };
        assert_eq!(check(&|_| {}), Some(1 << 20));
        assert_eq!(
            check(&|l| l.message_bytes_max = Some(1 << 20)),
            Some(1 << 20)
        );
        assert_eq!(check(&|l| l.message_bytes_max = Some((1 << 20) + 1)), None);
        assert_eq!(check(&|l| l.message_bytes_max = Some(1)), Some(1));
        assert_eq!(check(&|l| l.message_bytes_max = Some(0)), None);
        assert_eq!(check(&|l| l.queue_bytes_max = 1 << 20), Some(1 << 20));
        assert_eq!(check(&|l| l.queue_bytes_max = (1 << 20) - 1), None);
        assert_eq!(check(&|l| l.queue_messages_max = 0), None);
        assert_eq!(check(&|l| l.queue_messages_max = 65_536), Some(1 << 20));
        assert_eq!(check(&|l| l.queue_messages_max = 65_537), None);
        let rate = |burst, interval| Some(Rate { burst, interval });
        let second = Duration::from_secs(1);
        assert_eq!(check(&|l| l.sender_rate = rate(1, second)), Some(1 << 20));
        assert_eq!(check(&|l| l.sender_rate = rate(0, second)), None);
        assert_eq!(check(&|l| l.sender_rate = rate(1, Duration::ZERO)), None);
    }
}
