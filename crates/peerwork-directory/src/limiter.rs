//! Rates and strikes, as pure state: limits how often other nodes ask and announce, and counts their
//! offences until they are blocked.

use std::{collections::HashMap, time::Duration};

use peerwork_identity::NodeId;
pub use peerwork_limits::{Bucket, Rate};

/// Strikes after which a node is blocked.
pub const STRIKES_MAX: u32 = 5;
/// How long one strike is remembered.
pub const STRIKE_MEMORY: Duration = Duration::from_secs(60);
/// How long a node with too many strikes is blocked.
pub const BLOCK: Duration = Duration::from_secs(300);
/// Nodes remembered at once, about 100 bytes each; the node that acted longest ago is forgotten first.
pub const NODES_MAX: usize = 16_384;

/// The penalty for one offence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Penalty {
    /// The offence is remembered for [`STRIKE_MEMORY`].
    Strike,
    /// The node has too many strikes: block it for [`BLOCK`].
    Block,
}

/// An action of another node that is limited by a rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// A node pushes an announcement of its own.
    Push,
    /// A node looks up one node.
    Lookup,
    /// A node asks for a snapshot of all nodes.
    Snapshot,
    /// A node gossips stale, outdated or too frequent announcements, which honest relays do seldom.
    Noise,
}

/// The rate of each action, for one node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rates {
    /// The rate of [`Action::Push`].
    pub push: Rate,
    /// The rate of [`Action::Lookup`].
    pub lookup: Rate,
    /// The rate of [`Action::Snapshot`].
    pub snapshot: Rate,
    /// The rate of [`Action::Noise`].
    pub noise: Rate,
}

impl Rates {
    fn of(&self, action: Action) -> Rate {
        match action {
            Action::Push => self.push,
            Action::Lookup => self.lookup,
            Action::Snapshot => self.snapshot,
            Action::Noise => self.noise,
        }
    }
}

#[derive(Debug, Default)]
struct Buckets {
    push: Bucket,
    lookup: Bucket,
    snapshot: Bucket,
    noise: Bucket,
}

impl Buckets {
    fn of(&mut self, action: Action) -> &mut Bucket {
        match action {
            Action::Push => &mut self.push,
            Action::Lookup => &mut self.lookup,
            Action::Snapshot => &mut self.snapshot,
            Action::Noise => &mut self.noise,
        }
    }

    fn are_full(&self, now: Duration) -> bool {
        let Self {
            push,
            lookup,
            snapshot,
            noise,
        } = self;
        [push, lookup, snapshot, noise]
            .iter()
            .all(|bucket| bucket.is_full(now))
    }
}

#[derive(Debug, Default)]
struct Record {
    buckets: Buckets,
    /// The time at which the node has no strikes left; each strike moves it by [`STRIKE_MEMORY`].
    clean_at: Duration,
    seen: Duration,
}

/// The rates and strikes of other nodes, in a bounded map.
#[derive(Debug)]
pub struct Penalties {
    rates: Rates,
    nodes_max: usize,
    nodes: HashMap<NodeId, Record>,
}

impl Penalties {
    /// Makes a limiter that allows each node actions at these rates.
    #[must_use]
    pub fn new(rates: Rates, nodes_max: usize) -> Self {
        Self {
            rates,
            nodes_max,
            nodes: HashMap::new(),
        }
    }

    /// Counts an action of a node; false when the actions come too often.
    pub fn allows(&mut self, now: Duration, node: NodeId, action: Action) -> bool {
        let rate = self.rates.of(action);
        self.record(now, node).buckets.of(action).take(now, rate)
    }

    /// Counts an offence. A blocked node starts again without strikes.
    pub fn strike(&mut self, now: Duration, node: NodeId) -> Penalty {
        let record = self.record(now, node);
        record.clean_at = record.clean_at.max(now) + STRIKE_MEMORY;
        if record.clean_at - now > STRIKE_MEMORY * (STRIKES_MAX - 1) {
            self.nodes.remove(&node);
            return Penalty::Block;
        }
        Penalty::Strike
    }

    /// The number of nodes remembered.
    #[must_use]
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Whether no node is remembered.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    fn record(&mut self, now: Duration, node: NodeId) -> &mut Record {
        if !self.nodes.contains_key(&node) && self.nodes.len() >= self.nodes_max {
            self.forget(now);
        }
        let record = self.nodes.entry(node).or_default();
        record.seen = now;
        record
    }

    /// Drops nodes with full buckets and without strikes, or else the node that acted longest ago.
    fn forget(&mut self, now: Duration) {
        self.nodes
            .retain(|_, record| record.clean_at > now || !record.buckets.are_full(now));
        if self.nodes.len() >= self.nodes_max {
            let oldest = self.nodes.iter().min_by_key(|(_, record)| record.seen);
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
    fn actions_and_nodes_are_counted_apart() {
        let mut penalties = Penalties::new(RATES, 8);
        let mut burst = |node, action| {
            let mut allowed = 0;
            while penalties.allows(SECOND, node, action) {
                allowed += 1;
            }
            allowed
        };
        for action in [
            Action::Push,
            Action::Lookup,
            Action::Snapshot,
            Action::Noise,
        ] {
            assert_eq!((burst(node(1), action), burst(node(2), action)), (3, 3));
        }
        assert_eq!(burst(node(1), Action::Push), 0);
    }

    #[test]
    fn the_fifth_strike_within_the_memory_blocks() {
        let mut penalties = Penalties::new(RATES, 8);
        for _ in 0..STRIKES_MAX - 1 {
            assert_eq!(penalties.strike(SECOND, node(1)), Penalty::Strike);
        }
        assert_eq!(penalties.strike(SECOND, node(2)), Penalty::Strike);
        assert_eq!(penalties.strike(SECOND, node(1)), Penalty::Block);
        assert_eq!(penalties.strike(SECOND, node(1)), Penalty::Strike);
    }

    #[test]
    fn strikes_decay() {
        let mut penalties = Penalties::new(RATES, 8);
        for minute in 0..50 {
            let penalty = penalties.strike(STRIKE_MEMORY * minute, node(1));
            assert_eq!(penalty, Penalty::Strike);
        }
    }

    #[test]
    fn the_number_of_remembered_nodes_is_bounded() {
        let mut penalties = Penalties::new(RATES, 8);
        for number in 1..=40 {
            penalties.strike(SECOND * u32::from(number), node(number));
            assert!(penalties.len() <= 8);
        }
        assert!(penalties.allows(SECOND * 41, node(41), Action::Push));
        assert!(penalties.len() <= 8);
    }
}
