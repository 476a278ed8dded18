//! Rates and strikes, as pure state: what a node that announces too much or too badly pays.

use std::{collections::HashMap, time::Duration};

use peerwork_identity::NodeId;

/// Strikes after which a node is blocked.
pub const STRIKES_MAX: u32 = 5;
/// How long one strike is remembered.
pub const STRIKE_MEMORY: Duration = Duration::from_secs(60);
/// How long a node with too many strikes is blocked.
pub const BLOCK: Duration = Duration::from_secs(300);
/// Nodes remembered at once, about 100 bytes each; the one heard of longest ago makes room.
pub const NODES_MAX: usize = 16_384;

/// How often something may happen: at once up to `burst` times, and then once per `interval`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// At least 1.
    pub burst: u32,
    /// More than zero.
    pub interval: Duration,
}

/// A bucket of [`Rate::burst`] tokens, kept as the moment at which it is full again.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Bucket {
    full_at: Duration,
}

impl Bucket {
    /// Takes a token; false when there is none.
    pub fn take(&mut self, now: Duration, rate: Rate) -> bool {
        let full_at = self.full_at.max(now) + rate.interval;
        let allowed = full_at - now <= rate.interval * rate.burst;
        if allowed {
            self.full_at = full_at;
        }
        allowed
    }
}

/// What a strike leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sentence {
    /// It is remembered for a while.
    Noted,
    /// It was one too many: block the node for [`BLOCK`].
    Block,
}

#[derive(Debug, Default)]
struct Conduct {
    requests: Bucket,
    /// Strikes as time: each adds [`STRIKE_MEMORY`], and time takes it away again.
    clean_at: Duration,
    seen: Duration,
}

/// What is remembered of the nodes that ask this node for something.
#[derive(Debug)]
pub struct Conducts {
    rate: Rate,
    nodes_max: usize,
    nodes: HashMap<NodeId, Conduct>,
}

impl Conducts {
    /// Allows each node requests at this rate.
    #[must_use]
    pub fn new(rate: Rate, nodes_max: usize) -> Self {
        Self {
            rate,
            nodes_max,
            nodes: HashMap::new(),
        }
    }

    /// Counts a request; false when the node asks too often.
    pub fn request(&mut self, now: Duration, node: NodeId) -> bool {
        let rate = self.rate;
        self.conduct(now, node).requests.take(now, rate)
    }

    /// Counts an offence. After a block the node starts clean.
    pub fn strike(&mut self, now: Duration, node: NodeId) -> Sentence {
        let conduct = self.conduct(now, node);
        conduct.clean_at = conduct.clean_at.max(now) + STRIKE_MEMORY;
        if conduct.clean_at - now > STRIKE_MEMORY * (STRIKES_MAX - 1) {
            self.nodes.remove(&node);
            return Sentence::Block;
        }
        Sentence::Noted
    }

    /// Nodes remembered.
    #[must_use]
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Whether nobody is remembered.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    fn conduct(&mut self, now: Duration, node: NodeId) -> &mut Conduct {
        if !self.nodes.contains_key(&node) && self.nodes.len() >= self.nodes_max {
            self.forget(now);
        }
        let conduct = self.nodes.entry(node).or_default();
        conduct.seen = now;
        conduct
    }

    /// Drops all that have nothing to remember, or else the one heard of longest ago.
    fn forget(&mut self, now: Duration) {
        self.nodes
            .retain(|_, c| c.clean_at > now || c.requests.full_at > now);
        if self.nodes.len() >= self.nodes_max {
            let oldest = self.nodes.iter().min_by_key(|(_, conduct)| conduct.seen);
            if let Some(node) = oldest.map(|(node, _)| *node) {
                self.nodes.remove(&node);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples::node;

    const SECOND: Duration = Duration::from_secs(1);
    const RATE: Rate = Rate {
        burst: 3,
        interval: SECOND,
    };

    #[test]
    fn a_burst_passes_one_more_does_not_and_time_heals() {
        let mut bucket = Bucket::default();
        let now = SECOND * 100;
        assert!((0..3).all(|_| bucket.take(now, RATE)));
        assert!(!bucket.take(now, RATE));
        assert!(!bucket.take(now + SECOND / 2, RATE));
        assert!(bucket.take(now + SECOND, RATE));
        assert!(!bucket.take(now + SECOND, RATE));
        assert!((0..3).all(|_| bucket.take(now + SECOND * 9, RATE)));
    }

    #[test]
    fn the_fifth_strike_within_the_memory_blocks() {
        let mut conducts = Conducts::new(RATE, 8);
        for _ in 0..STRIKES_MAX - 1 {
            assert_eq!(conducts.strike(SECOND, node(1)), Sentence::Noted);
        }
        assert_eq!(conducts.strike(SECOND, node(2)), Sentence::Noted);
        assert_eq!(conducts.strike(SECOND, node(1)), Sentence::Block);
        assert_eq!(conducts.strike(SECOND, node(1)), Sentence::Noted);
    }

    #[test]
    fn strikes_decay() {
        let mut conducts = Conducts::new(RATE, 8);
        for minute in 0..50 {
            let sentence = conducts.strike(STRIKE_MEMORY * minute, node(1));
            assert_eq!(sentence, Sentence::Noted);
        }
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let mut conducts = Conducts::new(RATE, 8);
        for number in 1..=40 {
            conducts.strike(SECOND * u32::from(number), node(number));
            assert!(conducts.len() <= 8);
        }
        assert!(conducts.request(SECOND * 41, node(41)));
        assert!(conducts.len() <= 8);
    }
}
