//! Rates and strikes, as pure state: what a node that announces too much or too badly pays.

use std::{collections::HashMap, time::Duration};

use peerwork_identity::NodeId;
pub use peerwork_limits::{Bucket, Rate};

/// Strikes after which a node is blocked.
pub const STRIKES_MAX: u32 = 5;
/// How long one strike is remembered.
pub const STRIKE_MEMORY: Duration = Duration::from_secs(60);
/// How long a node with too many strikes is blocked.
pub const BLOCK: Duration = Duration::from_secs(300);
/// Nodes remembered at once, about 100 bytes each; the one heard of longest ago makes room.
pub const NODES_MAX: usize = 16_384;

/// What a strike leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sentence {
    /// It is remembered for a while.
    Noted,
    /// It was one too many: block the node for [`BLOCK`].
    Block,
}

/// What a node does that is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deed {
    /// It pushes an announcement of its own.
    Push,
    /// It asks for one node.
    Lookup,
    /// It asks for everybody.
    Snapshot,
    /// It gossips what is stale, outdated or too frequent, which honest relays do seldom.
    Noise,
}

/// How often one node may do each of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rates {
    /// Of [`Deed::Push`].
    pub push: Rate,
    /// Of [`Deed::Lookup`].
    pub lookup: Rate,
    /// Of [`Deed::Snapshot`].
    pub snapshot: Rate,
    /// Of [`Deed::Noise`].
    pub noise: Rate,
}

impl Rates {
    fn of(&self, deed: Deed) -> Rate {
        match deed {
            Deed::Push => self.push,
            Deed::Lookup => self.lookup,
            Deed::Snapshot => self.snapshot,
            Deed::Noise => self.noise,
        }
    }
}

#[derive(Debug, Default)]
struct Conduct {
    buckets: [Bucket; 4],
    /// Strikes as time: each adds [`STRIKE_MEMORY`], and time takes it away again.
    clean_at: Duration,
    seen: Duration,
}

/// What is remembered of the nodes that ask this node for something.
#[derive(Debug)]
pub struct Conducts {
    rates: Rates,
    nodes_max: usize,
    nodes: HashMap<NodeId, Conduct>,
}

impl Conducts {
    /// Allows each node deeds at these rates.
    #[must_use]
    pub fn new(rates: Rates, nodes_max: usize) -> Self {
        Self {
            rates,
            nodes_max,
            nodes: HashMap::new(),
        }
    }

    /// Counts a deed; false when it comes too often.
    pub fn allows(&mut self, now: Duration, node: NodeId, deed: Deed) -> bool {
        let rate = self.rates.of(deed);
        self.conduct(now, node).buckets[deed as usize].take(now, rate)
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
            .retain(|_, c| c.clean_at > now || !c.buckets.iter().all(|b| b.is_full(now)));
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
    const RATES: Rates = Rates {
        push: RATE,
        lookup: RATE,
        snapshot: RATE,
        noise: RATE,
    };

    #[test]
    fn deeds_and_nodes_are_counted_apart() {
        let mut conducts = Conducts::new(RATES, 8);
        let mut burst = |node, deed| {
            let mut allowed = 0;
            while conducts.allows(SECOND, node, deed) {
                allowed += 1;
            }
            allowed
        };
        for deed in [Deed::Push, Deed::Lookup, Deed::Snapshot, Deed::Noise] {
            assert_eq!((burst(node(1), deed), burst(node(2), deed)), (3, 3));
        }
        assert_eq!(burst(node(1), Deed::Push), 0);
    }

    #[test]
    fn the_fifth_strike_within_the_memory_blocks() {
        let mut conducts = Conducts::new(RATES, 8);
        for _ in 0..STRIKES_MAX - 1 {
            assert_eq!(conducts.strike(SECOND, node(1)), Sentence::Noted);
        }
        assert_eq!(conducts.strike(SECOND, node(2)), Sentence::Noted);
        assert_eq!(conducts.strike(SECOND, node(1)), Sentence::Block);
        assert_eq!(conducts.strike(SECOND, node(1)), Sentence::Noted);
    }

    #[test]
    fn strikes_decay() {
        let mut conducts = Conducts::new(RATES, 8);
        for minute in 0..50 {
            let sentence = conducts.strike(STRIKE_MEMORY * minute, node(1));
            assert_eq!(sentence, Sentence::Noted);
        }
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let mut conducts = Conducts::new(RATES, 8);
        for number in 1..=40 {
            conducts.strike(SECOND * u32::from(number), node(number));
            assert!(conducts.len() <= 8);
        }
        assert!(conducts.allows(SECOND * 41, node(41), Deed::Push));
        assert!(conducts.len() <= 8);
    }
}
