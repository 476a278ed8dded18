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
use peerwork_limits::Bucket;

use super::{
    Forwarded, TopicCounts, TopicInfo,
    drops::{DropReason, Unfollowed},
};
use crate::config;

#[derive(Debug)]
pub(crate) struct Hub {
    config: config::Hub,
    topics: HashMap<String, Followed>,
    /// The followed topics of each subscriber.
    nodes: HashMap<PeerId, HashSet<String>>,
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
        if self.is_hub(peer) {
            return false;
        }
        let new = !self.topics.contains_key(topic);
        if (new && !self.is_wanted(topic)) || self.unfollowed(peer, topic).is_some() {
            return false;
        }
        let topics = self.nodes.entry(peer).or_default();
        topics.insert(topic.to_owned());
        let followed = self.topics.entry(topic.to_owned()).or_default();
        followed.subscribers.insert(peer);
        new
    }

    fn is_hub(&self, peer: PeerId) -> bool {
        self.config.hubs.contains(&NodeId::from_peer_id(peer))
    }

    /// Whether the operator lets the hub join the topic.
    fn is_wanted(&self, topic: &str) -> bool {
        self.config.follow.iter().any(|p| topic.starts_with(p))
    }

    /// The bound for which the hub does not follow a topic that the operator lets it join.
    pub(crate) fn unfollowed(&self, peer: PeerId, topic: &str) -> Option<Unfollowed> {
        let new = !self.topics.contains_key(topic);
        if self.is_hub(peer) || (new && !self.is_wanted(topic)) {
            return None;
        }
        let own = self.nodes.get(&peer);
        if own.is_some_and(|topics| topics.contains(topic)) {
            None
        } else if new && !(1..=config::TOPIC_BYTES_MAX).contains(&topic.len()) {
            Some(Unfollowed::Name)
        } else if new && self.topics.len() >= self.config.topics_max {
            Some(Unfollowed::Full)
        } else {
            let many = own.is_some_and(|topics| topics.len() >= self.config.topics_per_node_max);
            many.then_some(Unfollowed::Node)
        }
    }

    /// Notes that a node no longer subscribes; gives whether the topic is to be left now.
    pub(crate) fn unsubscribed(&mut self, peer: PeerId, topic: &str) -> bool {
        if let Some(topics) = self.nodes.get_mut(&peer)
            && topics.remove(topic)
            && topics.is_empty()
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
        let topics = self.nodes.remove(&peer).unwrap_or_default();
        let mut topics: Vec<_> = topics.into_iter().collect();
        topics.retain(|topic| self.unsubscribed(peer, topic));
        topics
    }

    /// Decides whether a message is forwarded; `None` when the hub does not follow its topic. A message
    /// that is too large or too much costs its sender nothing else: a client does not know the bounds.
    pub(crate) fn judge(
        &mut self,
        now: Duration,
        sender: PeerId,
        topic: &str,
        bytes: usize,
    ) -> Option<Result<(), DropReason>> {
        let followed = self.topics.get_mut(topic)?;
        let judged = followed.judge(&self.config, now, sender, bytes);
        for counts in [&mut followed.counts, &mut self.all] {
            match judged {
                Ok(()) => {
                    counts.messages += 1;
                    counts.bytes += bytes as u64;
                }
                Err(_) => counts.dropped += 1,
            }
        }
        Some(judged)
    }

    /// Counts a message that gossipsub dropped, when the hub follows its topic.
    pub(crate) fn dropped(&mut self, topic: &str) {
        if let Some(followed) = self.topics.get_mut(topic) {
            followed.counts.dropped += 1;
            self.all.dropped += 1;
        }
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

impl Followed {
    fn judge(
        &mut self,
        config: &config::Hub,
        now: Duration,
        sender: PeerId,
        bytes: usize,
    ) -> Result<(), DropReason> {
        if bytes > config.message_bytes_max {
            return Err(DropReason::Size);
        }
        // Another hub hands on the messages of many nodes, so a node's rate does not apply.
        let own = !config.hubs.contains(&NodeId::from_peer_id(sender));
        let mut within = || {
            let bucket = self.senders.entry(sender).or_default();
            bucket.take(now, config.sender_rate)
        };
        if own && !within() {
            return Err(DropReason::SenderRate);
        }
        if !self.rate.take(now, config.topic_rate) {
            return Err(DropReason::TopicRate);
        }
        Ok(())
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
    fn a_topic_above_a_bound_has_its_reason_and_one_at_the_bound_none() {
        let mut hub = hub(|config| {
            config.topics_max = 4;
            config.topics_per_node_max = 2;
        });
        let [a, b] = peers();
        let name = |bytes| "x".repeat(bytes);
        assert_eq!(hub.unfollowed(a, ""), Some(Unfollowed::Name));
        let longest = config::TOPIC_BYTES_MAX;
        assert_eq!(hub.unfollowed(a, &name(longest)), None);
        let too_long = name(longest + 1);
        assert_eq!(hub.unfollowed(a, &too_long), Some(Unfollowed::Name));
        assert!(hub.subscribed(a, "1") && hub.subscribed(a, "2"));
        assert_eq!(hub.unfollowed(a, "2"), None, "it is followed already");
        assert_eq!(hub.unfollowed(a, "3"), Some(Unfollowed::Node));
        assert_eq!(hub.unfollowed(b, "3"), None);
        assert!(hub.subscribed(b, "3"));
        assert_eq!(hub.unfollowed(b, "4"), Some(Unfollowed::Full));
        assert_eq!(hub.unfollowed(b, "1"), None, "the topic is there");
        hub.config.follow = vec!["app-".to_owned()];
        assert_eq!(
            hub.unfollowed(b, "4"),
            None,
            "the operator does not want it"
        );
    }

    #[test]
    fn other_hubs_do_not_keep_a_topic() {
        let [other, node] = peers();
        let mut hub = hub(|config| {
            config.hubs = [NodeId::from_peer_id(other)].into();
        });
        assert!(!hub.subscribed(other, "room"));
        assert_eq!(hub.unfollowed(other, ""), None);
        assert!(hub.subscribed(node, "room"));
        assert!(!hub.subscribed(other, "room"));
        assert!(hub.unsubscribed(node, "room"));
    }

    #[test]
    fn messages_that_are_too_large_or_too_many_are_dropped_with_their_reason() {
        let [a, b] = peers();
        let mut hub = hub(|config| {
            config.message_bytes_max = 100;
            config.sender_rate.burst = 10;
            config.topic_rate.burst = 15;
        });
        assert_eq!(hub.judge(NOW, a, "elsewhere", 1), None);
        assert_eq!(hub.judge(NOW, a, "fixed", 101), Some(Err(DropReason::Size)));
        for _ in 0..10 {
            assert_eq!(hub.judge(NOW, a, "fixed", 100), Some(Ok(())));
        }
        for _ in 0..300 {
            assert_eq!(
                hub.judge(NOW, a, "fixed", 1),
                Some(Err(DropReason::SenderRate))
            );
        }
        for _ in 0..5 {
            assert_eq!(hub.judge(NOW, b, "fixed", 1), Some(Ok(())));
        }
        assert_eq!(
            hub.judge(NOW, b, "fixed", 1),
            Some(Err(DropReason::TopicRate))
        );
        hub.dropped("fixed");
        hub.dropped("elsewhere");
        let forwarded = hub.forwarded();
        let info = &forwarded.topics[0].counts;
        assert_eq!((info.messages, info.bytes, info.dropped), (15, 1005, 303));
        assert_eq!((forwarded.all.messages, forwarded.all.dropped), (15, 303));
        hub.disconnected(a);
        let senders = &hub.topics["fixed"].senders;
        assert!(
            !senders.contains_key(&a),
            "a node that is gone is forgotten"
        );
    }
}
