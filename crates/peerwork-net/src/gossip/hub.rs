//! A hub's state: the topics that it forwards for other nodes, their subscribers and their rates.
//!
//! A node forwards only the topics that it has joined, so a hub joins the topics of its subscribers, and
//! leaves a topic with the last subscriber. The subscriptions of other hubs join nothing: two hubs would
//! keep each other on a topic for ever.

use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};

use libp2p::PeerId;
use peerwork_identity::NodeId;
use peerwork_limits::{Bucket, Rate};

use super::{Forwarded, TopicCounts, TopicInfo, Verdict};
use crate::config;

/// Messages above the rates that are ignored without a penalty, because a node may not know the rates.
/// Further ones are rejected.
const EXCESS: Rate = Rate {
    burst: 256,
    interval: Duration::from_millis(100),
};

#[derive(Debug)]
pub(crate) struct Hub {
    config: config::Hub,
    topics: HashMap<String, Followed>,
    nodes: HashMap<PeerId, Node>,
    all: TopicCounts,
}

#[derive(Debug, Default)]
struct Followed {
    /// Whether the topic is kept without subscribers.
    fixed: bool,
    subscribers: HashSet<PeerId>,
    senders: HashMap<PeerId, Bucket>,
    rate: Bucket,
    counts: TopicCounts,
}

/// A node that subscribes to followed topics.
#[derive(Debug, Default)]
struct Node {
    topics: HashSet<String>,
    excess: Bucket,
}

impl Hub {
    /// Follows the configured topics from the start.
    pub(crate) fn new(config: config::Hub) -> Self {
        let fixed = |topic: &String| {
            let followed = Followed {
                fixed: true,
                ..Followed::default()
            };
            (topic.clone(), followed)
        };
        Self {
            topics: config.topics.iter().map(fixed).collect(),
            nodes: HashMap::new(),
            all: TopicCounts::default(),
            config,
        }
    }

    pub(crate) fn topics(&self) -> impl Iterator<Item = &str> {
        self.topics.keys().map(String::as_str)
    }

    pub(crate) fn follows(&self, topic: &str) -> bool {
        self.topics.contains_key(topic)
    }

    /// Notes that a node subscribes; gives whether the topic is to be joined now.
    pub(crate) fn subscribed(&mut self, peer: PeerId, topic: &str) -> bool {
        if self.config.hubs.contains(&NodeId::from_peer_id(peer)) {
            return false;
        }
        let new = !self.topics.contains_key(topic);
        if new && !self.may_join(topic) {
            return false;
        }
        let node = self.nodes.entry(peer).or_default();
        if node.topics.len() >= self.config.topics_per_node_max {
            tracing::debug!(%peer, topic, "a topic is not followed: its node has too many");
            return false;
        }
        node.topics.insert(topic.to_owned());
        let followed = self.topics.entry(topic.to_owned()).or_default();
        followed.subscribers.insert(peer);
        new
    }

    fn may_join(&self, topic: &str) -> bool {
        let wanted = self.config.follow.iter().any(|p| topic.starts_with(p));
        let room = self.topics.len() < self.config.topics_max;
        if wanted && !room {
            tracing::debug!(topic, "a topic is not followed: there are too many");
        }
        wanted && room && topic.len() <= config::TOPIC_BYTES_MAX
    }

    /// Notes that a node no longer subscribes; gives whether the topic is to be left now.
    pub(crate) fn unsubscribed(&mut self, peer: PeerId, topic: &str) -> bool {
        if let Some(node) = self.nodes.get_mut(&peer)
            && node.topics.remove(topic)
            && node.topics.is_empty()
        {
            self.nodes.remove(&peer);
        }
        let Some(followed) = self.topics.get_mut(topic) else {
            return false;
        };
        followed.subscribers.remove(&peer);
        followed.senders.remove(&peer);
        let over = followed.subscribers.is_empty() && !followed.fixed;
        if over {
            self.topics.remove(topic);
        }
        over
    }

    /// Notes that a node is gone; gives the topics that are to be left now.
    pub(crate) fn disconnected(&mut self, peer: PeerId) -> Vec<String> {
        for followed in self.topics.values_mut() {
            followed.senders.remove(&peer);
        }
        let topics = self.nodes.get(&peer).map(|node| node.topics.clone());
        let mut topics: Vec<_> = topics.unwrap_or_default().into_iter().collect();
        topics.retain(|topic| self.unsubscribed(peer, topic));
        // A node that never subscribed has an entry when it sent too much.
        self.nodes.remove(&peer);
        topics
    }

    /// Decides about a message; `None` when the hub does not follow its topic.
    pub(crate) fn judge(
        &mut self,
        now: Duration,
        sender: PeerId,
        topic: &str,
        bytes: usize,
    ) -> Option<Verdict> {
        let followed = self.topics.get_mut(topic)?;
        // Another hub hands on the messages of many nodes, so a node's rate does not apply.
        let own = !self.config.hubs.contains(&NodeId::from_peer_id(sender));
        let senders = &mut followed.senders;
        let fits = bytes <= self.config.message_bytes_max
            && (!own
                || senders
                    .entry(sender)
                    .or_default()
                    .take(now, self.config.sender_rate))
            && followed.rate.take(now, self.config.topic_rate);
        if fits {
            for counts in [&mut followed.counts, &mut self.all] {
                counts.messages += 1;
                counts.bytes += bytes as u64;
            }
            return Some(Verdict::Accept);
        }
        followed.counts.dropped += 1;
        self.all.dropped += 1;
        let excess = &mut self.nodes.entry(sender).or_default().excess;
        Some(match own && !excess.take(now, EXCESS) {
            true => Verdict::Reject,
            false => Verdict::Ignore,
        })
    }

