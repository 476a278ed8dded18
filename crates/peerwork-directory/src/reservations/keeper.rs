//! Chooses the relays to ask for reservations, and when to ask them: pure state.

use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};

use peerwork_identity::{NodeAddress, NodeId};

use crate::backoff::Backoff;

/// Reservations wanted when that many relays are known.
pub const WANTED: usize = 2;
/// Relays remembered: those configured and those learned.
pub const CANDIDATES_MAX: usize = 256;

/// The source of a candidate; configured relays are asked first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Origin {
    Configured,
    Learned,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Idle { not_before: Duration },
    Asked,
    Held,
}

#[derive(Debug)]
struct Candidate {
    address: NodeAddress,
    origin: Origin,
    position: usize,
    stage: Stage,
    backoff: Backoff,
}

/// The relays a node knows, and the state of the reservation at each.
#[derive(Debug)]
pub struct KeeperState {
    me: NodeId,
    candidates: HashMap<NodeId, Candidate>,
}

impl KeeperState {
    /// Makes a keeper of the configured relays; this node itself is left out.
    #[must_use]
    pub fn new(me: NodeId, configured: &[NodeAddress]) -> Self {
        let mut keeper = Self {
            me,
            candidates: HashMap::new(),
        };
        for address in configured.iter().take(CANDIDATES_MAX) {
            keeper.add(address.clone(), Origin::Configured);
        }
        keeper
    }

    fn add(&mut self, address: NodeAddress, origin: Origin) {
        let position = self.candidates.len();
        if address.node == self.me || position >= CANDIDATES_MAX {
            return;
        }
        let candidate = Candidate {
            address,
            origin,
            position,
            stage: Stage::Idle {
                not_before: Duration::ZERO,
            },
            backoff: Backoff::default(),
        };
        self.candidates
            .entry(candidate.address.node)
            .or_insert(candidate);
    }

    /// Replaces the relays that the directory knows at this moment. Others that were learned before and
    /// are neither asked nor held are forgotten.
    pub fn learned(&mut self, relays: Vec<NodeAddress>) {
        let present: HashSet<_> = relays.iter().map(|relay| relay.node).collect();
        self.candidates.retain(|node, candidate| {
            let idle = matches!(candidate.stage, Stage::Idle { .. });
            candidate.origin == Origin::Configured || !idle || present.contains(node)
        });
        for relay in relays {
            match self.candidates.get_mut(&relay.node) {
                Some(known) if known.origin == Origin::Learned => known.address = relay,
                Some(_) => {}
                None => self.add(relay, Origin::Learned),
            }
        }
    }

    /// Chooses the relays to ask at this moment; they count as asked from then on.
    pub fn ask(&mut self, now: Duration) -> Vec<NodeAddress> {
        let missing = self.missing();
        let candidates = self.candidates.values_mut();
        let mut ready: Vec<_> = candidates
            .filter(|c| matches!(c.stage, Stage::Idle { not_before } if not_before <= now))
            .collect();
        ready.sort_by_key(|c| (c.backoff.failures(), c.origin, c.position));
        let chosen = ready.into_iter().take(missing);
        chosen
            .map(|candidate| {
                candidate.stage = Stage::Asked;
                candidate.address.clone()
            })
            .collect()
    }

    /// The moment of the next attempt; `None` when all wanted reservations are held or asked for.
    #[must_use]
    pub fn next(&self) -> Option<Duration> {
        if self.missing() == 0 {
            return None;
        }
        let waiting = self.candidates.values().filter_map(|c| match c.stage {
            Stage::Idle { not_before } => Some(not_before),
            Stage::Asked | Stage::Held => None,
        });
        waiting.min()
    }

    /// Notes that a relay granted a reservation.
    pub fn granted(&mut self, relay: NodeId) {
        if let Some(candidate) = self.candidates.get_mut(&relay) {
            candidate.stage = Stage::Held;
            candidate.backoff.succeed();
        }
    }

    /// Notes that a relay did not grant a reservation, or that a granted one was lost.
    pub fn failed(&mut self, relay: NodeId, now: Duration, jitter: f64) {
        if let Some(candidate) = self.candidates.get_mut(&relay) {
            let not_before = now + candidate.backoff.fail(jitter);
            candidate.stage = Stage::Idle { not_before };
        }
    }