    /// Gives the topics that are forwarded, and the counts of all.
    pub(crate) fn forwarded(&self) -> Forwarded {
        let mut topics: Vec<_> = self.topics.iter().map(info).collect();
        topics.sort_by(|a, b| (b.subscribers, &a.name).cmp(&(a.subscribers, &b.name)));
        Forwarded {
            topics: topics.into(),
            all: self.all,
        }
    }
}

fn info((name, followed): (&String, &Followed)) -> TopicInfo {
    TopicInfo {
        name: name.clone(),
        configured: followed.fixed,
        subscribers: followed.subscribers.len(),
        counts: followed.counts,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Duration = Duration::from_secs(100);

    fn hub(change: impl FnOnce(&mut config::Hub)) -> Hub {
        let mut config = config::Hub {
            topics: vec!["fixed".to_owned()],
            ..config::Hub::default()
        };
        change(&mut config);
        Hub::new(config)
    }

    fn peers<const N: usize>() -> [PeerId; N] {
        std::array::from_fn(|_| PeerId::random())
    }

    #[test]
    fn a_topic_is_joined_with_its_first_subscriber_and_left_with_its_last() {
        let mut hub = hub(|_| {});
        let [a, b] = peers();
        assert!(hub.subscribed(a, "room"));
        assert!(!hub.subscribed(b, "room"));
        assert!(!hub.subscribed(b, "fixed"));
        assert!(!hub.unsubscribed(a, "room"));
        assert_eq!(hub.disconnected(b), ["room"]);
        assert_eq!(hub.topics().collect::<Vec<_>>(), ["fixed"]);
        assert!(hub.nodes.is_empty());
    }

    #[test]
    fn only_topics_with_the_prefix_are_followed_and_not_too_many() {
        let mut hub = hub(|config| {
            config.follow = vec!["app-".to_owned()];
            config.topics_max = 3;
            config.topics_per_node_max = 2;
        });
        let [a, b] = peers();
        assert!(!hub.subscribed(a, "other"));
        assert!(hub.subscribed(a, "app-1") && hub.subscribed(a, "app-2"));
        assert!(!hub.subscribed(a, "app-3"), "the table is full");
        assert!(hub.unsubscribed(a, "app-2"));
        assert!(hub.subscribed(b, "app-3"));
        assert!(!hub.subscribed(b, &format!("app-{}", "x".repeat(config::TOPIC_BYTES_MAX))));
    }

    #[test]
    fn one_node_makes_the_hub_follow_its_share_only() {
        let mut hub = hub(|config| config.topics_per_node_max = 2);
        let [a, b] = peers();
        let joined = (0..10).filter(|n| hub.subscribed(a, &n.to_string()));
        assert_eq!(joined.count(), 2);
        assert!(hub.subscribed(b, "9"));
    }

    #[test]
    fn other_hubs_do_not_keep_a_topic() {
        let [other, node] = peers();
        let mut hub = hub(|config| {
            config.hubs = [NodeId::from_peer_id(other)].into();
        });
        assert!(!hub.subscribed(other, "room"));
        assert!(hub.subscribed(node, "room"));
        assert!(!hub.subscribed(other, "room"));
        assert!(hub.unsubscribed(node, "room"));
    }

    #[test]
    fn messages_that_are_too_large_or_too_many_are_dropped_and_in_the_end_rejected() {
        let [a, b] = peers();
        let mut hub = hub(|config| {
            config.message_bytes_max = 100;
            config.sender_rate.burst = 10;
        });
        assert_eq!(hub.judge(NOW, a, "elsewhere", 1), None);
        assert_eq!(hub.judge(NOW, a, "fixed", 101), Some(Verdict::Ignore));
        for _ in 0..10 {
            assert_eq!(hub.judge(NOW, a, "fixed", 100), Some(Verdict::Accept));
        }
        assert_eq!(hub.judge(NOW, a, "fixed", 1), Some(Verdict::Ignore));
        assert_eq!(hub.judge(NOW, b, "fixed", 1), Some(Verdict::Accept));
        let verdicts: Vec<_> = (0..300).map(|_| hub.judge(NOW, a, "fixed", 1)).collect();
        assert_eq!(verdicts.last(), Some(&Some(Verdict::Reject)));
        let forwarded = hub.forwarded();
        let info = &forwarded.topics[0].counts;
        assert_eq!((info.messages, info.bytes, info.dropped), (11, 1001, 302));
        assert_eq!((forwarded.all.messages, forwarded.all.dropped), (11, 302));
        hub.disconnected(a);
        assert!(hub.nodes.is_empty(), "a node that is gone is forgotten");
    }
}