    fn missing(&self) -> usize {
        let candidates = self.candidates.values();
        let taken = candidates.filter(|c| !matches!(c.stage, Stage::Idle { .. }));
        WANTED.saturating_sub(taken.count())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::samples::{node, numbered, relay};

    const MS: Duration = Duration::from_millis(1);

    fn keeper(configured: &[u8]) -> KeeperState {
        let configured: Vec<_> = configured.iter().map(|number| relay(*number)).collect();
        KeeperState::new(node(1), &configured)
    }

    fn ask(keeper: &mut KeeperState, ms: u32) -> Vec<NodeId> {
        let asked = keeper.ask(MS * ms);
        asked.into_iter().map(|relay| relay.node).collect()
    }

    #[test]
    fn two_relays_are_asked_when_two_are_known_and_one_otherwise() {
        assert_eq!(ask(&mut keeper(&[10, 11, 12]), 0), [node(10), node(11)]);
        assert_eq!(ask(&mut keeper(&[10]), 0), [node(10)]);
        assert!(ask(&mut keeper(&[]), 0).is_empty());
    }

    #[test]
    fn the_node_itself_is_no_candidate() {
        assert_eq!(ask(&mut keeper(&[1, 10]), 0), [node(10)]);
    }

    #[test]
    fn after_a_loss_another_relay_is_asked_at_once_and_the_lost_one_later() {
        let mut keeper = keeper(&[10, 11, 12]);
        ask(&mut keeper, 0);
        keeper.granted(node(10));
        keeper.granted(node(11));
        assert!(ask(&mut keeper, 1000).is_empty());
        assert_eq!(keeper.next(), None);
        keeper.failed(node(10), MS * 1000, 1.0);
        assert_eq!(ask(&mut keeper, 1000), [node(12)]);
        keeper.failed(node(12), MS * 1000, 1.0);
        assert!(ask(&mut keeper, 1249).is_empty());
        assert_eq!(keeper.next(), Some(MS * 1250));
        assert_eq!(ask(&mut keeper, 1250), [node(10)]);
    }

    #[test]
    fn the_only_relay_is_asked_again_and_again_with_growing_pauses() {
        let mut keeper = keeper(&[10]);
        let mut now = Duration::ZERO;
        for pause in [250, 500, 1000, 2000, 4000, 8000, 8000] {
            assert_eq!(keeper.ask(now).len(), 1);
            keeper.failed(node(10), now, 1.0);
            assert_eq!(keeper.next(), Some(now + MS * pause));
            now += MS * pause;
        }
    }

    #[test]
    fn learned_relays_come_after_configured_ones_and_are_forgotten_when_idle() {
        let mut keeper = keeper(&[10]);
        keeper.learned(vec![relay(20), relay(21), relay(10), relay(1)]);
        assert_eq!(ask(&mut keeper, 0), [node(10), node(20)]);
        keeper.granted(node(20));
        keeper.learned(vec![]);
        keeper.failed(node(10), Duration::ZERO, 0.0);
        assert!(
            ask(&mut keeper, 1).is_empty(),
            "21 is forgotten, 10 waits, 20 is held"
        );
        keeper.failed(node(20), MS, 1.0);
        keeper.learned(vec![]);
        assert_eq!(ask(&mut keeper, 500), [node(10)]);
    }

    #[test]
    fn candidates_are_bounded() {
        let mut keeper = keeper(&[]);
        let mut relays = Vec::new();
        for number in 0..=CANDIDATES_MAX {
            let node = numbered(u16::try_from(number).unwrap_or_default());
            relays.push(NodeAddress { node, ..relay(9) });
        }
        keeper.learned(relays);
        assert_eq!(keeper.candidates.len(), CANDIDATES_MAX);
    }

    proptest! {
        #[test]
        fn never_more_than_wanted_are_asked_or_held(
            steps in proptest::collection::vec((10_u8..15, 0_u8..3), 0..60),
        ) {
            let mut keeper = keeper(&[10, 11, 12, 13, 14]);
            let mut now = Duration::ZERO;
            for (number, step) in steps {
                now += MS * 200;
                let asked = keeper.ask(now);
                prop_assert!(asked.len() <= WANTED);
                let stage = keeper.candidates[&node(number)].stage;
                match (step, stage) {
                    (0, Stage::Asked) => keeper.granted(node(number)),
                    (1, Stage::Asked | Stage::Held) => keeper.failed(node(number), now, 0.5),
                    _ => {}
                }
                let taken = keeper.candidates.values();
                let taken = taken.filter(|c| !matches!(c.stage, Stage::Idle { .. }));
                prop_assert!(taken.count() <= WANTED);
            }
        }
    }
}
